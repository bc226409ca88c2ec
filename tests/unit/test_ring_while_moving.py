"""Invariant 8 on a ring: a link goes and comes back while a VM is prepared to move, and switches change one by one."""

from __future__ import annotations

import itertools

import pytest

from ryu_vmmob.model.commands import StartMigration
from ryu_vmmob.model.refusal import Refusal
from tests.support.fabrics import SWITCHES, ring
from tests.support.world import World, cug, interface, vm


def _prepared(number: int) -> World:
    """A member on every switch, and one more that is prepared to move between the ToRs."""
    world = World(ring())
    world.do(cug(number))
    world.settle()
    for host, name in enumerate(SWITCHES, 20):
        world.do(vm(f"peer-{name}", f"s-{name}", interface(number, host)))
    world.do(vm("mover", "s-ta", interface(number, 10)))
    world.settle()
    world.do(StartMigration("move", "mover", "s-tb", activate_on="request"))
    world.settle()
    return world


@pytest.mark.parametrize("order", list(itertools.permutations(SWITCHES))[::3])
@pytest.mark.parametrize("number", [0, 1])
def test_no_order_of_updates_makes_a_loop(number: int, order: tuple[str, ...]) -> None:
    """A prepared VM has two places, and frames for it must not circle between an old and a new tree."""
    world = _prepared(number)
    link = "b1:1=ta:49"
    for down in (frozenset({link}), frozenset[str]()):
        world.links(down)
        while waiting := world.waiting():
            world.update(min(waiting, key=order.index))
            world.check()
        world.settle()
        world.check()


def test_no_move_begins_while_links_change() -> None:
    """Between two trees a VM with two places could make a loop: 503, and a moment later it is admitted."""
    world = _prepared(0)
    world.links(frozenset({"b1:1=ta:49"}))
    assert not world.engine.state.trees_settled
    with pytest.raises(Refusal) as refused:
        world.do(StartMigration("other", "peer-b1", "s-b2"))
    assert refused.value.status == 503
    world.settle()
    world.do(StartMigration("other", "peer-b1", "s-b2"))
