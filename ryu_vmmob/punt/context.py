"""A packet-in, with its metadata decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from ryu_vmmob.fabric.model import External, PortRef
from ryu_vmmob.flows.pipeline import OUTSIDE, SCOPE, SEGMENT, VIA, WIRE
from ryu_vmmob.frames.content import Frame
from ryu_vmmob.frames.parse import parse
from ryu_vmmob.model.exits import Exit, nearest_exits
from ryu_vmmob.model.objects import Address, Cug, RoutingDomain, Vm
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import MAC_MULTICAST_BIT
from ryu_vmmob.punt.values import Punted


@dataclass(frozen=True, slots=True)
class PuntContext:
    """A packet and where it comes from: exactly one of ``cug`` (a member on this switch), ``external`` (the outside, by a port
    of this switch) and ``via`` (another edge, over the routed segment) says so. ``domain`` is the routing domain it is in.
    """

    state: State
    punted: Punted
    frame: Frame
    cug: Cug | None
    external: External | None
    via: bool
    domain: RoutingDomain | None

    @property
    def switch(self) -> str:
        """Return where the packet is."""
        return self.punted.switch

    def cug_of(self, address: Address) -> Cug | None:
        """Return the CUG to which an address belongs, whether or not a VM has it, of those that mean something to
        this packet.
        """
        if self.domain is not None:
            held = self.state.prefixes.get(self.domain.name)
            owner = held.owner(address) if held is not None else None
            return self.state.cugs[owner] if owner is not None else None
        return self.cug if self.cug is not None and any(address in subnet for subnet in self.cug.subnets) else None

    def externals_here(self) -> Iterator[External]:
        """Yield the external networks of the routing domain that hang on this switch."""
        for external in self.state.fabric.externals_of[self.switch]:
            if self.domain is not None and external.routing_domain == self.domain.name:
                yield external

    def exit(self, address: Address) -> Exit | None:
        """Return the way out that this switch uses for an address; None where there is none."""
        found = self.state.presences.get(self.domain.segment) if self.domain is not None else None
        if self.domain is None or found is None:
            return None
        exits = nearest_exits(self.state, self.domain.name, found.way, self.switch)
        return max((row for row in exits if address in row.prefix), key=lambda row: row.prefix.prefixlen, default=None)


def read(state: State, punted: Punted) -> PuntContext | None:
    """Return the case of a packet; None when the frame is no frame, or speaks of what has just gone."""
    frame = parse(punted.frame)
    if frame is None or not frame.src or frame.src & MAC_MULTICAST_BIT or punted.switch not in state.fabric.switches:
        return None
    scope = state.segment(state.segment_names.get(SCOPE.read(punted.metadata), ""))
    if scope is None:
        return None
    domain = scope if isinstance(scope, RoutingDomain) else None
    via, outside = bool(VIA.read(punted.metadata)), bool(OUTSIDE.read(punted.metadata))
    external = state.fabric.external_at.get(PortRef(punted.switch, punted.in_port)) if outside else None
    cug = None if via or outside else state.cugs.get(state.segment_names.get(SEGMENT.read(punted.metadata), ""))
    if cug is None and external is None and not via:
        return None
    return PuntContext(state, punted, frame, cug, external, via, domain)


def is_behind(case: PuntContext, vm: Vm, number: int) -> bool:
    """Whether interface ``number`` of a VM receives behind the very port and wire that the packet came in by."""
    state, server = case.state, case.state.fabric.server_at.get(PortRef(case.switch, case.punted.in_port))
    if server is None or not any(seat.server == server.name and seat.receives for seat in state.seats_of(vm)):
        return False
    # 0 where frames of its CUG have one tag there, or none.
    return WIRE.read(case.punted.metadata) in (0, state.vnic_vlan_id(vm, number, server.name))


def address_of(value: int, version: int) -> Address:
    """Return an address of frames and flows as one of the model."""
    return IPv4Address(value) if version == 4 else IPv6Address(value)


def gateway_of(cug: Cug, version: int) -> Address | None:
    """Return the gateway of a CUG in one family."""
    return next((ip for ip in cug.gateways if ip.version == version), None)


def own_address(external: External, version: int) -> Address | None:
    """Return the fabric's own address on an external network in one family."""
    return next((row.ip for row in external.addresses if row.version == version), None)
