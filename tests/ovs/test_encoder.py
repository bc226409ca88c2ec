"""Open vSwitch takes every kind of flow and group we build, and gives back what it was given."""

from __future__ import annotations

import pytest

from ryu_vmmob.flows import wire
from ryu_vmmob.flows.audit import Habits, Reading
from ryu_vmmob.flows.fields import vid
from ryu_vmmob.flows.flow import (
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
from ryu_vmmob.flows.pipeline import SEGMENT, Meter, Table
from ryu_vmmob.net.protocols import ETH_ARP
from ryu_vmmob.sim.prerequisites import TableError
from ryu_vmmob.sim.switch import Tables
from tests.support.bridges import MakeBridge
from tests.support.sample_flows import FLOWS, GROUPS

PORTS = (1, 2, 49, 50)
FIRST = {name: group for name, group in GROUPS.items() if name not in ("next hop, no way", "empty flood")}
PLAIN = Flow.undeclared(Table.BRIDGE, 1000, match(metadata=SEGMENT.of(9), eth_dst=7), (Output(1),))


def test_everything_in_one_bundle_and_back_again(bridge: MakeBridge) -> None:
    with bridge("enc", *PORTS).client() as switch:
        assert switch.install(FLOWS.values(), FIRST.values()) == []
        assert sorted(switch.cookies()) == sorted(flow.cookie for flow in FLOWS.values())
        assert switch.groups() == {group.id: group.body for group in FIRST.values()}


def test_a_copy_through_a_meter_comes_back_byte_for_byte(bridge: MakeBridge) -> None:
    """In front of a next table, alone, behind other actions; the switch reads in it what we meant."""
    rows = [
        Flow.undeclared(Table.ADMIT, 1, match(eth_src=1), (Copy(128, Meter.AWAITED),), Table.ANSWER),
        Flow.undeclared(Table.ADMIT, 1, match(eth_src=2), (Copy(65534, Meter.WATCHED),)),
        Flow.undeclared(
            Table.ADMIT, 1, match(eth_src=3, vlan_vid=vid(7)), (PopVlan(), Copy(14, Meter.AWAITED), Output(2)), Table.ANSWER
        ),
    ]
    made = bridge("copy", *PORTS)
    with made.client() as switch:
        assert switch.install(rows) == []
        reading = Reading(Habits())
        for body in switch.flow_stats():
            reading.take_flows(body, {flow.cookie: flow for flow in rows})
        assert reading.right.keys() == {flow.cookie for flow in rows}
        assert not reading.odd
    shown = made.ovs.ofctl("dump-flows", made.name)
    for length, meter in ((128, 3), (65534, 4), (14, 3)):
        assert f"controller(max_len={length},meter_id={meter})" in shown


def test_what_the_switch_took_the_simulator_takes() -> None:
    Tables(FLOWS.values(), FIRST.values())


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_modified_reads_back_as_it_is_now(bridge: MakeBridge, name: str) -> None:
    group = GROUPS[name]
    with bridge("grp", *PORTS).client() as switch:
        assert switch.install([], FIRST.values()) == []
        assert switch.apply(wire.group_modify(group, switch.xid())) == []
        assert switch.groups() == {g.id: g.body for g in FIRST.values()} | {group.id: group.body}


def test_a_bundle_with_one_bad_flow_changes_nothing_and_the_error_names_it(bridge: MakeBridge) -> None:
    bad = Flow.undeclared(Table.BRIDGE, 1, (), (ToGroup(4711),))
    with bridge("bad", *PORTS).client() as switch:
        assert switch.install([PLAIN]) == []
        xids = [switch.xid() for _ in range(3)]
        others = [Flow.undeclared(Table.BRIDGE, priority, match(eth_dst=priority)) for priority in (5, 6)]
        rows = [(others[0], xids[0]), (bad, xids[1]), (others[1], xids[2])]
        errors = switch.bundle(wire.flow_add(flow, xid) for flow, xid in rows)
        assert errors[0].xid == xids[1]
        assert (errors[0].type, errors[0].code) == (2, 9)  # OFPET_BAD_ACTION, OFPBAC_BAD_OUT_GROUP
        assert not {error.xid for error in errors} & {xids[0], xids[2]}
        assert switch.cookies() == [PLAIN.cookie]


def test_a_message_refused_while_it_is_added_does_not_spoil_the_bundle_by_itself(bridge: MakeBridge) -> None:
    """The switch would commit the rest: the sender of a bundle has to look for errors before the commit."""
    bad = Flow.undeclared(Table.ADMIT, 1, match(arp_op=1))
    with bridge("half", *PORTS).client() as switch:
        opened, good, refused = (switch.xid() for _ in range(3))
        assert switch.apply(
            wire.bundle_control(1, wire.BUNDLE_OPEN_REQUEST, opened),
            wire.bundle_add(1, wire.flow_add(PLAIN, good)),
            wire.bundle_add(1, wire.flow_add(bad, refused)),
        ) == [(refused, 4, 9)]  # OFPET_BAD_MATCH, OFPBMC_BAD_PREREQ
        assert switch.commit(1, switch.xid()) == []
        assert switch.cookies() == [PLAIN.cookie]


def test_a_bundle_discarded_is_forgotten(bridge: MakeBridge) -> None:
    rows = [(PLAIN, 901), (Flow.undeclared(Table.ADMIT, 1, match(arp_op=1)), 902)]
    with bridge("gone", *PORTS).client() as switch:
        errors = switch.bundle(wire.flow_add(flow, xid) for flow, xid in rows)
        assert [error.xid for error in errors] == [902]
        assert switch.cookies() == []
        assert switch.install([PLAIN]) == []  # the same bundle number serves again


def test_groups_and_deletes_go_in_the_same_bundle(bridge: MakeBridge) -> None:
    old, new = Group(5, GroupType.ALL, (Bucket((Output(1),)),)), Group(6, GroupType.ALL, (Bucket((Output(2),)),))
    before = Flow.undeclared(Table.BRIDGE, 1, match(eth_dst=2), (ToGroup(5),))
    after = Flow.undeclared(Table.BRIDGE, 1, match(eth_dst=2), (ToGroup(6),))
    with bridge("del", *PORTS).client() as switch:
        assert switch.install([before, PLAIN], [old]) == []
        messages = [
            wire.group_add(new, switch.xid()), wire.flow_add(after, switch.xid()),
            wire.flow_delete(PLAIN.cookie, switch.xid()), wire.group_delete(5, switch.xid()),
        ]  # fmt: skip
        assert switch.bundle(messages) == []
        assert switch.cookies() == [after.cookie]
        assert switch.groups() == {6: new.body}


def test_add_over_an_existing_match_replaces_cookie_and_actions(bridge: MakeBridge) -> None:
    other = Flow.undeclared(PLAIN.table, PLAIN.priority, PLAIN.match, (Output(2),))
    assert other.key == PLAIN.key
    assert other.cookie != PLAIN.cookie
    with bridge("over", *PORTS).client() as switch:
        assert switch.install([PLAIN]) == []
        assert switch.install([other]) == []
        assert switch.cookies() == [other.cookie]


def test_delete_by_cookie_takes_that_flow_and_no_other(bridge: MakeBridge) -> None:
    rows = [Flow.undeclared(table, priority, match(eth_dst=3)) for table in (Table.ADMIT, Table.BRIDGE) for priority in (1, 2)]
    with bridge("one", *PORTS).client() as switch:
        assert switch.install(rows) == []
        assert switch.apply(wire.flow_delete(rows[1].cookie, switch.xid())) == []
        assert sorted(switch.cookies()) == sorted(flow.cookie for flow in rows if flow is not rows[1])
        assert switch.apply(wire.flow_delete(rows[2].cookie, switch.xid(), table=Table.ADMIT.id)) == []
        assert rows[2].cookie in switch.cookies()


def test_flows_that_are_not_ours_are_not_listed(bridge: MakeBridge) -> None:
    made = bridge("own", *PORTS)
    made.ovs.ofctl("add-flow", made.name, "table=3,cookie=0x1,priority=5,in_port=1,actions=drop")
    with made.client() as switch:
        assert switch.install([PLAIN]) == []
        assert switch.cookies() == [PLAIN.cookie]


def test_many_flows_come_back_in_many_parts(bridge: MakeBridge) -> None:
    matches = (match(metadata=SEGMENT.of(7), eth_dst=number) for number in range(2000))
    rows = [Flow.undeclared(Table.BRIDGE, 1, fields, (Output(1),)) for fields in matches]
    with bridge("many", *PORTS).client() as switch:
        assert switch.install(rows) == []
        assert set(switch.cookies()) == {flow.cookie for flow in rows}


REFUSED = {
    "arp_op without eth_type": Flow.undeclared(Table.ADMIT, 1, match(arp_op=1)),
    "ipv4_src of an IPv6 packet": Flow.undeclared(Table.ADMIT, 1, match(eth_type=0x86DD, ipv4_src=1)),
    "udp port without protocol": Flow.undeclared(Table.ADMIT, 1, match(eth_type=0x0800, udp_dst=53)),
    "advertised address in a solicitation": Flow.undeclared(
        Table.ADMIT, 1, match(eth_type=0x86DD, ip_proto=58, icmpv6_type=135, ipv6_nd_tll=1)
    ),
    "set arp_op on anything": Flow.undeclared(Table.ANSWER, 1, (), (SetField("arp_op", 2),)),
    "move arp_sha of anything": Flow.undeclared(Table.ANSWER, 1, (), (Move("arp_sha", "eth_dst"),)),
    "set the advertised address in the table of the solicitation": Flow.undeclared(
        Table.ANSWER, 1, match(eth_type=0x86DD, ip_proto=58, icmpv6_type=135),
        (SetField("icmpv6_type", 136), SetField("ipv6_nd_tll", 1)),
    ),
    "pop no tag": Flow.undeclared(Table.INGRESS, 1, match(vlan_vid=0), (PopVlan(),)),
    "set the VLAN-ID of no tag": Flow.undeclared(Table.INGRESS, 1, match(vlan_vid=0), (SetField("vlan_vid", vid(7)),)),
    "no such group": Flow.undeclared(Table.BRIDGE, 1, (), (ToGroup(4711),)),
    "goto backwards": Flow.undeclared(Table.BRIDGE, 1, (), goto=Table.ADMIT),
    "goto itself": Flow.undeclared(Table.BRIDGE, 1, (), goto=Table.BRIDGE),
    "bits outside the mask": Flow.undeclared(Table.ADMIT, 1, match(eth_dst=(3, 1))),
    "a mask on a field that takes none": Flow.undeclared(
        Table.ADMIT, 1, match(eth_type=0x86DD, ip_proto=58, icmpv6_type=135, nd_reserved=(1, 1))
    ),
    "a mask on a protocol": Flow.undeclared(Table.ADMIT, 1, match(eth_type=0x0800, ip_proto=(1, 1))),
    "a mask on an operation": Flow.undeclared(Table.ADMIT, 1, match(eth_type=ETH_ARP, arp_op=(1, 1))),
    "a mask on a port of the switch": Flow.undeclared(Table.ADMIT, 1, match(in_port=(1, 1))),
    "a mask on a type": Flow.undeclared(Table.ADMIT, 1, match(eth_type=0x0800, ip_proto=1, icmpv4_type=(1, 1))),
    "a mask on a TTL": Flow.undeclared(Table.GATEWAY, 1, match(eth_type=0x0800, nw_ttl=(1, 1))),
    "a TTL of anything": Flow.undeclared(Table.GATEWAY, 1, match(nw_ttl=1)),
    "a TTL of ARP": Flow.undeclared(Table.GATEWAY, 1, match(eth_type=ETH_ARP, nw_ttl=1)),
    "TCP flags of UDP": Flow.undeclared(Table.POLICY_OUT, 1, match(eth_type=0x0800, ip_proto=17, tcp_flags=(0x10, 0x10))),
    "set TCP flags": Flow.undeclared(Table.ROUTE, 1, match(eth_type=0x0800, ip_proto=6), (SetField("tcp_flags", 2),)),
    "set a protocol": Flow.undeclared(Table.ROUTE, 1, match(eth_type=0x0800), (SetField("ip_proto", 6),)),
    "set the type of an Ethernet frame": Flow.undeclared(
        Table.ROUTE, 1, match(eth_type=0x0800), (SetField("eth_type", 0x86DD),)
    ),
    "set the TTL of anything": Flow.undeclared(Table.ROUTE, 1, (), (SetField("nw_ttl", 64),)),
    "count down the TTL of anything": Flow.undeclared(Table.ROUTE, 1, (), (DecTtl(),)),
    "count down the TTL of ARP": Flow.undeclared(Table.ROUTE, 1, match(eth_type=ETH_ARP), (DecTtl(),)),
    "set the type of ICMP in TCP": Flow.undeclared(
        Table.ANSWER, 1, match(eth_type=0x0800, ip_proto=6), (SetField("icmpv4_type", 0),)
    ),
    "arp without the whole eth_type": Flow.undeclared(Table.ADMIT, 1, match(eth_type=(ETH_ARP, 0xFFFE), arp_op=1)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_the_simulator_refuses_what_the_switch_refuses(bridge: MakeBridge, name: str) -> None:
    flow = REFUSED[name]
    with pytest.raises(TableError):
        Tables([flow])
    with bridge("ref", *PORTS).client() as switch:
        xid = switch.xid()
        assert [error.xid for error in switch.apply(wire.flow_add(flow, xid))] == [xid]
        assert switch.cookies() == []


def test_a_tag_pushed_may_be_set_and_popped(bridge: MakeBridge) -> None:
    """The other side of the refusals: this is legal, and the simulator knows."""
    flow = Flow.undeclared(Table.DELIVER, 1, (), (PushVlan(), SetField("vlan_vid", vid(7)), Output(1), PopVlan(), Output(2)))
    Tables([flow])
    with bridge("tag", *PORTS).client() as switch:
        assert switch.install([flow]) == []
