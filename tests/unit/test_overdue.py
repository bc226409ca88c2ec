"""A move whose time is over is never closed by that alone while its VM may have gone on at the target (cases 04, 15)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_vmmob.engine.fleet import SwitchFault
from ryu_vmmob.engine.overdue import SILENCE
from ryu_vmmob.flows.flow import tells_controller
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.commands import Abort, StartMigration
from ryu_vmmob.model.migration_steps import stage
from ryu_vmmob.model.migrations import Deliver
from ryu_vmmob.model.move_options import Delivery
from ryu_vmmob.model.objects import Phase
from ryu_vmmob.punt.ask_vm import ask_vm
from ryu_vmmob.rest.migrations import MigrationBody
from tests.support.commands import cug, nic, vm
from tests.support.engine_site import MOVE, Site, migration, phase, racks
from tests.support.fabrics import two_racks
from tests.support.world import World

SHORT = replace(MOVE, timeout=5.0)
REQUESTED = replace(SHORT, activate_on="request")
DELIVERIES = ("at_pause", "early", "on_activation")


def overdue(move: StartMigration = SHORT, *, delivered: bool = False) -> Site:
    """Prepared, and its time is over; both places are listened to."""
    made = racks(move)
    if delivered:
        made.engine.execute(Deliver(move.id))
        made.confirm()
    asked: list[str] = []
    made.engine.on_question.add(asked.append)
    made.now += 5
    made.engine.progress()
    made.confirm()
    assert asked == ["web1"]
    assert phase(made) is Phase.PREPARED
    return made


def speaks(made: Site | World, switch: str, name: str = "web1") -> None:
    """What the VM says there meets a flow that copies it."""
    for flow in made.engine.desired.flows(switch):
        mine = flow.table is Table.ADMIT and flow.owner.whole == Owner(OwnerKind.VM, name)
        if mine and any(map(tells_controller, flow.actions)):
            made.engine.network.frame_seen(switch, flow.cookie)
            return
    raise AssertionError(f"{name} is not listened for at {switch}")


def dies(made: Site, switch: str) -> None:
    made.engine.fleet.connected(switch, wake := lambda: None, made.now)
    made.engine.fleet.disconnected(switch, wake)
    made.engine.progress()


def test_a_vm_that_has_gone_on_at_its_target_is_activated() -> None:
    made = overdue()
    speaks(made, "tor-b")
    made.confirm()
    assert phase(made) is Phase.COMMITTED
    assert made.state.vms["web1"].server == "b1"
    assert not made.state.questioned


@pytest.mark.parametrize("move", [SHORT, REQUESTED], ids=["announcement", "request"])
@pytest.mark.parametrize("delivery", DELIVERIES)
def test_a_vm_that_is_where_it_was_ends_the_move_at_once(move: StartMigration, delivery: Delivery) -> None:
    made = overdue(replace(move, delivery=delivery))
    speaks(made, "tor-a")
    assert phase(made) is Phase.ABORTED
    assert migration(made).reason == "not activated within 5 s, and its VM is at its source"
    assert not made.state.questioned


def test_silence_at_both_places_ends_it_after_a_pause_would_be_over() -> None:
    made = overdue()
    made.now += SILENCE - 0.1
    made.engine.progress()
    assert phase(made) is Phase.PREPARED
    made.now += 0.1
    made.engine.progress()
    assert phase(made) is Phase.ABORTED
    assert migration(made).reason == "not activated within 5 s, and its VM answers at neither place"


def test_a_vm_that_waits_for_a_request_at_its_target_keeps_its_place() -> None:
    """The orchestrator that resumed it there knows; its request may yet come."""
    made = overdue(REQUESTED)
    speaks(made, "tor-b")
    for _ in range(20):
        made.now += 0.2
        made.engine.progress()
        made.confirm()
    assert phase(made) is Phase.PREPARED
    assert not made.state.questioned
    reason = "its VM speaks at its target, and activation waits for a request"
    assert made.events("migration.overdue") == [{"id": "m1", "vm": "web1", "reason": reason}]
    made.now += 5
    made.silence()
    assert phase(made) is Phase.ABORTED


def test_the_time_of_a_delivered_move_takes_it_back_only_after_asking() -> None:
    made = overdue(delivered=True)
    made.now += SILENCE
    made.engine.progress()
    assert stage(migration(made)) == "returning"
    made.confirm()
    assert phase(made) is Phase.ABORTED


def test_with_the_switch_of_the_target_dead_it_outlives_its_time() -> None:
    """Whether the VM runs there cannot be known; an operator may abort it."""
    made = racks(SHORT)
    dies(made, "tor-b")
    for _ in range(3):
        made.now += 3600
        made.engine.progress()
        made.confirm()
    assert phase(made) is Phase.PREPARED
    reason = "switch tor-b of its target is away, so its VM cannot be asked there"
    assert made.events("migration.overdue") == [{"id": "m1", "vm": "web1", "reason": reason}]
    made.connect("tor-b")
    made.confirm()
    speaks(made, "tor-b")
    assert phase(made) in (Phase.ACTIVATED, Phase.COMMITTED)
    other = racks(SHORT)
    dies(other, "tor-b")
    other.now += 3600
    other.engine.progress()
    other.engine.execute(Abort("m1"))
    assert phase(other) is Phase.ABORTED


def test_with_the_switch_of_the_source_dead_the_target_alone_is_asked() -> None:
    made = racks(SHORT)
    dies(made, "tor-a")
    made.now += 5
    made.silence()
    assert phase(made) is Phase.ABORTED


def test_a_switch_that_refuses_to_listen_is_not_taken_for_silence() -> None:
    made = racks(REQUESTED)
    made.now += 5
    made.engine.progress()
    taken = made.engine.fleet.take("tor-b")
    assert taken is not None
    made.engine.fleet.confirm("tor-b", taken[0], [SwitchFault("TABLE_FULL", "table=admit", Owner(OwnerKind.VM, "web1", "0"))])
    made.silence()
    made.now += 600
    made.engine.progress()
    assert phase(made) is Phase.PREPARED
    assert "refuses to listen" in str(made.events("migration.overdue"))


@pytest.mark.parametrize("spoke", ["while the controller was away", "when it is asked"])
def test_a_controller_that_was_away_for_longer_hears_the_network_first(spoke: str) -> None:
    """Case 04: the VM went on, said so once, and nobody heard."""
    made = racks(SHORT)
    again = made.restart()
    again.now += 3600
    for _ in range(3):
        again.engine.look()
        again.now += 0.5
    assert phase(again) is Phase.PREPARED, "no switch was heard yet"
    again.connect("tor-b")
    if spoke == "when it is asked":
        again.confirm("tor-b")
        speaks(again, "tor-b")
    else:  # the next frame of the connection that goes on
        speaks(again, "tor-b")
    assert phase(again) is Phase.ACTIVATED
    again.connect("tor-a", "spine")
    again.confirm()
    assert phase(again) is Phase.COMMITTED
    assert again.state.vms["web1"].server == "b1"


def test_what_was_preparing_at_the_last_start_may_have_been_prepared() -> None:
    """`prepared` does not wait for the disk, so a failure of power may take it back."""
    made = Site(two_racks(), cug(), vm(), vm("web2", "a2", nic(12)))
    made.engine.execute(SHORT)
    again = made.restart()
    again.now += 3600
    again.engine.look()
    assert phase(again) is Phase.PREPARING
    again.connect()
    assert phase(again) is Phase.PREPARED
    again.silence()
    assert phase(again) is Phase.ABORTED


def test_both_places_are_asked() -> None:
    made = overdue()
    assert {(row.switch, len(row.frame)) for row in ask_vm(made.state, "web1")} == {("tor-a", 42), ("tor-b", 42)}


def test_the_time_by_default_is_that_of_a_long_copy() -> None:
    """Case 15: an hour's copy is no failure, and two places that are open harm no other VM."""
    body = MigrationBody.model_validate({"vm": "web1", "to": "b1"})
    assert body.timeout >= 2 * 3600
    assert body.command("m1").timeout == StartMigration("m", "web1", "b1").timeout == body.timeout


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("ending", ["tor-a", "tor-b", None])
def test_the_judge_has_nothing_against_it(delivery: Delivery, ending: str | None) -> None:
    made = World(two_racks())
    made.do(cug(v6=False), vm(), vm("web2", "a2", nic(12)), vm("web3", "b3", nic(13)))
    made.settle()
    made.do(StartMigration("m1", "web1", "b1", delivery=delivery, timeout=5))
    made.settle()
    made.now += 5
    made.engine.progress()
    made._note()
    for name in ("spine", "tor-b", "tor-a"):
        made.update(name)
        made.check()
    made.settle(checked=True)
    if ending is None:
        made.now += SILENCE
        made.engine.progress()
    else:
        speaks(made, ending)
    made._note()
    made.settle(checked=True)
    made.check_oracles()
    assert made.engine.state.migrations["m1"].phase is (Phase.COMMITTED if ending == "tor-b" else Phase.ABORTED)
