"""One simulated switch: OpenFlow's rules, one test each, on hand-written tables."""

from __future__ import annotations

import pytest

from ryu_vmmob.flows.fields import vid
from ryu_vmmob.flows.flow import (
    CONTROLLER,
    IN_PORT,
    Action,
    Bucket,
    DecTtl,
    Flow,
    Group,
    GroupType,
    Match,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    ToGroup,
    match,
)
from ryu_vmmob.flows.pipeline import HAIRPIN, SEGMENT, Table
from ryu_vmmob.net.protocols import ETH_ARP, ETH_IPV4, ETH_IPV6, TCP_ACK
from ryu_vmmob.sim.classifier import AmbiguityError
from ryu_vmmob.sim.packet import (
    ARP_REPLY,
    ARP_REQUEST,
    ECHO_REPLY,
    TCP_SYN,
    Packet,
    arp_request,
    broadcast,
    neighbour_advertisement,
    neighbour_solicitation,
    ping,
    tcp,
    tcp6,
    udp,
)
from ryu_vmmob.sim.prerequisites import TableError
from ryu_vmmob.sim.switch import Result, Tables

A, B = 0x020000000001, 0x020000000002
IP_A, IP_B = 0x0A010001, 0x0A010002
FRAME = udp(B, A, IP_B, IP_A)


def run(packet: Packet, *flows: Flow, groups: tuple[Group, ...] = (), in_port: int = 1, down: tuple[int, ...] = ()) -> Result:
    return Tables(flows, groups).process(packet, in_port, lambda port: port not in down)


def ingress(*actions: Action, match: Match = (), priority: int = 1000, goto: Table | None = None) -> Flow:
    return Flow.undeclared(Table.INGRESS, priority, match, actions, goto=goto)


def test_an_empty_table_is_a_miss_and_a_miss_is_a_drop() -> None:
    result = run(FRAME)
    assert result.outputs == ()
    assert [(step.table, step.flow) for step in result.path] == [(Table.INGRESS, None)]
    assert result.drop == "no flow in ingress"


def test_a_flow_without_actions_drops_and_says_where() -> None:
    assert run(FRAME, ingress()).drop == "dropped by a flow of ingress"


def test_the_highest_priority_wins_whatever_the_order_and_the_masks() -> None:
    flows = [
        ingress(Output(2), priority=100),
        ingress(Output(3), match=match(eth_dst=B), priority=300),
        ingress(Output(4), match=match(eth_dst=(0x020000000000, 0xFF0000000000)), priority=200),
        ingress(Output(5), match=match(eth_dst=A), priority=400),
    ]
    for rows in (flows, flows[::-1]):
        assert run(FRAME, *rows).outputs == ((3, FRAME),)


def test_two_winners_of_one_priority_are_an_error_only_when_they_differ_and_win() -> None:
    by_dst, by_src = match(eth_dst=B), match(eth_src=A)
    with pytest.raises(AmbiguityError, match="both match"):
        run(FRAME, ingress(Output(2), match=by_dst), ingress(Output(3), match=by_src))
    assert run(FRAME, ingress(Output(2), match=by_dst), ingress(Output(2), match=by_src)).outputs == ((2, FRAME),)
    # The quarrel of two losers is none, also when the look-up meets them first.
    elsewhere = match(in_port=9, eth_dst=B)
    flows = [
        ingress(Output(2), match=by_dst), ingress(Output(7), match=match(eth_dst=A), priority=3000),
        ingress(Output(3), match=by_src), ingress(Output(8), match=match(eth_src=B), priority=2500),
        ingress(Output(4), match=match(in_port=1), priority=2000), ingress(Output(5), match=elsewhere, priority=4000),
    ]  # fmt: skip
    assert run(FRAME, *flows).outputs == ((4, FRAME),)


def test_one_match_with_two_meanings_is_refused_and_an_exact_repeat_is_not() -> None:
    with pytest.raises(TableError, match="one match, two flows"):
        Tables([ingress(Output(2)), ingress(Output(3))])
    assert run(FRAME, ingress(Output(2)), ingress(Output(2))).outputs == ((2, FRAME),)


