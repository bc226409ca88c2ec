"""What follows by itself is carried out on the state that it was found on, or is looked for again.

A green thread that has found something to do may wait until a long command of another is over (`apps/turns.py`, `Alone`).
Here others come first as the test says (`tests/support/waiting.py`).
"""

from __future__ import annotations

from dataclasses import replace

from ryu_vmmob.engine.arrivals import PATIENCE
from ryu_vmmob.flows.flow import tells_controller
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.batches.commands import StartBatch
from ryu_vmmob.model.batches.values import Outcome
from ryu_vmmob.model.commands import Abort, DeleteVm
from ryu_vmmob.model.objects import Phase
from ryu_vmmob.model.routing_domains import NeighbourHeard
from tests.support.commands import cug, nic, vm
from tests.support.engine_site import MOVE, Site, migration, phase, racks
from tests.support.fabrics import LEFT_A, rooted, two_planes, two_racks
from tests.support.routed_networks import with_externals
from tests.unit import forged, unannounced


def speaks(made: Site, switch: str, name: str = "web1") -> None:
    """A frame of a VM meets the flow by which it is listened for at a switch."""
    for flow in made.engine.desired.flows(switch):
        mine = flow.table is Table.ADMIT and flow.owner.whole == Owner(OwnerKind.VM, name)
        if mine and any(map(tells_controller, flow.actions)):
            made.engine.network.frame_seen(switch, flow.cookie)
            return
    raise AssertionError(f"{name} is not listened for at {switch}")


def test_a_time_out_does_not_undo_what_an_announcement_in_time_has_activated() -> None:
    """`preparing`: the frame comes at 1299.9 s and waits for a bulk, and so does the look at 1300.1 s."""
    made = racks()
    made.engine.execute(MOVE)
    queue = made.queue
    queue.waiting.append(lambda: speaks(made, "tor-b"))
    made.now += 300.1
    made.engine.progress()
    assert phase(made) is Phase.ACTIVATED
    assert not migration(made).is_returning
    assert made.state.vms["web1"].server == "b1"


def test_prepared_together_and_one_of_them_aborted_meanwhile() -> None:
    made = racks()
    moves = [replace(MOVE, id=f"m{number}", vm=f"web{number}") for number in (1, 2)]
    for move in moves:
        made.engine.execute(move)
    queue = made.queue
    queue.waiting.append(lambda: made.engine.execute(Abort("m1")))
    made.take()
    assert [phase(made, move.id) for move in moves] == [Phase.ABORTED, Phase.PREPARED]


def test_trees_do_not_grow_on_the_word_of_switches_that_confirmed_an_earlier_shrinking() -> None:
    """Another link fails while the growing waits for its turn: nobody has confirmed that one yet."""
    fabric = two_planes()
    name = rooted(fabric, "spine-1")[0]
    made = Site(fabric, cug(name), vm("x", "a1", nic(11, name)), vm("y", "b1", nic(12, name)))
    made.engine.network.links_seen(frozenset({LEFT_A}))
    queue = made.queue
    queue.waiting.append(lambda: made.engine.network.links_seen(frozenset()))
    made.take()
    assert made.state.links_down == frozenset()
    assert not made.state.trees_settled
    assert not made.engine.fleet.has("tor-a", made.state.trees_shrunk)
    made.confirm()
    assert made.state.trees_settled


def test_a_frame_of_a_vm_whose_move_was_aborted_meanwhile_is_no_fault() -> None:
    """`vital` would end the controller."""
    made = racks(MOVE)
    queue = made.queue
    queue.waiting.append(lambda: made.engine.execute(Abort("m1")))
    speaks(made, "tor-b")
    assert phase(made) is Phase.ABORTED


def test_an_impostor_is_judged_on_the_move_as_it_is() -> None:
    made = forged.site()
    forged.arrive(made)
    queue = made.queue
    made.engine.fleet.connected("tor-b", lambda: None, made.now)
    queue.waiting.append(lambda: made.engine.execute(Abort("m1", "by hand")))
    forged.speak(made)
    assert migration(made).reason == "by hand"
    assert not made.events("migration.conflict")


def test_news_of_what_the_fabric_file_has_no_more() -> None:
    """The file is read again while the news of an external network and of a neighbour there wait."""
    fabric = with_externals(two_racks())
    made = Site(fabric, cug(), vm())
    queue = made.queue

    def reload() -> None:
        made.engine.execute(made.engine.fabric_replaced(replace(fabric, externals={})))

    queue.waiting.append(reload)
    made.engine.network.externals_seen(frozenset({"out0"}))
    assert (made.state.fabric.externals, made.state.externals_down) == ({}, frozenset())
    made = Site(fabric, cug(), vm())
    made.queue.waiting.append(reload)
    made.engine.network.neighbour_heard(NeighbourHeard("out0", fabric.externals["out0"].next_hops[0], 1))
    assert not made.state.neighbours


def test_a_vm_that_answers_while_its_unannounced_move_waits() -> None:
    made = unannounced.Lab()
    made.speak()
    queue = made.queue
    queue.waiting.append(lambda: speaks(made, "tor-a"))
    made.now += PATIENCE
    made.engine.progress()
    assert not made.state.migrations
    assert made.reasons() == ["the VM answers at its place"]


def test_a_vm_that_is_deleted_while_a_frame_of_it_waits_to_be_judged() -> None:
    made = unannounced.Lab()
    queue = made.queue
    queue.waiting.append(lambda: made.engine.execute(DeleteVm("web1")))
    made.speak()
    assert "web1" not in made.state.vms
    assert not made.events("move.questioned")


def test_the_turn_of_a_vm_is_given_on_the_state_as_it_is() -> None:
    """A batch of two VMs, one after the other; the second is deleted while its turn waits: no move, and no fault."""
    made = racks(StartBatch("b", ("a1", "a2"), to=("b1",), parallel=1))
    queue = made.queue
    made.engine.execute(Abort("b-0"))
    queue.waiting.append(lambda: made.engine.execute(DeleteVm("web2")))
    made.engine.progress()
    made.confirm()
    assert [row.outcome for row in made.state.batch_vms["b"].values()] == [Outcome.ABORTED, Outcome.GONE]
