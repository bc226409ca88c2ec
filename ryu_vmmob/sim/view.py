"""The view that the invariants are checked against: the members and their seats, beside the switches' tables.

Written in terms of wires and MACs, independent of the product's own model, so that a fault there cannot hide here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from ryu_vmmob.fabric.model import Fabric, PortRef
from ryu_vmmob.sim.facts import Address, CugFacts, ExternalFacts, Rule
from ryu_vmmob.sim.network import Journey, Network
from ryu_vmmob.sim.switch import Tables

Owner = tuple[str, int]
"""A VM and the number of one of its interfaces."""


@dataclass(frozen=True, slots=True)
class Seat:
    """An interface at one place; a VM with a migration prepared has two seats.

    ``vlan_id`` is the tag on the wire of the server's port: what the server's virtual switch puts on, or with ``guest`` the
    guest itself; None without. ``sends`` and ``receives``: True
    it must be able to, False it must not, None while that is changing (both are right). ``told``: of which
    of its frames the controller gets a copy because its VM is listened for; None: not known. ``shifts``: what is for the
    interface goes over from one of its seats to another just now: exactly one of them gets each frame. ``hears``: where it
    receives, it gets broadcasts and multicasts as well.
    """

    vm: str
    interface: int
    cug: str
    mac: int
    ips: tuple[Address, ...]
    server: str
    ports: tuple[PortRef, ...]
    vlan_id: int | None
    sends: bool | None = True
    receives: bool | None = True
    guest: bool = False
    told: Literal["all", "group", "none"] | None = None
    shifts: bool = False
    ethertypes: tuple[int, ...] | Literal["any"] = ()
    """What it may send inside its CUG beside ARP, RARP and IP."""
    hears: bool | None = True

    def gets(self, *, group: bool) -> bool | None:
        """Whether it must get frames that are for it (``group``: broadcasts and multicasts), as ``receives`` is."""
        if not group or self.receives is False or self.hears:
            return self.receives
        return self.hears

    @property
    def owner(self) -> Owner:
        """Return which interface this is, wherever it sits."""
        return self.vm, self.interface

    @property
    def tags(self) -> tuple[int, ...]:
        """The tags of its frames on the wire of the server's port."""
        return () if self.vlan_id is None else (self.vlan_id,)

    @property
    def switch(self) -> str:
        """The edge it hangs on."""
        return self.ports[0].switch

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
    """A broken invariant (docs/architecture.md), with what shows it."""

    invariant: int
    text: str
    journey: Journey | None = None

    def __str__(self) -> str:
        return f"invariant {self.invariant}: {self.text}" + (f"\n{self.journey}" if self.journey else "")


