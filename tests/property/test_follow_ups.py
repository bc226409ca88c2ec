"""Random sequences in which what follows by itself waits for its turn, and several things are done by others meanwhile."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ryu_vmmob.fabric.model import Fabric
from tests.property.any_moves import CUGS, act
from tests.support.drawn_fabrics import fabrics
from tests.support.world import World, cug


@pytest.mark.requirement("R38")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), fabrics())
def test_every_invariant_holds_though_follow_ups_are_overtaken(data: st.DataObject, fabric: Fabric) -> None:
    world = World(fabric)
    for number in range(CUGS):
        world.do(cug(number, number == 0))
    world.settle()
    queue = world.queue
    count = 0

    def another() -> None:
        nonlocal count
        count += 1
        act(data, world, count)

    for _ in range(data.draw(st.integers(3, 10))):
        another()
        world.check()
        for _ in range(data.draw(st.integers(0, 8))):
            waiting = world.waiting()
            if not waiting:
                break
            queue.waiting = [another] * data.draw(st.sampled_from([0, 0, 1, 2]))
            world.update(data.draw(st.sampled_from(waiting)))
            world.check()
        queue.waiting = []
        world.check_oracles()
    world.settle(checked=True)
    world.check()
    world.check_oracles()