def test_actions_run_in_order_and_each_output_is_a_copy() -> None:
    result = run(FRAME, ingress(Output(2), PushVlan(), SetField("vlan_vid", vid(7)), Output(3), PopVlan(), Output(4)))
    assert result.outputs == ((2, FRAME), (3, FRAME.with_vlans(7)), (4, FRAME))


def test_a_group_works_on_a_copy_and_so_does_each_bucket() -> None:
    push = (PushVlan(), SetField("vlan_vid", vid(7)), Output(3))
    flood = Group(5, GroupType.ALL, (Bucket(push), Bucket((Output(4),))))
    result = run(FRAME, ingress(ToGroup(5), Output(2)), groups=(flood,))
    assert result.outputs == ((3, FRAME.with_vlans(7)), (4, FRAME), (2, FRAME))


def test_output_to_the_ingress_port_is_lost_but_for_in_port_also_in_groups() -> None:
    flood = Group(5, GroupType.ALL, (Bucket((Output(1),)), Bucket((Output(2),))))
    result = run(FRAME, ingress(ToGroup(5)), groups=(flood,))
    assert result.outputs == ((2, FRAME),)
    assert result.lost == ("output to ingress port 1",)
    assert result.drop is None
    hairpin = Group(5, GroupType.INDIRECT, (Bucket((Output(IN_PORT),)),))
    assert run(FRAME, ingress(ToGroup(5)), groups=(hairpin,)).outputs == ((1, FRAME),)


def test_fast_failover_takes_the_first_live_bucket() -> None:
    group = Group(5, GroupType.FAST_FAILOVER, (Bucket((Output(2),), 2), Bucket((Output(3),), 3)))
    flow = ingress(ToGroup(5))
    assert run(FRAME, flow, groups=(group,)).outputs == ((2, FRAME),)
    assert run(FRAME, flow, groups=(group,), down=(2,)).outputs == ((3, FRAME),)
    nothing = run(FRAME, flow, groups=(group,), down=(2, 3))
    assert nothing.outputs == ()
    assert nothing.drop is not None
    assert "no live bucket" in nothing.drop


def test_groups_chain() -> None:
    trunk = Group(6, GroupType.FAST_FAILOVER, (Bucket((Output(2),), 2), Bucket((Output(3),), 3)))
    chain = Group(5, GroupType.INDIRECT, (Bucket((PushVlan(), SetField("vlan_vid", vid(9)), ToGroup(6))),))
    assert run(FRAME, ingress(ToGroup(5)), groups=(chain, trunk), down=(2,)).outputs == ((3, FRAME.with_vlans(9)),)


def test_metadata_is_written_under_its_mask_and_matched_under_a_mask() -> None:
    flows = [
        Flow.undeclared(Table.INGRESS, 1, (), goto=Table.ANSWER, metadata=SEGMENT.of(7)),
        Flow.undeclared(Table.ANSWER, 1, match(metadata=SEGMENT.of(7)), goto=Table.DELIVER, metadata=HAIRPIN.of(1)),
        Flow.undeclared(Table.DELIVER, 1, match(metadata=(7 | HAIRPIN.mask, SEGMENT.mask | HAIRPIN.mask)), (Output(IN_PORT),)),
        Flow.undeclared(Table.DELIVER, 2, match(metadata=SEGMENT.of(8)), (Output(2),)),
    ]
    result = run(FRAME, *flows)
    assert result.outputs == ((1, FRAME),)
    assert [step.table for step in result.path] == [Table.INGRESS, Table.ANSWER, Table.DELIVER]


def test_vlan_vid_matches_the_outer_tag_and_zero_means_none() -> None:
    flows = [
        ingress(PopVlan(), Output(2), match=match(vlan_vid=vid(7))),
        ingress(Output(3), match=match(vlan_vid=0)),
        ingress(Output(4), match=match(vlan_vid=(0x1000, 0x1000)), priority=1),
    ]
    assert run(FRAME.with_vlans(7), *flows).outputs == ((2, FRAME),)
    assert run(FRAME, *flows).outputs == ((3, FRAME),)
    assert run(FRAME.with_vlans(8), *flows).outputs == ((4, FRAME.with_vlans(8)),)
    assert run(FRAME.with_vlans(7, 9), *flows).outputs == ((2, FRAME.with_vlans(9)),)


