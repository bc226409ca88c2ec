"""When each switch confirmed each step of a move: known at once, stored without a commit of its own, kept over a restart."""

from __future__ import annotations

from collections import deque
from typing import Any

from ryu_vmmob.engine.acknowledgements import Acknowledgements
from ryu_vmmob.model.commands import Abort, Activate, Commit, StartMigration
from ryu_vmmob.model.objects import Migration, Phase, TimelineEntry
from tests.support.commands import nic, vm
from tests.support.engine_site import LATER, Site, migration, racks


def moving() -> Site:
    """web1 is about to be prepared; no switch has confirmed anything of it."""
    made = racks()
    made.engine.execute(LATER)
    return made


def times(made: Site, number: int) -> dict[str, float]:
    """What is known of a step."""
    return dict(made.engine.with_acknowledgements(migration(made)).timeline[number].acknowledged)


def stored(made: Site, number: int) -> dict[str, float]:
    """What of that a controller would find that starts now."""
    return dict(made.restart().state.migrations["m1"].timeline[number].acknowledged)


def test_each_switch_has_its_own_time() -> None:
    made = racks()
    made.now = 1000.0
    made.engine.execute(LATER)
    assert set(migration(made).timeline[0].flow_mods) == {"spine", "tor-a", "tor-b"}
    assert times(made, 0) == {}
    for name in ("tor-b", "spine", "tor-a"):
        made.now += 1
        made.confirm(name)
    assert times(made, 0) == {"tor-b": 1001.0, "spine": 1002.0, "tor-a": 1003.0}
    assert migration(made).phase is Phase.PREPARED


def test_they_are_written_with_the_next_step_and_cost_no_commit() -> None:
    made = moving()
    commits = made.store.commits
    made.confirm("spine")
    assert made.store.commits == commits
    assert stored(made, 0) == {}
    commits = made.store.commits
    made.confirm("tor-a", "tor-b")
    assert migration(made).phase is Phase.PREPARED
    assert made.store.commits == commits + 1
    assert stored(made, 0) == times(made, 0)
    assert set(times(made, 0)) == {"spine", "tor-a", "tor-b"}


def test_one_that_comes_while_a_step_is_written_is_not_lost() -> None:
    made = moving()
    made.confirm("tor-b")
    made.store.meanwhile = lambda: made.confirm("spine")
    made.engine.execute(Abort("m1"))
    assert set(times(made, 0)) == {"tor-b", "spine"}
    assert set(stored(made, 0)) == {"tor-b"}
    made.engine.execute(vm("other", "a1", nic(77)))
    made.confirm()
    made.engine.execute(vm("other2", "a1", nic(78)))
    assert set(stored(made, 0)) >= {"tor-b", "spine"}


def finished() -> Site:
    made = moving()
    made.confirm()
    made.engine.execute(Activate("m1"))
    made.confirm()
    made.engine.execute(Commit("m1"))
    return made


def test_those_of_the_last_step_are_written_with_whatever_comes_next() -> None:
    made = finished()
    commits = made.store.commits
    made.now += 5
    made.confirm()
    assert made.store.commits == commits
    last = times(made, 3)
    assert set(last) == set(migration(made).timeline[3].flow_mods)
    assert stored(made, 3) == {}
    made.engine.execute(vm("other", "a1", nic(77)))
    assert stored(made, 3) == last
    writes = len(made.store.records)
    made.confirm()
    made.engine.execute(vm("another", "a1", nic(78)))
    assert times(made, 3) == last
    assert len(made.store.records) == writes + 1


def test_a_controller_that_ends_in_good_order_writes_them_down() -> None:
    made = finished()
    made.now += 5
    made.confirm()
    last = times(made, 3)
    assert last
    made.engine.close()
    assert stored(made, 3) == last


def test_a_store_that_takes_nothing_does_not_keep_the_controller_from_ending() -> None:
    made = finished()
    made.confirm()
    made.store.full = True
    made.engine.close()


