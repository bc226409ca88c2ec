"""Reading port counters: one request for all ports of a switch, and only while a client looks."""

from __future__ import annotations

from ryu_vmmob.engine.port_counters import UNKNOWN, Counts
from ryu_vmmob.flows import wire
from ryu_vmmob.southbound.exchange import Exchange


def read(session: Exchange) -> None:
    """Ask; a switch that refuses has told nothing."""
    found: dict[int, Counts] = {}
    for body in session.ask(wire.port_stats_request, required=False):
        for number, counts in wire.port_stats(body):
            found[number] = Counts(*(None if row == UNKNOWN else row for row in counts))
    if found:
        session.engine.port_counters.counted(session.name, found)
