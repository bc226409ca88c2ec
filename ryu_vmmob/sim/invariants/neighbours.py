"""No seat is answered in the name of a neighbour: no answer with a seat's MAC leaves by the wire behind which that seat is.

A server's own switch that learns from each frame would look for the seat at the wrong end of its cable from then on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ryu_vmmob.sim.invariants.judging import DELIVERY
from ryu_vmmob.sim.network import Journey
from ryu_vmmob.sim.view import Seat, View, Violation


def behind(seat: Seat, others: Sequence[Seat]) -> list[Seat]:
    """Those of some seats that are, or may be, behind the same wire as ``seat``, and have heard what it said there."""
    return [row for row in others if (row.server, row.tags) == (seat.server, seat.tags) and row.receives is not False]


def misled(view: View, seat: Seat, journey: Journey, asked: Sequence[Seat]) -> Iterator[Violation]:
    """Answers to a question of ``seat``, for the interface with the seats ``asked``, that mislead a server's own switch."""
    here = [row for row in behind(seat, asked) if row.receives]
    for port, packet in journey.deliveries:
        server = view.fabric.server_at.get(port)
        for row in here:
            place = server is not None and (server.name, packet.vlans) == (row.server, row.tags)
            if place and packet["eth_src"] == row.mac and not packet.same_frame(journey.packet):
                yield Violation(DELIVERY, f"{row} is behind the wire by which {seat} is answered in its name", journey)