def test_after_a_kill_what_was_open_counts_when_the_switch_confirms_again() -> None:
    made = finished()
    made.confirm("tor-a")
    again = made.restart()
    again.now = made.now + 100
    assert times(again, 3) == {}
    again.connect()
    assert times(again, 3) == dict.fromkeys(migration(again).timeline[3].flow_mods, again.now)
    assert again.events("migration.confirmed") == [{"id": "m1", "vm": "web1", "state": "committed"}]


def test_a_switch_that_is_away_has_no_time_until_it_is_back() -> None:
    made = racks()
    fleet, wake = made.engine.fleet, lambda: None
    fleet.connected("tor-a", wake, made.now)
    fleet.confirm("tor-a", fleet.begin_reconciliation("tor-a"))
    fleet.disconnected("tor-a", wake)
    made.engine.execute(LATER)
    made.confirm("spine", "tor-b")
    assert set(times(made, 0)) == {"spine", "tor-b"}
    made.engine.execute(Abort("m1"))
    made.confirm("spine", "tor-b")
    made.now += 50
    made.connect("tor-a")
    assert times(made, 0)["tor-a"] == times(made, 1)["tor-a"] == made.now


def test_it_is_told_when_the_last_one_has_confirmed_the_present_step() -> None:
    made = moving()
    made.confirm("spine", "tor-a")
    assert made.events("migration.confirmed") == []
    made.confirm("tor-b")
    assert made.events("migration.confirmed") == [{"id": "m1", "vm": "web1", "state": "preparing"}]


class Counting(deque[Any]):
    """Counts how often its head is looked at."""

    looks = 0

    def __getitem__(self, place: Any) -> Any:
        self.looks += 1
        return super().__getitem__(place)


def test_a_confirmation_costs_what_it_confirms_however_many_others_there_are() -> None:
    def row(number: int, switch: str) -> Migration:
        entry = TimelineEntry(Phase.PREPARING, 0.0, {switch: 1})
        return Migration(f"m{number}", "v", "a", "b", step_revision=number, timeline=(entry,))

    for others in (0, 5000):
        rows = {row(number, "away").id: row(number, "away") for number in range(1, others + 1)}
        rows |= {row(number, "here").id: row(number, "here") for number in range(others + 1, others + 101)}
        found = Acknowledgements(rows.values())
        heads = Counting(found._steps["here"])
        found._steps["here"] = heads
        assert len(found.confirmed("here", others + 3, 1.0, rows)) == 3
        # Each head is looked at once, and the one that is not confirmed yet.
        assert heads.looks == 4
        assert found.unwritten() == {f"m{others + number}" for number in (1, 2, 3)}


def test_a_switch_that_is_away_for_long_piles_up_nothing_of_migrations_that_are_forgotten() -> None:
    entry = TimelineEntry(Phase.COMMITTED, 0.0, {"away": 1})
    found = Acknowledgements()
    for number in range(20_000):
        row = Migration(f"m{number}", "v", "a", "b", phase=Phase.COMMITTED, step_revision=number, timeline=(entry,))
        found.begin(row)
        found.stored([row.id], {}, {})
    assert len(found._steps["away"]) <= 4097
    assert found.confirmed("away", 20_000, 1.0, {}) == []
    assert not found.unwritten()


def test_two_moves_in_one_cug_do_not_mix() -> None:
    made = moving()
    made.now += 1
    made.confirm("tor-a")
    made.engine.execute(StartMigration("m2", "web2", "b1", commit="request"))
    made.now += 1
    made.confirm()
    one = made.engine.with_acknowledgements(made.state.migrations["m1"]).timeline[0]
    two = made.engine.with_acknowledgements(made.state.migrations["m2"]).timeline[0]
    assert one.acknowledged["tor-a"] == made.now - 1
    assert set(two.acknowledged.values()) == {made.now}
