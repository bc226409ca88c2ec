"""A case: one packet, its sender and receiver, and the state that explains its path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from ryu_vmmob.fabric.model import External
from ryu_vmmob.flows.base import ETH_IP
from ryu_vmmob.flows.fields import FIRST_FRAGMENT, LATER_FRAGMENT
from ryu_vmmob.model.decision import Fragment, Party, Traffic, addressed, member, outside
from ryu_vmmob.model.exits import Exit, nearest_exits
from ryu_vmmob.model.objects import Address, Cug, routed_segment
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import eui64_link_local, mac
from ryu_vmmob.net.protocols import ETH_IPV4, IPV6_FRAGMENT
from ryu_vmmob.sim.network import Network
from ryu_vmmob.sim.packet import ECHO_REQUEST, ECHO_REQUEST_V6, Packet
from ryu_vmmob.trace.source import Source, VmSource

_FRAGMENTS: Final[Mapping[int, Fragment]] = {0: "no", FIRST_FRAGMENT: "first", LATER_FRAGMENT: "later"}
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}


@dataclass(frozen=True, slots=True)
class Case:
    """``sender`` and ``receiver`` are what policies take the packet's two ends for; None when it is no IP packet."""

    state: State
    network: Network
    source: Source
    packet: Packet
    sender: Party | None
    receiver: Party | None

    @property
    def domain(self) -> str | None:
        """The routing domain that the packet is in; None for a CUG that has none."""
        if isinstance(self.source, VmSource):
            return self.state.cugs[self.source.interface.cug].routing_domain
        return self.source.external.routing_domain

    @property
    def is_bridged(self) -> bool:
        """Whether it stays inside its sender's CUG: its destination MAC is not the gateway's."""
        return isinstance(self.source, VmSource) and self.packet["eth_dst"] != mac(self.state.fabric.gateway_mac)

    @property
    def is_ping(self) -> bool:
        """Whether it is an echo request."""
        return self.packet.get("icmpv4_type", -1) == ECHO_REQUEST or self.packet.get("icmpv6_type") == ECHO_REQUEST_V6

    @property
    def traffic(self) -> Traffic:
        """The packet as policies look at it."""
        fields = self.packet.fields
        fragment = _FRAGMENTS[fields.get("ip_frag", 0)]
        ports = [fields.get(f"tcp_{end}", fields.get(f"udp_{end}")) for end in ("src", "dst")]
        if fragment == "first":
            ports = [port or None for port in ports]  # a switch cannot tell port 0 from none
        kind = fields.get("icmpv4_type", fields.get("icmpv6_type"))
        return Traffic(fields["ip_proto"], ports[0], ports[1], fields.get("tcp_flags", 0) & 0xFF, kind, fragment)

    @property
    def what(self) -> str:
        """Protocol and port in words."""
        number = self.packet["ip_proto"]
        port, fragment = self.traffic.target_port, self.traffic.fragment
        if fragment == "later" and number == IPV6_FRAGMENT:
            return "a later fragment"
        of = "" if fragment == "no" else f"a {fragment} fragment of "
        return of + _PROTOCOLS.get(number, f"protocol {number}") + (f" to port {port}" if port is not None else "")

    def externals_at(self, switch: str) -> Iterator[External]:
        """Yield the external networks of the packet's routing domain that hang on a switch."""
        for external in self.state.fabric.externals_of[switch]:
            if external.routing_domain == self.domain:
                yield external

    def exit(self, switch: str, address: Address) -> Exit | None:
        """Return the way out that a switch uses for an address outside; None where there is none."""
        domain = self.domain
        found = self.state.presences.get(routed_segment(domain)) if domain is not None else None
        if domain is None or found is None:
            return None
        exits = nearest_exits(self.state, domain, found.way, switch)
        fitting = (row for row in exits if address in row.prefix)
        return max(fitting, key=lambda row: row.prefix.prefixlen, default=None)

    @property
    def gateway(self) -> Cug | None:
        """The CUG whose gateway the packet is for; None when it is for another receiver."""
        party = self.receiver
        if party is None or party.cug is None:
            return None
        cug, on_link = self.state.cugs[party.cug], eui64_link_local(mac(self.state.fabric.gateway_mac))
        mine = party.address.version == 6 and int(party.address) == on_link
        return cug if mine or party.address in cug.gateways else None


def case_of(state: State, network: Network, source: Source, packet: Packet) -> Case:
    """Return who the two ends are, by the packet's addresses."""
    if packet["eth_type"] not in ETH_IP:
        return Case(state, network, source, packet, None, None)
    kind, version = (IPv4Address, 4) if packet["eth_type"] == ETH_IPV4 else (IPv6Address, 6)
    src, dst = kind(packet[f"ipv{version}_src"]), kind(packet[f"ipv{version}_dst"])
    if isinstance(source, VmSource):
        sender = member(state, source.interface.cug, src)
    else:
        sender = outside(source.external.routing_domain, src)
    return Case(state, network, source, packet, sender, addressed(state, sender, dst))


def described(state: State, party: Party) -> str:
    """Return an address, and whose it is."""
    if party.cug is None:
        return f"{party.address} (outside)"
    if party.vm is not None:
        return f"{party.address} (VM {party.vm}, CUG {party.cug})"
    gateway = party.address in state.cugs[party.cug].gateways
    return f"{party.address} ({'gateway of ' if gateway else ''}CUG {party.cug})"