@dataclass(frozen=True)
class View:
    """A state of the network. ``vlan_ids`` is keyed by (L2 domain, segment), ``allowed_links`` names each segment's links.

    ``ready_links`` are those of its backup paths: switches may know its frames there, and none is sent.
    A segment is a CUG, or ``routed:`` and the name of a routing domain. ``router_macs`` has the own MAC of each edge.
    ``former_policies`` are other versions of the policies that some switch may still have. ``plain_edges`` are edges whose
    switches cannot answer by themselves: there the controller does. Without ``cugs`` nothing is judged that is routed.
    """

    fabric: Fabric
    tables: Mapping[str, Tables]
    seats: Sequence[Seat]
    vlan_ids: Mapping[tuple[str, str], int]
    links_down: Collection[str] = ()
    allowed_links: Mapping[str, frozenset[str]] = field(default_factory=dict)
    ready_links: Mapping[str, frozenset[str]] = field(default_factory=dict)
    cugs: Mapping[str, CugFacts] = field(default_factory=dict)
    gateway_mac: int = 0
    router_macs: Mapping[str, int] = field(default_factory=dict)
    externals: Sequence[ExternalFacts] = ()
    policies: tuple[Rule, ...] = ()
    former_policies: tuple[tuple[Rule, ...], ...] = ()
    plain_edges: Collection[str] = ()

    @cached_property
    def network(self) -> Network:
        """The simulated fabric."""
        return Network(self.fabric, self.tables, self.links_down)

    @cached_property
    def memo(self) -> dict[Any, Any]:
        """What `sim.policy` has worked out of this view, by what it was asked."""
        return {}

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
    def shared(self) -> frozenset[tuple[str, int | None]]:
        """(untagged server, guest's tag) with seats of several CUGs: nothing group-addressed can be delivered there (R23)."""
        found: dict[tuple[str, int | None], set[str]] = defaultdict(set)
        for seat in self.seats:
            if not self.fabric.servers[seat.server].tagged:
                found[seat.server, seat.vlan_id].add(seat.cug)
        return frozenset(place for place, cugs in found.items() if len(cugs) > 1)

    def routing_domain(self, end: Seat | ExternalFacts | CugFacts | None) -> str | None:
        """Return the routing domain that an end is in."""
        if isinstance(end, Seat):
            end = self.cugs.get(end.cug)
        return end.routing_domain if end is not None else None

    def may_have_router(self, seat: Seat) -> bool:
        """Whether a seat's CUG has an IPv6 gateway, or some switch may think so."""
        facts = self.cugs.get(seat.cug)
        return facts is not None and (not facts.settled or any(ip.version == 6 for ip in facts.gateways))

    def gateways_for(self, seat: Seat) -> Sequence[Address]:
        """Gateways that a seat's edge answers pings for: those of its CUG, and of others in its routing domain."""
        facts = self.cugs.get(seat.cug)
        if facts is None:
            return ()
        others = (row for row in self.cugs_of.get(facts.routing_domain or "", ()) if row.name != facts.name and row.settled)
        return [gateway for row in (facts, *others) for gateway in row.lasting]

    def beside(self, facts: CugFacts) -> Sequence[Address]:
        """Unassigned addresses next to those of a CUG's gateways and of a member on each edge."""
        if facts.name not in self._beside:
            seats = [seat for seat in self.seats if seat.cug == facts.name]
            some = {seat.switch: seat for seat in seats}.values()
            taken = {ip for seat in seats for ip in seat.ips} | set(facts.gateways)
            near = [type(ip)(int(ip) ^ 1) for ip in (*facts.gateways, *(ip for seat in some for ip in seat.ips))]
            self._beside[facts.name] = [ip for ip in dict.fromkeys(near) if ip not in taken and facts.covers(ip)]
        return self._beside[facts.name]

    @cached_property
    def _beside(self) -> dict[str, Sequence[Address]]:
        return {}

    @cached_property
    def cugs_of(self) -> Mapping[str, tuple[CugFacts, ...]]:
        """CUGs of each routing domain."""
        found: dict[str, tuple[CugFacts, ...]] = {}
        for facts in self.cugs.values():
            if facts.routing_domain is not None:
                found[facts.routing_domain] = (*found.get(facts.routing_domain, ()), facts)
        return found

    @cached_property
    def seats_of(self) -> Mapping[str, tuple[Seat, ...]]:
        """Seats in the CUGs of each routing domain; a routing domain without a seat has no entry."""
        found: dict[str, tuple[Seat, ...]] = {}
        for seat in self.seats:
            name = self.routing_domain(seat)
            if name is not None:
                found[name] = (*found.get(name, ()), seat)
        return found

    @cached_property
    def seats_with(self) -> Mapping[str, Mapping[Address, tuple[Seat, ...]]]:
        """By routing domain, the seats that have an address."""
        found: dict[str, dict[Address, tuple[Seat, ...]]] = {}
        for name, seats in self.seats_of.items():
            rows = found.setdefault(name, {})
            for seat in seats:
                for ip in seat.ips:
                    rows[ip] = (*rows.get(ip, ()), seat)
        return found

    @cached_property
    def behind(self) -> dict[str, Mapping[int, Address]]:
        """Addresses outside, by external, as `whereabouts.outside_addresses` has found them."""
        return {}

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
        return bool(self.live_ports(a) and self.live_ports(b)) and self.joined(a.switch, b.switch)

    def joined(self, one: str, other: str) -> bool:
        """Whether a physical path exists between two switches."""
        return self._island[one] == self._island[other]

    def wire_tags(self, domain: str | None, segment: str) -> tuple[int, ...] | None:
        """Return the tags of a segment's frames in an L2 domain; () in a trivial one, None where the segment has no VLAN-ID."""
        if domain is None:
            return ()
        vlan_id = self.vlan_ids.get((domain, segment))
        return None if vlan_id is None else (vlan_id,)