def test_eth_type_is_the_one_behind_one_tag_and_nothing_is_seen_behind_two() -> None:
    flow = ingress(Output(2), match=match(eth_type=ETH_IPV4, ipv4_src=IP_A))
    assert run(FRAME.with_vlans(7), flow).outputs == ((2, FRAME.with_vlans(7)),)
    assert run(FRAME.with_vlans(7, 9), flow).drop == "no flow in ingress"


def test_the_controller_gets_a_copy_with_the_cookie_of_the_flow() -> None:
    flow = ingress(Output(CONTROLLER, 128), Output(2))
    result = run(FRAME, flow)
    assert result.controller == ((flow.cookie, FRAME),)
    assert result.outputs == ((2, FRAME),)
    only = run(FRAME, ingress(Output(CONTROLLER, 128)))
    assert only.outputs == ()


def test_arp_is_answered_by_moves() -> None:
    answer = Flow.undeclared(
        Table.ANSWER, 1000, match(eth_type=ETH_ARP, arp_op=ARP_REQUEST, arp_tpa=IP_B),
        (
            Move("eth_src", "eth_dst"), SetField("eth_src", B), SetField("arp_op", ARP_REPLY), Move("arp_sha", "arp_tha"),
            SetField("arp_sha", B), Move("arp_spa", "arp_tpa"), SetField("arp_spa", IP_B), Output(IN_PORT),
        ),
    )  # fmt: skip
    (delivery,) = run(arp_request(A, IP_A, IP_B), ingress(goto=Table.ANSWER), answer).outputs
    assert delivery == (
        1,
        Packet(
            {
                "eth_dst": A, "eth_src": B, "eth_type": ETH_ARP, "arp_op": 2,
                "arp_sha": B, "arp_spa": IP_B, "arp_tha": A, "arp_tpa": IP_A,
            }
        ),
    )  # fmt: skip


ND_A, ND_B = (0x20010DB8 << 96) + 1, (0x20010DB8 << 96) + 2


def nd_answer() -> tuple[Flow, ...]:
    ns = match(eth_type=ETH_IPV6, ip_proto=58, icmpv6_type=135, icmpv6_code=0, ipv6_nd_target=ND_B)
    turn = (
        Move("eth_src", "eth_dst"), SetField("eth_src", B), Move("ipv6_src", "ipv6_dst"), SetField("ipv6_src", ND_B),
        SetField("icmpv6_type", 136), SetField("nd_reserved", 0x60000000),
    )  # fmt: skip
    na = match(eth_type=ETH_IPV6, ip_proto=58, icmpv6_type=136, ipv6_nd_target=ND_B)
    return (
        ingress(goto=Table.ANSWER),
        Flow.undeclared(Table.ANSWER, 1000, ns, turn, goto=Table.ADVERTISE),
        Flow.undeclared(
            Table.ADVERTISE, 1000, na, (SetField("nd_options_type", 2), SetField("ipv6_nd_tll", B), Output(IN_PORT))
        ),
    )


def test_a_solicitation_becomes_an_advertisement_in_two_tables() -> None:
    result = run(neighbour_solicitation(A, ND_A, ND_B), *nd_answer())
    assert result.outputs == ((1, neighbour_advertisement(B, ND_B, A, ND_A)),)


def test_no_option_comes_from_nowhere() -> None:
    """A solicitation without a link-layer address has no room for one in the answer."""
    ((_, packet),) = run(neighbour_solicitation(A, 0, ND_B), *nd_answer()).outputs
    assert packet["icmpv6_type"] == 136
    assert "ipv6_nd_tll" not in packet.fields
    assert packet["nd_options_type"] == 0


