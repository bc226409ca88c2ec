"""OpenFlow 1.3 messages as bytes: what we send, and the two replies we read in bulk.

Ryu's object serialiser makes about six thousand flow-mods a second; these functions make well over a hundred thousand
(`make bench`), because a flow carries its wire form already. Numbers are those of OpenFlow 1.3.5, bundles those of ONF
extension 230.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

from ryu_vmmob.flows.flow import CONTROLLER, Action, Flow, Group, encode_actions
from ryu_vmmob.flows.pipeline import COOKIE_FULL_MASK, COOKIE_MARK, COOKIE_MARK_MASK

VERSION: Final = 4
_FLOW_MOD, _GROUP_MOD, _MULTIPART_REQUEST, _BARRIER_REQUEST, _EXPERIMENTER = 14, 15, 18, 20, 4
_FLOW_ADD, _FLOW_DELETE, _FLOW_DELETE_STRICT = 0, 3, 4
_GROUP_ADD, _GROUP_MODIFY, _GROUP_DELETE = 0, 1, 2
_PACKET_OUT, _SET_ASYNC = 13, 28
_GET_CONFIG_REQUEST, _SET_CONFIG = 7, 9
_ROLE_REQUEST: Final = 24
ROLE_REPLY: Final = 25
ROLE_NOCHANGE: Final = 0
ROLE_MASTER: Final = 2
ROLE_SLAVE: Final = 3
NO_GENERATION: Final = 0xFFFFFFFFFFFFFFFF
"""What a switch names while no master has named a generation (7.3.9)."""
ROLE_STATUS: Final = 1911
"""ONF extension 191 for OpenFlow 1.3: a switch tells a controller that its role is another now."""
STALE: Final = (11, 0)
"""OFPET_ROLE_REQUEST_FAILED, OFPRRFC_STALE: the generation is older than the switch's."""
IS_SLAVE: Final = (1, 10)
"""OFPET_BAD_REQUEST, OFPBRC_IS_SLAVE: a slave may change nothing."""
GET_CONFIG_REPLY: Final = 8
FRAGMENTS_NORMAL: Final = 0
"""OFPC_FRAG_NORMAL: fragments run through the tables; Open vSwitch then reads no ports of any of them."""
FRAGMENTS_DROP: Final = 1
FRAGMENTS_NX_MATCH: Final = 3
"""Open vSwitch's OFPC_FRAG_NX_MATCH: a first fragment has its ports, and ``ip_frag`` can be matched."""
_METER_MOD, _METER_ADD, _METER_MODIFY = 29, 0, 1
_CHANGES: Final = frozenset({_EXPERIMENTER, _SET_CONFIG, _PACKET_OUT, _FLOW_MOD, _GROUP_MOD, _SET_ASYNC, _METER_MOD})
"""Experimenter messages of ours are bundles."""
_METER_PACKETS, _METER_BURST, _METER_DROP = 2, 4, 1
ONF_EXPERIMENTER: Final = 0x4F4E4600
BUNDLE_CONTROL: Final = 2300
_BUNDLE_ADD: Final = 2301
BUNDLE_OPEN_REQUEST: Final = 0
BUNDLE_OPEN_REPLY: Final = 1
BUNDLE_COMMIT_REQUEST: Final = 4
BUNDLE_COMMIT_REPLY: Final = 5
BUNDLE_DISCARD_REQUEST: Final = 6
_BUNDLE_ATOMIC_ORDERED: Final = 3
MULTIPART_FLOW: Final = 1
MULTIPART_PORT_STATS: Final = 4
MULTIPART_GROUP_DESC: Final = 7
MULTIPART_METER_CONFIG: Final = 10
MULTIPART_PORT_DESC: Final = 13
_PORT: Final = struct.Struct("!I28xII24x")
_PORT_STATS: Final = struct.Struct("!I4x8Q32x8x")
_PORT_DOWN, _LINK_DOWN = 1, 1
_ANY: Final = 0xFFFFFFFF
_NO_BUFFER: Final = 0xFFFFFFFF

_HEADER = struct.Struct("!BBHI")
_BUNDLE_HEAD = struct.Struct("!BBH4sIII2xH")
_FLOW_FIXED = struct.Struct("!BBHIQQBBHHHIIIH2x")
_EMPTY_MATCH: Final = b"\x00\x01\x00\x04\x00\x00\x00\x00"


