"""What the judge knows of routing and policies: plain facts, independent of the product's own model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Final, Literal, NamedTuple

from ryu_vmmob.fabric.model import PortRef

Address = IPv4Address | IPv6Address
Subnet = IPv4Network | IPv6Network
ROUTED: Final = "routed:"


def routed_segment(routing_domain: str) -> str:
    """Return the name of a routing domain's segment, beside those of CUGs."""
    return ROUTED + routing_domain


@dataclass(frozen=True, slots=True)
class CugFacts:
    """A CUG's subnets (one per address family) and gateways; without a routing domain nothing is routed.

    ``former`` are other versions of these facts that some switch may still have; with ``is_new`` some may not know it at all.
    """

    name: str
    subnets: tuple[Subnet, ...]
    gateways: tuple[Address, ...] = ()
    routing_domain: str | None = None
    former: tuple[CugFacts, ...] = ()
    is_new: bool = False

    @property
    def settled(self) -> bool:
        """Whether all switches agree about these facts: else what an edit has changed is promised to no member."""
        return not self.former and not self.is_new

    @property
    def stays(self) -> bool:
        """Whether every switch has it in this routing domain, whatever else was edited."""
        return not self.is_new and all(row.routing_domain == self.routing_domain for row in self.former)

    @property
    def lasting(self) -> tuple[Address, ...]:
        """Its gateways in every version."""
        return tuple(gateway for gateway in self.gateways if all(gateway in row.gateways for row in self.former))

    def ever_covered(self, address: Address) -> bool:
        """Whether an address is in one of the subnets of some version."""
        return any(row.covers(address) for row in (self, *self.former))

    def covers(self, address: Address) -> bool:
        """Whether an address is in one of the subnets."""
        return any(address in subnet for subnet in self.subnets)


@dataclass(frozen=True, slots=True)
class ExternalFacts:
    """A network outside, behind one port of an edge.

    ``addresses`` are the edge's own there, and make connected prefixes; ``prefixes`` are reached through ``next_hops``: their
    MACs, None while unknown. ``vlan_id`` is the tag on the wire, None without. ``settled`` is False while switches differ.
    """

    name: str
    port: PortRef
    routing_domain: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    prefixes: tuple[Subnet, ...] = ()
    next_hops: Mapping[Address, int | None] = field(default_factory=dict, hash=False)
    vlan_id: int | None = None
    settled: bool = True

    @property
    def tags(self) -> tuple[int, ...]:
        """The tags of frames on its wire."""
        return () if self.vlan_id is None else (self.vlan_id,)

    @property
    def switch(self) -> str:
        """The edge it hangs on."""
        return self.port.switch

    def reach(self, address: Address) -> int:
        """Length of the longest prefix that leads to an address; -1 when none does."""
        if any(own.ip == address for own in self.addresses):
            return -1
        networks = (*self.prefixes, *(own.network for own in self.addresses))
        return max((network.prefixlen for network in networks if address in network), default=-1)

    def macs_for(self, address: Address) -> frozenset[int]:
        """MACs that a packet for this address may be sent to, as far as known: the neighbour's own, or any next hop's."""
        if any(address in own.network for own in self.addresses):
            return frozenset({mac for hop, mac in self.next_hops.items() if hop == address and mac is not None})
        version = address.version
        return frozenset({mac for hop, mac in self.next_hops.items() if hop.version == version and mac is not None})

    def __str__(self) -> str:
        return f"external {self.name}@{self.port}"


class Selector(NamedTuple):
    """One end of a rule; ``value`` is a name, or several, or a prefix, or nothing for any."""

    kind: Literal["any", "cug", "vm", "vms", "prefix"]
    value: str | frozenset[str] | Subnet | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy. ``protocol``: "tcp", "udp", "icmp", a number, or None for all of IP; ``ports``: inclusive destination ranges.

    ``replies`` (TCP): also what comes back, from those ports, with ACK or RST set.
    """

    allow: bool
    source: Selector
    target: Selector
    protocol: str | int | None = None
    ports: tuple[tuple[int, int], ...] = ()
    priority: int = 100
    replies: bool = False
