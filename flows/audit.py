"""Comparison of a switch's reported entries with the desired ones: flows by entry, groups and meters by content.

A cookie says which flow an entry claims to be; here its place (table, priority, match), its instructions and its time-outs are
looked at as well, because they can be changed under an unchanged cookie. Most entries come back byte for byte as they were told
(`fields._ON_THE_WIRE`), and that is looked at first. Switches may write the fields of a match in an order of their own, so
what is not the same is compared without regard to order; how such a switch writes a flow that is right is remembered by its
hash, and the next audit compares hashes.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ryu_vmmob.flows import decode, wire
from ryu_vmmob.flows.delta import Delta, SwitchTables, fill_groups
from ryu_vmmob.flows.fields import FIELDS
from ryu_vmmob.flows.flow import Flow, Group, encode_match, match
from ryu_vmmob.flows.pipeline import COOKIE_MARK, TABLES, Table, group_parts

_LAST_TABLE: Final = TABLES[-1].id
_NO_TIMEOUTS: Final = bytes(4)
_EXACT: Final = tuple(b"\xff" * size for size in range(129))
_HEADS: Final = struct.Struct("!HB9xHI6xQ")
"""Length, table, priority, both time-outs as one number, cookie (7.3.5.2)."""
_FIXED: Final = 48
_LEAST: Final = _FIXED + 8


_NOTHING: Final = (0, 0, 0, 0, 0)
MOST_ODD: Final = 100_000
"""Entries of one reading, flows and groups together, that are kept though they are not desired: some 60 MB."""


class Entry(NamedTuple):
    """One entry of a flow-stats reply without its counters (7.3.5.2)."""

    cookie: int
    table: int
    priority: int
    timeouts: bytes
    """Idle and hard time-out, 4 bytes."""
    match: bytes
    """Struct ofp_match, padded."""
    instructions: bytes

    @property
    def key(self) -> bytes:
        """Its place as `Flow.key` has it: fields in our order, as far as they are fields that we know."""
        head = (self.table << 16 | self.priority).to_bytes(3, "big")
        try:
            rows = {name: (value, mask) for name, value, mask in decode.match(self.match)}
        except decode.Unknown:
            return head + self.match
        masked = {name for name, (_, mask) in rows.items() if mask != FIELDS[name].all_bits}
        fields = {name: (value, mask) if mask is not None and name in masked else value for name, (value, mask) in rows.items()}
        return head + encode_match(match(**fields))


class MatchRow(NamedTuple):
    """A field of a match on the wire: class and number, value, mask (none where all bits count)."""

    name: bytes
    value: bytes
    mask: bytes


def match_rows(match: bytes) -> tuple[MatchRow, ...]:
    """Return the fields of a struct ofp_match in one order, whichever they came in. Raises MalformedReply."""
    rows = []
    offset, end = 4, int.from_bytes(match[2:4], "big")
    while offset < end:
        size = match[offset + 3] if offset + 4 <= end else 0xFFFF
        if offset + 4 + size > end:
            raise wire.MalformedReply(f"match field at byte {offset} of {end} is longer than its match")
        body = match[offset + 4 : offset + 4 + size]
        if match[offset + 2] & 1:
            body, mask = body[: size // 2], body[size // 2 :]
            mask = b"" if mask == _EXACT[len(mask)] else mask
        else:
            mask = b""
        rows.append(MatchRow(match[offset : offset + 2] + bytes((match[offset + 2] & 0xFE,)), body, mask))
        offset += 4 + size
    return tuple(sorted(rows))


def instruction_set(instructions: bytes) -> frozenset[bytes]:
    """Return a flow's instructions: there is one of a type at most, and no order among them (5.9). Raises MalformedReply."""
    found = []
    offset, end = 0, len(instructions)
    while offset < end:
        size = int.from_bytes(instructions[offset + 2 : offset + 4], "big")
        if size < 8 or offset + size > end:
            raise wire.MalformedReply(f"instruction of {size} bytes at byte {offset} of {end}")
        found.append(instructions[offset : offset + size])
        offset += size
    return frozenset(found)


def _split(flow: Flow) -> tuple[bytes, bytes]:
    """Return a desired flow's match and its instructions."""
    size = len(flow.key) - 3
    return flow.body[:size], flow.body[size:]


def same_place(entry: Entry, flow: Flow) -> bool:
    """Whether a switch takes both for the same flow."""
    if entry.table != flow.table.id or entry.priority != flow.priority:
        return False
    match, _ = _split(flow)
    return entry.match == match or match_rows(entry.match) == match_rows(match)


def equal(entry: Entry, flow: Flow) -> bool:
    """Whether an entry is the desired flow, whatever the order in which the switch writes it."""
    _, instructions = _split(flow)
    return (
        entry.timeouts == _NO_TIMEOUTS
        and (entry.instructions == instructions or instruction_set(entry.instructions) == instruction_set(instructions))
        and same_place(entry, flow)
    )


