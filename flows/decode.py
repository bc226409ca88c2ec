"""From wire form back to values: matches, instructions and actions that this project's encoder wrote, or a switch reports.

The inverse of `flow.encode_match`, `flow.encode_instructions` and `wire_actions`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from ryu_vmmob.flows.action import (
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
)
from ryu_vmmob.flows.fields import FIELDS
from ryu_vmmob.flows.wire_actions import GIVE_PRIORITY, KEEP_PRIORITY

Match = tuple[tuple[str, int, "int | None"], ...]
"""(field, value, mask or None) in wire order."""

_BY_HEADER: Final = {field.header(masked=masked): (field, masked) for field in FIELDS.values() for masked in (False, True)}
_BY_NXM: Final = {field.nxm: field.name for field in FIELDS.values() if field.nxm}


_COPY: Final = b"\x00\x00\x23\x20\x00\x25" + bytes(6)
_COPY_PROPERTIES: Final = b"\x00\x00\x00\x08" + bytes(2) + b"\x00\x05\x00\x08"
"""NXAST_CONTROLLER2 with a length and a meter, and nothing else: what stands around both."""


class Unknown(ValueError):
    """A field, an action or an instruction that this project never writes, or lengths that contradict each other."""


class Instructions(NamedTuple):
    """The instructions of a flow. ``goto`` and ``meter`` are numbers; ``metadata`` is (value, mask)."""

    actions: tuple[Action, ...] = ()
    metadata: tuple[int, int] | None = None
    goto: int | None = None
    meter: int | None = None


# Who looks at flows one by one (the simulator, a trace, a listing) looks at the same ones again and again.
@lru_cache(maxsize=65536)
def match(wire: bytes) -> Match:
    """Return the fields of a struct ofp_match (7.2.3), in the order in which they stand. Raises Unknown."""
    length = int.from_bytes(wire[2:4], "big")
    if wire[:2] != b"\x00\x01" or not 4 <= length <= len(wire):
        raise Unknown(f"no OXM match of {len(wire)} bytes")
    rows: list[tuple[str, int, int | None]] = []
    at = 4
    while at < length:
        name, value, mask, at = _oxm(wire, at, length)
        rows.append((name, value, mask))
    return tuple(rows)


def _oxm(wire: bytes, at: int, end: int) -> tuple[str, int, int | None, int]:
    """Field, value, mask, and where the next one begins."""
    begin = at + (8 if wire[at : at + 2] == b"\xff\xff" else 4)  # an experimenter's field says whose it is (7.2.3.2)
    found = _BY_HEADER.get(wire[at:begin])
    if found is None:
        raise Unknown(f"field with the OXM header {wire[at : at + 4].hex()}")
    field, masked = found
    middle = begin + field.size
    after = middle + field.size * masked
    if after > end:
        raise Unknown(f"{field.name} is cut off")
    mask = int.from_bytes(wire[middle:after], "big") if masked else None
    return field.name, int.from_bytes(wire[begin:middle], "big"), mask, after


@lru_cache(maxsize=16384)
def instructions(wire: bytes) -> Instructions:
    """Return what the instructions of a flow say (7.2.4). Raises Unknown."""
    found = Instructions()
    at = 0
    while at < len(wire):
        kind, body, at = _tlv(wire, at)
        if kind == 6 and len(body) == 4:
            found = found._replace(meter=int.from_bytes(body, "big"))
        elif kind == 4 and len(body) >= 4:
            found = found._replace(actions=actions(body[4:]))
        elif kind == 2 and len(body) == 20:
            found = found._replace(metadata=(int.from_bytes(body[4:12], "big"), int.from_bytes(body[12:20], "big")))
        elif kind == 1 and len(body) == 4:
            found = found._replace(goto=body[0])
        else:
            raise Unknown(f"instruction of type {kind} with {len(body)} bytes")
    return found


def actions(wire: bytes) -> tuple[Action, ...]:
    """Return an action list (7.2.5). Raises Unknown."""
    found: list[Action] = []
    at = 0
    while at < len(wire):
        kind, body, at = _tlv(wire, at)
        found.append(_action(kind, body))
    return tuple(found)


def _tlv(wire: bytes, at: int) -> tuple[int, bytes, int]:
    """Type, content without the four bytes of the header, and where the next one begins."""
    length = int.from_bytes(wire[at + 2 : at + 4], "big")
    if length < 4 or at + length > len(wire):
        raise Unknown(f"{length} bytes at offset {at} of {len(wire)}")
    return int.from_bytes(wire[at : at + 2], "big"), wire[at + 4 : at + length], at + length


def _action(kind: int, body: bytes) -> Action:
    match kind, len(body):
        case 0, 12:
            return Output(int.from_bytes(body[:4], "big"), int.from_bytes(body[4:6], "big"))
        case 22, 4:
            return ToGroup(int.from_bytes(body, "big"))
        case 17, 4 if body[:2] == b"\x81\x00":
            return PushVlan()
        case 18, 4:
            return PopVlan()
        case 24, 4:
            return DecTtl()
        case 25, _:
            name, value, mask, _ = _oxm(body, 0, len(body))
            if mask is None:
                return SetField(name, value)
        case 0xFFFF, 20 if body[:6] == b"\x00\x00\x23\x20\x00\x06":
            if body == KEEP_PRIORITY[4:]:
                return KeepPriority()
            if body == GIVE_PRIORITY[4:]:
                return GivePriority()
            source, target = (_BY_NXM.get(int.from_bytes(body[at : at + 4], "big")) for at in (12, 16))
            if source is not None and target is not None and body[6:12] == _whole(source):
                return Move(source, target)
        case 0xFFFF, 28 if body[:12] == _COPY and body[12:16] + body[18:20] + body[20:24] == _COPY_PROPERTIES:
            return Copy(int.from_bytes(body[16:18], "big"), int.from_bytes(body[24:28], "big"))
    raise Unknown(f"action of type {kind}: {body.hex()}")


def _whole(name: str) -> bytes:
    """Return the number of bits and both offsets of a move of a whole field."""
    return (FIELDS[name].size * 8).to_bytes(2, "big") + bytes(4)
