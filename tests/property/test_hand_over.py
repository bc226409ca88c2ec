"""Deliveries that change at the pause: each frame for the VM goes to one of its places, in every mixture of switches."""

from __future__ import annotations

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.model.commands import Abort, Activate, Command, Commit, StartMigration
from ryu_vmmob.model.migrations import Deliver
from ryu_vmmob.model.move_options import Delivery
from ryu_vmmob.model.objects import Phase
from ryu_vmmob.model.refusal import Refusal
from tests.support.drawn_fabrics import fabrics
from tests.support.world import World, cug, interface, vm

ROADS: dict[str, tuple[Command, ...]] = {
    "delivered, activated": (Deliver("m"), Activate("m"), Commit("m")),
    "delivered, aborted": (Deliver("m"), Abort("m")),
    "activated without a delivery": (Activate("m"), Commit("m")),
    "delivered, activated, aborted": (Deliver("m"), Activate("m"), Abort("m")),
}


def one_by_one(data: st.DataObject, world: World) -> None:
    """Let switches take what is on its way in any order; after each of them every invariant is checked."""
    while waiting := world.waiting():
        world.update(data.draw(st.sampled_from(waiting)))
        world.check()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(fabrics(), st.data())
def test_each_frame_goes_to_one_place(fabric: Fabric, data: st.DataObject) -> None:
    world = World(fabric)
    servers = sorted(fabric.servers)
    source = data.draw(st.sampled_from(servers))
    target = data.draw(st.sampled_from([name for name in servers if name != source]))
    world.do(cug(0, v6=True))
    try:
        world.do(vm("mover", source, interface(0, 2, True)))
        for number, server in enumerate(data.draw(st.lists(st.sampled_from(servers), min_size=1, max_size=4))):
            world.do(vm(f"peer{number}", server, interface(0, 3 + number, True)))
        deliveries: list[Delivery] = ["at_pause", "at_pause", "on_activation"]
        delivery = data.draw(st.sampled_from(deliveries))
        world.do(StartMigration("m", "mover", target, delivery=delivery, activate_on="request", commit="request"))
    except Refusal:
        assume(False)
    world.check()
    one_by_one(data, world)
    assert world.engine.state.migrations["m"].phase is Phase.PREPARED
    for command in ROADS[data.draw(st.sampled_from(sorted(ROADS)))]:
        world.do(command)
        assert world.shifts("mover") or isinstance(command, Commit)
        world.check()
        one_by_one(data, world)
    world.settle(checked=True)
    world.check_oracles()
