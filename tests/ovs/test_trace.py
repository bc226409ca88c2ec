"""The simulator does what the switch does, packet by packet."""

from __future__ import annotations

import pytest

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.flows.fields import vid
from ryu_vmmob.flows.flow import (
    CONTROLLER,
    IN_PORT,
    Bucket,
    Copy,
    DecTtl,
    Flow,
    Group,
    GroupType,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    ToGroup,
    match,
)
from ryu_vmmob.flows.pipeline import HAIRPIN, SEGMENT, Meter, Table
from ryu_vmmob.net.protocols import ETH_IPV6
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim.switch import Tables
from tests.ovs.trace import all_bridges, assert_agrees, everything_sent, trace
from tests.support.bridges import Bridge, MakeBridge
from tests.support.handmade_tables import FABRIC, SEATS, W2, arp_answer, build, entries, seat, view

A, B = 0x020000000001, 0x020000000002
IP_A, IP_B = 0x0A010001, 0x0A010002
ND_A, ND_B = (0x20010DB8 << 96) + 1, (0x20010DB8 << 96) + 2


def tried(bridge: Bridge, flows: list[Flow], groups: list[Group] | None = None) -> Tables:
    with bridge.client() as switch:
        assert switch.install(flows, groups or []) == []
    return Tables(flows, groups or [])


def test_the_whole_laboratory(ovs: PrivateOvs) -> None:
    """Every packet of the invariants' checks, at every switch it comes to, in a state with a migration prepared."""
    seats = (*SEATS, seat("w3", "web", 3, "a3"))
    made = entries(seats)
    made["tor-a"].append(arp_answer(W2, (PushVlan(), SetField("vlan_vid", vid(110)), Output(IN_PORT))))
    state = view(made, seats)
    bridges = all_bridges(ovs, FABRIC)
    try:
        for name, rows in made.items():
            with bridges[name].client() as switch:
                flows = {row.key: row for row in rows if isinstance(row, Flow)}
                groups = {row.id: row for row in rows if isinstance(row, Group)}
                assert switch.install(flows.values(), groups.values()) == []
        visits = {
            (visit.switch, visit.in_port, visit.packet)
            for packet, port in everything_sent(state)
            for visit in state.network.inject(packet, port).visits
        }
        assert len(visits) > 300
        tables = build(made)
        for name, in_port, packet in sorted(visits, key=str):
            assert_agrees(bridges[name], tables[name], packet, in_port)
    finally:
        for bridge in bridges.values():
            bridge.remove()


def test_tags_pushed_set_and_popped_in_one_list(bridge: MakeBridge) -> None:
    actions = (
        Output(2), PushVlan(), SetField("vlan_vid", vid(7)), Output(3), SetField("vlan_vid", vid(8)), Output(4),
        PopVlan(), Output(IN_PORT), Output(1),
    )  # fmt: skip
    made = bridge("tags", 1, 2, 3, 4)
    tables = tried(made, [Flow.undeclared(Table.INGRESS, 1, (), actions)])
    frame = make.udp(B, A, IP_B, IP_A)
    assert_agrees(made, tables, frame, 1)
    assert_agrees(made, tables, frame.with_vlans(5), 1)
    assert len(trace(made, frame, 1).outputs) == 4


def test_one_tag_is_seen_and_what_lies_below_is_not(bridge: MakeBridge) -> None:
    flows = [
        Flow.undeclared(Table.INGRESS, 3, match(vlan_vid=vid(7), eth_type=0x0800, ipv4_src=IP_A), (PopVlan(), Output(2))),
        Flow.undeclared(Table.INGRESS, 2, match(vlan_vid=vid(7)), (PopVlan(), Output(3)), Table.ADMIT),
        Flow.undeclared(Table.ADMIT, 2, match(eth_type=0x8100), (Output(4),)),
        Flow.undeclared(Table.ADMIT, 1, match(eth_type=0x0800), (Output(2),)),
        Flow.undeclared(Table.INGRESS, 1, match(vlan_vid=0), (PushVlan(), Output(4))),
    ]
    made = bridge("qinq", 1, 2, 3, 4)
    tables = tried(made, flows)
    frame = make.udp(B, A, IP_B, IP_A)
    for tags in ((), (7,), (8,), (7, 9), (9, 7)):
        assert_agrees(made, tables, frame.with_vlans(*tags), 1)
    assert trace(made, frame.with_vlans(7), 1).outputs == [(2, frame)]
    assert trace(made, frame.with_vlans(7, 9), 1).outputs == [(3, frame.with_vlans(9)), (4, frame.with_vlans(9))]