@pytest.mark.parametrize(
    ("flow", "words"),
    [
        (ingress(match=match(arp_op=1)), "arp_op needs eth_type"),
        (ingress(match=match(eth_type=ETH_IPV6, ipv4_src=1)), "ipv4_src needs eth_type"),
        (ingress(match=match(eth_type=ETH_IPV4, tcp_dst=80)), "tcp_dst needs ip_proto"),
        (ingress(match=match(eth_type=ETH_IPV6, ip_proto=58, icmpv6_type=135, ipv6_nd_tll=1)), "ipv6_nd_tll needs icmpv6_type"),
        (ingress(match=match(eth_type=ETH_IPV6, ip_proto=58, ipv6_nd_target=1)), "ipv6_nd_target needs icmpv6_type"),
        (ingress(match=match(eth_type=(ETH_ARP, 0xFFFE), arp_op=1)), "eth_type takes no mask"),
        (ingress(match=match(eth_dst=(3, 1))), "outside its mask"),
        (ingress(SetField("arp_op", 2)), "arp_op needs eth_type"),
        (ingress(Move("arp_sha", "eth_dst")), "arp_sha needs eth_type"),
        (ingress(PopVlan()), "pop_vlan where no tag is"),
        (ingress(SetField("vlan_vid", vid(7))), "set vlan_vid where no tag is"),
        (ingress(PushVlan(), SetField("vlan_vid", 7)), "without the tag-present bit"),
        (ingress(match=match(nw_ttl=1)), "nw_ttl needs eth_type"),
        (ingress(match=match(eth_type=ETH_IPV4, nw_ttl=(1, 1))), "nw_ttl takes no mask"),
        (ingress(match=match(eth_type=ETH_IPV4, tcp_flags=(2, 2))), "tcp_flags needs ip_proto"),
        (ingress(SetField("tcp_flags", 2), match=match(eth_type=ETH_IPV4, ip_proto=6)), "tcp_flags is read-only"),
        (ingress(SetField("ip_proto", 6), match=match(eth_type=ETH_IPV4)), "ip_proto is read-only"),
        (ingress(SetField("nw_ttl", 6)), "nw_ttl needs eth_type"),
        (ingress(DecTtl()), "nw_ttl needs eth_type"),
        (ingress(DecTtl(), match=match(eth_type=ETH_ARP)), "nw_ttl needs eth_type"),
        (ingress(ToGroup(99)), "does not exist"),
        (ingress(Output(0)), "no output to port"),
        (ingress(Output(0xFFFFFFFB)), "no output to port"),
        (Flow.undeclared(Table.ANSWER, 1, (), goto=Table.ANSWER), "goto leads back"),
        (Flow.undeclared(Table.ANSWER, 1, (), goto=Table.INGRESS), "goto leads back"),
    ],
)
def test_what_a_switch_would_refuse_is_refused(flow: Flow, words: str) -> None:
    with pytest.raises(TableError, match=words):
        Tables([flow])


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ([Group(5, GroupType.INDIRECT, ())], "exactly one bucket"),
        ([Group(5, GroupType.FAST_FAILOVER, (Bucket((Output(2),)),))], "watches a port"),
        ([Group(5, GroupType.ALL, (Bucket((Output(2),), 2),))], "watches a port"),
        ([Group(5, GroupType.ALL, (Bucket((ToGroup(6),)),))], "does not exist"),
        ([Group(5, GroupType.ALL, (Bucket((ToGroup(5),)),))], "back to itself"),
        (
            [Group(5, GroupType.ALL, (Bucket((ToGroup(6),)),)), Group(6, GroupType.ALL, (Bucket((ToGroup(5),)),))],
            "back to itself",
        ),
        ([Group(5, GroupType.ALL, (Bucket((Output(2), Output(3))),))], "one output or group"),
        ([Group(5, GroupType.ALL, (Bucket((Output(2), PushVlan())),))], "one output or group"),
        ([Group(5, GroupType.ALL, (Bucket((PushVlan(), PopVlan(), Output(2))),))], "as a set"),
        ([Group(5, GroupType.ALL, (Bucket((SetField("eth_src", A), SetField("eth_src", B), Output(2))),))], "as a set"),
        ([Group(5, GroupType.ALL, ()), Group(5, GroupType.ALL, (Bucket((Output(2),)),))], "one id, two groups"),
    ],
)
def test_groups_a_switch_would_refuse_are_refused(groups: list[Group], words: str) -> None:
    with pytest.raises(TableError, match=words):
        Tables([], groups)


