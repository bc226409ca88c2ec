"""What a switch of ours that is none remembers: flows, groups and meters, changed by OpenFlow 1.3 messages as bytes.

It forwards nothing. What a message does to the tables, and with which error a wrong one is refused, follows the OpenFlow switch
specification 1.3.5 (6.4 flow table, 6.5 group table, 6.7 meter table, 7.4.4 errors), as far as a controller can tell.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

FLOW_MOD: Final = 14
ALL_TABLES: Final = 0xFF
_ALL_GROUPS, _ALL_METERS = 0xFFFFFFFC, 0xFFFFFFFF
_ADD, _MODIFY, _MODIFY_STRICT, _DELETE, _DELETE_STRICT = range(5)
_GROUP_ADD, _GROUP_MODIFY, _GROUP_DELETE = range(3)
_METER_ADD, _METER_MODIFY, _METER_DELETE = range(3)
_OUTPUT_GROUP: Final = 22
_WRITE_ACTIONS, _APPLY_ACTIONS = 3, 4


class Refused(NamedTuple):
    """An OpenFlow error by type and code (7.4.4)."""

    type: int
    code: int


BAD_REQUEST_TYPE: Final = Refused(1, 1)
BAD_MULTIPART: Final = Refused(1, 2)
BAD_EXPERIMENTER: Final = Refused(1, 3)
BAD_LENGTH: Final = Refused(1, 6)
BAD_OUT_GROUP: Final = Refused(2, 9)
BAD_FIELD: Final = Refused(4, 6)
BAD_MASK: Final = Refused(4, 8)
TABLE_FULL: Final = Refused(5, 1)
BAD_TABLE: Final = Refused(5, 2)
BAD_FLOW_COMMAND: Final = Refused(5, 6)
GROUP_EXISTS: Final = Refused(6, 0)
UNKNOWN_GROUP: Final = Refused(6, 8)
BAD_GROUP_COMMAND: Final = Refused(6, 11)
METER_EXISTS: Final = Refused(12, 1)
UNKNOWN_METER: Final = Refused(12, 2)
BAD_METER_COMMAND: Final = Refused(12, 5)


class Entry(NamedTuple):
    """A flow: its place is table, priority and match; all of it as bytes that came over the wire."""

    table: int
    priority: int
    match: bytes
    """Struct ofp_match, padded."""
    cookie: int
    idle: int
    hard: int
    flags: int
    instructions: bytes

    @property
    def place(self) -> tuple[int, int, bytes]:
        """Return what makes it another flow."""
        return self.table, self.priority, self.match

    def stats(self) -> bytes:
        """Struct ofp_flow_stats (7.3.5.2); nothing is ever counted."""
        size = 48 + len(self.match) + len(self.instructions)
        head = struct.pack(
            "!HBxIIHHHH4xQQQ", size, self.table, 0, 0, self.priority, self.idle, self.hard, self.flags, self.cookie, 0, 0
        )
        return head + self.match + self.instructions


def match_size(data: bytes, offset: int) -> int:
    """Bytes of the struct ofp_match at ``offset``, padding included."""
    return (int.from_bytes(data[offset + 2 : offset + 4], "big") + 7) // 8 * 8


def oxm_fields(match: bytes) -> dict[int, tuple[int, int]]:
    """Field (class and number) -> (value, mask) of a struct ofp_match."""
    found: dict[int, tuple[int, int]] = {}
    offset, end = 4, int.from_bytes(match[2:4], "big")
    while offset + 4 <= end:
        header, size = int.from_bytes(match[offset : offset + 4], "big"), match[offset + 3]
        body = match[offset + 4 : offset + 4 + size]
        if header & 0x100:
            half = size // 2
            value, mask = int.from_bytes(body[:half], "big"), int.from_bytes(body[half:], "big")
        else:
            value, mask = int.from_bytes(body, "big"), (1 << 8 * size) - 1
        found[header >> 9] = value & mask, mask
        offset += 4 + size
    return found


def _covers(wanted: dict[int, tuple[int, int]], match: bytes) -> bool:
    """Whether a flow's match is as narrow as ``wanted``, or narrower (6.4, non-strict)."""
    if not wanted:
        return True
    fields = oxm_fields(match)
    for name, (value, mask) in wanted.items():
        have = fields.get(name)
        if have is None or have[1] & mask != mask or have[0] & mask != value:
            return False
    return True