class MalformedReply(ValueError):
    """A switch sent a reply whose lengths contradict each other."""


def flow_add(flow: Flow, xid: int) -> bytes:
    """OFPFC_ADD: replaces a flow of the same table, match and priority, cookie included (never MODIFY, which keeps it)."""
    body = flow.body
    return (
        _FLOW_FIXED.pack(
            VERSION, _FLOW_MOD, 48 + len(body), xid, flow.cookie, 0, flow.table.id, _FLOW_ADD, 0, 0, flow.priority,
            _NO_BUFFER, _ANY, _ANY, 0,
        )
        + body
    )  # fmt: skip


def flow_delete(cookie: int, xid: int, mask: int = COOKIE_FULL_MASK, table: int = 0xFF) -> bytes:
    """OFPFC_DELETE of every flow whose cookie matches; ``table`` 0xff means all tables."""
    return (
        _FLOW_FIXED.pack(
            VERSION, _FLOW_MOD, 48 + len(_EMPTY_MATCH), xid, cookie, mask, table, _FLOW_DELETE, 0, 0, 0,
            _NO_BUFFER, _ANY, _ANY, 0,
        )
        + _EMPTY_MATCH
    )  # fmt: skip


def flow_delete_strict(table: int, priority: int, match: bytes, cookie: int, xid: int, mask: int = COOKIE_FULL_MASK) -> bytes:
    """OFPFC_DELETE_STRICT of the one flow with this place, if its cookie matches; ``match`` is a padded struct ofp_match."""
    return (
        _FLOW_FIXED.pack(
            VERSION, _FLOW_MOD, 48 + len(match), xid, cookie, mask, table, _FLOW_DELETE_STRICT, 0, 0, priority,
            _NO_BUFFER, _ANY, _ANY, 0,
        )
        + match
    )  # fmt: skip


def _group_mod(command: int, body: bytes, xid: int) -> bytes:
    return _HEADER.pack(VERSION, _GROUP_MOD, 10 + len(body), xid) + command.to_bytes(2, "big") + body


def group_add(group: Group, xid: int) -> bytes:
    """OFPGC_ADD."""
    return _group_mod(_GROUP_ADD, group.body, xid)


def group_modify(group: Group, xid: int) -> bytes:
    """OFPGC_MODIFY: other content under the same id; flows that point to the group stay."""
    return _group_mod(_GROUP_MODIFY, group.body, xid)


def group_delete(number: int, xid: int) -> bytes:
    """Flows that still point to the group go with it (6.7), so these come last."""
    return _group_mod(_GROUP_DELETE, bytes(2) + number.to_bytes(4, "big"), xid)


def meter_set(meter: int, rate: int, xids: tuple[int, int]) -> bytes:
    """Return a meter that drops what exceeds ``rate`` packets a second, made or changed (7.3.4.4): two messages, of which a
    switch refuses the first if it has the meter.
    """
    body = meter_body(meter, rate)
    return b"".join(
        _HEADER.pack(VERSION, _METER_MOD, 10 + len(body), xid) + command.to_bytes(2, "big") + body
        for command, xid in zip((_METER_ADD, _METER_MODIFY), xids, strict=True)
    )


def meter_body(meter: int, rate: int) -> bytes:
    """Return a meter from its flags on, as a meter-mod and a meter description have it."""
    return struct.pack("!HIHHII4x", _METER_PACKETS | _METER_BURST, meter, _METER_DROP, 16, rate, rate)


MAX_PACKET_OUT: Final = 0xFFFF
"""Bytes that the length field of a message can say."""


def packet_out(actions: Iterable[Action], frame: bytes, xid: int) -> bytes:
    """OFPT_PACKET_OUT of a whole frame that came from no port (7.3.7). ValueError when it does not fit in a message."""
    body = encode_actions(tuple(actions))
    length = 24 + len(body) + len(frame)
    if length > MAX_PACKET_OUT:
        raise ValueError(f"a packet-out of {length} bytes is too long")
    head = _HEADER.pack(VERSION, _PACKET_OUT, length, xid) + struct.pack("!IIH6x", _NO_BUFFER, CONTROLLER, len(body))
    return head + body + frame


