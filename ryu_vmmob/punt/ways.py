"""Output actions of an answer: to an interface at its edge, or out of an external network's port."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ryu_vmmob.fabric.model import External, PortRef, Server
from ryu_vmmob.flows.flow import Action
from ryu_vmmob.flows.ports import out, to_vnic, unmarked
from ryu_vmmob.flows.router import router_mac
from ryu_vmmob.model.objects import Address, Cug, Interface, Vm
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import mac
from ryu_vmmob.punt.context import PuntContext
from ryu_vmmob.punt.values import PacketOut

_Wanted = Callable[[Interface], bool]


class Way(NamedTuple):
    """From a switch by ``actions`` to the neighbour ``eth_dst``; a router speaks there with ``eth_src``."""

    switch: str
    actions: tuple[Action, ...]
    eth_src: int
    eth_dst: int

    def carry(self, frame: bytes) -> PacketOut:
        """Return a frame for this neighbour."""
        return PacketOut(self.switch, self.actions, frame)


def way_to(state: State, cug: Cug, vm: Vm, number: int, server: Server) -> Way:
    """To an interface on one server, under the tag of its frames there."""
    actions = unmarked(to_vnic(state, cug, vm, number, server))
    return Way(server.switch, actions, mac(state.fabric.gateway_mac), vm.interfaces[number].mac)


def ways_back(case: PuntContext, source: Address) -> list[Way]:
    """To the sender of the packet, whose address is ``source``: none when there is no such sender (any more)."""
    state = case.state
    if case.cug is not None:
        vm = state.macs.get((case.cug.name, case.frame.src))
        number = _number(state, vm, case.cug, lambda row: row.mac == case.frame.src)
        port = PortRef(case.switch, case.punted.in_port)
        return _to_member(state, vm, case.cug, number, state.fabric.server_at.get(port))
    if case.external is not None:
        return [_out_of(state, case.external, case.frame.src)]
    cug = case.cug_of(source)
    if cug is not None:
        vm = state.ips.get((cug.name, source))
        return _to_member(state, vm, cug, _number(state, vm, cug, lambda row: source in row.ips), None)
    exit_ = case.exit(source)
    neighbour = state.neighbours.get((exit_.external.name, exit_.hop or source)) if exit_ is not None else None
    return [_out_of(state, exit_.external, neighbour)] if exit_ is not None and neighbour is not None else []


def _number(state: State, vm: str | None, cug: Cug, wanted: _Wanted) -> int | None:
    """Return the number of the VM's interface in a CUG."""
    rows = state.vms[vm].interfaces if vm is not None else ()
    return next((number for number, row in enumerate(rows) if row.cug == cug.name and wanted(row)), None)


def _to_member(state: State, name: str | None, cug: Cug, number: int | None, seen: Server | None) -> list[Way]:
    """To a member at the place where it was seen and may speak, or wherever it receives: at two places of an early delivery."""
    if name is None or number is None:
        return []
    vm = state.vms[name]
    wire = vm.interfaces[number]
    found = []
    for seat in state.seats_of(vm):
        server = state.fabric.servers[seat.server]
        here = seat.receives if seen is None else server == seen and (seat.receives or seat.sends)
        if here and state.speaks(cug.name, state.wire(wire, server.name)):
            found.append(way_to(state, cug, vm, number, server))
    return found


def _out_of(state: State, external: External, neighbour: int) -> Way:
    at = external.attach
    return Way(at.switch, unmarked(out(at.port, external.vlan_id)), router_mac(state, at.switch), neighbour)