def test_a_group_that_sets_a_vlan_id_on_a_frame_without_tag_is_found_when_it_runs() -> None:
    group = Group(5, GroupType.INDIRECT, (Bucket((SetField("vlan_vid", vid(7)), Output(2))),))
    with pytest.raises(TableError, match="set vlan_vid"):
        run(FRAME, ingress(ToGroup(5)), groups=(group,))


def test_a_ttl_is_counted_down_and_ends_the_frame_when_it_is_used_up() -> None:
    flows = (
        ingress(Output(2), DecTtl(), Output(3), match=match(eth_type=ETH_IPV4), goto=Table.ADMIT),
        Flow.undeclared(Table.ADMIT, 1, (), (Output(4),)),
    )
    lower = FRAME.with_fields(nw_ttl=63)
    assert run(FRAME, *flows).outputs == ((2, FRAME), (3, lower), (4, lower))
    for ttl in (0, 1):
        spent = FRAME.with_fields(nw_ttl=ttl)
        result = run(spent, *flows)
        assert result.outputs == ((2, spent),)
        assert result.lost == ("its TTL is used up",)
        assert [step.table for step in result.path] == [Table.INGRESS]
    assert run(FRAME.with_fields(nw_ttl=1), ingress(DecTtl(), match=match(eth_type=ETH_IPV4))).drop == "its TTL is used up"


def test_a_ttl_used_up_in_a_bucket_ends_that_copy_and_what_has_none_passes() -> None:
    group = Group(5, GroupType.ALL, (Bucket((DecTtl(), Output(2))), Bucket((Output(3),))))
    flow = ingress(ToGroup(5), Output(4))
    spent = FRAME.with_fields(nw_ttl=1)
    assert run(spent, flow, groups=(group,)).outputs == ((3, spent), (4, spent))
    arp = arp_request(A, IP_A, IP_B)
    assert run(arp, flow, groups=(group,)).outputs == ((2, arp), (3, arp), (4, arp))
    below = FRAME.with_vlans(7, 8)
    assert run(below, flow, groups=(group,)).outputs == ((2, below), (3, below), (4, below))


def test_flags_ttl_and_types_are_fields_like_others() -> None:
    opens, goes_on = tcp(B, A, IP_B, IP_A), tcp6(B, A, ND_B, ND_A, flags=TCP_ACK | TCP_SYN)
    acks = [match(eth_type=kind, ip_proto=6, tcp_flags=(TCP_ACK, TCP_ACK)) for kind in (ETH_IPV4, ETH_IPV6)]
    flows = [ingress(Output(2), match=ack) for ack in acks]
    assert run(opens, *flows).outputs == ()
    assert run(goes_on, *flows).outputs == ((2, goes_on),)
    echo = match(eth_type=ETH_IPV4, ip_proto=1, icmpv4_type=8)
    flow = ingress(SetField("icmpv4_type", ECHO_REPLY), SetField("nw_ttl", 9), Output(2), match=echo)
    assert run(ping(B, A, IP_B, IP_A), flow).outputs == ((2, ping(B, A, IP_B, IP_A, ECHO_REPLY).with_fields(nw_ttl=9)),)


def test_packets_are_values() -> None:
    assert broadcast(A, IP_A) == broadcast(A, IP_A)
    assert hash(broadcast(A, IP_A)) == hash(broadcast(A, IP_A))
    assert FRAME.with_vlans(1) != FRAME
    assert FRAME.with_payload(1) != FRAME
    assert FRAME.with_fields(eth_dst=B) == FRAME
    assert "eth_dst=02:00:00:00:00:02" in str(FRAME)
    with pytest.raises(ValueError, match="no header field"):
        Packet({"in_port": 1})
    with pytest.raises(ValueError, match="does not fit"):
        Packet({"arp_op": 1 << 16})
    with pytest.raises(ValueError, match="VLAN-ID"):
        FRAME.with_vlans(4096)
