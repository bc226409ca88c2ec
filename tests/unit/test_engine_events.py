"""The stream of events: numbers, what is kept, cursors, gaps, listeners."""

from __future__ import annotations

import pytest

from ryu_vmmob.engine.events import MAX_LISTENERS, EventStream, Numbered, TooManyListenersError, row_view, wanted
from ryu_vmmob.model.news import Event

BORN = 1_700_000_000_000_000


def stream(size: int = 4, events: int = 0, now: float = 1_700_000_000.0) -> EventStream:
    made = EventStream(lambda: now, size)
    for number in range(events):
        made.append(Event("vm.changed" if number % 2 else "cug.changed", {"number": number}))
    return made


def numbers(rows: list[Numbered]) -> list[object]:
    """The number of each event; of a gap what it says is missed."""
    return [row.event.data["number"] if "number" in row.event.data else ("gap", row.event.data["missed"]) for row in rows]


def test_ids_go_up_by_one_from_the_time_of_the_start() -> None:
    made = stream(events=6)
    assert (made.born, made.first, made.next_id, len(made)) == (BORN, BORN + 2, BORN + 6, 4)
    assert [made.at(row).id for row in range(made.first, made.next_id)] == [BORN + 2, BORN + 3, BORN + 4, BORN + 5]
    assert [event.data["number"] for event in made] == [2, 3, 4, 5]


def test_a_later_life_has_greater_ids() -> None:
    assert stream(now=1_700_000_001.0).born > stream(events=1000).next_id


def test_a_cursor_begins_with_what_is_to_come_or_after_an_id() -> None:
    made = stream(events=3)
    now, after, whole = made.cursor(), made.cursor(since=BORN), made.cursor(since=BORN - 1)
    assert now.take(10) == []
    assert numbers(after.take(10)) == [1, 2]
    assert numbers(whole.take(2)) == [0, 1]
    assert numbers(whole.take(2)) == [2]
    made.append(Event("vm.changed", {"number": 3}))
    assert [numbers(cursor.take(10)) for cursor in (now, after, whole)] == [[3], [3], [3]]


def test_a_cursor_that_was_too_slow_is_told_how_much_it_missed() -> None:
    made = stream(events=1)
    slow = made.cursor(since=BORN)
    for number in range(1, 8):
        made.append(Event("vm.changed", {"number": number}))
    rows = slow.take(3)
    assert numbers(rows) == [("gap", 3), 4, 5]
    # A reader that goes on after the gap misses nothing more.
    assert numbers(made.cursor(since=rows[0].id).take(10)) == [4, 5, 6, 7]
    assert numbers(slow.take(10)) == [6, 7]
    assert slow.take(10) == []


@pytest.mark.parametrize("since", [0, BORN - 2, BORN + 3, BORN + 10**9])
def test_an_id_that_this_life_never_gave_makes_a_gap_of_unknown_size(since: int) -> None:
    made = stream(events=3)
    cursor = made.cursor(since=since)
    assert numbers(cursor.take(10)) == [("gap", None), 0, 1, 2]
    assert cursor.take(10) == []


def test_only_the_families_that_are_wanted() -> None:
    made = stream(size=100, events=10)
    assert numbers(made.cursor(["vm"], BORN - 1).take(3)) == [1, 3, 5]
    assert numbers(made.newest(["cug"], 2)) == [6, 8]
    assert numbers(made.newest([], 100)) == list(range(10))
    # A gap is of no family, and every filter passes it.
    assert numbers(made.cursor(["link"], 0).take(10)) == [("gap", None)]


@pytest.mark.parametrize(
    ("kind", "families", "is_so"),
    [
        ("vm.changed", [], True), ("vm.changed", ["vm"], True), ("vm.changed", ["vm.changed"], True),
        ("vm.changed", ["v"], False),
        ("vm.changed", ["vm.ch"], False), ("vm.changed", ["cug", "vm"], True), ("vlan_id.free", ["vlan"], False),
    ],
)  # fmt: skip
def test_a_family_is_whole_words(kind: str, families: list[str], is_so: bool) -> None:
    assert wanted(kind, families) is is_so


def test_a_look_at_many_events_can_be_cut_short() -> None:
    made = stream(size=100, events=10)
    cursor = made.cursor(["vm"], BORN - 1)
    assert [numbers(cursor.take(5, looks=3)) for _ in range(5)] == [[1], [3, 5], [7], [9], []]


def test_listeners_are_woken_until_they_leave_and_are_not_too_many() -> None:
    made = stream()
    woken: list[int] = []
    first = lambda: woken.append(1)  # noqa: E731
    made.listen(first)
    made.append(Event("vm.changed", {}))
    others = [lambda number=number: woken.append(number) for number in range(2, MAX_LISTENERS + 1)]
    for wake in others:
        made.listen(wake)
    assert made.is_full
    with pytest.raises(TooManyListenersError):
        made.listen(lambda: None)
    made.leave(first)
    made.leave(first)
    made.append(Event("vm.changed", {}))
    assert woken.count(1) == 1
    assert sorted(woken)[1:] == list(range(2, MAX_LISTENERS + 1))
    assert not made.is_full


def test_a_listener_may_leave_while_it_is_woken() -> None:
    made = stream()

    def once() -> None:
        made.leave(once)

    made.listen(once)
    made.append(Event("vm.changed", {}))
    assert made.listeners == 0


def test_the_id_of_a_migration_goes_out_under_its_name() -> None:
    row = Numbered(7, 0.0, Event("migration.prepared", {"id": "m1", "vm": "web1"}))
    assert row_view(row, str) == {
        "id": 7, "time": "0.0", "event": "migration.prepared", "migration": "m1", "vm": "web1",
        "level": "info", "text": "web1: the target is ready (m1)",
    }  # fmt: skip
