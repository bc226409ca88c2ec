"""Length checks of OpenFlow messages before any parser sees them; pure Python.

Ryu's parsers step through lists by the length that each element states, and do not ask whether that length is possible. An
element that states 0 is stepped over by nothing, for ever. Here every list that such a parser would walk is walked first,
the same way, with each length checked against the least its structure can have and against what is left.

Structures are those of the OpenFlow switch specification 1.3.5: 7.1 (header), 7.5.1 (hello), 7.2.3 (match), 7.2.4
(instructions), 7.2.5 (actions), 7.3.5 (multipart messages), 7.3.6 (queues).
"""

from __future__ import annotations

from struct import Struct

OFP_1_3 = 4
HEADER = 8
HELLO = 0
EXPERIMENTER = 4
MULTIPART_REPLY = 19
QUEUE_GET_CONFIG_REPLY = 23
MULTIPART_HEADER = 16

MP_DESC = 0
MP_FLOW = 1
MP_PORT_STATS = 4
MP_GROUP = 6
MP_GROUP_DESC = 7
MP_GROUP_FEATURES = 8
MP_METER = 9
MP_METER_CONFIG = 10
MP_TABLE_FEATURES = 12
MP_PORT_DESC = 13
RAW_FOR_ALL = (MP_FLOW, MP_GROUP_DESC, MP_METER_CONFIG)
"""Replies that come unparsed where no application says which it wants so."""
READ_RAW = (*RAW_FOR_ALL, MP_PORT_STATS, MP_PORT_DESC, MP_DESC, MP_GROUP_FEATURES, MP_TABLE_FEATURES)
"""Replies that an application may want unparsed."""

# Replies that are one structure, or an array of structures of one size (7.3.5): type to (name, size).
_FIXED = {
    0: ("description", 1056),
    2: ("aggregate", 24),
    3: ("table statistics", 24),
    4: ("port statistics", 112),
    5: ("queue statistics", 40),
    8: ("group features", 40),
    11: ("meter features", 16),
    13: ("port description", 64),
}

_U16 = Struct("!H")
_TYPE_LENGTH = Struct("!HH")
_TWO_U32 = Struct("!II")
_BUNDLE_CONTROL = (0x4F4E4600, 2300)

# Least length of an instruction by type (7.2.4); others: their header and padding.
_INSTRUCTION_MINIMUM = {1: 8, 2: 24, 3: 8, 4: 8, 5: 8, 6: 8}


class MalformedMessageError(ValueError):
    """A message whose lengths are impossible; the text names the structure, its place and the rule."""


def check(version: int, msg_type: int, buf: bytes | bytearray, *, raw: bool = False) -> None:
    """Check the lengths in one message.

    ``buf`` holds exactly the message. With ``raw``, the entries of flow and group descriptions are checked as a list only, not
    inside, for a reader that will not parse them. Messages without lists pass. Raises MalformedMessageError.
    """
    if msg_type == HELLO:
        if version >= OFP_1_3:
            _hello(buf)
    elif version != OFP_1_3:
        return
    elif msg_type == MULTIPART_REPLY:
        _multipart(buf, raw=raw)
    elif msg_type == QUEUE_GET_CONFIG_REPLY:
        _queues(buf)
    elif msg_type == EXPERIMENTER:
        _bundle(buf)


def _refuse(what: str, offset: int, rule: str) -> MalformedMessageError:
    return MalformedMessageError(f"{what} at byte {offset}: {rule}")


def _length_at(buf: bytes | bytearray, offset: int, end: int, what: str, minimum: int, field: int = 0) -> int:
    """Read the 16-bit length of the structure at ``offset``; ``field`` is the length's place inside it."""
    if offset + max(minimum, field + 2) > end:
        raise _refuse(what, offset, f"{end - offset} bytes left, {minimum} needed")
    length: int = _U16.unpack_from(buf, offset + field)[0]
    if length < minimum:
        raise _refuse(what, offset, f"length {length} is below {minimum}")
    if offset + length > end:
        raise _refuse(what, offset, f"length {length} is more than the {end - offset} bytes left")
    return length


def _hello(buf: bytes | bytearray) -> None:
    offset, end = HEADER, len(buf)
    while offset < end:
        # Ryu steps by the length alone, without the padding of the specification, so this walk does the same: what matters
        # is that Ryu's ends.
        offset += _length_at(buf, offset, end, "hello element", 4, 2)


def _multipart(buf: bytes | bytearray, *, raw: bool) -> None:
    end = len(buf)
    if end < MULTIPART_HEADER:
        raise _refuse("multipart reply", 0, f"length {end} is below {MULTIPART_HEADER}")
    kind: int = _U16.unpack_from(buf, HEADER)[0]
    fixed = _FIXED.get(kind)
    if fixed is not None:
        name, size = fixed
        if (end - MULTIPART_HEADER) % size:
            raise _refuse(name, MULTIPART_HEADER, f"{end - MULTIPART_HEADER} bytes are no multiple of {size}")
        return
    walk = _ENTRIES.get(kind)
    if walk is None:
        return
    name, minimum, field, inside = walk
    offset = MULTIPART_HEADER
    while offset < end:
        length = _length_at(buf, offset, end, name, minimum, field)
        if length % 8:
            raise _refuse(name, offset, f"length {length} is no multiple of 8")
        if not raw:
            inside(buf, offset, offset + length)
        offset += length