def set_async(xid: int) -> bytes:
    """OFPT_SET_ASYNC (7.3.10): all that a switch tells without being asked, packets whose TTL is used up included.

    A switch does not tell of those unless it is told to (OFPR_INVALID_TTL). For us as a slave there are port changes only.
    """
    packets, ports, flows = (7, 0), (7, 7), (15, 0)
    return _HEADER.pack(VERSION, _SET_ASYNC, 32, xid) + struct.pack("!6I", *packets, *ports, *flows)


def role_request(role: int, generation: int, xid: int) -> bytes:
    """OFPT_ROLE_REQUEST (7.3.9). ``role``: ROLE_*; ``generation``: 64 bits, of no account with ROLE_NOCHANGE."""
    return _HEADER.pack(VERSION, _ROLE_REQUEST, 24, xid) + struct.pack("!I4xQ", role, generation)


def changes(message: bytes) -> bool:
    """Whether a message of ours changes a switch, or has it send a packet: what no slave may do (6.3.6)."""
    return message[1] in _CHANGES


def get_config_request(xid: int) -> bytes:
    """OFPT_GET_CONFIG_REQUEST (7.3.2): what becomes of fragments, and how much of a packet the controller gets."""
    return _HEADER.pack(VERSION, _GET_CONFIG_REQUEST, 8, xid)


def set_config(flags: int, miss_send_len: int, xid: int) -> bytes:
    """OFPT_SET_CONFIG (7.3.2). ``flags``: one of FRAGMENTS_*; ``miss_send_len``: bytes, 0 to 65535. There is no reply."""
    return _HEADER.pack(VERSION, _SET_CONFIG, 12, xid) + struct.pack("!HH", flags, miss_send_len)


def barrier(xid: int) -> bytes:
    """OFPT_BARRIER_REQUEST: the answer says that everything before it is done."""
    return _HEADER.pack(VERSION, _BARRIER_REQUEST, 8, xid)


def bundle_control(bundle: int, kind: int, xid: int) -> bytes:
    """Open, commit or discard a bundle (ONF EXT-230), atomic and ordered."""
    return _HEADER.pack(VERSION, _EXPERIMENTER, 24, xid) + struct.pack(
        "!IIIHH", ONF_EXPERIMENTER, BUNDLE_CONTROL, bundle, kind, _BUNDLE_ATOMIC_ORDERED
    )


def bundle_add(bundle: int, message: bytes) -> bytes:
    """Wrap one message; outer and inner carry the same xid, so that an error names the message."""
    # The inner message is followed by nothing but padding to 8 bytes when properties follow; we send none.
    head = _BUNDLE_HEAD.pack(
        VERSION, _EXPERIMENTER, 24 + len(message), message[4:8], ONF_EXPERIMENTER, _BUNDLE_ADD, bundle, _BUNDLE_ATOMIC_ORDERED
    )
    return head + message


def flow_stats_request(
    xid: int, table: int = 0xFF, mask: int = COOKIE_MARK_MASK, match: bytes = _EMPTY_MATCH, cookie: int = COOKIE_MARK
) -> bytes:
    """Every flow that bears our mark, in one table or in all (0xff); with ``mask`` 0 every flow. ``match``, a padded struct
    ofp_match: those that are as narrow, or narrower. ``cookie``: what those bits of a flow's cookie are that ``mask`` has.
    """
    body = struct.pack("!HH4xB3xII4xQQ", MULTIPART_FLOW, 0, table, _ANY, _ANY, cookie & mask, mask) + match
    return _HEADER.pack(VERSION, _MULTIPART_REQUEST, 8 + len(body), xid) + body


def multipart_request(xid: int, kind: int) -> bytes:
    """Return a question without a body of its own: ``kind`` is an OFPMP_* (7.3.5)."""
    return _HEADER.pack(VERSION, _MULTIPART_REQUEST, 16, xid) + struct.pack("!HH4x", kind, 0)


def port_desc_request(xid: int) -> bytes:
    """Every port with its state."""
    return _HEADER.pack(VERSION, _MULTIPART_REQUEST, 16, xid) + struct.pack("!HH4x", MULTIPART_PORT_DESC, 0)


