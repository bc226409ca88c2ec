"""How an answer gets to who asked: to an interface at its edge, or out of an external network's port."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ryu_vmmob.fabric.model import External, PortRef, Server
from ryu_vmmob.flows.fields import mac
from ryu_vmmob.flows.flow import Action
from ryu_vmmob.flows.ports import out, to_server
from ryu_vmmob.flows.router import router_mac
from ryu_vmmob.model.objects import Address, Cug, Interface
from ryu_vmmob.model.state import State
from ryu_vmmob.punt.case import Case
from ryu_vmmob.punt.values import PacketOut

_Wanted = Callable[[Interface], bool]


class Way(NamedTuple):
    """From a switch by ``actions`` to the neighbour ``eth_dst``; a router speaks there with ``eth_src``."""

    switch: str
    actions: tuple[Action, ...]
    eth_src: int
    eth_dst: int

    def carry(self, frame: bytes) -> PacketOut:
        """A frame for this neighbour."""
        return PacketOut(self.switch, self.actions, frame)


def way_to(state: State, cug: Cug, interface: Interface, server: Server) -> Way:
    """To an interface on one server, under the guest's own tag if it has one."""
    actions = to_server(state, cug, state.wire(interface, server.name))
    return Way(server.switch, actions, mac(state.fabric.gateway_mac), interface.mac)


def ways_back(case: Case, source: Address) -> list[Way]:
    """To the sender of the packet, whose address is ``source``: none when there is no such sender (any more)."""
    state = case.state
    if case.cug is not None:
        vm = state.macs.get((case.cug.name, case.frame.src))
        interface = _interface(state, vm, case.cug, lambda row: row.mac == case.frame.src)
        port = PortRef(case.switch, case.punted.in_port)
        return _to_member(state, vm, case.cug, interface, state.fabric.server_at.get(port))
    if case.external is not None:
        return [_out_of(state, case.external, case.frame.src)]
    cug = case.cug_of(source)
    if cug is not None:
        vm = state.ips.get((cug.name, source))
        return _to_member(state, vm, cug, _interface(state, vm, cug, lambda row: source in row.ips), None)
    exit_ = case.exit(source)
    neighbour = state.neighbours.get((exit_.external.name, exit_.hop or source)) if exit_ is not None else None
    return [_out_of(state, exit_.external, neighbour)] if exit_ is not None and neighbour is not None else []


def _interface(state: State, vm: str | None, cug: Cug, wanted: _Wanted) -> Interface | None:
    rows = state.vms[vm].interfaces if vm is not None else ()
    return next((row for row in rows if row.cug == cug.name and wanted(row)), None)


def _to_member(state: State, vm: str | None, cug: Cug, interface: Interface | None, seen: Server | None) -> list[Way]:
    """To a member at the place where it was seen, or wherever it receives: at two places while it is prepared to move."""
    if vm is None or interface is None:
        return []
    places = [state.fabric.servers[seat.server] for seat in state.seats_of(state.vms[vm]) if seat.receives]
    return [
        way_to(state, cug, interface, server)
        for server in places
        if (seen is None or server == seen) and state.speaks(cug.name, state.wire(interface, server.name))
    ]


def _out_of(state: State, external: External, neighbour: int) -> Way:
    at = external.attach
    return Way(at.switch, out(at.port, external.vlan_id), router_mac(state, at.switch), neighbour)
