"""Flows and groups as values. Deciding code returns them and sends nothing.

A flow's canonical form is its OpenFlow wire form (without cookie and command), and its cookie is the hash of that form:
the cookie *is* the flow's identity, so a difference between two states is a difference of sets. A group has a
stable id (`pipeline.group_id`) and is compared by content.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from ryu_vmmob.flows import decode, wire_actions
from ryu_vmmob.flows.action import (
    CONTROLLER,
    IN_PORT,
    Action,
    Copy,
    DecTtl,
    GivePriority,
    KeepPriority,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    ToGroup,
    group_name,
    tells_controller,
)
from ryu_vmmob.flows.decode import Match
from ryu_vmmob.flows.fields import FIELDS, show
from ryu_vmmob.flows.owner import UNOWNED
from ryu_vmmob.flows.pipeline import COOKIE_MARK, TABLES, Table, meter_name, show_metadata
from ryu_vmmob.flows.table_spec import MatchRow, Undeclared

__all__ = [
    "CONTROLLER", "IN_PORT", "Action", "Bucket", "Copy", "DecTtl", "Flow", "GivePriority", "Group", "GroupType",
    "KeepPriority", "Match", "Move", "Output", "PopVlan", "PushVlan", "SetField", "ToGroup", "Undeclared", "encode_actions",
    "group_name", "match", "show_match", "tells_controller",
]  # fmt: skip


def encode_actions(actions: tuple[Action, ...]) -> bytes:
    """Wire form of an action list."""
    return b"".join(map(wire_actions.encode, actions))


@lru_cache(maxsize=1024)
def _in_wire_order(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(names, key=lambda name: FIELDS[name].place))


def match(**fields: int | tuple[int, int]) -> Match:
    """Return a match in wire order. A value is an integer, or (value, mask)."""
    rows: list[tuple[str, int, int | None]] = []
    for name in _in_wire_order(tuple(fields)):
        value = fields[name]
        rows.append((name, value[0], value[1]) if isinstance(value, tuple) else (name, value, None))
    return tuple(rows)


_OXM_PLAIN: Final = {name: (field.header(), field.size) for name, field in FIELDS.items()}
_OXM_MASKED: Final = {name: (field.header(masked=True), field.size) for name, field in FIELDS.items()}


def _oxm(row: MatchRow) -> bytes:
    name, value, mask = row
    if mask is None:
        header, size = _OXM_PLAIN[name]
        return header + value.to_bytes(size, "big")
    header, size = _OXM_MASKED[name]
    return header + value.to_bytes(size, "big") + mask.to_bytes(size, "big")


# Type (OXM) and length in front, zeros behind, by the length of what is between.
_MATCH_HEADS: Final = tuple(b"\x00\x01" + (4 + length).to_bytes(2, "big") for length in range(1024))
_MATCH_TAILS: Final = tuple(bytes(-(4 + length) % 8) for length in range(8))


def _declared(table: Table) -> Callable[[MatchRow], bytes]:
    """Return an encoder of match rows that raises Undeclared for what ``table`` does not declare."""

    # The flows of one interface match the same MAC, addresses and segment over and over: each is checked and encoded once.
    @lru_cache(maxsize=4096)
    def declared(row: MatchRow) -> bytes:
        table.spec.check_row(*row)
        return _oxm(row)

    return declared


_DECLARED: Final = tuple(map(_declared, TABLES))
"""For each table the encoder of its match rows."""


def encode_match(rows: Match, oxm: Callable[[MatchRow], bytes] = _oxm) -> bytes:
    """Struct ofp_match, padded to 8 bytes (OpenFlow 1.3.5, 7.2.3.1). ``oxm`` encodes a row."""
    body = b"".join(map(oxm, rows))
    length = len(body)
    return _MATCH_HEADS[length] + body + _MATCH_TAILS[length & 7]


def encode_instructions(
    actions: tuple[Action, ...], metadata: tuple[int, int] | None, goto: int | None, meter: int | None = None
) -> bytes:
    """Meter, apply-actions, write-metadata and goto-table, each where wanted, in the order they are executed (5.9)."""
    parts = []
    if meter is not None:
        parts.append(b"\x00\x06\x00\x08" + meter.to_bytes(4, "big"))
    if actions:
        body = encode_actions(actions)
        parts.append(b"\x00\x04" + (8 + len(body)).to_bytes(2, "big") + bytes(4) + body)
    if metadata is not None:
        parts.append(b"\x00\x02\x00\x18" + bytes(4) + metadata[0].to_bytes(8, "big") + metadata[1].to_bytes(8, "big"))
    if goto is not None:
        parts.append(b"\x00\x01\x00\x08" + bytes((goto, 0, 0, 0)))
    return b"".join(parts)


# Most flows share a handful of action lists; those that do not (answers) must not fill the memory. Often the result is the very
# same object as that of other flows: what leads to one port or group is checked and encoded once for each table.
@lru_cache(maxsize=4096)
def _declared_instructions(
    table: int, actions: tuple[Action, ...], metadata: tuple[int, int] | None, goto: int | None, meter: int | None
) -> bytes:
    """Encode instructions that the table declares. Raises Undeclared for others."""
    then = None if goto is None else TABLES[goto].label
    purpose = None if meter is None else meter_name(meter).partition("/")[0]
    TABLES[table].spec.check_instructions(actions, metadata, then, purpose)
    return encode_instructions(actions, metadata, goto, meter)


class Flow:
    """One flow: a value, equal to another when its wire form is.

    ``metadata`` is (value, mask) to write; ``goto`` the next table or None (the frame ends here); ``meter`` limits how many
    packets the flow takes at all. ``owner`` says whose it is; it is no part of the identity.

    There are millions of them, so only the wire form is kept; all else is read back from it on demand.
    """

    __slots__ = ("_instructions", "cookie", "key", "owner", "priority", "table")

    def __init__(
        self,
        table: Table,
        priority: int,
        match: Match,
        actions: tuple[Action, ...] = (),
        goto: Table | None = None,
        metadata: tuple[int, int] | None = None,
        meter: int | None = None,
    ) -> None:
        """Raise Undeclared when the flow breaks the declaration of its table."""
        try:
            fields = encode_match(match, _DECLARED[table.id])
            instructions = _declared_instructions(table.id, actions, metadata, None if goto is None else goto.id, meter)
        except Undeclared as error:
            raise Undeclared(f"a flow breaks the declaration of table {table.label}: {error}") from None
        self._keep(table, priority, fields, instructions)

    def _keep(self, table: Table, priority: int, fields: bytes, instructions: bytes) -> None:
        self.table = table
        self.priority = priority
        self.key = key = (table.id << 16 | priority).to_bytes(3, "big") + fields
        """What the switch takes for "the same flow": an ADD with this key overwrites."""
        self._instructions = instructions
        self.cookie = COOKIE_MARK | int.from_bytes(blake2b(key + instructions, digest_size=7).digest(), "big")
        self.owner = UNOWNED

    @classmethod
    def undeclared(
        cls,
        table: Table,
        priority: int,
        match: Match,
        actions: tuple[Action, ...] = (),
        goto: Table | None = None,
        metadata: tuple[int, int] | None = None,
        meter: int | None = None,
    ) -> Flow:
        """Build a flow that is not held against the declaration: one that only tries a switch, or stands in a test."""
        flow = cls.__new__(cls)
        instructions = encode_instructions(actions, metadata, None if goto is None else goto.id, meter)
        flow._keep(table, priority, encode_match(match), instructions)
        return flow

    @property
    def body(self) -> bytes:
        """Match and instructions, as they stand in a flow-mod."""
        return self.key[3:] + self._instructions

    @property
    def match(self) -> Match:
        """Fields in wire order."""
        return decode.match(self.key[3:])

    @property
    def actions(self) -> tuple[Action, ...]:
        """Return what is done to the packet before it goes on."""
        return decode.instructions(self._instructions).actions

    @property
    def goto(self) -> Table | None:
        """The next table."""
        number = decode.instructions(self._instructions).goto
        return None if number is None else TABLES[number]

    @property
    def metadata(self) -> tuple[int, int] | None:
        """The (value, mask) that is written."""
        return decode.instructions(self._instructions).metadata

    @property
    def meter(self) -> int | None:
        """The meter that the packet has to pass first."""
        return decode.instructions(self._instructions).meter

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Flow)
            and self.cookie == other.cookie
            and self.key == other.key
            and self._instructions == other._instructions
        )

    def __hash__(self) -> int:
        return self.cookie

    def __str__(self) -> str:
        return f"table={self.table.label} priority={self.priority} {show_match(self.match)} actions={show_instructions(self)}"

    __repr__ = __str__


def show_match(rows: Match) -> str:
    """Return a match as one comma-separated line, in the order in which people read it."""
    return ",".join(
        f"{name}={_show_value(name, value, mask)}" for name, value, mask in sorted(rows, key=lambda row: FIELDS[row[0]].order)
    )


def _show_value(name: str, value: int, mask: int | None) -> str:
    if name == "metadata" and mask is not None:
        return show_metadata(value, mask)
    return show(name, value) + ("" if mask is None else f"/{show(name, mask)}")


def show_instructions(flow: Flow) -> str:
    """Actions, metadata write and next table as one comma-separated line; ``drop`` when there is nothing."""
    parts = [f"meter:{meter_name(flow.meter)}"] if flow.meter is not None else []
    parts += map(str, flow.actions)
    if flow.metadata is not None:
        parts.append(f"metadata:{show_metadata(*flow.metadata)}")
    if flow.goto is not None:
        parts.append(f"goto:{flow.goto.label}")
    return ",".join(parts) or "drop"


class GroupType(IntEnum):
    """OFPGT_*, as far as used."""

    ALL = 0
    INDIRECT = 2
    FAST_FAILOVER = 3


@dataclass(frozen=True, slots=True)
class Bucket:
    """Actions of one alternative; ``watch`` is the port whose liveness decides (FAST_FAILOVER only)."""

    actions: tuple[Action, ...]
    watch: int | None = None

    def __str__(self) -> str:
        watch = "" if self.watch is None else f"watch:{self.watch},"
        return f"[{watch}{','.join(map(str, self.actions))}]"


class Group:
    """One group: stable ``id``, compared by content. ``owner`` as in `Flow`."""

    __slots__ = ("body", "buckets", "id", "owner", "type")

    def __init__(self, id: int, type: GroupType, buckets: tuple[Bucket, ...]) -> None:
        self.id = id
        self.type = type
        self.buckets = buckets
        self.body = bytes((type, 0)) + id.to_bytes(4, "big") + b"".join(map(encode_bucket, buckets))
        self.owner = UNOWNED

    @property
    def refers_to(self) -> tuple[int, ...]:
        """Groups its buckets chain to: they must exist first."""
        return tuple(a.group for bucket in self.buckets for a in bucket.actions if isinstance(a, ToGroup))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Group) and self.body == other.body

    def __hash__(self) -> int:
        return hash(self.body)

    def __str__(self) -> str:
        return f"group={group_name(self.id)} type={self.type.name.lower()} buckets={' '.join(map(str, self.buckets))}"

    __repr__ = __str__


def encode_bucket(bucket: Bucket) -> bytes:
    """Struct ofp_bucket (7.3.4.2): weight 0 (no SELECT groups here), any group watched by none."""
    actions = encode_actions(bucket.actions)
    watch = 0xFFFFFFFF if bucket.watch is None else bucket.watch
    length = 16 + len(actions)
    return length.to_bytes(2, "big") + b"\x00\x00" + watch.to_bytes(4, "big") + b"\xff\xff\xff\xff" + bytes(4) + actions
