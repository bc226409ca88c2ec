"""Green threads that do long pieces of work leave room for each other, and never carry out two commands at once."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

from ryu.lib import hub

from ryu_vmmob.apps.turns import Alone, Turns


def test_work_begins_in_one_round_until_the_slice_is_over() -> None:
    now, rounds = [0.0], [0]

    def sleep() -> None:
        rounds[0] += 1

    turns = Turns(lambda: now[0], sleep, 1.0)
    turns.take()
    assert rounds == [1], "nobody knows what was before"
    for _ in range(2):
        now[0] += 0.4
        turns.take()
    assert rounds == [1]
    now[0] += 0.4
    turns.take()
    assert rounds == [2]


def test_who_waited_longest_is_first_and_others_get_in_between() -> None:
    order: list[object] = []
    now = [0.0]
    turns = Turns(lambda: now[0], lambda: hub.sleep(0), 1.0)

    def work(name: str) -> None:
        for number in range(3):
            turns.take()
            order.append((name, number))
            now[0] += 1.0  # each piece takes a whole slice

    def watch() -> None:
        while len(order) - order.count("free") < 9:
            order.append("free")
            hub.sleep(0)

    workers = [hub.spawn(work, name) for name in "abc"]
    watcher = hub.spawn(watch)
    hub.joinall([*workers, watcher])
    pieces = [row for row in order if row != "free"]
    assert pieces == [(name, number) for number in range(3) for name in "abc"]
    places = [order.index(row) for row in pieces]
    assert all("free" in order[a:b] for a, b in pairwise(places)), order


def test_one_at_a_time_who_is_inside_may_enter_again() -> None:
    alone, told = Alone(), []

    def inside(name: str) -> None:
        with alone:
            told.append(f"{name} in")
            with alone:
                hub.sleep(0)
            told.append(f"{name} out")

    def turn() -> None:
        alone.turn()
        told.append("turn")

    hub.joinall([hub.spawn(inside, "a"), hub.spawn(inside, "b"), hub.spawn(turn)])
    assert [row for row in told if row != "turn"] == ["a in", "a out", "b in", "b out"]
    assert told.index("turn") in (2, 4), "not while somebody is inside"
    assert not alone.is_taken


def test_it_is_free_again_after_an_error() -> None:
    alone = Alone()

    def fail() -> None:
        with alone:
            raise RuntimeError

    with suppress(RuntimeError):
        fail()
    assert not alone.is_taken
    hub.joinall([hub.spawn(alone.turn)])


def test_who_is_killed_while_waiting_keeps_nobody() -> None:
    turns, done = Turns(lambda: 0.0, lambda: hub.sleep(0), 0.0), []

    def work(name: str) -> None:
        turns.take()
        done.append(name)

    first, second, third = (hub.spawn(work, name) for name in "abc")
    hub.sleep(0)
    hub.kill(first)
    hub.kill(second)
    hub.joinall([third])
    assert done == ["c"]
