"""The migration machine: every stage with every step, against the table that its module's docstring shows."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product

import pytest

from ryu_vmmob.model import migration_steps
from ryu_vmmob.model.commands import Abort, Activate, Command, Commit, Prepared, StartMigration
from ryu_vmmob.model.migration_steps import KEPT, Stage, Standstill, Step, stage, verdict
from ryu_vmmob.model.migrations import Deliver, Fail, Returned
from ryu_vmmob.model.move_options import ActivateOn, Delivery, Mode
from ryu_vmmob.model.objects import Phase, Seat, Vm
from ryu_vmmob.model.presence import Wire
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import State
from tests.support.commands import apply, cug, do, nic, start, vm
from tests.support.engine_site import Site
from tests.support.fabrics import two_racks

COMMANDS: dict[Step, Command] = {
    Step.PREPARED: Prepared("m1"),
    Step.DELIVER: Deliver("m1"),
    Step.ACTIVATE: Activate("m1", "seen"),
    Step.COMMIT: Commit("m1"),
    Step.ABORT: Abort("m1", "why not"),
    Step.FORCE: Abort("m1", "why not", force=True),
    Step.RETURNED: Returned("m1"),
    Step.FAIL: Fail("m1", "a switch refused"),
}
MOVE = StartMigration("m1", "web1", "b1")
ROAD: dict[Stage, tuple[Command, ...]] = {
    Stage.PREPARING: (),
    Stage.PREPARED: (Prepared("m1"),),
    Stage.DELIVERED: (Prepared("m1"), Deliver("m1")),
    Stage.ACTIVATED: (Prepared("m1"), Activate("m1")),
    Stage.RETURNING: (Prepared("m1"), Activate("m1"), Abort("m1")),
    Stage.COMMITTED: (Prepared("m1"), Activate("m1"), Commit("m1")),
    Stage.ABORTED: (Abort("m1"),),
    Stage.FAILED: (Fail("m1", "full"),),
}


def documented() -> dict[tuple[Stage, Step], str]:
    """(stage, step) -> cell of the table in the module's docstring."""
    lines = (migration_steps.__doc__ or "").splitlines()
    head = next(number for number, line in enumerate(lines) if line.lstrip().startswith("stage \\ step"))
    columns = [Step[word] for word in re.findall(r"\b[A-Z]+\b", lines[head])]
    rows = [line.split() for line in lines[head + 2 : head + 2 + len(Stage)]]
    return {(Stage(row[0]), step): cell for row in rows for step, cell in zip(columns, row[1:], strict=True)}


def in_stage(at: Stage) -> State:
    """A state whose migration m1 of web1 from a1 to b1 is in this stage."""
    state = start(two_racks(), cug(), vm(), vm("web2", "a2", nic(12)), MOVE, *ROAD[at])
    assert stage(state.migrations["m1"]) is at
    return state


def test_the_docstring_has_every_cell() -> None:
    assert documented().keys() == set(product(Stage, Step))


@pytest.mark.parametrize(("at", "step"), list(product(Stage, Step)), ids=lambda row: row.value)
def test_every_stage_with_every_step(at: Stage, step: Step) -> None:
    cell = documented()[at, step]
    before = in_stage(at)
    if cell == "refused":
        assert verdict(at, step) is Standstill.REFUSED
        with pytest.raises(Refusal, match=rf"m1 is {at.value}, which does not admit") as raised:
            apply(before, COMMANDS[step])
        assert raised.value.status == 409
    elif cell == "(nothing)":
        assert verdict(at, step) is Standstill.NOTHING
        assert apply(before, COMMANDS[step]).state is before
    else:
        found = Stage(cell)
        assert verdict(at, step) is found
        change = apply(before, COMMANDS[step], now=50.0)
        row = change.state.migrations["m1"]
        assert stage(row) is found
        told = {Stage.RETURNING: before.migrations["m1"].phase}.get(found, found)
        assert row.timeline[-1][:2] == (told, 50.0)
        assert len(row.timeline) == len(before.migrations["m1"].timeline) + 1
        assert row.step_revision == row.revision == change.state.revision
        assert [event.kind for event in change.events if event.kind.startswith("migration.")] == [f"migration.{cell}"]
        assert apply(change.state, COMMANDS[step]).state is change.state


def vm_of(state: State) -> Vm:
    return state.vms["web1"]


@pytest.mark.parametrize(
    ("at", "server", "bound"),
    [
        (Stage.PREPARING, "a1", True),
        (Stage.PREPARED, "a1", True),
        (Stage.DELIVERED, "a1", True),
        (Stage.ACTIVATED, "b1", True),
        (Stage.RETURNING, "a1", True),
        (Stage.COMMITTED, "b1", False),
        (Stage.ABORTED, "a1", False),
        (Stage.FAILED, "a1", False),
    ],
)
def test_placement_changes_with_the_activation_and_its_abort(at: Stage, server: str, bound: bool) -> None:
    state = in_stage(at)
    assert vm_of(state).server == server
    assert vm_of(state).migration == ("m1" if bound else None)