def test_groups_copies_and_the_ingress_port(bridge: MakeBridge) -> None:
    push = (PushVlan(), SetField("vlan_vid", vid(7)))
    groups = [
        Group(
            1, GroupType.ALL,
            (Bucket((*push, Output(2))), Bucket((Output(1),)), Bucket((ToGroup(2),)), Bucket((Output(IN_PORT),))),
        ),
        Group(2, GroupType.INDIRECT, (Bucket((SetField("eth_src", B), Output(3))),)),
    ]  # fmt: skip
    made = bridge("groups", 1, 2, 3, 4)
    tables = tried(made, [Flow.undeclared(Table.INGRESS, 1, (), (ToGroup(1), Output(4)))], groups)
    frame = make.udp(B, A, IP_B, IP_A)
    for in_port in (1, 2, 3, 4):
        assert_agrees(made, tables, frame, in_port)


def test_fast_failover_by_the_liveness_of_ports(bridge: MakeBridge) -> None:
    group = Group(1, GroupType.FAST_FAILOVER, (Bucket((Output(2),), 2), Bucket((Output(3),), 3)))
    made = bridge("ff", 1, 2, 3)
    tables = tried(made, [Flow.undeclared(Table.INGRESS, 1, (), (ToGroup(1),))], [group])
    frame = make.udp(B, A, IP_B, IP_A)
    assert_agrees(made, tables, frame, 1)
    made.set_link(2, up=False)
    assert_agrees(made, tables, frame, 1, frozenset({2}))
    assert trace(made, frame, 1).outputs == [(3, frame)]
    made.set_link(3, up=False)
    assert_agrees(made, tables, frame, 1, frozenset({2, 3}))
    assert trace(made, frame, 1).outputs == []
    made.set_link(2, up=True)
    assert_agrees(made, tables, frame, 1, frozenset({3}))


def test_a_copy_through_a_meter_and_the_frame_goes_on(bridge: MakeBridge) -> None:
    flows = [
        Flow.undeclared(Table.INGRESS, 1, match(eth_src=A), (Copy(128, Meter.AWAITED),), Table.ADMIT),
        Flow.undeclared(Table.ADMIT, 1, (), (Output(2),)),
    ]
    made = bridge("copied", 1, 2)
    tables = tried(made, flows)
    asked = make.arp_request(A, IP_A, IP_B)
    assert_agrees(made, tables, asked, 1)
    assert trace(made, asked, 1).controller == [(flows[0].cookie, asked)]
    assert trace(made, asked, 1).outputs == [(2, asked)]
    assert_agrees(made, tables, make.rarp(B), 1)


