"""Long commands are worked out with pauses; nothing of them stands before. Short ones are never interrupted."""

from __future__ import annotations

from collections.abc import Callable

from ryu_vmmob.flows.compiler import full
from ryu_vmmob.model.breath import ENOUGH, THEN, Breath
from ryu_vmmob.model.commands import Command
from tests.support.commands import cug, nic, vm
from tests.support.engine_site import MOVE, racks


def test_a_pause_after_so_many_pieces() -> None:
    pauses: list[int] = []
    done: list[int] = []
    breath = Breath(lambda: pauses.append(len(done)), enough=10)
    for number in range(25):
        done.append(number)
        breath.worked()
    breath.worked(100)
    assert pauses == [10, 20, 25]


def test_after_the_first_pause_they_come_more_often() -> None:
    pauses: list[int] = []
    done: list[int] = []
    breath = Breath(lambda: pauses.append(len(done)))
    for number in range(ENOUGH + 3 * THEN):
        done.append(number)
        breath.worked()
    assert pauses == [ENOUGH, ENOUGH + THEN, ENOUGH + 2 * THEN, ENOUGH + 3 * THEN]


def test_a_long_command_pauses_before_anything_stands() -> None:
    made = racks()
    before, seen = made.engine.state, []
    made.queue.paused = lambda: seen.append((made.engine.state is before, made.engine.fleet.revision == before.revision))
    vms = [vm(f"m{n}", "a1", nic(n, "many", 9)) for n in range(2, 250)]
    commands: list[Command] = [cug("many", 9), *vms, vm("far", "b1", nic(250, "many", 9))]
    made.engine.execute(*commands)
    assert len(seen) >= len(commands) * 3 // ENOUGH
    assert all(row == (True, True) for row in seen)
    compiled = full(made.engine.state)
    assert {name: set(tables.flows) for name, tables in made.engine.desired.tables.items()} == {
        name: set(tables.flows) for name, tables in compiled.tables.items()
    }


def test_a_move_is_never_interrupted() -> None:
    made = racks()

    def fail() -> None:
        raise AssertionError("a pause")

    pause: Callable[[], None] = fail
    made.queue.paused = pause
    made.engine.execute(MOVE)
    made.confirm()
