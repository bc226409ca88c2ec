"""Table features as a switch of plain OpenFlow 1.3 may tell them (7.3.5.5.2), with as much left out as one likes."""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import Final

from ryu_vmmob.flows.fields import FIELDS, OPENFLOW_BASIC

_BASIC: Final = {name: row for name, row in FIELDS.items() if row.oxm_class == OPENFLOW_BASIC}
GOTO, WRITE_METADATA, APPLY, METER = 1, 2, 4, 6
OUTPUT, PUSH_VLAN, POP_VLAN, GROUP, DEC_TTL, SET_FIELD = 0, 17, 18, 22, 24, 25
_INSTRUCTIONS: Final = (GOTO, WRITE_METADATA, 3, APPLY, 5)
_ACTIONS: Final = (OUTPUT, PUSH_VLAN, POP_VLAN, GROUP, DEC_TTL, SET_FIELD)
_ALL: Final = (1 << 64) - 1


def table_features(
    count: int,
    *,
    without: Collection[str | int] = (),
    unmasked: Collection[str] = (),
    no_sets: Collection[str] = (),
    no_instructions: Collection[int] = (),
    entries: int = 4000,
    metadata: int = _ALL,
) -> tuple[bytes, ...]:
    """Return an entry for each of ``count`` tables, all alike.

    ``without``: fields that they cannot match, and actions that they cannot do; ``unmasked``: fields that they match whole
    only; ``no_sets``: fields that they cannot set.
    """
    matches = b"".join(row.header(masked=name not in unmasked) for name, row in _BASIC.items() if name not in without)
    sets = b"".join(row.header() for name, row in _BASIC.items() if name not in no_sets)
    actions = b"".join(struct.pack("!HH", kind, 4) for kind in _ACTIONS if kind not in without)
    instructions = b"".join(struct.pack("!HH", kind, 4) for kind in _INSTRUCTIONS if kind not in no_instructions)
    found = []
    for number in range(count):
        behind = bytes(range(number + 1, count))
        rows = ((0, instructions), (2, behind), (4, actions), (6, actions), (8, matches), (10, matches), (12, sets), (14, sets))
        properties = b"".join(_property(kind, value) for kind, value in rows)
        name = f"table{number}".encode().ljust(32, b"\0")
        head = struct.pack("!HB5x32sQQII", 64 + len(properties), number, name, metadata, metadata, 0, entries)
        found.append(head + properties)
    return tuple(found)


def _property(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("!HH", kind, length) + value + bytes(-length % 8)
