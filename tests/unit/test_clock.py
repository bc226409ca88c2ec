"""Clocks that are set, while the controller runs and while it does not: deadlines, times for people, ids of events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_vmmob.engine.clock import Clock
from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.event_ids import ROOM
from ryu_vmmob.model.commands import Activate, DeleteVm
from ryu_vmmob.model.draft import Event
from ryu_vmmob.model.objects import Phase
from ryu_vmmob.rest.metrics import Metrics
from tests.support.commands import cug, nic, vm
from tests.support.engine_site import MOVE, Site, migration, phase
from tests.support.fabrics import two_racks
from tests.support.memory_store import MemoryStore

HOUR = 3600.0


class Clocked(Site):
    """A site with a clock on the wall that can be set, beside the time that passes (``now``)."""

    def __init__(self, wall: float = 1_700_000_000.0, store: MemoryStore | None = None) -> None:
        self.fabric = two_racks()
        self.now = 77.0
        """Seconds of a monotonic clock."""
        self.set_by = wall - self.now
        self.store = store or MemoryStore()
        self.engine = Engine(self.fabric, self.store, lambda: self.now + self.set_by, 60.0, lambda: self.now)
        self.connect()

    @property
    def wall(self) -> float:
        return self.now + self.set_by

    def passes(self, seconds: float) -> None:
        """Time passes, in steps of a look."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 0.5)
            self.engine.look()
            self.confirm()

    def prepared(self, timeout: float = 300.0) -> None:
        self.engine.execute(cug())
        self.engine.execute(vm(), vm("web2", "a2", nic(12)))
        self.confirm()
        self.engine.execute(replace(MOVE, timeout=timeout))
        self.confirm()
        assert phase(self) is Phase.PREPARED

    def stopped(self, away: float, wall: float | None = None) -> Clocked:
        """Another controller on the same store, so many seconds later; or when the wall reads ``wall``."""
        return Clocked(self.wall + away if wall is None else wall, self.store)


@pytest.mark.parametrize("step", [HOUR, -2 * HOUR, 0.4])
def test_a_clock_that_is_set_ends_no_move_and_keeps_none(step: float) -> None:
    """Case 05. As long as it takes is as long as it takes."""
    made = Clocked()
    made.prepared()
    made.set_by += step
    made.passes(290)
    assert phase(made) is Phase.PREPARED
    made.passes(30)
    assert phase(made) is Phase.ABORTED


@pytest.mark.parametrize("step", [HOUR, -2 * HOUR])
def test_a_vlan_id_rests_as_long_as_it_should(step: float) -> None:
    made = Clocked()
    made.prepared()
    made.engine.execute(Activate("m1"))
    made.confirm()
    made.engine.execute(DeleteVm("web1"), DeleteVm("web2"))
    made.confirm()
    made.set_by += step
    made.passes(50)
    assert made.state.quarantine
    made.passes(15)
    assert not made.state.quarantine


def test_people_are_told_what_the_wall_reads() -> None:
    made = Clocked()
    made.prepared()
    made.set_by += HOUR
    made.passes(1)
    told = made.engine.clock.told
    assert told(made.engine.clock()) == pytest.approx(made.wall)
    assert told(migration(made).started) == pytest.approx(made.wall - 1)
    (event,) = made.events("clock.set")
    assert event == {"seconds": HOUR}
    made.engine.emit(Event("link.up", {"link": "x"}))
    assert made.engine.events.newest([], 1)[0].time == pytest.approx(made.wall)


@pytest.mark.parametrize("step", [HOUR, -2 * HOUR])
def test_the_ages_in_the_metrics_are_seconds_that_passed(step: float) -> None:
    made = Clocked()
    made.prepared()
    made.engine.audited("tor-a", None, 0)
    metrics = Metrics()
    metrics.watch(made.engine)
    made.set_by += step
    made.passes(10)
    ages = {row.name: dict(row.samples) for row in metrics.readings() if row.name.endswith("_seconds")}
    assert ages["vmmob_migration_oldest_seconds"]["prepared",] == pytest.approx(10)
    assert ages["vmmob_audit_age_seconds"]["tor-a",] == pytest.approx(10)


def test_small_differences_are_drift_and_nothing_is_told() -> None:
    made = Clocked()
    for _ in range(40):
        made.set_by += 0.01
        made.passes(0.5)
    assert not made.events("clock.set")
    assert made.engine.clock.ahead == 0


@pytest.mark.parametrize("step", [HOUR, -2 * HOUR])
def test_over_a_restart_the_line_goes_on(step: float) -> None:
    """The clock was set while the controller ran; it then was away for 10 s."""
    made = Clocked()
    made.prepared()
    made.set_by += step
    made.passes(1)
    again = made.stopped(away=10)
    assert again.engine.clock() - migration(again).started == pytest.approx(11, abs=1)
    assert again.engine.clock.told(again.engine.clock()) == pytest.approx(again.wall)


def test_a_clock_that_is_put_back_while_the_controller_is_away() -> None:
    """Nobody can know for how long that was: no time at all, and not a negative one."""
    made = Clocked()
    made.prepared()
    made.passes(20)
    again = made.stopped(0, wall=made.wall - HOUR)
    assert again.engine.clock() >= migration(again).timeline[-1].time
    again.passes(270)
    assert phase(again) is Phase.PREPARED
    again.passes(60)
    assert phase(again) is Phase.ABORTED


@pytest.mark.parametrize("back", [0.0, 1.0, HOUR, 1e6])
def test_ids_of_events_never_go_back(back: float) -> None:
    """The wall is put back by an hour between two lives of the controller, which has published many events."""
    made = Clocked()
    for number in range(5000):
        made.engine.emit(Event("link.up", {"link": str(number)}))
    made.passes(1)
    last = made.engine.events.next_id - 1
    again = made.stopped(0, wall=made.wall - back)
    assert again.engine.events.born > last
    cursor = again.engine.events.cursor(since=last)
    assert cursor.take(1)[0].event.kind == "gap"
    third = again.stopped(0, wall=again.wall - back)
    assert third.engine.events.born >= again.engine.events.next_id


def test_ids_are_set_aside_as_they_are_used() -> None:
    made = Clocked()
    made.engine.events.next_id += ROOM
    made.engine.look()
    assert made.stopped(0, wall=1.0).engine.events.born > made.engine.events.next_id


def test_a_full_disk_keeps_no_event_waiting() -> None:
    made = Clocked()
    made.store.full = True
    made.engine.events.next_id += ROOM
    made.engine.look()
    made.engine.emit(Event("link.up", {"link": "x"}))
    made.store.full = False
    made.passes(1.5)
    assert made.stopped(0, wall=1.0).engine.events.born > made.engine.events.next_id


def test_a_line_that_was_never_off_the_wall_is_the_wall_itself() -> None:
    clock = Clock(lambda: 1000.0, lambda: 1000.0)
    clock.go_on(900.0, 0.0)
    assert (clock(), clock.told(5.0)) == (1000.0, 5.0)
