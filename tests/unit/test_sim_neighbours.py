"""The judge sees an answer in a neighbour's name leave by the wire behind which that neighbour is."""

from __future__ import annotations

import pytest

from ryu_vmmob.flows.pipeline import Priority, Table
from ryu_vmmob.sim.invariants import check
from tests.support.fabrics import two_racks
from tests.support.world import World, cug, interface, vm


@pytest.mark.parametrize("server", ["a1", "a3", "b3"])
def test_without_the_flows_that_leave_it_the_judge_speaks(server: str) -> None:
    world = World(two_racks())
    world.do(cug(1, v6=True), vm("one", server, interface(1, 11, v6=True)), vm("other", server, interface(1, 12, v6=True)))
    world.settle()
    assert list(check(world.view())) == []
    rows = world.installed[world.fabric.servers[server].switch]
    gone = [key for key, row in rows.flows.items() if row.table is Table.ANSWER and row.priority == Priority.BEHIND]
    assert gone
    for cookie in gone:
        del rows.flows[cookie]
    said = {row.text for row in check(world.view())}
    assert f"other[0]@{server} is behind the wire by which one[0]@{server} is answered in its name" in said
