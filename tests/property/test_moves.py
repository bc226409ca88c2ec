"""Random fabrics and random command sequences: every invariant in every intermediate state (R38).

After each command, and after each single switch's update within a step, packets are sent through the simulator. At rest the
incremental result equals a full compile, the store restores the same state, and the switches have what is desired.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.any_moves import CUGS, act
from tests.support.drawn_fabrics import fabrics
from tests.support.world import World, cug


@pytest.mark.requirement("R1", "R7", "R11a", "R16", "R17", "R20", "R21", "R22", "R23", "R28", "R35", "R36", "R37", "R38")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), fabrics())
def test_every_intermediate_state_keeps_every_invariant(data: st.DataObject, fabric: object) -> None:
    """R1, R7, R20 to R23, R28, R35 to R39: isolation, MACs, VLAN-IDs, pruning, no loop, no double, no black hole."""
    world = World(fabric)  # type: ignore[arg-type]
    for number in range(CUGS):
        world.do(cug(number, number == 0))
    world.settle()
    for count in range(data.draw(st.integers(3, 14))):
        act(data, world, count)
        world.check()
        for _ in range(data.draw(st.integers(0, 12))):
            waiting = world.waiting()
            if not waiting:
                break
            world.update(data.draw(st.sampled_from(waiting)))
            world.check()
        if data.draw(st.booleans()):
            world.settle(checked=True)
            world.check()
        world.check_oracles()
    world.settle(checked=True)
    world.check()
    world.check_oracles()
