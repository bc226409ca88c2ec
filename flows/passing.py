"""Frames in passing: a VM's traffic switches over to the target without a gap in any mixture of switches.

While a VM has two seats and only one of them receives, each frame goes to one seat. The first switch that the frame reaches on
the path between the two seats decides which. From there the frame goes on in that direction, past switches that would decide
otherwise. They recognise it by its ingress port: a frame for the VM that comes *from* the side of the receiving seat can only
be on its way to the other one.

Without this rule the frame could meet a switch that would return it on its ingress port. A switch never does that (OpenFlow
1.3.5, 7.2.5), so the frame would be lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ryu_vmmob.fabric.trees import adjacency
from ryu_vmmob.model.objects import Seat
from ryu_vmmob.model.presence import Presence
from ryu_vmmob.model.state import State


class Passing(NamedTuple):
    """Frames that come in by these ports go on to ``edge`` (None: it is this switch)."""

    ports: tuple[int, ...]
    edge: str | None


def passing(state: State, seats: Sequence[Seat], at: str, found: Presence) -> Passing | None:
    """Return what passes by switch ``at`` towards a place that does not receive; None where nothing does."""
    servers = state.fabric.servers
    gets = next((servers[seat.server].switch for seat in seats if seat.receives), None)
    passed = next((servers[seat.server].switch for seat in seats if seat.passing), None)
    if gets is None or passed is None or at == gets or passed == gets:
        return None
    towards = found.way.next_hop(at, gets)
    if towards is None or (passed != at and found.way.next_hop(at, passed) == towards):
        return None
    links = state.fabric.links_between[adjacency(at, towards)]
    return Passing(tuple(link.end_at(at).port for link in links), None if passed == at else passed)