def test_arp_answered_with_a_copy_to_the_controller(bridge: MakeBridge) -> None:
    turn = (
        Move("eth_src", "eth_dst"), SetField("eth_src", B), SetField("arp_op", 2), Move("arp_sha", "arp_tha"),
        Move("arp_spa", "arp_tpa"), SetField("arp_sha", B), SetField("arp_spa", IP_B),
    )  # fmt: skip
    flows = [
        Flow.undeclared(Table.INGRESS, 1, (), (Output(CONTROLLER, 128),), Table.ANSWER, SEGMENT.of(7)),
        Flow.undeclared(
            Table.ANSWER, 1000, match(metadata=SEGMENT.of(7), eth_type=0x0806, arp_op=1, arp_tpa=IP_B), turn,
            Table.DELIVER, HAIRPIN.of(1),
        ),
        Flow.undeclared(
            Table.DELIVER, 1, match(metadata=HAIRPIN.of(1)), (PushVlan(), SetField("vlan_vid", vid(110)), Output(IN_PORT))
        ),
    ]  # fmt: skip
    made = bridge("arp", 1, 2)
    tables = tried(made, flows)
    asked = make.arp_request(A, IP_A, IP_B)
    for packet in (asked, make.arp_request(A, IP_A, 9), make.arp_reply(A, IP_A, B, IP_B), make.rarp(A)):
        assert_agrees(made, tables, packet, 1)
    assert trace(made, asked, 1).outputs == [(1, make.arp_reply(B, IP_B, A, IP_A).with_vlans(110))]
    assert trace(made, asked, 1).controller == [(flows[0].cookie, asked)]


def nd_flows() -> list[Flow]:
    nd = {"eth_type": ETH_IPV6, "ip_proto": 58, "ipv6_nd_target": ND_B}
    turn = (
        Move("eth_src", "eth_dst"), SetField("eth_src", B), Move("ipv6_src", "ipv6_dst"), SetField("ipv6_src", ND_B),
        SetField("nd_reserved", 0x60000000), SetField("icmpv6_type", 136),
    )  # fmt: skip
    own = (SetField("nd_options_type", 2), SetField("ipv6_nd_tll", B), Output(IN_PORT))
    return [
        Flow.undeclared(Table.INGRESS, 1, (), (), Table.ANSWER),
        Flow.undeclared(Table.ANSWER, 1, match(**nd, icmpv6_type=135), turn, Table.ADVERTISE),
        Flow.undeclared(Table.ADVERTISE, 1, match(**nd, icmpv6_type=136), own),
    ]


def test_a_solicitation_answered_in_two_tables(bridge: MakeBridge) -> None:
    made = bridge("nd", 1, 2)
    tables = tried(made, nd_flows())
    asked = make.neighbour_solicitation(A, ND_A, ND_B)
    for packet in (asked, make.neighbour_solicitation(A, 0, ND_B), make.neighbour_solicitation(A, ND_A, ND_A),
                   make.neighbour_advertisement(A, ND_A)):  # fmt: skip
        assert_agrees(made, tables, packet, 1)
    assert trace(made, asked, 1).outputs == [(1, make.neighbour_advertisement(B, ND_B, A, ND_A))]


@pytest.mark.parametrize("option", [0, A])
def test_an_option_that_is_not_there_matches_as_zero(bridge: MakeBridge, option: int) -> None:
    nd = {"eth_type": ETH_IPV6, "ip_proto": 58, "icmpv6_type": 135}
    made = bridge("sll", 1, 2)
    tables = tried(made, [Flow.undeclared(Table.INGRESS, 1, match(**nd, ipv6_nd_sll=option), (Output(2),))])
    for packet in (make.neighbour_solicitation(A, ND_A, ND_B), make.neighbour_solicitation(A, 0, ND_B)):
        assert_agrees(made, tables, packet, 1)


def test_protocols_and_ports(bridge: MakeBridge) -> None:
    flows = [
        Flow.undeclared(Table.INGRESS, 9, match(eth_type=0x0800, ip_proto=17, udp_dst=53), (Output(2),)),
        Flow.undeclared(Table.INGRESS, 8, match(eth_type=0x0800, ip_proto=6, tcp_dst=80), (Output(3),)),
        Flow.undeclared(Table.INGRESS, 7, match(eth_type=0x0800, ip_proto=1, icmpv4_type=8), (Output(4),)),
        Flow.undeclared(Table.INGRESS, 6, match(eth_type=0x0800, ipv4_dst=(0x0A010000, 0xFFFF0000)), (Output(5),)),
        Flow.undeclared(Table.INGRESS, 5, match(eth_dst=(1 << 40, 1 << 40)), (Output(6),)),
    ]
    made = bridge("l4", 1, 2, 3, 4, 5, 6)
    tables = tried(made, flows)
    for packet in (
        make.udp(B, A, IP_B, IP_A, 53), make.udp(B, A, IP_B, IP_A, 54), make.tcp(B, A, IP_B, IP_A), make.ping(B, A, IP_B, IP_A),
        make.ipv4(B, A, 1, IP_A), make.broadcast(A, IP_A), make.ipv6(B, A, ND_B, ND_A), make.gratuitous_arp(A, IP_A),
    ):  # fmt: skip
        assert_agrees(made, tables, packet, 1)


