"""Changes of a switch as lines."""

from __future__ import annotations

from ryu_vmmob.flows.delta import Delta
from ryu_vmmob.flows.flow import Bucket, Flow, Group, GroupType, Output, ToGroup, match
from ryu_vmmob.flows.listing import show_delta
from ryu_vmmob.flows.pipeline import SEGMENT, GroupKind, Priority, Table, group_id

OLD, NEW = group_id(GroupKind.NEXT_HOP, 1, 2), group_id(GroupKind.NEXT_HOP, 1, 3)


def bridge(mac: int, *groups: int) -> Flow:
    return Flow(Table.BRIDGE, Priority.NORMAL, match(metadata=SEGMENT.of(1), eth_dst=mac), tuple(map(ToGroup, groups)))


def admit(port: int) -> Flow:
    return Flow(Table.ADMIT, Priority.NORMAL, match(in_port=port), goto=Table.ANSWER)


def test_each_change_has_a_line_in_the_order_of_the_tables() -> None:
    group = Group(NEW, GroupType.INDIRECT, (Bucket((Output(7),)),))
    stays, goes = bridge(1, OLD), bridge(2, OLD)
    delta = Delta(
        [bridge(1, NEW), admit(5)],
        {stays.cookie: stays.key, goes.cookie: goes.key},
        groups=[group],
        groups_changed=[group],
        groups_gone=[OLD],
    )
    assert list(show_delta(delta, {flow.cookie: flow for flow in (stays, goes)})) == [
        "+ group=next_hop/1/3 type=indirect buckets=[output:7]",
        "~ group=next_hop/1/3 type=indirect buckets=[output:7]",
        "+ table=admit priority=1000 in_port=5 actions=goto:answer",
        "+ table=bridge priority=1000 metadata=segment:1,eth_dst=00:00:00:00:00:01 actions=group:next_hop/1/3",
        "- table=bridge priority=1000 metadata=segment:1,eth_dst=00:00:00:00:00:02 actions=group:next_hop/1/2",
        "- group=next_hop/1/2",
    ]


def test_a_counted_table_has_one_line() -> None:
    delta = Delta([admit(port) for port in (1, 2, 3)])
    assert list(show_delta(delta, {}, counted={Table.ADMIT})) == ["+ 3 flows table=admit"]
    assert list(show_delta(Delta([admit(1)]), {}, counted={Table.ADMIT})) == ["+ 1 flow table=admit"]
