"""Urgent commands overtake long ones that are only being worked out; handlers of events never wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ryu.lib import hub

from ryu_vmmob.apps.chores import Chores
from ryu_vmmob.apps.turns import Alone
from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.precedence import SHARE, Attempts, OvertakenError, Unshared, is_urgent
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.model.breath import ENOUGH
from ryu_vmmob.model.commands import Activate, Command, PutCug, StartMigration
from ryu_vmmob.model.objects import Phase
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.store import open_store
from tests.support.commands import cug, nic, vm
from tests.support.fabrics import two_racks


class Paced(Alone):
    """Lets the others work in each pause. ``passing`` is called first."""

    def __init__(self, passing: Callable[[], None]) -> None:
        super().__init__()
        self._passing = passing

    def pause(self) -> None:
        self._passing()
        hub.sleep(0)


def engine(clock: Callable[[], float] = lambda: 0.0, passing: Callable[[], None] = lambda: None) -> Engine:
    """One as the application sets it up, with a move that is prepared. ``passing`` is called at each pause."""
    made = Engine(two_racks(), open_store("sqlite:///:memory:"), clock, alone=Paced(passing))
    made.execute(cug(), vm("web1", "a1", nic()), StartMigration("m1", "web1", "b1"))
    for name in made.fleet.names:
        made.fleet.connected(name, lambda: None, 0.0)
        made.fleet.confirm(name, made.fleet.begin_reconciliation(name))
    made.progress()
    assert made.state.migrations["m1"].phase is Phase.PREPARED
    return made


def long_work(made: Engine, pauses: int) -> tuple[list[str], Callable[[], Any]]:
    """What happens, and a command that pauses so often while it is worked out."""
    told: list[str] = []
    execute = made._execute

    def slow(commands: Any, breath: Any = None, **more: Any) -> Any:
        if len(commands) == 1:
            return execute(commands, breath, **more)
        told.append("begun")
        for _ in range(pauses):
            breath.worked(ENOUGH)
        ticket = execute(commands, breath, **more)
        told.append("done")
        return ticket

    made._execute = slow  # type: ignore[method-assign]
    return told, lambda: made.execute(cug("db", 2), cug("app", 3))


def test_an_activation_does_not_wait_for_a_bulk() -> None:
    made = engine()
    told, bulk = long_work(made, 1000)

    def activate() -> None:
        hub.sleep(0)
        made.execute(Activate("m1"))
        told.append("activated")

    hub.joinall([hub.spawn(bulk), hub.spawn(activate)])
    assert told == ["begun", "activated", "begun", "done"] or told == ["begun", "begun", "activated", "done"]
    assert made.state.vms["web1"].server == "b1"
    assert {"db", "app"} <= set(made.state.cugs)


def test_what_an_abandoned_attempt_has_made_is_freed_after_the_urgent_command() -> None:
    """To free millions of objects takes longer than the urgent command itself."""
    made, told = engine(), list[str]()
    execute = made._execute

    class Plan:
        def __del__(self) -> None:
            told.append("freed")

    def slow(commands: Any, breath: Any = None, **more: Any) -> Any:
        if len(commands) > 1 and not told:
            plan = Plan()
            for _ in range(1000):
                breath.worked(ENOUGH)
            del plan
        return execute(commands, breath, **more)

    def activate() -> None:
        hub.sleep(0)
        made.execute(Activate("m1"))
        told.append("activated")

    made._execute = slow  # type: ignore[method-assign]
    hub.joinall([hub.spawn(made.execute, cug("db", 2), cug("app", 3)), hub.spawn(activate)])
    assert told == ["activated", "freed"]


@pytest.mark.parametrize("news", ["links", "frame"])
def test_news_of_the_network_does_not_wait_for_a_bulk(news: str) -> None:
    made = engine()
    told, bulk = long_work(made, 1000)
    mover = Owner(OwnerKind.VM, "web1", "0")
    cookies = [cookie for cookie, flow in made.desired.tables["tor-b"].flows.items() if flow.owner == mover]

    def tell() -> None:
        hub.sleep(0)
        if news == "links":
            made.network.links_seen(frozenset({made.state.fabric.links[0].name}))
        else:
            for cookie in cookies:
                made.network.frame_seen("tor-b", cookie)
        told.append(news)

    hub.joinall([hub.spawn(bulk), hub.spawn(tell)])
    assert told.index(news) < told.index("done")
    if news == "links":
        assert made.state.links_down
    else:
        assert made.state.vms["web1"].server == "b1"


def test_a_bulk_that_is_overtaken_again_and_again_ends_at_last() -> None:
    now = [0.0]

    def second() -> None:
        now[0] += 1.0

    made = engine(lambda: now[0], second)
    told, bulk = long_work(made, 100)
    over: list[bool] = []

    def hurry() -> None:
        while not over:
            with made.alone.urgently():
                now[0] += 0.01
            hub.sleep(0)

    waiting = hub.spawn(hurry)
    bulk()
    over.append(True)
    hub.joinall([waiting])
    assert told.count("begun") > 2
    assert now[0] <= 100 / SHARE * 1.5


def test_what_is_part_of_something_that_is_alone_is_not_overtaken() -> None:
    made = engine()
    told, bulk = long_work(made, 10)

    def outer() -> None:
        with made.alone:
            bulk()

    def hurry() -> None:
        hub.sleep(0)
        with made.alone.urgently():
            told.append("hurried")

    hub.joinall([hub.spawn(outer), hub.spawn(hurry)])
    assert told == ["begun", "done", "hurried"]


def test_a_refusal_ends_it() -> None:
    made = engine()
    with pytest.raises(Refusal):
        made.execute(StartMigration("m2", "web1", "b1"), PutCug("x", ()))
    with made.alone.urgently():
        made.execute(cug("y", 9))


class Wanted(Unshared):
    """An urgent caller waits as long as ``is_wanted`` says."""

    is_wanted = True


def test_attempts_may_be_overtaken_after_a_share_of_what_was_spent() -> None:
    now, exclusion = [0.0], Wanted()
    attempts = Attempts(exclusion, lambda: now[0])
    breath = attempts.begin()
    now[0] = 8.0
    with pytest.raises(OvertakenError):
        breath.worked(ENOUGH)
    attempts.overtaken()
    breath = attempts.begin()
    now[0] = 8.9
    breath.worked(ENOUGH)
    now[0] = 9.0
    with pytest.raises(OvertakenError):
        breath.worked(ENOUGH)
    exclusion.is_wanted = False
    breath.worked(ENOUGH)


def test_what_is_urgent() -> None:
    commands: list[Command] = [Activate("m1"), cug()]
    assert is_urgent(commands[:1])
    assert not is_urgent(commands)


def test_chores_are_done_in_order_and_once_each() -> None:
    chores, told = Chores(most=3), list[str]()

    def note(key: str, text: str) -> None:
        chores.note(key, lambda: told.append(text))

    for key, text in (("a", "first"), ("b", "second"), ("a", "first again"), ("c", "third"), ("d", "too many")):
        note(key, text)
    assert told == [], "nobody waits"
    runs = hub.spawn(chores.run)
    hub.sleep(0)
    assert told == ["first again", "second", "third"]
    assert chores.left_out == 1
    note("d", "later")
    hub.sleep(0)
    hub.sleep(0)
    assert told[-1] == "later"
    hub.kill(runs)
