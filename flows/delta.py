"""Differences between what a switch should have and what it has: sets of flows and groups to add and to take away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeGuard

from ryu_vmmob.flows.flow import Flow, Group
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.flows.segment import Entry
from ryu_vmmob.model.breath import Breath

SHARED: Final = frozenset({Table.POLICY_OUT, Table.POLICY_IN})
"""Tables in which several owners may want the very same flow: two policies may say the same. It goes with the last."""


@dataclass(slots=True)
class Delta:
    """What one switch is to change.

    ``gone`` are the cookies of flows that disappear, each with what the switch takes for the same flow (None when that is
    not known: a foreign flow found on the switch). A flow whose place another one takes needs no deletion.
    """

    flows: list[Flow] = field(default_factory=list)
    gone: dict[int, bytes | None] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)
    groups_changed: list[Group] = field(default_factory=list)
    groups_gone: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.flows or self.gone or self.groups or self.groups_changed or self.groups_gone)

    @property
    def named(self) -> frozenset[int]:
        """Cookies of its flows and ids of its groups, those that go included."""
        groups = (group.id for group in (*self.groups, *self.groups_changed))
        return frozenset((*(flow.cookie for flow in self.flows), *self.gone, *groups, *self.groups_gone))

    @property
    def deleted(self) -> list[int]:
        """Cookies for which a deletion is sent: those whose place is not taken."""
        if not self.gone:
            return []
        taken = {flow.key for flow in self.flows}
        return [cookie for cookie, key in self.gone.items() if key is None or key not in taken]

    @property
    def messages(self) -> int:
        """Flow-mods and group-mods it takes."""
        return len(self.flows) + len(self.deleted) + len(self.groups) + len(self.groups_changed) + len(self.groups_gone)


def compose(deltas: Iterable[Delta]) -> Delta:
    """One delta that does what several in a row do; what comes and goes again within them is never sent."""
    flows: dict[int, Flow] = {}
    gone: dict[int, bytes | None] = {}
    there: dict[int, bool] = {}
    groups: dict[int, Group | None] = {}
    for delta in deltas:
        for cookie, key in delta.gone.items():
            if flows.pop(cookie, None) is None:
                gone[cookie] = key
        for flow in delta.flows:
            if gone.pop(flow.cookie, None) is None:
                flows[flow.cookie] = flow
        for group in delta.groups:
            there.setdefault(group.id, False)
            groups[group.id] = group
        for group in delta.groups_changed:
            there.setdefault(group.id, True)
            groups[group.id] = group
        for number in delta.groups_gone:
            there.setdefault(number, True)
            groups[number] = None
    whole = Delta(list(flows.values()), gone)
    before = {number: b"" for number, was in there.items() if was}
    fill_groups(whole, before, {number: group for number, group in groups.items() if group is not None})
    return whole


class Clash(Exception):
    """Two objects want the same flow or group of one switch: a fault of the compiler, found before anything is sent."""


class SwitchTables:
    """Flows by cookie and groups by id of one switch."""

    __slots__ = ("by_table", "flows", "groups", "keys")

    def __init__(self) -> None:
        self.flows: dict[int, Flow] = {}
        self.groups: dict[int, Group] = {}
        self.by_table: Counter[Table] = Counter()
        """How many flows each table has."""
        self.keys: dict[int, int] = {}
        """Hash of what the switch takes for the same flow -> cookie. A hash takes a third of the memory of the
        thing itself; should two ever be the same, that is a clash like that of two cookies.
        """

    def check(self, delta: Delta, breath: Breath | None = None) -> None:
        """Raise Clash when two flows of the outcome would stand for the same key or share a cookie, or two groups an id."""
        breath = breath or Breath()
        for flow in delta.flows:
            breath.light()
            cookie = flow.cookie if flow.cookie in self.flows else self.keys.get(hash(flow.key))
            if cookie is not None and cookie not in delta.gone:
                other = self.flows[cookie]
                raise Clash(f"{flow.owner} and {other.owner} both want {flow}; there is {other}")
        for group in delta.groups:
            if group.id in self.groups:
                raise Clash(f"{group.owner} and {self.groups[group.id].owner} both want {group}")

    def apply(self, delta: Delta, breath: Breath | None = None) -> None:
        """Become what ``delta`` says; it has passed `check`. In the pauses of ``breath`` it is neither what it was nor that."""
        breath = breath or Breath()
        for cookie in delta.gone:
            breath.light()
            flow = self.flows.pop(cookie)
            del self.keys[hash(flow.key)]
            self.by_table[flow.table] -= 1
        for flow in delta.flows:
            breath.light()
            self.flows[flow.cookie] = flow
            self.keys[hash(flow.key)] = flow.cookie
            self.by_table[flow.table] += 1
        for number in delta.groups_gone:
            del self.groups[number]
        for group in (*delta.groups, *delta.groups_changed):
            self.groups[group.id] = group

    def own(self, entries: Iterable[Entry]) -> None:
        """Put entries in the place of their equals, for the sake of their owners."""
        for entry in entries:
            if isinstance(entry, Flow):
                self.flows[entry.cookie] = entry
            else:
                self.groups[entry.id] = entry


Pairs = Iterable[tuple[Collection[Entry], Collection[Entry]]]
"""(before, after) contributions to one switch of each object that changed."""


def shares(pairs: Pairs, breath: Breath | None = None) -> Counter[int]:
    """By how much the number of owners of each shared flow changes."""
    found: Counter[int] = Counter()
    breath = breath or Breath()
    for before, after in pairs:
        breath.light(len(before) + len(after))
        for entry in before:
            if _may_be_shared(entry):
                found[entry.cookie] -= 1
        for entry in after:
            if _may_be_shared(entry):
                found[entry.cookie] += 1
    return found


def _may_be_shared(entry: Entry) -> TypeGuard[Flow]:
    # Asked of every flow there is: the hash of an Enum, which a set needs, takes longer than all the rest.
    return isinstance(entry, Flow) and (entry.table is Table.POLICY_OUT or entry.table is Table.POLICY_IN)


def difference(pairs: Pairs, owners: Mapping[int, int] | None = None, breath: Breath | None = None) -> Delta:
    """Return the delta of one switch; ``owners`` says how many owners each shared flow has now."""
    pairs, breath = list(pairs), breath or Breath()
    others = _others(pairs, owners or {}, breath)
    flows_before: dict[int, Flow] = {}
    flows_after: dict[int, Flow] = {}
    places: dict[bytes, Flow] = {}
    groups_before: dict[int, Group] = {}
    groups_after: dict[int, Group] = {}
    for before, after in pairs:
        breath.light(len(before) + len(after))
        for entry in before:
            if isinstance(entry, Flow):
                flows_before[entry.cookie] = entry
            else:
                groups_before[entry.id] = entry
        for entry in after:
            if isinstance(entry, Flow):
                if (other := places.setdefault(entry.key, entry)) is not entry and not _shared(other, entry):
                    raise Clash(f"{entry.owner} and {other.owner} both want {entry}; there is {other}")
                flows_after[entry.cookie] = entry
            else:
                if entry.id in groups_after:
                    raise Clash(f"{entry.owner} and {groups_after[entry.id].owner} both want {entry}")
                groups_after[entry.id] = entry
    delta = Delta()
    new, old = breath.through(flows_after.items()), breath.through(flows_before.items())
    delta.flows = [flow for cookie, flow in new if cookie not in flows_before and cookie not in others]
    delta.gone = {cookie: flow.key for cookie, flow in old if cookie not in flows_after and cookie not in others}
    bodies = {number: group.body for number, group in breath.through(groups_before.items())}
    fill_groups(delta, bodies, groups_after, breath)
    return delta


def _shared(one: Flow, other: Flow) -> bool:
    return one.table in SHARED and one == other


def _others(pairs: Pairs, owners: Mapping[int, int], breath: Breath) -> set[int]:
    """Shared flows that another object than those of ``pairs`` needs too."""
    if not owners:
        return set()
    mine = Counter(entry.cookie for before, _ in pairs for entry in breath.through(before) if _may_be_shared(entry))
    sides = (side for pair in pairs for side in pair)
    wanted = {entry.cookie for side in sides for entry in breath.through(side) if isinstance(entry, Flow)}
    return {cookie for cookie in breath.through(wanted) if owners.get(cookie, 0) > mine[cookie]}


def fill_groups(delta: Delta, before: Mapping[int, bytes], after: Mapping[int, Group], breath: Breath | None = None) -> None:
    """Add the groups that differ by content; those that others chain to come first when added and last when taken away."""
    breath = breath or Breath()
    through = breath.through
    delta.groups = referred_first((group for number, group in through(after.items()) if number not in before), breath)
    changed = (group for number, group in through(after.items()) if number in before and before[number] != group.body)
    delta.groups_changed = referred_first(changed, breath)
    delta.groups_gone = sorted(number for number in through(before) if number not in after)


def referred_first(groups: Iterable[Group], breath: Breath | None = None) -> list[Group]:
    """Return the groups in an order in which each comes after those of them that it chains to.

    Sent in this order, a group that has changed already leads to none that has not; so no circle can come about meanwhile.
    """
    rows = {group.id: group for group in groups}
    done: dict[int, Group] = {}
    for group in (breath or Breath()).through(rows.values()):
        _visit(group, rows, done)
    return list(done.values())


def _visit(group: Group, rows: Mapping[int, Group], done: dict[int, Group]) -> None:
    """Put into ``done`` what ``group`` chains to, and then itself.

    No closure: that would be in a cycle with itself, and never be freed once it was frozen in a pause (`memory`).
    """
    # Chains are as deep as the tree of a cable (`horizon`) at most, and never circles.
    for number in group.refers_to:
        if number in rows and number not in done:
            _visit(rows[number], rows, done)
    done.setdefault(group.id, group)