def test_a_ttl_is_counted_down_until_it_is_used_up(bridge: MakeBridge) -> None:
    """At 0 and 1 the switch stops there: what came before has happened, the rest of the actions and the tables has not."""
    flows = [
        Flow.undeclared(Table.INGRESS, 2, match(eth_type=0x0800), (Output(2), DecTtl(), Output(3)), Table.ADMIT),
        Flow.undeclared(Table.INGRESS, 2, match(eth_type=ETH_IPV6), (Output(2), DecTtl(), Output(3)), Table.ADMIT),
        Flow.undeclared(Table.ADMIT, 3, match(eth_type=0x0800, nw_ttl=7), (SetField("nw_ttl", 200), Output(4))),
        Flow.undeclared(Table.ADMIT, 2, match(eth_type=ETH_IPV6, nw_ttl=7), (SetField("nw_ttl", 200), Output(4))),
        Flow.undeclared(Table.ADMIT, 1, (), (Output(4),)),
    ]
    made = bridge("ttl", 1, 2, 3, 4)
    tables = tried(made, flows)
    for frame in (make.udp(B, A, IP_B, IP_A), make.ping6(B, A, ND_B, ND_A), make.neighbour_solicitation(A, ND_A, ND_B)):
        for ttl in (0, 1, 2, 8, 64, 255):
            assert_agrees(made, tables, frame.with_fields(nw_ttl=ttl), 1)
            assert_agrees(made, tables, frame.with_fields(nw_ttl=ttl).with_vlans(7), 1)
            assert len(trace(made, frame.with_fields(nw_ttl=ttl), 1).outputs) == (1 if ttl < 2 else 3)
    assert trace(made, make.udp(B, A, IP_B, IP_A), 1).outputs[2] == (4, make.udp(B, A, IP_B, IP_A).with_fields(nw_ttl=63))


def test_a_ttl_used_up_in_a_bucket_ends_that_copy_only(bridge: MakeBridge) -> None:
    group = Group(1, GroupType.ALL, (Bucket((DecTtl(), Output(2))), Bucket((Output(3),))))
    made = bridge("ttlgroup", 1, 2, 3, 4)
    flow = Flow.undeclared(Table.INGRESS, 1, match(eth_type=0x0800), (ToGroup(1), DecTtl(), Output(4)))
    tables = tried(made, [flow, Flow.undeclared(Table.INGRESS, 0, (), (ToGroup(1),))], [group])
    for frame in (make.udp(B, A, IP_B, IP_A), make.gratuitous_arp(A, IP_A)):
        for ttl in (1, 2, 64):
            packet = frame.with_fields(nw_ttl=ttl) if "nw_ttl" in frame.fields else frame
            assert_agrees(made, tables, packet, 1)
            assert_agrees(made, tables, packet.with_vlans(7, 8), 1)


