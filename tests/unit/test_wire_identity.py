"""A flow's cookie is its identity: equal means equal bytes, different means a different cookie, on any flow whatever."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_vmmob.flows import decode, wire
from ryu_vmmob.flows.fields import FIELDS
from ryu_vmmob.flows.flow import (
    CONTROLLER,
    IN_PORT,
    Action,
    Bucket,
    Copy,
    DecTtl,
    Flow,
    GivePriority,
    Group,
    GroupType,
    KeepPriority,
    Match,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    ToGroup,
    encode_actions,
    match,
)
from ryu_vmmob.flows.pipeline import COOKIE_MARK, TABLES
from tests.unit.wire_ryu import OFP, PARSER, assert_same_flow, match_of, read

MASKABLE = {
    "metadata", "eth_dst", "eth_src", "vlan_vid", "ipv4_src", "ipv4_dst", "ipv6_src", "ipv6_dst", "nd_reserved", "arp_spa",
    "ipv6_nd_target", "tcp_src", "tcp_dst", "udp_src", "udp_dst", "tcp_flags",
}  # fmt: skip
MOVES = [
    (a, b) for a, one in FIELDS.items() for b, other in FIELDS.items()
    if one.nxm and other.nxm and one.size == other.size and a != b
]  # fmt: skip


def values(name: str) -> st.SearchStrategy[int]:
    # Ryu takes the tag-present bit of vlan_vid for granted in set fields, so it is always there.
    return st.integers(0, (1 << 8 * FIELDS[name].size) - 1).map(lambda v: 0x1000 | v & 0xFFF if name == "vlan_vid" else v)


@st.composite
def matches(draw: st.DrawFn) -> Match:
    fields: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(sorted(FIELDS)), unique=True, max_size=8)):
        value = draw(values(name))
        if name in MASKABLE and draw(st.booleans()):
            mask = draw(values(name)) | 1
            fields[name] = (value & mask, mask)
        else:
            fields[name] = value
    return match(**fields)


ports = st.one_of(st.integers(1, 0xFFFFFEFF), st.just(IN_PORT))
settable = sorted(set(FIELDS) - {"in_port"})
actions = st.lists(
    st.one_of(
        ports.map(Output),
        st.integers(0, 0xFFFF).map(lambda length: Output(CONTROLLER, length)),
        st.integers(0, 0xFFFFFF00).map(ToGroup),
        st.just(PushVlan()),
        st.just(PopVlan()),
        st.just(DecTtl()),
        st.just(KeepPriority()),
        st.just(GivePriority()),
        st.sampled_from(MOVES).map(lambda pair: Move(*pair)),
        st.sampled_from(settable).flatmap(lambda name: values(name).map(lambda value: SetField(name, value))),
    ),
    max_size=6,
).map(tuple)
words = st.integers(0, (1 << 64) - 1)
meters = st.one_of(st.none(), st.integers(1, 0xFFFF0000))
flows = st.builds(
    Flow.undeclared,
    st.sampled_from(TABLES),
    st.integers(0, 0xFFFF),
    matches(),
    actions,
    st.one_of(st.none(), st.sampled_from(TABLES)),
    st.one_of(st.none(), st.tuples(words, words)),
    meters,
)


@given(flows, st.integers(0, 0xFFFFFFFF))
def test_whatever_flow_it_is_ryu_reads_the_same(flow: Flow, xid: int) -> None:
    message = wire.flow_add(flow, xid)
    assert len(message) % 8 == 0
    parsed = read(message)
    assert parsed.xid == xid
    assert_same_flow(flow, parsed, flow.cookie)


lengths, meter_ids = st.integers(1, 0xFFFE), st.integers(1, 0xFFFF0000)
copying = st.builds(Copy, lengths, meter_ids)
copiers = st.builds(
    lambda flow, copy, place: Flow.undeclared(
        flow.table, flow.priority, flow.match, (*flow.actions[:place], copy, *flow.actions[place:]), flow.goto, flow.metadata
    ),
    flows, copying, st.integers(0, 6),
)  # fmt: skip
"""Flows with a copy to the controller, which Ryu cannot read: it does not know the property with the meter."""


@given(lengths, meter_ids)
def test_a_copy_is_written_as_open_vswitch_writes_it(length: int, meter: int) -> None:
    """nicira-ext.h: struct nx_action_controller2, then NXAC2PT_MAX_LEN (0) and NXAC2PT_METER_ID (5), 8 bytes each."""
    head = bytes.fromhex("ffff 0020 00002320 0025 000000000000")
    properties = bytes.fromhex("0000 0008") + length.to_bytes(2, "big") + bytes(2) + bytes.fromhex("0005 0008")
    assert encode_actions((Copy(length, meter),)) == head + properties + meter.to_bytes(4, "big")


@given(copiers)
def test_a_flow_that_copies_made_again_is_the_same_flow(flow: Flow) -> None:
    again = Flow.undeclared(flow.table, flow.priority, flow.match, tuple(flow.actions), flow.goto, flow.metadata)
    assert again == flow
    assert again.cookie == flow.cookie
    assert any(isinstance(action, Copy) for action in again.actions)


@given(copying, st.integers(12, 27), st.integers(1, 255))
def test_another_controller_action_is_no_copy_of_ours(copy: Copy, place: int, by: int) -> None:
    """A switch may report what is not ours: a byte of what stands around length and meter is another."""
    wire_form = bytearray(encode_actions((copy,)))
    place += 4
    inside = place in range(20, 22) or place in range(28, 32)
    wire_form[place] ^= by
    if inside:
        assert decode.actions(bytes(wire_form)) != (copy,)
    else:
        with pytest.raises(decode.Unknown):
            decode.actions(bytes(wire_form))


@given(flows, flows)
def test_equality_bytes_and_cookies_say_the_same(a: Flow, b: Flow) -> None:
    same = wire.flow_add(a, 0) == wire.flow_add(b, 0)
    assert (a == b) is same
    assert (a.cookie == b.cookie) is same
    assert (a.key == b.key) is ((a.table, a.priority, a.match) == (b.table, b.priority, b.match))
    assert a.cookie >> 56 == COOKIE_MARK >> 56


@given(flows)
def test_a_flow_made_again_is_the_same_flow(flow: Flow) -> None:
    rows = {name: value if mask is None else (value, mask) for name, value, mask in reversed(flow.match)}
    again = Flow.undeclared(flow.table, flow.priority, match(**rows), tuple(flow.actions), flow.goto, flow.metadata, flow.meter)
    assert again == flow
    assert again.cookie == flow.cookie
    assert hash(again) == hash(flow)
    assert str(again) == str(flow)


@given(flows, st.data())
def test_any_change_changes_the_cookie(flow: Flow, data: st.DataObject) -> None:
    what = data.draw(st.sampled_from(["table", "priority", "actions", "goto", "metadata", "meter"]))
    parts: dict[str, Any] = {
        "table": flow.table, "priority": flow.priority, "match": flow.match,
        "actions": flow.actions, "goto": flow.goto, "metadata": flow.metadata, "meter": flow.meter,
    }  # fmt: skip
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "table": st.sampled_from(TABLES), "priority": st.integers(0, 0xFFFF), "actions": actions,
        "goto": st.one_of(st.none(), st.sampled_from(TABLES)), "metadata": st.one_of(st.none(), st.tuples(words, words)),
        "meter": meters,
    }  # fmt: skip
    parts[what] = data.draw(kinds[what].filter(lambda value: value != parts[what]))
    assert Flow.undeclared(**parts).cookie != flow.cookie


@given(st.integers(0, 0xFFFFFF00), st.sampled_from(GroupType), st.lists(st.tuples(actions, st.none() | ports), max_size=5))
def test_a_group_described_by_a_switch_compares_with_ours(number: int, kind: GroupType, rows: list[Any]) -> None:
    group = Group(number, kind, tuple(Bucket(acts, watch) for acts, watch in rows))
    entry = (len(group.body) + 2).to_bytes(2, "big") + group.body
    assert list(wire.group_descriptions(entry * 2)) == [(number, group.body)] * 2
    stats = PARSER.OFPGroupDescStats.parser(entry, 0)
    assert (stats.group_id, stats.type, len(stats.buckets)) == (number, kind, len(rows))
    for bucket, (_, watch) in zip(stats.buckets, rows, strict=True):
        assert bucket.watch_port == (OFP.OFPP_ANY if watch is None else watch)


@given(matches())
def test_the_order_of_a_match_is_that_of_the_fields(rows: Match) -> None:
    places = [FIELDS[name].place for name, _, _ in rows]
    assert places == sorted(places)
    flow = Flow.undeclared(TABLES[0], 1, rows)
    assert match_of(read(wire.flow_add(flow, 1)).match) == {name: (value, mask) for name, value, mask in rows}


def test_actions_are_all_tried() -> None:
    assert {kind.__name__ for kind in get_args(Action)} == {
        "Output", "Copy", "ToGroup", "SetField", "Move", "PushVlan", "PopVlan", "KeepPriority", "GivePriority",
        "DecTtl",
    }  # fmt: skip
