"""The two replies that are read in bulk: right on what Ryu writes, and nothing but MalformedReply on rubbish."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ryu_vmmob.flows import wire
from ryu_vmmob.flows.wire import MalformedReply, flow_stats_cookies, group_descriptions
from tests.support.sample_flows import FLOWS, GROUPS
from tests.unit.wire_ryu import OFP, PARSER, known_to_ryu, read, ryu_action, ryu_flow_mod, serialised


def flow_entry(name: str) -> bytes:
    """One entry of a flow-stats reply: match and instructions written by Ryu, the fixed part by the standard (7.3.5.2)."""
    flow = FLOWS[name]
    tail = serialised(ryu_flow_mod(flow), 1)[48:]
    fixed = struct.pack("!HBxIIHHHH4xQQQ", 48 + len(tail), flow.table.id, 1, 2, flow.priority, 0, 0, 0, flow.cookie, 3, 4)
    return fixed + tail


def group_entry(name: str) -> bytes:
    """One entry of a group-desc reply, written by Ryu."""
    group = GROUPS[name]
    buckets = [
        PARSER.OFPBucket(
            watch_port=OFP.OFPP_ANY if bucket.watch is None else bucket.watch, watch_group=OFP.OFPG_ANY,
            actions=[ryu_action(action) for action in bucket.actions],
        )
        for bucket in group.buckets
    ]  # fmt: skip
    body = bytearray()
    for bucket in buckets:
        bucket.serialize(body, len(body))
    return (8 + len(body)).to_bytes(2, "big") + bytes((group.type, 0)) + group.id.to_bytes(4, "big") + bytes(body)


KNOWN = [name for name, flow in FLOWS.items() if known_to_ryu(flow)]
FLOW_BODY = b"".join(map(flow_entry, KNOWN))
GROUP_BODY = b"".join(map(group_entry, GROUPS))


def test_the_cookies_of_a_reply_are_those_of_our_flows() -> None:
    header = struct.pack("!BBHIHH4x", 4, 19, 16 + len(FLOW_BODY), 1, wire.MULTIPART_FLOW, 0)
    assert [stats.cookie for stats in read(header + FLOW_BODY).body] == [FLOWS[name].cookie for name in KNOWN]
    assert flow_stats_cookies(FLOW_BODY) == [FLOWS[name].cookie for name in KNOWN]
    assert flow_stats_cookies(b"") == []


def test_the_groups_of_a_reply_compare_with_ours() -> None:
    assert list(group_descriptions(GROUP_BODY)) == [(group.id, group.body) for group in GROUPS.values()]
    assert list(group_descriptions(b"")) == []


@pytest.mark.parametrize("length", [0, 1, 7, 8, 55])
def test_a_flow_entry_too_short_is_malformed(length: int) -> None:
    with pytest.raises(MalformedReply, match=f"entry of {length} bytes at offset 0"):
        flow_stats_cookies(length.to_bytes(2, "big") + bytes(100))


@pytest.mark.parametrize("length", [0, 1, 7])
def test_a_group_entry_too_short_is_malformed(length: int) -> None:
    with pytest.raises(MalformedReply, match=f"description of {length} bytes at offset 0"):
        list(group_descriptions(length.to_bytes(2, "big") + bytes(100)))


def test_an_entry_longer_than_the_reply_is_malformed() -> None:
    for cut in range(1, 50):
        with pytest.raises(MalformedReply):
            flow_stats_cookies(FLOW_BODY[:-cut])
    for cut in range(1, 8):
        with pytest.raises(MalformedReply):
            list(group_descriptions(GROUP_BODY[:-cut]))


@given(st.binary(max_size=300))
@example(b"\0")
@example(b"\0\0")
@example(b"\0\x38" + bytes(54))
def test_rubbish_ends_and_ends_well(body: bytes) -> None:
    with suppress(MalformedReply):
        assert len(flow_stats_cookies(body)) * 56 <= len(body)
    with suppress(MalformedReply):
        assert len(list(group_descriptions(body))) * 8 <= len(body)


@given(st.integers(0, len(FLOW_BODY) - 1), st.integers(0, 255))
def test_one_wrong_byte_is_survived(position: int, value: int) -> None:
    broken = bytearray(FLOW_BODY)
    broken[position] = value
    with suppress(MalformedReply):
        assert len(flow_stats_cookies(bytes(broken))) <= len(broken) // 56


@given(st.integers(0, len(GROUP_BODY) - 1), st.integers(0, 255))
def test_one_wrong_byte_among_groups_is_survived(position: int, value: int) -> None:
    broken = bytearray(GROUP_BODY)
    broken[position] = value
    with suppress(MalformedReply):
        for number, body in group_descriptions(bytes(broken)):
            assert 0 <= number <= 0xFFFFFFFF
            assert len(body) >= 6


def test_malformed_is_a_value_error() -> None:
    assert issubclass(wire.MalformedReply, ValueError)


def test_port_descriptions() -> None:
    """Down by configuration or without a link: both are down (7.2.1)."""
    rows = ((1, 0, 4, True), (2, 1, 4, False), (3, 0, 1, False), (0xFFFFFFFE, 0x24, 0, True))
    body = b"".join(struct.pack("!I28xII24x", number, config, state) for number, config, state, _ in rows)
    assert list(wire.port_states(body)) == [(number, up) for number, _, _, up in rows]
    with pytest.raises(wire.MalformedReply):
        list(wire.port_states(body[:-1]))