def test_tcp_flags_are_matched_under_a_mask(bridge: MakeBridge) -> None:
    v4, v6 = ({"eth_type": kind, "ip_proto": 6} for kind in (0x0800, ETH_IPV6))
    flows = [
        Flow.undeclared(Table.INGRESS, 9, match(**v4, tcp_flags=(0x10, 0x10), tcp_src=80), (Output(2),)),
        Flow.undeclared(Table.INGRESS, 8, match(**v6, tcp_flags=(0x04, 0x04), tcp_src=80), (Output(3),)),
        Flow.undeclared(Table.INGRESS, 7, match(**v4, tcp_flags=0x002), (Output(4),)),
    ]
    made = bridge("flags", 1, 2, 3, 4)
    tables = tried(made, flows)
    for flags in (0, 0x002, 0x004, 0x010, 0x012, 0x014, 0x0FF, 0x1FF):
        assert_agrees(made, tables, make.tcp(B, A, IP_B, IP_A, 40000, 80, flags), 1)
        assert_agrees(made, tables, make.tcp6(B, A, ND_B, ND_A, 40000, 80, flags), 1)
    assert_agrees(made, tables, make.udp(B, A, IP_B, IP_A, 40000, 80), 1)
    assert trace(made, make.tcp(B, A, IP_B, IP_A, 1, 80, 0x012), 1).outputs[0][0] == 2
    assert trace(made, make.tcp6(B, A, ND_B, ND_A, 1, 80, 0x014), 1).outputs[0][0] == 3
    assert trace(made, make.tcp(B, A, IP_B, IP_A), 1).outputs[0][0] == 4


def test_a_ping_is_answered_by_field_moves(bridge: MakeBridge) -> None:
    v4 = match(eth_type=0x0800, ip_proto=1, icmpv4_type=8, ipv4_dst=IP_B)
    v6 = match(eth_type=ETH_IPV6, ip_proto=58, icmpv6_type=128, ipv6_dst=ND_B)
    back = (Move("eth_src", "eth_dst"), SetField("eth_src", B), SetField("nw_ttl", 64))
    flows = [
        Flow.undeclared(Table.INGRESS, 1, v4, (*back, Move("ipv4_src", "ipv4_dst"), SetField("ipv4_src", IP_B),
                                    SetField("icmpv4_type", 0), Output(IN_PORT))),
        Flow.undeclared(Table.INGRESS, 1, v6, (*back, Move("ipv6_src", "ipv6_dst"), SetField("ipv6_src", ND_B),
                                    SetField("icmpv6_type", 129), Output(IN_PORT))),
    ]  # fmt: skip
    made = bridge("pong", 1, 2)
    tables = tried(made, flows)
    for ttl in (1, 64, 200):
        asked = make.ping(B, A, IP_B, IP_A).with_fields(nw_ttl=ttl)
        asked6 = make.ping6(B, A, ND_B, ND_A).with_fields(nw_ttl=ttl)
        assert_agrees(made, tables, asked, 1)
        assert_agrees(made, tables, asked6, 1)
        assert trace(made, asked, 1).outputs == [(1, make.ping(A, B, IP_A, IP_B, make.ECHO_REPLY))]
        assert trace(made, asked6, 1).outputs == [(1, make.ping6(A, B, ND_A, ND_B, make.ECHO_REPLY_V6))]


def test_a_difference_would_be_seen(bridge: MakeBridge) -> None:
    """The comparison itself can fail: on a port, on a tag, on a field, on a TTL, on a copy to the controller."""
    made = bridge("diff", 1, 2, 3)
    frame = make.udp(B, A, IP_B, IP_A)
    tried(made, [Flow.undeclared(Table.INGRESS, 1, (), (Output(2),))])
    push = (PushVlan(), SetField("vlan_vid", vid(7)))
    copied = (Output(2), Output(CONTROLLER, 9))
    for wrong in ((Output(3),), (*push, Output(2)), (SetField("eth_src", B), Output(2)), copied, ()):
        with pytest.raises(AssertionError):
            assert_agrees(made, Tables([Flow.undeclared(Table.INGRESS, 1, (), wrong)]), frame, 1)
    counts = Flow.undeclared(Table.INGRESS, 1, match(eth_type=0x0800), (DecTtl(), Output(2)))
    with pytest.raises(AssertionError):
        assert_agrees(made, Tables([counts]), frame, 1)