@dataclass(slots=True)
class Habits:
    """A memory of entries found right: hashes of their reported form, by cookie and group id."""

    flows: dict[int, int] = field(default_factory=dict)
    groups: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Group id -> hashes of what was told and of what the switch makes of it."""

    def writes_group(self, group: Group, content: bytes) -> bool:
        """Whether the content is how the switch writes this group."""
        return content == group.body or self.groups.get(group.id) == (hash(group.body), hash(content))


class Reading:
    """The entries that a switch reports, collected reply by reply."""

    def __init__(self, habits: Habits) -> None:
        self._habits = habits
        self.right: dict[int, bytes] = {}
        """Cookie of each entry that is what its cookie says -> its place (`Flow.key`)."""
        self.odd: dict[int, list[Entry]] = {}
        """By cookie, entries with our mark that are not, or not known to be."""
        self.groups: dict[int, bytes] = {}
        self.unread: set[Table] = set()
        """Tables that were not asked for: what they have is not known."""
        self.groups_unread = False
        """Groups were not asked for."""
        self.foreign = 0
        """Flows in our tables that do not bear our mark."""
        self.is_partial = False
        """There is more with our mark than `MOST_ODD`: what came after is not in here."""
        self._room = MOST_ODD

    def take_flows(self, body: bytes, desired: Mapping[int, Flow]) -> None:
        """One flow-stats reply. Raises MalformedReply.

        ``desired`` may change between two calls: an entry that was right stays right, for a cookie is the content.
        """
        known, unpack, mark = self._habits.flows, _HEADS.unpack_from, COOKIE_MARK >> 56
        right, startswith, wanted = self.right, body.startswith, desired.get
        offset, end = 0, len(body)
        while offset < end:
            size, table, priority, timeouts, cookie = unpack(body, offset) if offset + _LEAST <= end else _NOTHING
            here, offset = offset, offset + size
            if size < _LEAST or offset > end:
                raise wire.MalformedReply(f"flow stats entry of {size} bytes at offset {here} of {end}")
            if cookie >> 56 != mark:
                self.foreign += table <= _LAST_TABLE
                continue
            flow = wanted(cookie)
            if (
                flow is not None
                and startswith(told := flow.body, here + _FIXED)
                and size == _FIXED + len(told)
                and timeouts == 0
                and priority == flow.priority
                and table == flow.table.id
            ):
                right[cookie] = flow.key
                continue
            # Table, priority, time-outs; match and instructions.
            print_ = hash((table, body[here + 12 : here + 18], body[here + _FIXED : offset]))
            if known.get(cookie) == print_:
                right[cookie] = flow.key if flow is not None else _entry(cookie, body[here:offset]).key
                continue
            entry = _entry(cookie, body[here:offset])
            if flow is not None and equal(entry, flow):
                known[flow.cookie] = print_
                right[cookie] = flow.key
            elif self._has_room():
                self.odd.setdefault(cookie, []).append(entry)

    def take_groups(self, body: bytes, desired: Container[int]) -> None:
        """One group-desc reply. Raises MalformedReply."""
        for number, content in wire.group_descriptions(body):
            if number in desired or (group_parts(number) and (number in self.groups or self._has_room())):
                self.groups[number] = content

    def _has_room(self) -> bool:
        """Take the place of one that is not desired. A switch may go on telling of such for as long as it likes."""
        self.is_partial = self.is_partial or not self._room
        self._room -= not self.is_partial
        return not self.is_partial

    def has(self, cookie: int) -> bool:
        """Whether the switch has a flow that bears the cookie, right or not."""
        return cookie in self.right or cookie in self.odd

    def settle(self, first: Reading, told: Finding, desired: Mapping[int, Flow], refused: Collection[int]) -> int:
        """Return a second reading, just after what the first one led to was done: fills in ``told.strays``.

        An entry written as before after a second flow-mod is this switch's own form of it, and is accepted from now on;
        how many flows and groups those are. (Who altered them would have had to do so again, the same way, at once.)
        An entry beside the right one is a stray.
        """
        accepted = 0
        for cookie in told.suspects:
            before = {fingerprint(entry) for entry in first.odd.get(cookie, ())}
            for entry in self.odd.get(cookie, ()):
                if cookie in self.right:
                    told.strays.append(entry)
                elif cookie in desired and cookie not in refused and fingerprint(entry) in before:
                    self._habits.flows[cookie] = fingerprint(entry)
                    accepted += 1
        for group in told.delta.groups_changed:
            content = self.groups.get(group.id)
            if content is not None and content == first.groups.get(group.id) and group.id not in refused:
                self._habits.groups[group.id] = hash(group.body), hash(content)
                accepted += 1
        return accepted

    def compare(self, desired: SwitchTables, *, plain: bool = False) -> Finding:
        """Return what is to be done to the switch, and what was wrong with it. ``plain``: it may keep a cookie that it should
        not.
        """
        finding = Finding(Delta())
        delta = finding.delta
        for cookie, entries in self.odd.items():
            flow = desired.flows.get(cookie)
            if flow is None:
                continue
            for entry in entries:
                if equal(entry, flow):  # wanted only since it was read
                    self.right[cookie] = flow.key
                else:
                    finding.suspects[cookie] = len(entries)
        if missing := desired.flows.keys() - self.right.keys():
            unread = self.unread
            rows = (flow for cookie, flow in desired.flows.items() if cookie in missing)
            delta.flows = [flow for flow in rows if flow.table not in unread] if unread else list(rows)
        delta.gone = {cookie: self.right[cookie] for cookie in sorted(self.right.keys() - desired.flows.keys())}
        for cookie in sorted(self.odd.keys() - desired.flows.keys()):
            self._alien(finding, cookie, desired, plain=plain)
        groups = {
            number: desired.groups[number].body
            if number in desired.groups and self._habits.writes_group(desired.groups[number], content)
            else content
            for number, content in self.groups.items()
        }
        if not self.groups_unread:
            fill_groups(delta, groups, desired.groups)
        for cookie in [cookie for cookie in self._habits.flows if cookie not in desired.flows]:
            del self._habits.flows[cookie]
        return finding

    def _alien(self, finding: Finding, cookie: int, desired: SwitchTables, *, plain: bool) -> None:
        """Entries with our mark under a cookie that nothing desired has: to be taken away by their places.

        Nothing is taken away by its cookie alone: a switch may leave the old cookie where an ADD has put another flow, and then
        the place is that of a desired flow, which is written again.
        """
        for number, entry in enumerate(self.odd[cookie]):
            flow = desired.flows.get(desired.keys.get(hash(entry.key), 0))
            if plain and flow is not None and equal(entry, flow):
                finding.kept[cookie] = flow.cookie
            if number == 0:
                finding.delta.gone[cookie] = entry.key
            elif flow is None:
                finding.strays.append(entry)


def fingerprint(entry: Entry) -> int:
    """Return the hash that stands for an entry in `Habits`."""
    head = entry.priority.to_bytes(2, "big") + entry.timeouts
    return hash((entry.table, head, entry.match + entry.instructions))


def _entry(cookie: int, data: bytes) -> Entry:
    size = (int.from_bytes(data[50:52], "big") + 7) // 8 * 8
    if size < 8 or 48 + size > len(data):
        raise wire.MalformedReply(f"match of {size} bytes in a flow stats entry of {len(data)}")
    priority = int.from_bytes(data[12:14], "big")
    return Entry(cookie, data[2], priority, data[14:18], data[48 : 48 + size], data[48 + size :])


def entries_of(body: bytes) -> Iterator[Entry]:
    """Yield the entries of one flow-stats reply; for short ones. Raises MalformedReply."""
    offset = 0
    for cookie in wire.flow_stats_cookies(body):
        size = int.from_bytes(body[offset : offset + 2], "big")
        yield _entry(cookie, body[offset : offset + size])
        offset += size


@dataclass(slots=True)
class Finding:
    """The difference: ``delta`` puts right what cookies and ids can name, ``strays`` are entries to be deleted one by one."""

    delta: Delta
    suspects: dict[int, int] = field(default_factory=dict)
    """Cookie of a desired flow -> entries that bear it and are not that flow."""
    strays: list[Entry] = field(default_factory=list)
    """Those of them that stand beside it, as a second reading finds, and entries that share an alien cookie."""
    kept: dict[int, int] = field(default_factory=dict)
    """Old cookie -> cookie of the desired flow that stands there all the same: the switch keeps the cookie that was there."""

    @property
    def doubtful(self) -> bool:
        """Whether a second reading has something to tell."""
        return bool(self.suspects or self.delta.groups_changed)

    def deletions(self, next_xid: Callable[[], int]) -> Iterable[tuple[bytes, int]]:
        """(message, cookie) for each stray; a flow that took its place meanwhile has another cookie, and stays."""
        for row in self.strays:
            yield wire.flow_delete_strict(row.table, row.priority, row.key[3:], row.cookie, next_xid()), row.cookie

    def counts(self, untold: Delta, refused: Iterable[int]) -> Counter[tuple[str, str]]:
        """(``flows`` or ``groups``, ``missing``, ``alien`` or ``altered``) -> how many.

        ``untold``: what was decided and not sent yet; ``refused``: cookies and group ids that the switch did not take. Both are
        no faults of its tables.
        """
        known = {*refused, *untold.gone, *untold.groups_gone}
        known.update(flow.cookie for flow in untold.flows)
        known.update(group.id for group in (*untold.groups, *untold.groups_changed))
        known.update(self.kept, self.kept.values())
        delta = self.delta
        found: Counter[tuple[str, str]] = Counter()
        for flow in delta.flows:
            if flow.cookie in self.suspects:
                found["flows", "altered"] += 1
            elif flow.cookie not in known:
                found["flows", "missing"] += 1
        found["flows", "alien"] += sum(cookie not in known for cookie in delta.gone)
        replaced = {flow.cookie for flow in delta.flows}
        found["flows", "alien"] += sum(number for cookie, number in self.suspects.items() if cookie not in replaced)
        found["groups", "missing"] += sum(group.id not in known for group in delta.groups)
        found["groups", "altered"] += sum(group.id not in known for group in delta.groups_changed)
        found["groups", "alien"] += sum(number not in known for number in delta.groups_gone)
        return +found
