"""A whole fabric: a packet put in at a port, followed over every switch and link until every copy is delivered or lost.

Each switch has its own tables, so that any mixture of old and new can be tried: that is what the network is while a plan
is being carried out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ryu_vmmob.fabric.model import Fabric, Link, PortRef
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.remembering import RememberingTables
from ryu_vmmob.sim.switch import Result, Tables

MAX_HOPS: Final = 64
FRAGMENTS_DROPPED: Final = "the switch drops fragments"
"""The reason of a `Drop` at a switch with ``fragments: drop``: no table of it sees the packet."""
MAX_VISITS: Final = 4096
"""A packet that has caused this many switch passages is a storm, even where no copy repeats itself."""


class Delivery(NamedTuple):
    """A copy that left the fabric at a server port or an external port."""

    port: PortRef
    packet: Packet


class Crossing(NamedTuple):
    """A copy on a link, as it was on the wire."""

    link: Link
    sender: str
    packet: Packet


class Copied(NamedTuple):
    """A copy for the controller, from the flow with this cookie."""

    switch: str
    cookie: int
    packet: Packet


class Drop(NamedTuple):
    """A copy that came to nothing: at a switch, or behind a port where no one listens."""

    switch: str
    reason: str
    packet: Packet


class Visit(NamedTuple):
    """One switch on the way: what came in where, and what was made of it."""

    switch: str
    in_port: int
    packet: Packet
    result: Result

    def __str__(self) -> str:
        rows = [f"{self.switch}:{self.in_port} {self.packet}", *(f"  {step}" for step in self.result.path)]
        rows += [f"  -> {port} {packet}" for port, packet in self.result.outputs]
        rows += [f"  -> controller {packet}" for _, packet in self.result.controller]
        return "\n".join([*rows, *(f"  lost: {reason}" for reason in self.result.lost)])


@dataclass(slots=True)
class Journey:
    """Everything that became of one packet; prints as a trace. ``loop`` says that a copy came back to where it had been.

    ``shown`` are copies of a refused frame: reports, of which nothing follows.
    """

    packet: Packet
    port: PortRef
    deliveries: list[Delivery] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)
    controller: list[Copied] = field(default_factory=list)
    shown: list[Copied] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    loop: bool = False

    def __str__(self) -> str:
        rows = [f"injected at {self.port}: {self.packet}", *map(str, self.visits)]
        rows += [f"delivered at {delivery.port}: {delivery.packet}" for delivery in self.deliveries]
        return "\n".join([*rows, *(["LOOP"] if self.loop else [])])


class _Made(NamedTuple):
    """A journey, and what it depends on: the tables on its way, and the fabric with the ports that are down."""

    journey: Journey
    way: list[tuple[str, Tables | None]]
    state: tuple[Fabric, frozenset[PortRef]]


class _Copy(NamedTuple):
    """A frame about to enter a switch; ``before`` is the copy it stems from."""

    port: PortRef
    packet: Packet
    hops: int
    before: _Copy | None

    def repeats(self) -> bool:
        """Whether the same frame came in at the same port before: from here on it would do so for ever."""
        old = self.before
        while old is not None:
            if old.port == self.port and old.packet == self.packet:
                return True
            old = old.before
        return False


class Network:
    """The fabric with the tables of each switch.

    ``links_down`` names links, and cables of servers and external networks by their port (``tor-b:1``). A switch without
    tables drops everything.
    """

    def __init__(self, fabric: Fabric, tables: Mapping[str, Tables], links_down: Collection[str] = ()) -> None:
        self.fabric = fabric
        self.tables = tables
        self.links_down = frozenset(links_down)
        down = [link for link in fabric.links if link.name in self.links_down]
        self._ports_down = {end for link in down for end in (link.a, link.b)}
        self._ports_down |= {port for port in (*fabric.server_at, *fabric.external_at) if str(port) in self.links_down}
        self._state = fabric, frozenset(self._ports_down)

    def port_up(self, port: PortRef) -> bool:
        """Whether the port has a live cable, as its switch sees it."""
        return port not in self._ports_down

    def inject(self, packet: Packet, port: PortRef) -> Journey:
        """Let a packet enter the fabric at a port. Raises what `Tables.process` raises; a loop is a result.

        Where the first switch has `RememberingTables`, a journey over the same tables and cables is not made again, and the
        one that is returned must not be changed.
        """
        entry = self.tables.get(port.switch)
        if not isinstance(entry, RememberingTables):
            return self._follow(packet, port)
        made: _Made | None = entry.journey(packet, port.port)
        if made is None or made.state != self._state or any(self.tables.get(name) is not rows for name, rows in made.way):
            journey = self._follow(packet, port)
            names = {visit.switch for visit in journey.visits} | {drop.switch for drop in journey.drops}
            made = _Made(journey, [(name, self.tables.get(name)) for name in names], self._state)
            entry.remember(packet, port.port, made)
        return made.journey

    def _follow(self, packet: Packet, port: PortRef) -> Journey:
        journey = Journey(packet, port)
        waiting = deque([_Copy(port, packet, 0, None)])
        while waiting:
            copy = waiting.popleft()
            if copy.hops > MAX_HOPS or len(journey.visits) >= MAX_VISITS or copy.repeats():
                journey.loop = True
                if len(journey.visits) >= MAX_VISITS:
                    break
                continue
            self._visit(journey, copy, waiting)
        return journey

    def _visit(self, journey: Journey, copy: _Copy, waiting: deque[_Copy]) -> None:
        name = copy.port.switch
        tables = self.tables.get(name)
        if tables is None:
            journey.drops.append(Drop(name, "the switch has no tables", copy.packet))
            return
        if copy.packet.get("ip_frag") and not self.fabric.switches[name].passes_fragments:
            journey.drops.append(Drop(name, FRAGMENTS_DROPPED, copy.packet))
            return
        result = tables.process(copy.packet, copy.port.port, lambda number: self.port_up(PortRef(name, number)))
        journey.visits.append(Visit(name, copy.port.port, copy.packet, result))
        reports = {step.flow.cookie for step in result.path if step.table is Table.REFUSE and step.flow is not None}
        for cookie, packet in result.controller:
            (journey.shown if cookie in reports else journey.controller).append(Copied(name, cookie, packet))
        journey.drops += [Drop(name, reason, copy.packet) for reason in result.lost]
        for number, packet in result.outputs:
            port = PortRef(name, number)
            link = self.fabric.link_at.get(port)
            if not self.port_up(port):
                journey.drops.append(Drop(name, f"port {number} is down", packet))
            elif link is not None:
                journey.crossings.append(Crossing(link, name, packet))
                waiting.append(_Copy(link.far_end(name), packet, copy.hops + 1, copy))
            elif port in self.fabric.server_at or port in self.fabric.external_at:
                journey.deliveries.append(Delivery(port, packet))
            else:
                journey.drops.append(Drop(name, f"nothing hangs on port {number}", packet))
