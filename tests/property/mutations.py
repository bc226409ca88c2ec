"""One flow or group of a switch changed at random, as a fault of the compiler or a hand at the switch might change it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Final, NamedTuple, TypeVar

from ryu_vmmob.flows.fields import FIELDS, vid
from ryu_vmmob.flows.flow import (
    CONTROLLER,
    IN_PORT,
    Action,
    Bucket,
    DecTtl,
    Flow,
    GivePriority,
    Group,
    GroupType,
    Match,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    ToGroup,
)
from ryu_vmmob.flows.pipeline import ASKED, CLAIMED, HAIRPIN, OUTSIDE, ROUTED, SCOPE, SEGMENT, TABLES, VIA, Meta

_T = TypeVar("_T")
Entries = tuple[tuple[Flow, ...], tuple[Group, ...]]
_BITS: Final[tuple[Meta, ...]] = (SEGMENT, SCOPE, HAIRPIN, ROUTED, VIA, OUTSIDE, CLAIMED, ASKED)


class Mutant(NamedTuple):
    """A switch with one entry changed; ``new`` is None where ``old`` is gone."""

    kind: str
    switch: str
    old: Flow | Group
    new: Flow | Group | None
    entries: Entries

    def __str__(self) -> str:
        return f"{self.kind} at {self.switch}:\n  - {self.old}\n  + {self.new}"


def _untagged(rest: tuple[Action, ...]) -> tuple[Action, ...]:
    """What is left behind a tag that is not put on: with it go its VLAN-ID and its priority, which nothing else has."""
    rest = rest[1:]
    return rest[1:] if rest[:1] == (GivePriority(),) else rest


class Mutator:
    """Changes entries of some switches, one at a time. The same seed makes the same changes."""

    def __init__(self, entries: dict[str, Entries], seed: int) -> None:
        self.entries = entries
        self.random = Random(seed)
        self.kinds: dict[str, Callable[[str], tuple[Flow | Group, Flow | Group | None] | None]] = {
            "flow removed": lambda at: (self.one(self.entries[at][0]), None),
            "match value": self._match_value,
            "match mask": self._match_mask,
            "match field dropped": self._match_dropped,
            "priority": self._priority,
            "output port": self._output,
            "set-field value": self._set_field,
            "action dropped": self._dropped,
            "goto table": self._goto,
            "write metadata": self._metadata,
            "group id": self._group_id,
            "bucket removed": self._bucket_removed,
            "bucket changed": self._bucket_changed,
        }
        self._seen: dict[str, list[int]] = {}
        """Values that flows match or set, by field: another value of a field is mostly one of these."""
        for flows, groups in entries.values():
            buckets = [action for group in groups for bucket in group.buckets for action in bucket.actions]
            sets = [*buckets, *(action for flow in flows for action in flow.actions)]
            rows = [(name, value) for flow in flows for name, value, _ in flow.match]
            rows += [(action.name, action.value) for action in sets if isinstance(action, SetField)]
            for name, value in dict.fromkeys(rows):
                self._seen.setdefault(name, []).append(value)

    def mutant(self, kind: str) -> Mutant | None:
        """A change of this kind somewhere; None where this time there is none to make, or it changes nothing."""
        switch = self.one(sorted(self.entries))
        flows, groups = self.entries[switch]
        if not flows or not groups:
            return None
        change = self.kinds[kind](switch)
        if change is None or change[0] == change[1]:
            return None
        old, new = change
        if isinstance(old, Flow):
            others = [row for row in flows if row is not old]
            if isinstance(new, Flow):
                if new.key in {row.key for row in others}:
                    return None  # an ADD of this would overwrite another flow: two changes in one
                others.append(new)
            return Mutant(kind, switch, old, new, (tuple(others), groups))
        left = tuple(new if row is old and isinstance(new, Group) else row for row in groups)
        return Mutant(kind, switch, old, new, (flows, left))

    # Matches

    def _match_value(self, at: str) -> tuple[Flow, Flow] | None:
        flow, number = self._matched(at)
        name, value, mask = flow.match[number]
        return flow, _with(flow, match=_row(flow.match, number, (name, self._another(at, name, value, mask), mask)))

    def _match_mask(self, at: str) -> tuple[Flow, Flow] | None:
        """A prefix longer or shorter, one bit of a mask more or less; an exact value loses its last bits."""
        flow, number = self._matched(at)
        name, value, mask = flow.match[number]
        full = (1 << 8 * FIELDS[name].size) - 1
        old = full if mask is None else mask
        lowest = old & -old
        bit = self.one((lowest, 1 << self.random.randrange(full.bit_length()), lowest << 1 & full, lowest >> 1))
        new = old ^ bit
        wider: tuple[str, int, int | None] = (name, value & new, None if new == full else new)
        rows = _row(flow.match, number, wider) if new else flow.match[:number] + flow.match[number + 1 :]
        return flow, _with(flow, match=rows)

    def _match_dropped(self, at: str) -> tuple[Flow, Flow] | None:
        flow, number = self._matched(at)
        return flow, _with(flow, match=flow.match[:number] + flow.match[number + 1 :])

    def _matched(self, at: str) -> tuple[Flow, int]:
        flow = self.one([row for row in self.entries[at][0] if row.match])
        return flow, self.random.randrange(len(flow.match))

    def _priority(self, at: str) -> tuple[Flow, Flow]:
        """To another flow's priority in the table, or just past it."""
        flow = self.one(self.entries[at][0])
        rungs = sorted({row.priority for row in self.entries[at][0] if row.table is flow.table})
        number = self.one(rungs) + self.one((-1, 1, 0))
        return flow, _with(flow, priority=min(max(number, 0), 0xFFFF))

    # What a flow does

    def _output(self, at: str) -> tuple[Flow, Flow] | None:
        return self._action(at, Output, lambda action: Output(self._port(at, action.port), 128))

    def _set_field(self, at: str) -> tuple[Flow, Flow] | None:
        return self._action(at, SetField, lambda action: SetField(action.name, self._another(at, action.name, action.value)))

    def _group_id(self, at: str) -> tuple[Flow, Flow] | None:
        ids = [group.id for group in self.entries[at][1]]
        return self._action(at, ToGroup, lambda action: ToGroup(self.one(ids)))

    def _dropped(self, at: str) -> tuple[Flow, Flow] | None:
        """An action left out: a tag not put on or taken off, a TTL not counted, a field not set, a copy not sent."""
        kind = self.one((PopVlan, PushVlan, DecTtl, SetField, Move, Output, ToGroup))
        return self._action(at, kind, lambda action: None)

    def _action(self, at: str, kind: type[_T], change: Callable[[_T], Action | None]) -> tuple[Flow, Flow] | None:
        rows = [
            (flow, number) for flow in self.entries[at][0] for number, row in enumerate(flow.actions) if isinstance(row, kind)
        ]
        if not rows:
            return None
        flow, number = self.one(rows)
        old = flow.actions[number]
        assert isinstance(old, kind)
        new = change(old)
        rest = flow.actions[number + 1 :]
        if isinstance(old, PushVlan) and new is None:
            rest = _untagged(rest)
        return flow, _with(flow, actions=(*flow.actions[:number], *(() if new is None else (new,)), *rest))

    def _goto(self, at: str) -> tuple[Flow, Flow]:
        """Another table, or the end. A flow that drops may go on as well."""
        flow = self.one(self.entries[at][0])
        later = [table for table in TABLES if table.id > flow.table.id and table is not flow.goto]
        return flow, _with(flow, goto=self.one([*later, None]))

    def _metadata(self, at: str) -> tuple[Flow, Flow] | None:
        """Another segment or scope, a flag turned over, or nothing written."""
        rows = [row for row in self.entries[at][0] if row.metadata is not None]
        if not rows:
            return None
        flow = self.one(rows)
        assert flow.metadata is not None
        value, mask = flow.metadata
        fields = [bits for bits in _BITS if self.random.random() < 0.3 or bits.mask & mask]
        if not fields:
            return None
        field = self.one(fields)
        if field.width == 1:
            return flow, _with(flow, metadata=(value ^ field.mask, mask | field.mask))
        old = field.read(value)
        known = sorted({field.read(row.metadata[0]) for row in rows if row.metadata} | {0, old + 1} - {old})
        kept = mask & ~field.mask
        changed = (value & ~field.mask | field.of(self.one(known))[0], mask | field.mask)
        return flow, _with(flow, metadata=changed if self.random.random() < 0.7 or not kept else (value & kept, kept))

    # Groups

    def _bucket_removed(self, at: str) -> tuple[Group, Group]:
        """Where a group must have one, it loses what it does."""
        group, number = self._bucket(at)
        left = group.buckets[:number] + group.buckets[number + 1 :]
        return group, Group(group.id, group.type, (Bucket(()),) if group.type is GroupType.INDIRECT else left)

    def _bucket_changed(self, at: str) -> tuple[Group, Group] | None:
        """Another port (of a bucket or the one it watches), another VLAN-ID, no tag."""
        group, number = self._bucket(at)
        bucket = group.buckets[number]
        if not bucket.actions:
            return None
        spot = self.random.randrange(len(bucket.actions) + (bucket.watch is not None))
        if spot == len(bucket.actions):
            new = replace(bucket, watch=self._port(at, bucket.watch or 0))
        else:
            head, old, rest = bucket.actions[:spot], bucket.actions[spot], bucket.actions[spot + 1 :]
            match old:
                case Output(port=port):
                    changed: tuple[Action, ...] = (Output(self._port(at, port), 128),)
                case SetField(name=name, value=value):
                    changed = (SetField(name, self._another(at, name, value)),)
                case PushVlan():
                    changed, rest = (), _untagged(rest)
                case GivePriority():
                    changed = ()
                case _:
                    changed = (ToGroup(self.one(self.entries[at][1]).id),)
            new = replace(bucket, actions=(*head, *changed, *rest))
        return group, Group(group.id, group.type, (*group.buckets[:number], new, *group.buckets[number + 1 :]))

    def _bucket(self, at: str) -> tuple[Group, int]:
        group = self.one([row for row in self.entries[at][1] if row.buckets])
        return group, self.random.randrange(len(group.buckets))

    # Values

    def _another(self, at: str, name: str, value: int, mask: int | None = None) -> int:
        """Another value of a field: mostly one that is used somewhere, else one bit of it turned over."""
        full = (1 << 8 * FIELDS[name].size) - 1 if mask is None else mask
        if name == "in_port":
            return self._port(at, value, real=True)
        if name == "vlan_vid":
            return self.one([*self._seen[name], vid((value & 0xFFF) % 4094 + 1)])
        if self.random.random() < 0.7:
            return self.one(self._seen[name]) & full
        bits = [1 << number for number in range(full.bit_length()) if full >> number & 1]
        return value ^ self.one(bits)

    def _port(self, at: str, port: int, real: bool = False) -> int:
        """Another port of the switch, IN_PORT or the controller."""
        ports = {value for flow in self.entries[at][0] for name, value, _ in flow.match if name == "in_port"} | {999}
        return self.one(sorted((ports if real else ports | {IN_PORT, CONTROLLER}) - {port}))

    def one(self, rows: Sequence[_T]) -> _T:
        return rows[self.random.randrange(len(rows))]


def _row(rows: Match, number: int, new: tuple[str, int, int | None]) -> Match:
    return (*rows[:number], new, *rows[number + 1 :])


def _with(flow: Flow, **changed: object) -> Flow:
    """A copy of a flow with something else in it."""
    fields = {name: getattr(flow, name) for name in ("table", "priority", "match", "actions", "goto", "metadata", "meter")}
    return Flow.undeclared(**{**fields, **changed})
