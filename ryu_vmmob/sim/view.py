"""What the invariants are checked against: who is a member where, beside the tables that are to carry it.

Written in terms of wires and MACs, independent of the product's own model, so that a fault there cannot hide here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address

from ryu_vmmob.fabric.model import Fabric, PortRef
from ryu_vmmob.sim.network import Journey, Network
from ryu_vmmob.sim.switch import Tables

Owner = tuple[str, int]
"""A VM and the number of one of its interfaces."""


@dataclass(frozen=True, slots=True)
class Seat:
    """An interface at one place; a VM with a migration prepared has two seats.

    ``vlan_id`` is the tag of its frames on the server's cable, None on an untagged server; with ``guest`` it is the guest's
    own, whatever the server. ``sends`` and ``receives``: True it must be able to, False it must not, None while that is
    changing (both are right).
    """

    vm: str
    interface: int
    cug: str
    mac: int
    ips: tuple[IPv4Address | IPv6Address, ...]
    server: str
    ports: tuple[PortRef, ...]
    vlan_id: int | None
    sends: bool | None = True
    receives: bool | None = True
    guest: bool = False

    @property
    def tags(self) -> tuple[int, ...]:
        """The tags of its frames on the server's cable."""
        return () if self.vlan_id is None else (self.vlan_id,)

    @property
    def owner(self) -> Owner:
        """Which interface this is, wherever it sits."""
        return self.vm, self.interface

    @property
    def v4(self) -> list[int]:
        """IPv4 addresses as integers."""
        return [int(ip) for ip in self.ips if ip.version == 4]

    @property
    def v6(self) -> list[int]:
        """IPv6 addresses as integers."""
        return [int(ip) for ip in self.ips if ip.version == 6]

    def __str__(self) -> str:
        return f"{self.vm}[{self.interface}]@{self.server}"


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken invariant of design.md, section 2, with what shows it."""

    invariant: int
    text: str
    journey: Journey | None = None

    def __str__(self) -> str:
        return f"invariant {self.invariant}: {self.text}" + (f"\n{self.journey}" if self.journey else "")


@dataclass(frozen=True)
class View:
    """A state of the network. ``vlan_ids`` is keyed by (L2 domain, CUG), ``allowed_links`` names each CUG's links."""

    fabric: Fabric
    tables: Mapping[str, Tables]
    seats: Sequence[Seat]
    vlan_ids: Mapping[tuple[str, str], int]
    links_down: Collection[str] = ()
    allowed_links: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @cached_property
    def network(self) -> Network:
        """The simulated fabric."""
        return Network(self.fabric, self.tables, self.links_down)

    @cached_property
    def members(self) -> Mapping[str, Mapping[Owner, tuple[Seat, ...]]]:
        """By CUG, the interfaces in it and the seats of each."""
        found: dict[str, dict[Owner, tuple[Seat, ...]]] = defaultdict(dict)
        for seat in self.seats:
            rows = found[seat.cug]
            rows[seat.owner] = (*rows.get(seat.owner, ()), seat)
        return found

    @cached_property
    def seats_at(self) -> Mapping[str, tuple[Seat, ...]]:
        """Seats of each server; every server has an entry."""
        found: dict[str, tuple[Seat, ...]] = dict.fromkeys(self.fabric.servers, ())
        for seat in self.seats:
            found[seat.server] += (seat,)
        return found

    @cached_property
    def shared(self) -> frozenset[tuple[str, tuple[int, ...]]]:
        """(server, tags) of several CUGs at untagged servers: nothing group-addressed can be delivered so (R23)."""
        cugs: dict[tuple[str, tuple[int, ...]], set[str]] = defaultdict(set)
        for seat in self.seats:
            if not self.fabric.servers[seat.server].tagged:
                cugs[seat.server, seat.tags].add(seat.cug)
        return frozenset(wire for wire, found in cugs.items() if len(found) > 1)

    @cached_property
    def _island(self) -> Mapping[str, int]:
        """Switches that can reach each other have the same number."""
        island = {name: number for number, name in enumerate(self.fabric.switches)}
        for link in self.fabric.links:
            if link.name not in self.links_down:
                old, new = island[link.a.switch], island[link.b.switch]
                island = {name: new if number == old else number for name, number in island.items()}
        return island

    def live_ports(self, seat: Seat) -> list[PortRef]:
        """Ports of a seat with a live cable."""
        return [port for port in seat.ports if self.network.port_up(port)]

    def connected(self, a: Seat, b: Seat) -> bool:
        """Whether a physical path exists between two seats."""
        if not (self.live_ports(a) and self.live_ports(b)):
            return False
        return self._island[a.ports[0].switch] == self._island[b.ports[0].switch]

    def wire_tags(self, domain: str | None, cug: str) -> tuple[int, ...] | None:
        """The tags of a CUG's frames in an L2 domain; () in a trivial one, None where the CUG has no VLAN-ID."""
        if domain is None:
            return ()
        vlan_id = self.vlan_ids.get((domain, cug))
        return None if vlan_id is None else (vlan_id,)
