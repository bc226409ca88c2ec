"""Our bytes are OpenFlow 1.3: Ryu reads them as what was meant, and writes the same bytes itself where it can."""

from __future__ import annotations

import struct

import pytest

from ryu_vmmob.flows import wire
from ryu_vmmob.flows.fields import FIELDS, vid
from ryu_vmmob.flows.flow import (
    Action,
    Flow,
    Move,
    Output,
    PushVlan,
    SetField,
    ToGroup,
    match,
)
from ryu_vmmob.flows.pipeline import COOKIE_MARK, METER_RATES, Meter, Table
from ryu_vmmob.net.protocols import ETH_ARP, ETH_IPV6
from tests.support.sample_flows import FLOWS, GROUPS, MAC, TO_GROUP
from tests.unit.wire_ryu import (
    DESC,
    OFP,
    PARSER,
    assert_same_flow,
    known_to_ryu,
    read,
    ryu_action,
    ryu_flow_mod,
    serialised,
)

XID = 0x01020304


@pytest.mark.parametrize("name", FLOWS)
def test_ryu_reads_the_flow_we_meant(name: str) -> None:
    flow = FLOWS[name]
    message = read(wire.flow_add(flow, XID))
    assert isinstance(message, PARSER.OFPFlowMod)
    assert message.xid == XID
    assert message.command == OFP.OFPFC_ADD
    assert (message.idle_timeout, message.hard_timeout, message.flags) == (0, 0, 0)
    assert (message.buffer_id, message.cookie_mask) == (OFP.OFP_NO_BUFFER, 0)
    assert_same_flow(flow, message, flow.cookie)


@pytest.mark.parametrize("name", [name for name, flow in FLOWS.items() if known_to_ryu(flow)])
def test_ryu_writes_the_same_bytes(name: str) -> None:
    assert wire.flow_add(FLOWS[name], XID) == serialised(ryu_flow_mod(FLOWS[name]), XID)


def test_every_field_is_tried() -> None:
    matched = {name for flow in FLOWS.values() for name, _, _ in flow.match}
    assert set(FIELDS) - matched == {"arp_tha", "ipv6_dst"}
    assert len({flow.cookie for flow in FLOWS.values()}) == len(FLOWS)
    assert all(flow.cookie >> 56 == COOKIE_MARK >> 56 for flow in FLOWS.values())


@pytest.mark.parametrize("name", ["arp_tha", "ipv6_dst"])
def test_the_other_fields(name: str) -> None:
    prerequisite = {"eth_type": ETH_ARP} if name == "arp_tha" else {"eth_type": ETH_IPV6}
    flow = Flow.undeclared(Table.ADMIT, 1, match(**prerequisite, **{name: (MAC, MAC)}))
    assert_same_flow(flow, read(wire.flow_add(flow, XID)), flow.cookie)
    assert wire.flow_add(flow, XID) == serialised(ryu_flow_mod(flow), XID)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("eth_src", "eth_dst"), ("arp_sha", "arp_tha"), ("arp_spa", "arp_tpa"), ("ipv4_src", "ipv4_dst"),
        ("ipv6_src", "ipv6_dst"), ("arp_sha", "eth_dst"),
    ],
)  # fmt: skip
def test_moves_name_their_fields_by_nxm_headers(source: str, target: str) -> None:
    flow = Flow.undeclared(Table.ANSWER, 1, (), (Move(source, target),))
    assert_same_flow(flow, read(wire.flow_add(flow, XID)), flow.cookie)
    assert wire.flow_add(flow, XID) == serialised(ryu_flow_mod(flow), XID)


@pytest.mark.parametrize(("source", "target"), [("arp_op", "arp_op"), ("eth_src", "arp_spa"), ("eth_type", "eth_dst")])
def test_a_move_that_cannot_be_is_refused(source: str, target: str) -> None:
    with pytest.raises(ValueError, match=f"cannot move {source} to {target}"):
        Flow.undeclared(Table.ANSWER, 1, (), (Move(source, target),))


