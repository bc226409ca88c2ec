"""What a switch says against what it should have: what is right, what is altered, what is alien, and what only looks so."""

from __future__ import annotations

import pytest

from ryu_vmmob.bench.fake_tables import FakeTables
from ryu_vmmob.engine.messages import removal
from ryu_vmmob.flows import audit, wire
from ryu_vmmob.flows.audit import Finding, Habits, Reading
from ryu_vmmob.flows.delta import Delta, SwitchTables
from ryu_vmmob.flows.flow import Bucket, Flow, Group, GroupType, Output, match
from ryu_vmmob.flows.pipeline import GroupKind, Table, group_id

FLOWS = [
    Flow.undeclared(Table.BRIDGE, 1000, match(metadata=(1, 0xFFFF), eth_dst=number), (Output(number),), Table.POLICY_IN)
    for number in (1, 2, 3)
]
GROUP = Group(group_id(GroupKind.FLOOD, 1, 0), GroupType.ALL, (Bucket((Output(1),)), Bucket((Output(2),))))


def desired() -> SwitchTables:
    found = SwitchTables()
    found.apply(Delta(flows=list(FLOWS), groups=[GROUP]))
    return found


def switch() -> FakeTables:
    """A switch that was told all of it."""
    tables = FakeTables()
    for message in (wire.group_add(GROUP, 1), *(wire.flow_add(flow, 2) for flow in FLOWS)):
        assert tables.apply(message) is None
    return tables


def read(tables: FakeTables, habits: Habits | None = None) -> Reading:
    reading = Reading(habits or Habits())
    for entry in tables.flows.values():
        reading.take_flows(entry.stats(), desired().flows)
    groups = b"".join((2 + len(body)).to_bytes(2, "big") + body for body in tables.groups.values())
    reading.take_groups(groups, desired().groups)
    return reading


def found(tables: FakeTables) -> Finding:
    return read(tables).compare(desired())


def counts(finding: Finding) -> dict[str, int]:
    return {" ".join(key): number for key, number in finding.counts(Delta(), ()).items()}


def test_a_switch_that_is_right() -> None:
    finding = found(switch())
    assert not finding.delta
    assert not finding.doubtful
    assert counts(finding) == {}


def alter(tables: FakeTables, **changes: object) -> None:
    entry = next(row for row in tables.flows.values() if row.cookie == FLOWS[0].cookie)
    del tables.flows[entry.place]
    changed = entry._replace(**changes)  # type: ignore[arg-type]
    tables.flows[changed.place] = changed


@pytest.mark.parametrize(
    "change",
    [
        {"instructions": b""},
        {"instructions": FLOWS[1].body[len(FLOWS[1].key) - 3 :]},
        {"hard": 60},
        {"idle": 1},
        {"priority": 7},
        {"table": Table.DELIVER.id},
        {"match": FLOWS[1].key[3:-8] + b"\x00" * 8},
    ],
    ids=str,
)
def test_whatever_is_altered_under_a_cookie(change: dict[str, object]) -> None:
    tables = switch()
    alter(tables, **change)
    finding = found(tables)
    assert counts(finding) == {"flows altered": 1}
    assert finding.delta.flows == [FLOWS[0]]
    assert not finding.delta.gone
    assert finding.doubtful


def test_what_is_missing_and_what_is_alien() -> None:
    tables = switch()
    alter(tables, cookie=FLOWS[0].cookie ^ 1)
    tables.groups[GROUP.id] = GROUP.body[:-9] + b"\x05" + bytes(8)
    finding = found(tables)
    assert counts(finding) == {"flows missing": 1, "flows alien": 1, "groups altered": 1}
    assert counts(found(FakeTables())) == {"flows missing": 3, "groups missing": 1}


def test_what_was_not_told_yet_and_what_was_refused_is_not_counted() -> None:
    finding = found(FakeTables())
    assert finding.counts(Delta(flows=[FLOWS[0]], groups=[GROUP]), [FLOWS[1].cookie]) == {("flows", "missing"): 1}
    assert len(finding.delta.flows) == 3


def test_a_copy_in_another_place_is_found_by_a_second_look() -> None:
    tables = switch()
    entry = next(row for row in tables.flows.values() if row.cookie == FLOWS[0].cookie)
    tables.put(entry._replace(priority=60000))
    first = read(tables)
    finding = first.compare(desired())
    assert counts(finding) == {"flows alien": 1}
    assert not finding.delta
    assert read(tables).settle(first, finding, desired().flows, ()) == 0
    (row,) = finding.strays
    assert row.priority == 60000
    for message, _ in finding.deletions(lambda: 9):
        assert tables.apply(message) is None
    assert tables.flows == switch().flows


