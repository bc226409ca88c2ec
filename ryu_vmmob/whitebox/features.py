"""A switch's description of itself (OpenFlow 1.3.5, 7.3.1 and 7.3.5), parsed from its replies."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from ryu_vmmob.flows.fields import FIELDS

_BY_HEADER: Final = {(row.oxm_class, row.number): name for name, row in FIELDS.items()}
_FIXED: Final = struct.Struct("!HB5x32sQQII")
_TEXTS: Final = (256, 256, 256, 32, 256)


class MalformedError(ValueError):
    """A reply whose lengths contradict each other."""


@dataclass(frozen=True, slots=True)
class Description:
    """OFPMP_DESC."""

    manufacturer: str
    hardware: str
    software: str

    @property
    def is_openvswitch(self) -> bool:
        """Whether it is Open vSwitch, whose extensions no other switch has in full."""
        return self.hardware == "Open vSwitch"

    def __str__(self) -> str:
        return ", ".join(text for text in (self.manufacturer, self.hardware, self.software) if text) or "says nothing of itself"


def description(body: bytes) -> Description:
    """Return a description. Raises MalformedError."""
    if len(body) != sum(_TEXTS):
        raise MalformedError(f"a description of {len(body)} bytes")
    texts, offset = [], 0
    for size in _TEXTS:
        text = body[offset : offset + size].split(b"\0")[0].decode("utf-8", "replace")
        texts.append("".join(char if char.isprintable() else "?" for char in text).strip())
        offset += size
    return Description(*texts[:3])


@dataclass(slots=True)
class Able:
    """What the flows of a table may do; a second one of these holds for the flow that takes what no other matches."""

    instructions: frozenset[int] = frozenset()
    tables: frozenset[int] = frozenset()
    actions: frozenset[int] = frozenset()
    sets: frozenset[str] = frozenset()


@dataclass(slots=True)
class TableAbility:
    """OFPMP_TABLE_FEATURES of one table. ``matches``: field -> whether bits of it can be left out."""

    id: int
    entries: int
    metadata_match: int
    metadata_write: int
    matches: dict[str, bool] = field(default_factory=dict)
    flows: Able = field(default_factory=Able)
    miss: Able = field(default_factory=Able)
    """As ``flows`` where the switch says nothing else."""


_INSTRUCTIONS, _NEXT_TABLES, _APPLY_ACTIONS, _MATCH, _APPLY_SETFIELD = 0, 2, 6, 8, 14
_OF_MISS: Final = 1
"""Added to a property's type."""


def tables(body: bytes, first: int = 256) -> dict[int, TableAbility]:
    """Every table of a table features reply, by its id, of the ``first`` ones. Raises MalformedError."""
    found: dict[int, TableAbility] = {}
    offset = 0
    while offset < len(body):
        length = int.from_bytes(body[offset : offset + 2], "big")
        if length < _FIXED.size or offset + length > len(body):
            raise MalformedError(f"table features of {length} bytes at offset {offset} of {len(body)}")
        if body[offset + 2] < first:
            one = _table(body[offset : offset + length])
            found[one.id] = one
        offset += length
    return found


def _table(body: bytes) -> TableAbility:
    _, number, _, match, write, _, entries = _FIXED.unpack_from(body)
    table = TableAbility(number, entries, match, write)
    said: set[int] = set()
    offset = _FIXED.size
    while offset + 4 <= len(body):
        kind, length = struct.unpack_from("!HH", body, offset)
        if length < 4 or offset + length > len(body):
            raise MalformedError(f"table {number}: property {kind} of {length} bytes")
        value = body[offset + 4 : offset + length]
        said.add(kind)
        if kind == _MATCH:
            table.matches = dict(_oxm_ids(value))
        able = table.miss if kind & _OF_MISS else table.flows
        match_kind = kind & ~_OF_MISS
        if match_kind == _INSTRUCTIONS:
            able.instructions = frozenset(_ids(value))
        elif match_kind == _NEXT_TABLES:
            able.tables = frozenset(value)
        elif match_kind == _APPLY_ACTIONS:
            able.actions = frozenset(_ids(value))
        elif match_kind == _APPLY_SETFIELD:
            able.sets = frozenset(name for name, _ in _oxm_ids(value))
        offset += (length + 7) // 8 * 8
    for kind, name in (
        (_INSTRUCTIONS, "instructions"), (_NEXT_TABLES, "tables"), (_APPLY_ACTIONS, "actions"), (_APPLY_SETFIELD, "sets"),
    ):  # fmt: skip
        if kind + _OF_MISS not in said:
            setattr(table.miss, name, getattr(table.flows, name))
    return table


def _ids(value: bytes) -> list[int]:
    """Instruction or action ids: type, length, and for an experimenter's something more."""
    found, offset = [], 0
    while offset + 4 <= len(value):
        kind, length = struct.unpack_from("!HH", value, offset)
        if length < 4:
            raise MalformedError(f"an id of {length} bytes")
        found.append(kind)
        offset += length
    return found


def _oxm_ids(value: bytes) -> list[tuple[str, bool]]:
    """(field, whether it can be masked), as far as we have a name for it."""
    found, offset = [], 0
    while offset + 4 <= len(value):
        oxm_class, number = struct.unpack_from("!HB", value, offset)
        name = _BY_HEADER.get((oxm_class, number >> 1))
        if name is not None:
            found.append((name, bool(number & 1)))
        offset += 8 if oxm_class == 0xFFFF else 4
    return found


@dataclass(frozen=True, slots=True)
class GroupAbility:
    """OFPMP_GROUP_FEATURES; ``most`` groups of a type and ``actions`` in them (bits), both by type."""

    types: int
    capabilities: int
    most: tuple[int, ...]
    actions: tuple[int, ...]

    @property
    def chain(self) -> bool:
        """Whether a group may lead to another (OFPGFC_CHAINING)."""
        return bool(self.capabilities & 4)


def groups(body: bytes) -> GroupAbility:
    """Group features. Raises MalformedError."""
    if len(body) != 40:
        raise MalformedError(f"group features of {len(body)} bytes")
    types, capabilities, *rest = struct.unpack("!II4I4I", body)
    return GroupAbility(types, capabilities, tuple(rest[:4]), tuple(rest[4:]))


@dataclass(frozen=True, slots=True)
class MeterAbility:
    """OFPMP_METER_FEATURES."""

    most: int
    bands: int
    capabilities: int

    @property
    def drop_by_packets(self) -> bool:
        """Whether it has meters as ours: OFPMBT_DROP beyond so many packets a second (OFPMF_PKTPS), with OFPMF_BURST."""
        return bool(self.most and self.bands & 2 and self.capabilities & 2 and self.capabilities & 4)


def meters(body: bytes) -> MeterAbility:
    """Meter features. Raises MalformedError."""
    if len(body) != 16:
        raise MalformedError(f"meter features of {len(body)} bytes")
    return MeterAbility(*struct.unpack_from("!III", body))


@dataclass(slots=True)
class Portrait:
    """All that a switch said. None: it does not answer that question (``why`` has its error, by the name of the field)."""

    dpid: int
    number_of_tables: int
    described: Description | None = None
    tables: dict[int, TableAbility] | None = None
    groups: GroupAbility | None = None
    meters: MeterAbility | None = None
    ports: tuple[int, ...] = ()
    bundles: bool = False
    flows_of_ours: int = 0
    why: dict[str, str] = field(default_factory=dict)