def test_a_value_too_large_for_its_field_is_refused() -> None:
    with pytest.raises(OverflowError):
        Flow.undeclared(Table.ADMIT, 1, match(eth_type=0x10000))
    with pytest.raises(OverflowError):
        Flow.undeclared(Table.ADMIT, 1, (), (SetField("arp_op", -1),))


@pytest.mark.parametrize(
    ("mask", "table"), [(0xFFFFFFFFFFFFFFFF, 0xFF), (0xFF << 56, 0xFF), (0xFFFFFFFFFFFFFFFF, Table.BRIDGE.id)]
)
def test_delete_by_cookie(mask: int, table: int) -> None:
    ours = wire.flow_delete(0x7A01020304050607, XID, mask, table)
    theirs = PARSER.OFPFlowMod(
        DESC, cookie=0x7A01020304050607, cookie_mask=mask, table_id=table, command=OFP.OFPFC_DELETE, priority=0,
        buffer_id=OFP.OFP_NO_BUFFER, out_port=OFP.OFPP_ANY, out_group=OFP.OFPG_ANY, match=PARSER.OFPMatch(),
    )  # fmt: skip
    assert ours == serialised(theirs, XID)


def test_delete_is_by_the_whole_cookie_unless_told_otherwise() -> None:
    message = read(wire.flow_delete(5, XID))
    assert (message.cookie, message.cookie_mask, message.table_id) == (5, 0xFFFFFFFFFFFFFFFF, OFP.OFPTT_ALL)


@pytest.mark.parametrize("name", GROUPS)
def test_groups(name: str) -> None:
    group = GROUPS[name]
    for ours, command in ((wire.group_add, OFP.OFPGC_ADD), (wire.group_modify, OFP.OFPGC_MODIFY)):
        buckets = [
            PARSER.OFPBucket(
                watch_port=OFP.OFPP_ANY if bucket.watch is None else bucket.watch, watch_group=OFP.OFPG_ANY,
                actions=[ryu_action(action) for action in bucket.actions],
            )
            for bucket in group.buckets
        ]  # fmt: skip
        theirs = PARSER.OFPGroupMod(DESC, command, int(group.type), group.id, buckets)
        assert ours(group, XID) == serialised(theirs, XID)


def test_delete_a_group() -> None:
    theirs = PARSER.OFPGroupMod(DESC, OFP.OFPGC_DELETE, OFP.OFPGT_ALL, 77, [])
    assert wire.group_delete(77, XID) == serialised(theirs, XID)


OUT = (PushVlan(), SetField("vlan_vid", vid(110)), Output(1))


@pytest.mark.parametrize("actions", [(Output(1),), OUT, (ToGroup(TO_GROUP),)], ids=["port", "tag", "group"])
@pytest.mark.parametrize("frame", [b"", bytes(61)], ids=["empty", "frame"])
def test_packet_out(actions: tuple[Action, ...], frame: bytes) -> None:
    ours = wire.packet_out(actions, frame, XID)
    theirs = PARSER.OFPPacketOut(
        DESC, buffer_id=OFP.OFP_NO_BUFFER, in_port=OFP.OFPP_CONTROLLER, actions=[ryu_action(row) for row in actions],
        data=frame,
    )  # fmt: skip
    assert ours == serialised(theirs, XID)


def test_a_packet_out_longer_than_a_message_is_refused() -> None:
    longest = 0xFFFF - 24 - 16
    assert len(wire.packet_out((Output(1),), bytes(longest), XID)) == 0xFFFF
    with pytest.raises(ValueError, match="65536 bytes"):
        wire.packet_out((Output(1),), bytes(longest + 1), XID)


def test_asking_for_packets_whose_time_is_over() -> None:
    packets = 1 << OFP.OFPR_NO_MATCH | 1 << OFP.OFPR_ACTION | 1 << OFP.OFPR_INVALID_TTL
    ports = 1 << OFP.OFPPR_ADD | 1 << OFP.OFPPR_DELETE | 1 << OFP.OFPPR_MODIFY
    flows = 1 << OFP.OFPRR_IDLE_TIMEOUT | 1 << OFP.OFPRR_HARD_TIMEOUT | 1 << OFP.OFPRR_DELETE | 1 << OFP.OFPRR_GROUP_DELETE
    theirs = PARSER.OFPSetAsync(DESC, [packets, 0], [ports, ports], [flows, 0])
    assert wire.set_async(XID) == serialised(theirs, XID)


