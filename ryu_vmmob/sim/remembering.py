"""Tables that remember what became of a packet.

The invariants send nearly the same packets after each switch's update, and an update changes one switch: what the others make
of a packet is known. A result depends on the tables, which do not change, on the packet, on its port, and on which of the ports
that groups watch are up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ryu_vmmob.flows.delta import SwitchTables
from ryu_vmmob.flows.flow import Flow, Group
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.switch import Result, Tables

ROOM: Final = 10_000
"""Results that a switch's tables keep, some 2 KB each, and as many journeys; then all are forgotten."""


class RememberingTables(Tables):
    """As `Tables`. Its flows and groups must not be changed."""

    def __init__(self, flows: Iterable[Flow], groups: Iterable[Group] = ()) -> None:
        super().__init__(flows, groups)
        buckets = [bucket for group in self.groups.values() for bucket in group.buckets]
        self._watched = tuple(sorted({bucket.watch for bucket in buckets if bucket.watch is not None}))
        self._results: dict[tuple[Packet, int, tuple[bool, ...]], Result] = {}
        self._journeys: dict[tuple[Packet, int], Any] = {}

    def process(self, packet: Packet, in_port: int, port_up: Callable[[int], bool] = lambda _: True) -> Result:
        """Run a packet through the pipeline, or return what became of an equal one. Raises as `Tables.process` does."""
        key = packet, in_port, tuple([port_up(port) for port in self._watched])
        found = self._results.get(key)
        if found is None:
            found = super().process(packet, in_port, port_up)
            if len(self._results) >= ROOM:
                self._results.clear()
            self._results[key] = found
        return found

    def journey(self, packet: Packet, in_port: int) -> Any:
        """Return what was remembered of a packet that entered the fabric here, None: nothing."""
        return self._journeys.get((packet, in_port))

    def remember(self, packet: Packet, in_port: int, made: Any) -> None:
        """Keep what `journey` returns next time."""
        if len(self._journeys) >= ROOM:
            self._journeys.clear()
        self._journeys[packet, in_port] = made


class Installed:
    """What switches have, read again only where it has changed: by cookies, which tell the contents of flows, and groups."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[frozenset[int], dict[int, Group], RememberingTables]] = {}

    def tables(self, installed: Mapping[str, SwitchTables]) -> dict[str, Tables]:
        """Return the tables of every switch. Raises TableError when a real switch would refuse one of the entries."""
        found: dict[str, Tables] = {}
        for name, rows in installed.items():
            cookies, groups, tables = self._read.get(name, (None, None, None))
            if tables is None or cookies != rows.flows.keys() or groups != rows.groups:
                tables = RememberingTables(rows.flows.values(), rows.groups.values())
                self._read[name] = frozenset(rows.flows), dict(rows.groups), tables
            found[name] = tables
        return found
