"""What comes to an edge new to its CUG costs no more calls for each message, however many members the CUG has."""

from __future__ import annotations

import sys

import pytest

from ryu_vmmob.bench.caches import empty_caches
from ryu_vmmob.bench.growth import leaves, member, wide
from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.store import open_store

EDGES = 4


def calls_a_message(members: int, *, routed: bool) -> float:
    """Calls of functions, C's included, that a VM at an edge new to its CUG costs for each message, with all caches empty."""
    engine = Engine(leaves(EDGES + 1), open_store("sqlite:///:memory:"), lambda: 0.0)
    engine.execute(wide(1, routed=routed), *(member(1, number, number % EDGES) for number in range(members)))
    calls = 0

    def called(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    empty_caches()
    sys.setprofile(called)
    try:
        ticket = engine.execute(member(1, members, EDGES))
    finally:
        sys.setprofile(None)
    return calls / sum(delta.messages for delta in ticket.deltas.values())


@pytest.mark.parametrize("routed", [False, True])
def test_calls_grow_with_the_messages(routed: bool) -> None:
    """Whatever is walked through or made beside them: ten times the members, and no more calls for each message."""
    few, many = (calls_a_message(members, routed=routed) for members in (100, 1000))
    assert many <= few * 1.02