def test_barrier() -> None:
    assert wire.barrier(XID) == serialised(PARSER.OFPBarrierRequest(DESC), XID)


@pytest.mark.parametrize("kind", [wire.BUNDLE_OPEN_REQUEST, wire.BUNDLE_COMMIT_REQUEST, wire.BUNDLE_DISCARD_REQUEST])
def test_bundle_control(kind: int) -> None:
    flags = OFP.ONF_BF_ATOMIC | OFP.ONF_BF_ORDERED
    ours = wire.bundle_control(9, kind, XID)
    assert ours == serialised(PARSER.ONFBundleCtrlMsg(DESC, 9, kind, flags, []), XID)
    message = read(ours)
    assert (message.bundle_id, message.type, message.flags) == (9, kind, flags)


def test_the_bundle_numbers_are_those_of_the_extension() -> None:
    assert (wire.BUNDLE_OPEN_REQUEST, wire.BUNDLE_OPEN_REPLY) == (OFP.ONF_BCT_OPEN_REQUEST, OFP.ONF_BCT_OPEN_REPLY)
    assert (wire.BUNDLE_COMMIT_REQUEST, wire.BUNDLE_COMMIT_REPLY) == (OFP.ONF_BCT_COMMIT_REQUEST, OFP.ONF_BCT_COMMIT_REPLY)
    assert wire.BUNDLE_DISCARD_REQUEST == OFP.ONF_BCT_DISCARD_REQUEST


def test_bundle_add_carries_the_message_and_its_xid() -> None:
    flow = FLOWS["bridge"]
    inner = wire.flow_add(flow, XID)
    ours = wire.bundle_add(9, inner)
    flags = OFP.ONF_BF_ATOMIC | OFP.ONF_BF_ORDERED
    message = read(ours)
    assert (message.xid, message.experimenter, message.exp_type) == (XID, wire.ONF_EXPERIMENTER, 2301)
    bundle, _, found = struct.unpack_from("!IHH", ours, 16)
    assert (bundle, found) == (9, flags)
    assert ours[24:] == inner
    assert_same_flow(flow, read(ours[24:]), flow.cookie)


@pytest.mark.parametrize("meter", Meter)
def test_a_meter_is_made_and_then_changed(meter: Meter) -> None:
    """Whether the switch has it or not, one of the two messages does it."""
    rate = METER_RATES[meter]
    flags = OFP.OFPMF_PKTPS | OFP.OFPMF_BURST
    theirs = [
        PARSER.OFPMeterMod(DESC, command, flags, meter, [PARSER.OFPMeterBandDrop(rate, rate)])
        for command in (OFP.OFPMC_ADD, OFP.OFPMC_MODIFY)
    ]
    assert wire.meter_set(meter, rate, (XID, XID + 1)) == serialised(theirs[0], XID) + serialised(theirs[1], XID + 1)


@pytest.mark.parametrize("name", ["nw_ttl", "tcp_flags"])
def test_the_fields_of_open_vswitch_by_their_own_numbers(name: str) -> None:
    """NXM_NX_IP_TTL and, as OpenFlow 1.3 has it, ONFOXM_ET_TCP_FLAGS (ovs-fields(7))."""
    header = {"nw_ttl": "00013a01", "tcp_flags": "ffff5406 4f4e4600"}[name]
    assert FIELDS[name].header() == bytes.fromhex(header)


def test_requests_for_flows_and_groups() -> None:
    theirs = PARSER.OFPFlowStatsRequest(
        DESC, 0, OFP.OFPTT_ALL, OFP.OFPP_ANY, OFP.OFPG_ANY, COOKIE_MARK, 0xFF << 56, PARSER.OFPMatch()
    )
    assert wire.flow_stats_request(XID) == serialised(theirs, XID)
    assert wire.group_desc_request(XID) == serialised(PARSER.OFPGroupDescStatsRequest(DESC, 0), XID)
