"""A flow of every kind, with every field, and a group of every kind."""

from __future__ import annotations

from ryu_vmmob.flows.fields import vid
from ryu_vmmob.flows.flow import (
    CONTROLLER,
    IN_PORT,
    Bucket,
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
from ryu_vmmob.flows.pipeline import HAIRPIN, SEGMENT, GroupKind, Meter, Table, group_id
from ryu_vmmob.net.addresses import MAC_BROADCAST
from ryu_vmmob.net.protocols import ETH_ARP, ETH_IPV4, ETH_IPV6, TCP_ACK

MAC, IP, IP6 = 0x020000000001, 0x0A010001, (0x20010DB8 << 96) + 1
ND = {"eth_type": ETH_IPV6, "ip_proto": 58}
TO_GROUP = group_id(GroupKind.NEXT_HOP, 7, 3)

FLOWS = {
    "miss": Flow.undeclared(Table.INGRESS, 0, ()),
    "trunk": Flow.undeclared(
        Table.INGRESS, 1000, match(in_port=49, vlan_vid=vid(110)), (PopVlan(),), Table.BRIDGE, SEGMENT.of(7)
    ),
    "tagged server": Flow.undeclared(
        Table.INGRESS, 1000, match(in_port=1, vlan_vid=vid(110)), (PopVlan(),), Table.ADMIT, SEGMENT.of(7)
    ),
    "untagged server": Flow.undeclared(
        Table.INGRESS, 1000, match(in_port=2, vlan_vid=0, eth_src=MAC), (), Table.ADMIT, SEGMENT.of(7)
    ),
    "any tag": Flow.undeclared(Table.INGRESS, 1, match(in_port=2, vlan_vid=(0x1000, 0x1000))),
    "admit arp": Flow.undeclared(
        Table.ADMIT, 1000,
        match(in_port=1, metadata=SEGMENT.of(7), eth_src=MAC, eth_type=ETH_ARP, arp_sha=MAC, arp_spa=IP), (), Table.ANSWER,
    ),
    "admit arp probe": Flow.undeclared(
        Table.ADMIT, 1000,
        match(
            in_port=1, metadata=SEGMENT.of(7), eth_src=MAC, eth_type=ETH_ARP, arp_op=1, arp_sha=MAC, arp_spa=0, arp_tpa=IP
        ),
        (), Table.ANSWER,
    ),
    "admit awaited": Flow.undeclared(
        Table.ADMIT, 1000, match(in_port=1, metadata=SEGMENT.of(7), eth_src=MAC, eth_type=ETH_IPV4, ipv4_src=IP),
        (Output(CONTROLLER, 128),), Table.ANSWER,
    ),
    "admit dhcp": Flow.undeclared(
        Table.ADMIT, 1000,
        match(metadata=SEGMENT.of(7), eth_src=MAC, eth_type=ETH_IPV4, ipv4_src=0, ip_proto=17, udp_src=68, udp_dst=67), (),
        Table.ANSWER,
    ),
    "admit tcp": Flow.undeclared(
        Table.ADMIT, 1000, match(eth_type=ETH_IPV4, ip_proto=6, ipv4_dst=(0x0A010000, 0xFFFFFF00), tcp_src=1, tcp_dst=2), (),
        Table.ANSWER,
    ),
    "admit ping": Flow.undeclared(
        Table.ADMIT, 1000, match(eth_type=ETH_IPV4, ip_proto=1, icmpv4_type=8, icmpv4_code=0), (), Table.ANSWER
    ),
    "admit ipv6": Flow.undeclared(
        Table.ADMIT, 1000, match(metadata=SEGMENT.of(7), eth_src=MAC, eth_type=ETH_IPV6, ipv6_src=IP6), (), Table.ANSWER
    ),
    "admit solicitation": Flow.undeclared(
        Table.ADMIT, 3000,
        match(metadata=SEGMENT.of(7), eth_src=MAC, ipv6_src=IP6, icmpv6_type=135, ipv6_nd_sll=MAC, **ND), (), Table.ANSWER,
    ),
    "admit advertisement": Flow.undeclared(
        Table.ADMIT, 3000,
        match(
            metadata=SEGMENT.of(7), eth_src=MAC, ipv6_src=IP6, icmpv6_type=136, icmpv6_code=0, ipv6_nd_target=IP6,
            ipv6_nd_tll=MAC, **ND,
        ),
        (), Table.ANSWER,
    ),
    "refuse neighbour discovery": Flow.undeclared(Table.ADMIT, 2000, match(metadata=SEGMENT.of(7), icmpv6_type=136, **ND)),
    "answer arp": Flow.undeclared(
        Table.ANSWER, 1000,
        match(metadata=SEGMENT.of(7), eth_dst=MAC_BROADCAST, eth_type=ETH_ARP, arp_op=1, arp_tpa=IP),
        (
            Move("eth_src", "eth_dst"), SetField("eth_src", MAC), SetField("arp_op", 2), Move("arp_sha", "arp_tha"),
            Move("arp_spa", "arp_tpa"), SetField("arp_sha", MAC), SetField("arp_spa", IP),
        ),
        Table.DELIVER, HAIRPIN.of(1),
    ),
    "answer solicitation": Flow.undeclared(
        Table.ANSWER, 1000,
        match(
            metadata=SEGMENT.of(7), eth_dst=(0x333300000000, 0xFFFF00000000), icmpv6_type=135, ipv6_nd_target=IP6, **ND
        ),
        (
            Move("eth_src", "eth_dst"), SetField("eth_src", MAC), Move("ipv6_src", "ipv6_dst"), SetField("ipv6_src", IP6),
            SetField("nd_reserved", 0x60000000), SetField("icmpv6_type", 136),
        ),
        Table.ADVERTISE, HAIRPIN.of(1),
    ),
    "advertise": Flow.undeclared(
        Table.ADVERTISE, 1000, match(metadata=SEGMENT.of(7), icmpv6_type=136, ipv6_nd_target=IP6, **ND),
        (SetField("nd_options_type", 2), SetField("ipv6_nd_tll", MAC)), Table.DELIVER,
    ),
    "option by its class": Flow.undeclared(
        Table.ADMIT, 1, match(icmpv6_type=135, nd_options_type=1, nd_reserved=0x60000000, **ND)
    ),
    "answer ping": Flow.undeclared(
        Table.ANSWER, 1000, match(eth_type=ETH_IPV4, ip_proto=1, ipv4_dst=IP, icmpv4_type=8),
        (Move("ipv4_src", "ipv4_dst"), SetField("ipv4_src", IP), SetField("icmpv4_type", 0), SetField("nw_ttl", 64)),
        Table.DELIVER,
    ),
    "route": Flow.undeclared(
        Table.ROUTE, 532, match(eth_type=ETH_IPV4, ipv4_dst=IP),
        (DecTtl(), SetField("eth_src", MAC), SetField("eth_dst", MAC + 1)), Table.POLICY_IN, SEGMENT.of(8),
    ),
    "time is over": Flow.undeclared(
        Table.GATEWAY, 2000, match(metadata=SEGMENT.of(7), eth_dst=MAC, eth_type=ETH_IPV4, nw_ttl=1),
        (Output(CONTROLLER, 0xFFFF),), meter=Meter.ANSWERS,
    ),
    "refuse": Flow.undeclared(Table.REFUSE, 1000, match(in_port=1), (Output(CONTROLLER, 128),), meter=Meter.REFUSALS),
    "allow replies": Flow.undeclared(
        Table.POLICY_IN, 10200, match(eth_type=ETH_IPV6, ip_proto=6, tcp_src=(8000, 0xFFC0), tcp_flags=(TCP_ACK, TCP_ACK)), (),
        Table.DELIVER,
    ),
    "bridge": Flow.undeclared(
        Table.BRIDGE, 1000, match(metadata=SEGMENT.of(7), eth_dst=MAC), (ToGroup(TO_GROUP),), Table.DELIVER
    ),
    "flood": Flow.undeclared(
        Table.BRIDGE, 100, match(metadata=SEGMENT.of(7), eth_dst=(1 << 40, 1 << 40)),
        (ToGroup(group_id(GroupKind.FLOOD, 7, 0)),),
    ),
    "deliver": Flow.undeclared(
        Table.DELIVER, 1000, match(metadata=SEGMENT.of(7), eth_dst=MAC),
        (PushVlan(), SetField("vlan_vid", vid(110)), Output(1), PopVlan(), Output(2)),
    ),
    "hairpin": Flow.undeclared(
        Table.DELIVER, 2000,
        match(in_port=1, metadata=(7 | HAIRPIN.mask, SEGMENT.mask | HAIRPIN.mask), eth_dst=MAC),
        (PushVlan(), SetField("vlan_vid", vid(110)), Output(IN_PORT)),
    ),
}  # fmt: skip

FLOWS["later fragment"] = Flow.undeclared(
    Table.POLICY_IN, 30000, match(eth_type=0x86DD, ip_frag=3, ipv6_src=1), (), Table.DELIVER
)
FLOWS["no fragment"] = Flow.undeclared(
    Table.POLICY_IN, 30000, match(eth_type=0x0800, ip_frag=(0, 1), ip_proto=6, tcp_flags=(16, 16)), (), Table.DELIVER
)

GROUPS = {
    "next hop": Group(
        group_id(GroupKind.NEXT_HOP, 7, 3), GroupType.INDIRECT,
        (Bucket((PushVlan(), SetField("vlan_vid", vid(2010)), Output(49))),),
    ),
    "next hop, no way": Group(group_id(GroupKind.NEXT_HOP, 7, 3), GroupType.INDIRECT, (Bucket(()),)),
    "trunk": Group(
        group_id(GroupKind.TRUNK, 7, 3), GroupType.FAST_FAILOVER,
        tuple(Bucket((PushVlan(), SetField("vlan_vid", vid(2010)), Output(port)), port) for port in (49, 50)),
    ),
    "flood": Group(
        group_id(GroupKind.FLOOD, 7, 0), GroupType.ALL,
        (Bucket((ToGroup(group_id(GroupKind.TRUNK, 7, 3)),)), Bucket((PushVlan(), SetField("vlan_vid", vid(7)), Output(1)))),
    ),
    "empty flood": Group(group_id(GroupKind.FLOOD, 7, 0), GroupType.ALL, ()),
    "lag": Group(
        group_id(GroupKind.LAG, 0xFFFF, 0xFFF), GroupType.FAST_FAILOVER, tuple(Bucket((Output(p),), p) for p in (1, 2))
    ),
}  # fmt: skip