def port_states(body: bytes) -> Iterator[tuple[int, bool]]:
    """(port number, whether it is up) of every entry of a port-description reply (7.3.5.7). Raises MalformedReply."""
    if len(body) % _PORT.size:
        raise MalformedReply(f"port descriptions of {len(body)} bytes, which is no multiple of {_PORT.size}")
    for number, config, state in _PORT.iter_unpack(body):
        yield number, not (config & _PORT_DOWN or state & _LINK_DOWN)


def port_stats_request(xid: int) -> bytes:
    """Ask what every port has counted (7.3.5.6)."""
    return _HEADER.pack(VERSION, _MULTIPART_REQUEST, 24, xid) + struct.pack("!HH4xI4x", MULTIPART_PORT_STATS, 0, _ANY)


def port_stats(body: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(port number, what it has counted) of every entry of a port-statistics reply: packets, bytes, dropped and errors, each
    received and sent. Raises MalformedReply.
    """
    if len(body) % _PORT_STATS.size:
        raise MalformedReply(f"port statistics of {len(body)} bytes, which is no multiple of {_PORT_STATS.size}")
    for number, *counts in _PORT_STATS.iter_unpack(body):
        yield number, tuple(counts)


def group_desc_request(xid: int) -> bytes:
    """Every group with its buckets."""
    return _HEADER.pack(VERSION, _MULTIPART_REQUEST, 16, xid) + struct.pack("!HH4x", MULTIPART_GROUP_DESC, 0)


def meter_config_request(xid: int) -> bytes:
    """Every meter with its bands."""
    body = struct.pack("!HH4xI4x", MULTIPART_METER_CONFIG, 0, _ANY)
    return _HEADER.pack(VERSION, _MULTIPART_REQUEST, 8 + len(body), xid) + body


def meter_descriptions(body: bytes) -> Iterator[tuple[int, bytes]]:
    """(meter id, content) of every entry of a meter-config reply; the content compares with `meter_body`.

    Raises MalformedReply on a length that is impossible.
    """
    offset, end = 0, len(body)
    while offset < end:
        length = int.from_bytes(body[offset : offset + 2], "big")
        if length < 8 or offset + length > end:
            raise MalformedReply(f"meter description of {length} bytes at offset {offset} of {end}")
        yield int.from_bytes(body[offset + 4 : offset + 8], "big"), bytes(body[offset + 2 : offset + length])
        offset += length


def flow_stats_cookies(body: bytes) -> list[int]:
    """Return the cookie of every entry of a flow-stats reply, read at its fixed offset (7.3.5.2); no match is parsed.

    Raises MalformedReply on a length that is impossible.
    """
    cookies: list[int] = []
    offset, end = 0, len(body)
    append, from_bytes = cookies.append, int.from_bytes
    while offset < end:
        length = from_bytes(body[offset : offset + 2], "big")
        if length < 56 or offset + length > end:
            raise MalformedReply(f"flow stats entry of {length} bytes at offset {offset} of {end}")
        append(from_bytes(body[offset + 24 : offset + 32], "big"))
        offset += length
    return cookies


def flow_stats_counts(body: bytes) -> dict[int, int]:
    """Cookie and packet count of every entry of a flow-stats reply, as `flow_stats_cookies`; for small tables."""
    counts: dict[int, int] = {}
    offset = 0
    for cookie in flow_stats_cookies(body):
        counts[cookie] = int.from_bytes(body[offset + 32 : offset + 40], "big")
        offset += int.from_bytes(body[offset : offset + 2], "big")
    return counts


def group_descriptions(body: bytes) -> Iterator[tuple[int, bytes]]:
    """(group id, content) of every entry of a group-desc reply; the content compares with `Group.body`.

    Raises MalformedReply on a length that is impossible.
    """
    offset, end = 0, len(body)
    while offset < end:
        length = int.from_bytes(body[offset : offset + 2], "big")
        if length < 8 or offset + length > end:
            raise MalformedReply(f"group description of {length} bytes at offset {offset} of {end}")
        yield int.from_bytes(body[offset + 4 : offset + 8], "big"), bytes(body[offset + 2 : offset + length])
        offset += length