def _groups_in(actions: bytes) -> Iterator[int]:
    offset = 0
    while offset + 8 <= len(actions):
        kind, size = struct.unpack_from("!HH", actions, offset)
        if kind == _OUTPUT_GROUP:
            yield int.from_bytes(actions[offset + 4 : offset + 8], "big")
        offset += max(size, 8)


def groups_used(instructions: bytes) -> set[int]:
    """Ids of the groups that a flow's instructions hand frames to."""
    found: set[int] = set()
    offset = 0
    while offset + 8 <= len(instructions):
        kind, size = struct.unpack_from("!HH", instructions, offset)
        if kind in (_WRITE_ACTIONS, _APPLY_ACTIONS):
            found.update(_groups_in(instructions[offset + 8 : offset + size]))
        offset += max(size, 8)
    return found


@dataclass(slots=True)
class FakeTables:
    """Flows by place, groups and meters by id. ``room``: how many flows fit; None: as many as come."""

    flows: dict[tuple[int, int, bytes], Entry] = field(default_factory=dict)
    groups: dict[int, bytes] = field(default_factory=dict)
    """Id -> the bytes of a group-mod from its type on, which are those of a group description."""
    meters: dict[int, bytes] = field(default_factory=dict)
    """Id -> the bytes of a meter-mod from its flags on."""
    room: int | None = None
    keeps_cookies: bool = False
    """An ADD that puts a flow in another's place leaves the cookie that was there (against 6.4)."""
    _by_cookie: dict[int, set[tuple[int, int, bytes]]] = field(default_factory=dict)
    _users: dict[int, set[tuple[int, int, bytes]]] = field(default_factory=dict)

    def clear(self) -> None:
        """As a switch that was just switched on."""
        for store in (self.flows, self.groups, self.meters, self._by_cookie, self._users):
            store.clear()

    def copy(self) -> FakeTables:
        """Return the same, apart."""
        return FakeTables(
            dict(self.flows), dict(self.groups), dict(self.meters), self.room, self.keeps_cookies,
            {cookie: set(places) for cookie, places in self._by_cookie.items()},
            {group: set(places) for group, places in self._users.items()},
        )  # fmt: skip

    def become(self, other: FakeTables) -> None:
        """Take over what ``other`` has."""
        self.flows, self.groups, self.meters = other.flows, other.groups, other.meters
        self._by_cookie, self._users = other._by_cookie, other._users

    def cookies(self) -> list[int]:
        """Return the cookie of every flow."""
        return [entry.cookie for entry in self.flows.values()]

    def put(self, entry: Entry) -> None:
        """Let a flow stand, in the place of its equal."""
        self._drop(entry.place)
        self.flows[entry.place] = entry
        self._by_cookie.setdefault(entry.cookie, set()).add(entry.place)
        for group in groups_used(entry.instructions):
            self._users.setdefault(group, set()).add(entry.place)

    def apply(self, message: bytes) -> Refused | None:
        """Return a flow-mod, group-mod or meter-mod; why it is refused, None when it is done."""
        try:
            match message[1]:
                case 14:  # FLOW_MOD
                    return self._flow_mod(message)
                case 15:  # GROUP_MOD
                    return self._group_mod(message)
                case 29:  # METER_MOD
                    return self._meter_mod(message)
        except (struct.error, IndexError):
            return BAD_LENGTH
        return BAD_REQUEST_TYPE

    def select(self, table: int, cookie: int, mask: int, match: bytes) -> list[Entry]:
        """Flows as a statistics request or a deletion names them (non-strict); ``table`` 0xff means all."""
        wanted = oxm_fields(match)
        entries: Iterator[Entry] = iter(self.flows.values())
        if mask == 0xFFFFFFFFFFFFFFFF:
            entries = (self.flows[place] for place in self._by_cookie.get(cookie, ()))
        return [
            entry
            for entry in entries
            if table in (ALL_TABLES, entry.table) and entry.cookie & mask == cookie & mask and _covers(wanted, entry.match)
        ]

    def _drop(self, place: tuple[int, int, bytes]) -> None:
        entry = self.flows.pop(place, None)
        if entry is None:
            return
        for index, keys in ((self._by_cookie, {entry.cookie}), (self._users, groups_used(entry.instructions))):
            for key in keys:
                index[key].discard(place)
                if not index[key]:
                    del index[key]

    def _flow_mod(self, message: bytes) -> Refused | None:
        cookie, mask, table, command, idle, hard, priority, _, _, _, flags = struct.unpack_from("!QQBBHHHIIIH", message, 8)
        size = match_size(message, 48)
        match, instructions = message[48 : 48 + size], message[48 + size :]
        if command == _ADD:
            if table == ALL_TABLES:
                return BAD_TABLE
            if not groups_used(instructions) <= self.groups.keys():
                return BAD_OUT_GROUP
            entry = Entry(table, priority, match, cookie, idle, hard, flags, instructions)
            if self.room is not None and len(self.flows) >= self.room and entry.place not in self.flows:
                return TABLE_FULL
            there = self.flows.get(entry.place)
            self.put(entry._replace(cookie=there.cookie) if there is not None and self.keeps_cookies else entry)
            return None
        if command in (_MODIFY_STRICT, _DELETE_STRICT):
            entry_there = self.flows.get((table, priority, match))
            chosen = [entry_there] if entry_there is not None and entry_there.cookie & mask == cookie & mask else []
        elif command in (_MODIFY, _DELETE):
            chosen = self.select(table, cookie, mask, match)
        else:
            return BAD_FLOW_COMMAND
        if command in (_DELETE, _DELETE_STRICT):
            for entry in chosen:
                self._drop(entry.place)
        elif not groups_used(instructions) <= self.groups.keys():
            return BAD_OUT_GROUP
        else:
            for entry in chosen:
                self.put(entry._replace(instructions=instructions))
        return None

    def _group_mod(self, message: bytes) -> Refused | None:
        command, number = int.from_bytes(message[8:10], "big"), int.from_bytes(message[12:16], "big")
        if command == _GROUP_DELETE:
            for gone in list(self.groups) if number == _ALL_GROUPS else [number]:
                self.groups.pop(gone, None)
                for place in list(self._users.get(gone, ())):
                    self._drop(place)
            return None
        if command not in (_GROUP_ADD, _GROUP_MODIFY):
            return BAD_GROUP_COMMAND
        if command == _GROUP_ADD and number in self.groups:
            return GROUP_EXISTS
        if command == _GROUP_MODIFY and number not in self.groups:
            return UNKNOWN_GROUP
        self.groups[number] = message[10:]
        return None

    def _meter_mod(self, message: bytes) -> Refused | None:
        command, _, number = struct.unpack_from("!HHI", message, 8)
        if command == _METER_DELETE:
            for gone in list(self.meters) if number == _ALL_METERS else [number]:
                self.meters.pop(gone, None)
            return None
        if command not in (_METER_ADD, _METER_MODIFY):
            return BAD_METER_COMMAND
        if (command == _METER_ADD) is (number in self.meters):
            return METER_EXISTS if command == _METER_ADD else UNKNOWN_METER
        self.meters[number] = message[10:]
        return None


Judge = Callable[[bytes], "Refused | None"]
"""Whether a switch refuses a message (a flow-mod, group-mod or meter-mod as bytes) that it could carry out."""


def refuse_all(message: bytes) -> Refused | None:
    """Nothing gets in: every flow-mod that adds is refused with TABLE_FULL."""
    return TABLE_FULL if message[1] == FLOW_MOD and message[25] == _ADD else None


def refuse_table(table: int) -> Judge:
    """No flow gets into this table."""
    return lambda message: refuse_all(message) if message[24] == table else None


def refuse_cookie(cookie: int) -> Judge:
    """Refuse the flow with this cookie."""
    return lambda message: refuse_all(message) if int.from_bytes(message[8:16], "big") == cookie else None


def refuse_bytes(part: bytes) -> Judge:
    """No flow gets in whose message contains these bytes (a MAC, an address)."""
    return lambda message: refuse_all(message) if part in message else None