@pytest.mark.parametrize("mode", ["hot", "cold"])
@pytest.mark.parametrize("delivery", ["at_pause", "early", "on_activation"])
@pytest.mark.parametrize("activate_on", ["announcement", "request"])
def test_seats_of_each_stage(mode: Mode, delivery: Delivery, activate_on: ActivateOn) -> None:
    early, awaited = delivery == "early", activate_on == "announcement"
    speaks = delivery != "on_activation" or mode == "cold"
    state = start(two_racks(), cug(), vm(), replace(MOVE, mode=mode, delivery=delivery, activate_on=activate_on))
    at_source, at_target = (Seat(server, True, True) for server in ("a1", "b1"))
    prepared = Seat("b1", speaks, early, not early, awaited, speaks and not awaited)
    if early:
        prepared = prepared._replace(twin="a1")
    coming = (at_source._replace(twin="b1") if speaks else at_source, prepared)
    assert state.seats_of(vm_of(state)) == coming
    state = apply(state, Prepared("m1"), now=20.0).state
    assert state.seats_of(vm_of(state)) == coming
    delivered = apply(state, Deliver("m1"), now=25.0).state
    paused = Seat("a1", True, False, passing=True)
    served = prepared._replace(receives=True, passing=False, hears=False, twin="a1")
    assert delivered.seats_of(vm_of(delivered)) == (coming if early else (paused, served))
    moved = apply(delivered if awaited else state, Activate("m1"), now=30.0).state
    assert moved.seats_of(vm_of(moved)) == (at_target, Seat("a1", False, False, passing=not early))
    done = apply(moved, Commit("m1"), now=40.0).state
    assert done.seats_of(vm_of(done)) == (at_target,)
    back = apply(moved, Abort("m1"), now=40.0).state
    left = Seat("b1", True, True, twin="a1") if early else Seat("b1", False, False, passing=True)
    assert back.seats_of(vm_of(back)) == (at_source._replace(twin="b1") if early else at_source, left)
    for undone in (apply(state, Abort("m1"), now=40.0).state, apply(back, Returned("m1"), now=50.0).state):
        assert undone.seats_of(vm_of(undone)) == (at_source,)


@pytest.mark.requirement("R35", "R37")
def test_presence_extends_and_is_pruned() -> None:
    """R35, R37: both places while it moves, afterwards the new one alone."""
    assert set(in_stage(Stage.PREPARING).presences["web"].local) == {"tor-a", "spine", "tor-b"}
    assert set(in_stage(Stage.ABORTED).presences["web"].local) == {"tor-a"}
    alone = do(start(two_racks(), cug(), vm(), MOVE), Activate("m1"), Commit("m1"), now=2).state
    assert set(alone.presences["web"].local) == {"tor-b"}
    assert dict(alone.vlan_ids("web")) == {"rack-b": 100}
    assert {domain for domain, _ in alone.quarantine} == {"rack-a", "core"}


def test_legs_and_switches_are_those_of_the_beginning() -> None:
    both = vm("web1", "a1", nic(11), nic(11, "db", 2))
    state = start(two_racks(), cug(), cug("db", 2), both, replace(MOVE, to="b2"))
    row = state.migrations["m1"]
    assert row.legs == (("web", 101, None), ("db", 100, None))
    assert row.switches == ("spine", "tor-a", "tor-b")
    done = do(state, Activate("m1"), Commit("m1"), now=2).state.migrations["m1"]
    assert (done.legs, done.switches) == (row.legs, row.switches)


def test_a_reason_given_once_stays() -> None:
    state = do(in_stage(Stage.PREPARED), Activate("m1", "seen at tor-b:1"), Commit("m1"), now=2).state
    assert state.migrations["m1"].reason == "seen at tor-b:1"


def test_a_move_on_one_switch() -> None:
    """Between two servers of one ToR nothing is extended and no number is needed."""
    state = start(two_racks(), cug(), vm(), replace(MOVE, to="a2"))
    assert set(state.presences["web"].local) == {"tor-a"}
    assert state.migrations["m1"].switches == ("tor-a",)
    done = do(state, Activate("m1"), Commit("m1"), now=2).state
    assert dict(done.vlan_ids("web")) == {"rack-a": 100}
    assert not done.quarantine


# What is kept


def finished(state: State, number: int) -> State:
    """One more move of web2 begun and aborted."""
    move = StartMigration(f"old-{number}", "web2", "b1")
    return do(state, move, Abort(f"old-{number}"), now=float(number)).state


def test_the_oldest_finished_migrations_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Down to KEPT when there are a fifth more; one that is under way is never forgotten, however old."""
    monkeypatch.setattr(migration_steps, "KEPT", 10)
    state = in_stage(Stage.PREPARING)
    for number in range(11):
        state = finished(state, number)
    assert len(state.migrations) == 12
    state = finished(state, 11)
    assert set(state.migrations) == {"m1", *(f"old-{number}" for number in range(3, 12))}
    state = apply(state, Abort("m1"), now=100.0).state
    assert state.migrations["m1"].phase is Phase.ABORTED


def test_what_is_forgotten_is_deleted_from_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration_steps, "KEPT", 5)
    site = Site(two_racks(), cug(), vm("web2", "a1", nic(12)))
    for number in range(20):
        site.engine.execute(StartMigration(f"old-{number}", "web2", "b1"))
        site.engine.execute(Abort(f"old-{number}"))
        site.confirm()
        assert {name for kind, name in site.store.records if kind == "migration"} == set(site.state.migrations)
    assert site.restart().state.migrations == site.state.migrations
    assert 5 <= len(site.state.migrations) <= 6
    assert KEPT == 1000


def test_a_delivered_place_on_a_shared_wire_hears_broadcasts_from_the_activation_on() -> None:
    """What the VM said last at its source would teach the new server's switch that the VM is behind the cable."""
    state = do(start(two_racks(), cug(), vm(), MOVE), Prepared("m1"), now=1).state
    delivered = do(state, Deliver("m1"), now=2).state
    activated = do(delivered, Activate("m1"), now=3).state
    flooded = [dict(each.presences["web"].local)["tor-b"].flooded for each in (state, delivered, activated)]
    assert flooded == [frozenset(), frozenset(), frozenset({Wire("b1", None)})]
    beside = start(two_racks(), cug(), vm(), vm("web2", "b1", nic(12)), MOVE)
    assert dict(beside.presences["web"].local)["tor-b"].flooded == {Wire("b1", None)}, "for those that were there"