def _flow(buf: bytes | bytearray, offset: int, end: int) -> None:
    offset += 48
    length = _length_at(buf, offset, end, "match", 4, 2)
    _oxm_fields(buf, offset + 4, offset + length)
    offset += (length + 7) // 8 * 8
    if offset > end:
        raise _refuse("match", offset, "its padding runs over the entry")
    while offset < end:
        kind: int = _U16.unpack_from(buf, offset)[0]
        minimum = _INSTRUCTION_MINIMUM.get(kind, 8)
        length = _length_at(buf, offset, end, "instruction", minimum, 2)
        if length % 8:
            raise _refuse("instruction", offset, f"length {length} is no multiple of 8")
        if kind in {3, 4}:
            _actions(buf, offset + 8, offset + length)
        offset += length


def _oxm_fields(buf: bytes | bytearray, offset: int, end: int) -> None:
    while offset < end:
        if offset + 4 > end:
            raise _refuse("match field", offset, f"{end - offset} bytes left, 4 needed")
        length = buf[offset + 3]
        if offset + 4 + length > end:
            raise _refuse("match field", offset, f"length {length} is more than the {end - offset - 4} bytes left")
        offset += 4 + length


def _actions(buf: bytes | bytearray, offset: int, end: int) -> None:
    while offset < end:
        length = _length_at(buf, offset, end, "action", 8, 2)
        if length % 8:
            raise _refuse("action", offset, f"length {length} is no multiple of 8")
        offset += length


def _group_desc(buf: bytes | bytearray, offset: int, end: int) -> None:
    offset += 8
    while offset < end:
        length = _length_at(buf, offset, end, "bucket", 16)
        _actions(buf, offset + 16, offset + length)
        offset += length


def _group_stats(_buf: bytes | bytearray, offset: int, end: int) -> None:
    if (end - offset - 40) % 16:
        raise _refuse("bucket counters", offset + 40, f"{end - offset - 40} bytes are no multiple of 16")


def _meter_stats(_buf: bytes | bytearray, offset: int, end: int) -> None:
    if (end - offset - 40) % 16:
        raise _refuse("band statistics", offset + 40, f"{end - offset - 40} bytes are no multiple of 16")


def _meter_config(buf: bytes | bytearray, offset: int, end: int) -> None:
    offset += 8
    while offset < end:
        offset += _length_at(buf, offset, end, "meter band", 12, 2)


def _table_features(buf: bytes | bytearray, offset: int, end: int) -> None:
    offset += 64
    while offset < end:
        kind, length = _TYPE_LENGTH.unpack_from(buf, offset) if offset + 4 <= end else (0, 0)
        length = _length_at(buf, offset, end, "table feature property", 4, 2)
        if kind in _ID_LISTS:
            place, stop = offset + 4, offset + length
            while place < stop:
                place += _length_at(buf, place, stop, "instruction or action id", 4, 2)
        elif kind in _OXM_LISTS and (length - 4) % 4:
            raise _refuse("table feature property", offset, f"{length - 4} bytes of field ids are no multiple of 4")
        offset += (length + 7) // 8 * 8


# Properties that list instructions (0, 1) or actions (4 to 7), and those that list match fields (8 to 15).
_ID_LISTS = frozenset({0, 1, 4, 5, 6, 7})
_OXM_LISTS = frozenset({8, 10, 12, 13, 14, 15})


def _queues(buf: bytes | bytearray) -> None:
    offset, end = 16, len(buf)
    if end < offset:
        raise _refuse("queue configuration", 0, f"length {end} is below 16")
    while offset < end:
        length = _length_at(buf, offset, end, "queue", 16, 8)
        place, stop = offset + 16, offset + length
        while place < stop:
            place += _length_at(buf, place, stop, "queue property", 8, 2)
        offset += length


def _bundle(buf: bytes | bytearray) -> None:
    """Bundle control (ONF extension 230): a list of properties. Other experimenters' messages have no list that Ryu walks."""
    end = len(buf)
    if end < 16:
        raise _refuse("experimenter message", 0, f"length {end} is below 16")
    if _TWO_U32.unpack_from(buf, 8) != _BUNDLE_CONTROL:
        return
    offset = 24
    if end < offset:
        raise _refuse("bundle control", 0, f"length {end} is below 24")
    while offset < end:
        # Ryu steps by the length rounded up to 8; what padding is missing at the end does not matter to it.
        offset += (_length_at(buf, offset, end, "bundle property", 4, 2) + 7) // 8 * 8


# Multipart type to: name, least length of an entry, place of its length, check of its inside.
_ENTRIES = {
    MP_FLOW: ("flow entry", 56, 0, _flow),
    MP_GROUP: ("group statistics", 40, 0, _group_stats),
    MP_GROUP_DESC: ("group description", 8, 0, _group_desc),
    MP_METER: ("meter statistics", 40, 4, _meter_stats),
    MP_METER_CONFIG: ("meter configuration", 8, 0, _meter_config),
    MP_TABLE_FEATURES: ("table features", 64, 0, _table_features),
}
