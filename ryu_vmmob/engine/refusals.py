"""Refused frames: reports at most one event a second for each sender, and counts by server (R49).

The switch counts every one of them (table `refuse`); the controller sees some, as many as the meter lets through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, Literal

from ryu_vmmob.fabric.model import PortRef, Server
from ryu_vmmob.flows.pipeline import SEGMENT
from ryu_vmmob.frames.content import Arp, Frame, Ipv4, Ipv6, NeighbourSolicitation
from ryu_vmmob.model.draft import Event
from ryu_vmmob.model.membership import gateway_addresses
from ryu_vmmob.model.objects import Address, Cug, Interface, Migration, Phase, Vm
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import mac_text

REPORT_INTERVAL: Final = 1.0
"""Seconds between two reports about one offender."""
_MAX_OFFENDERS: Final = 4096

News = Literal["refused", "conflict", "announced"]
"""What a frame tells: it was refused, the VM still speaks at its source, or it speaks already at its target."""
Offender = tuple[News, PortRef, int]
"""What is told, the server's port, and the source MAC seen there."""


class Refusals:
    """The refused frames so far. ``counts``: by server, as the switches count since their flows stand."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._told: dict[Offender, float] = {}
        self._untold: Counter[Offender] = Counter()

    def counted(self, counts: Mapping[str, int]) -> None:
        """Take how many frames a switch has refused, by server."""
        for server, number in counts.items():
            # A switch that lost its flows begins again; what was counted before stays.
            self.counts[server] = max(self.counts[server], number)

    def seen(self, state: State, port: PortRef, metadata: int, frame: Frame, now: float) -> Event | None:
        """Return a refused frame; the event to tell, None when there is nothing to tell of it (any more, within
        `REPORT_INTERVAL`).

        `refused.move`: a VM's MAC where the VM neither is nor is prepared to be. `migration.announced`: at the target of its
        move, which waits for a request. `refused.spoofing`: anything else.
        """
        server = state.fabric.server_at.get(port)
        if server is None:
            return None
        cug = _cug_of(state, server, metadata, frame)
        if cug is None and server.tagged and not metadata & SEGMENT.mask:
            return None  # under an unused VLAN-ID: servers send much that does not concern the fabric
        more = self.due("refused", port, frame.src, now)
        if more is None:
            return None
        data = {
            "switch": port.switch,
            "port": port.port,
            "server": server.name,
            "mac": mac_text(frame.src),
            "address": claimed(frame),
            "cug": cug,
            "more": more,
        }
        vm = state.vms.get(state.macs.get((cug, frame.src), "")) if cug is not None else None
        return _judged(state, vm, server, frame, data) if vm is not None else Event("refused.spoofing", data)

    def due(self, news: News, port: PortRef, mac: int, now: float) -> int | None:
        """Return the number of suppressed reports on an offender, or None while the rate limit holds.

        Each kind of news has its own time: a frame refused a moment ago hides no announcement.
        """
        offender = news, port, mac
        if now - self._told.get(offender, -REPORT_INTERVAL) < REPORT_INTERVAL:
            self._untold[offender] += 1
            return None
        if len(self._told) >= _MAX_OFFENDERS:
            self._told.clear()
            self._untold.clear()
        self._told[offender] = now
        return self._untold.pop(offender, 0)


def speaker(state: State, port: PortRef, metadata: int, frame: Frame) -> str | None:
    """Return the VM that a refused frame is of, by MAC and CUG; None: of no VM, or it claims an address that is not
    the VM's.
    """
    server = state.fabric.server_at.get(port)
    cug = _cug_of(state, server, metadata, frame) if server is not None else None
    vm = state.vms.get(state.macs.get((cug, frame.src), "")) if cug is not None else None
    return vm.name if vm is not None and truthful(state, vm, frame) else None


def _judged(state: State, vm: Vm, server: Server, frame: Frame, data: dict[str, Any]) -> Event | None:
    """Return what a refused frame with a VM's MAC is."""
    migration = state.migration_of(vm)
    seat = next((row for row in state.seats_of(vm) if row.server == server.name), None)
    if seat is None or (vm.server != server.name and migration is not None and migration.phase is Phase.ACTIVATED):
        told = {"vm": vm.name, "placed": vm.server, "vlan_ids": list(frame.vlan_ids), "reason": _why_not(state, vm, server)}
        return Event("refused.move", {**data, **told})
    if migration is not None and server.name == migration.target and truthful(state, vm, frame):
        if migration.phase is Phase.ACTIVATED or migration.activate_on == "announcement":
            return None  # its first frame there, by which it was seen: the way was not open yet
        return announced_early(migration, data)
    return Event("refused.spoofing", data)


