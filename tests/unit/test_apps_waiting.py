"""Who asked to wait gets the answer when the last switch has confirmed, or the time is over, and not before."""

from __future__ import annotations

from typing import Any

from ryu.lib import hub

from ryu_vmmob.apps.waiting import Waiting
from ryu_vmmob.engine.tickets import Ticket
from tests.support.commands import cug
from tests.support.engine_site import MOVE, Site, racks

LONG = 600.0


def asleep(waiting: Waiting, ticket: Ticket, seconds: float = LONG) -> tuple[Any, list[str]]:
    """A green thread that waits, and a list that gets a word when it has waited."""
    done: list[str] = []

    def run() -> None:
        waiting.wait(ticket, seconds)
        done.append("awake")

    thread = hub.spawn(run)
    hub.sleep(0)
    return thread, done


def confirmed(made: Site, *names: str) -> None:
    made.take(*names)
    hub.sleep(0)


def test_it_ends_with_the_last_switch_in_whatever_order() -> None:
    made = racks()
    waiting = Waiting(made.engine)
    ticket = made.engine.execute(MOVE)
    assert len(ticket.switches) == 3
    _, done = asleep(waiting, ticket)
    for name in reversed(ticket.switches):
        assert done == []
        confirmed(made, name)
    assert done == ["awake"]


def test_of_several_only_those_wake_whose_switches_have_confirmed() -> None:
    made = racks()
    waiting = Waiting(made.engine)
    before = made.engine.execute(MOVE)
    made.take("spine", "tor-a")
    after = made.engine.execute(cug("db", 2))
    one, other = asleep(waiting, before)[1], asleep(waiting, after)[1]
    assert other == ["awake"], "no switch has flows for a CUG without members"
    assert one == []
    confirmed(made, "tor-b")
    assert one == ["awake"]


def test_a_switch_that_goes_away_is_not_waited_for() -> None:
    made = racks()
    waiting = Waiting(made.engine)
    ticket = made.engine.execute(MOVE)
    _, done = asleep(waiting, ticket)
    for name in ticket.switches:
        made.engine.fleet.disconnected(name, made.engine.fleet._places[name].wake or (lambda: None))
    made.engine.progress()
    hub.sleep(0)
    assert done == ["awake"]


def test_the_time_is_over() -> None:
    made = racks()
    waiting = Waiting(made.engine)
    thread, done = asleep(waiting, made.engine.execute(MOVE), seconds=0.01)
    thread.wait()
    assert done == ["awake"]
    assert made.engine.fleet.take("tor-b") is not None, "nobody had taken anything"


def test_nothing_to_wait_for() -> None:
    made = racks()
    Waiting(made.engine).wait(made.engine.execute(cug("db", 2)), LONG)