def test_a_way_of_writing_is_learned_only_from_what_comes_back_the_same_after_it_was_told_anew() -> None:
    tables, habits = switch(), Habits()
    alter(tables, hard=60)
    first = read(tables, habits)
    finding = first.compare(desired())
    assert read(tables, habits).settle(first, finding, desired().flows, [FLOWS[0].cookie]) == 0, "it was refused"
    assert read(switch(), habits).settle(first, finding, desired().flows, ()) == 0, "it is right now"
    assert read(tables, habits).settle(first, finding, desired().flows, ()) == 1
    assert not read(tables, habits).compare(desired()).delta
    alter(tables, hard=61)
    assert counts(read(tables, habits).compare(desired())) == {"flows altered": 1}


def test_flows_without_our_mark_are_counted_where_they_stand_in_our_tables() -> None:
    tables = switch()
    tables.put(next(iter(tables.flows.values()))._replace(cookie=5, priority=1))
    tables.put(next(iter(tables.flows.values()))._replace(cookie=5, table=200))
    reading = read(tables)
    assert reading.foreign == 1
    assert not reading.compare(desired()).delta


@pytest.mark.parametrize("broken", [b"\x00\x01\xff\xff", b"\x00\x01\x00\x00", b"\x00\x01\x00\x0c\x80\x00\x00\xff"])
def test_an_entry_whose_lengths_contradict_each_other(broken: bytes) -> None:
    stats = bytearray(next(iter(switch().flows.values())).stats())
    stats[48 : 48 + len(broken)] = broken
    with pytest.raises(wire.MalformedReply):
        Reading(Habits()).take_flows(bytes(stats), desired().flows)


def test_an_old_cookie_at_the_place_of_a_desired_flow_is_a_habit_of_plain_switches() -> None:
    """The flow is written again at its place, never deleted by the cookie it should not have; nothing else was wrong."""
    tables = switch()
    alter(tables, cookie=FLOWS[0].cookie ^ 1)
    finding = read(tables).compare(desired(), plain=True)
    assert finding.kept == {FLOWS[0].cookie ^ 1: FLOWS[0].cookie}
    assert finding.delta.gone == {FLOWS[0].cookie ^ 1: FLOWS[0].key}
    assert (finding.delta.flows, finding.delta.deleted) == ([FLOWS[0]], [])
    assert counts(finding) == {}


def test_aliens_are_named_by_their_places_in_our_order() -> None:
    tables = switch()
    entry = next(row for row in tables.flows.values() if row.cookie == FLOWS[0].cookie)
    for priority in (7, 8):
        tables.put(entry._replace(priority=priority, cookie=FLOWS[0].cookie ^ 1))
    finding = found(tables)
    (key,) = finding.delta.gone.values()
    assert key is not None
    assert key[3:] == FLOWS[0].key[3:]
    (stray,) = finding.strays
    assert {int.from_bytes(key[1:3], "big"), stray.priority} == {7, 8}
    for message, _ in finding.deletions(lambda: 1):
        assert tables.apply(message) is None
    assert tables.apply(removal(FLOWS[0].cookie ^ 1, key, lambda: 1, by_cookie=True).wire) is None
    assert not found(tables).delta


def test_a_table_that_was_not_read_lacks_nothing() -> None:
    reading = Reading(Habits())
    reading.unread = {flow.table for flow in FLOWS}
    reading.groups_unread = True
    assert not reading.compare(desired()).delta


def test_of_what_is_not_desired_a_reading_keeps_so_much_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is desired is kept whatever stands before it: a switch is not told what it has."""
    monkeypatch.setattr(audit, "MOST_ODD", 5)
    tables = switch()
    wanted, aliens = list(tables.flows.values()), FakeTables()
    for number in range(4):
        aliens.put(wanted[0]._replace(priority=7 + number, cookie=FLOWS[0].cookie ^ 1 + number))
    groups = [
        wire.group_add(Group(group_id(GroupKind.FLOOD, 2 + number, 0), GROUP.type, GROUP.buckets), 1) for number in range(3)
    ]
    for message in groups[:1]:
        assert aliens.apply(message) is None
    tables.flows = {**aliens.flows, **tables.flows}
    tables.groups = {**aliens.groups, **tables.groups}
    reading = read(tables)
    assert not reading.is_partial
    assert (len(reading.odd), len(reading.groups)) == (4, 2)
    for message in groups[1:]:
        assert aliens.apply(message) is None
    tables.groups = {**aliens.groups, **tables.groups}
    reading = read(tables)
    assert reading.is_partial
    finding = reading.compare(desired())
    assert len(finding.delta.gone) + len(finding.delta.groups_gone) == 5
    assert not finding.delta.flows + finding.delta.groups + finding.delta.groups_changed