def announced_early(migration: Migration, data: Mapping[str, Any]) -> Event:
    """Return the event of a VM that speaks at the target of a move that waits to be activated by request."""
    told = {"id": migration.id, "vm": migration.vm, "reason": "activation waits for a request"}
    return Event("migration.announced", {**data, **told})


def _why_not(state: State, vm: Vm, server: Server) -> str:
    """Return why a VM's MAC has no business at a server, as far as its moves tell."""
    migration = state.migration_of(vm)
    if migration is not None:
        if server.name not in (migration.source, migration.target):
            return f"the VM is moving to {migration.target} (migration {migration.id})"
        return f"an old copy: migration {migration.id} has taken the VM to {vm.server}"
    left = [
        row for row in state.migrations.values()
        if row.vm == vm.name and row.source == server.name and row.phase is Phase.COMMITTED
    ]  # fmt: skip
    last = max(left, key=lambda row: row.revision, default=None)
    if last is not None:
        return f"an old copy: migration {last.id} has taken the VM from here"
    return "the VM is neither placed nor prepared here"


def _cug_of(state: State, server: Server, metadata: int, frame: Frame) -> str | None:
    """Return the CUG that a refused frame is one of: as the switch knows, or as its tag and its MAC say, or its MAC alone."""
    segment = state.segment(state.segment_names.get(metadata & SEGMENT.mask, ""))
    if isinstance(segment, Cug):
        return segment.name
    if metadata & SEGMENT.mask:
        return None
    named = list(state.mac_cugs.get(frame.src, ()))
    right = [name for name in named if rightly_tagged(state, name, server, frame)]
    return right[0] if len(right) == 1 else named[0] if len(named) == 1 else None


def rightly_tagged(state: State, cug: str, server: Server, frame: Frame) -> bool:
    """Whether a frame that a switch could not place has the tag that its interface in ``cug`` would have at a server.

    With tagging per interface that is the one that the server's virtual switch has put on before: what it has at its placement,
    where each vNIC has a VLAN-ID of its own, too.
    """
    tag = frame.vlan_ids[0] if frame.vlan_ids else None
    vm = state.vms[state.macs[cug, frame.src]]
    number = next(at for at, row in enumerate(vm.interfaces) if (row.cug, row.mac) == (cug, frame.src))
    own = vm.interfaces[number].guest_vlan_id
    if own is None and server.per_interface:
        return tag is not None and tag == state.vnic_vlan_id(vm, number, vm.server)
    if own is not None or server.l2_domain is None:
        return tag == own
    return tag is not None and state.holders.get((server.l2_domain, tag)) == state.cugs[cug].key


def truthful(state: State, vm: Vm, frame: Frame) -> bool:
    """Whether a frame claims no address, or one of those that its interface has."""
    address = _address(frame)
    if address is None or not int(address):
        return True
    return any(_may_have(state, vm, row, address) for row in vm.interfaces if row.mac == frame.src)


def _may_have(state: State, vm: Vm, interface: Interface, address: Address) -> bool:
    """Whether an address is an interface's, or a link-local one that no other interface has."""
    if address.version == 6 and address.is_link_local and any(ip.version == 6 for ip in interface.ips):
        is_gateway = address in gateway_addresses(state, state.cugs[interface.cug])
        return not is_gateway and state.ips.get((interface.cug, address)) in (None, vm.name)
    return address in interface.addresses


def claimed(frame: Frame) -> str | None:
    """Return the sender's own address, or of an address probe (RFC 5227, RFC 4862) the one that it would take."""
    match frame.content, frame.message:
        case Arp(spa=0, tpa=target), _:
            return str(IPv4Address(target))
        case Ipv6(src=0), NeighbourSolicitation(target=target):
            return str(IPv6Address(target))
    address = _address(frame)
    return str(address) if address is not None else None


def _address(frame: Frame) -> Address | None:
    match frame.content:
        case Arp(spa=address) | Ipv4(src=address):
            return IPv4Address(address)
        case Ipv6(src=address):
            return IPv6Address(address)
    return None
