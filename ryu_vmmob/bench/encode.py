"""Flow-mods a second: our encoder, from finished flows and from the compiler's arguments, beside Ryu's serialiser.

The flows are those that one VM costs at its edge: classification, admission, answers, bridging, delivery.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from typing import Any

from ryu_vmmob.bench.measure import Row, Workload, rates
from ryu_vmmob.flows import wire
from ryu_vmmob.flows.fields import vid
from ryu_vmmob.flows.flow import Flow, Move, Output, PushVlan, SetField, ToGroup, match
from ryu_vmmob.flows.pipeline import HAIRPIN, SEGMENT, GroupKind, Table, group_id
from ryu_vmmob.net.addresses import MAC_BROADCAST, mac_text
from ryu_vmmob.net.protocols import ETH_ARP, ETH_IPV4

VMS = 2500
RYU_VMS = 60  # Ryu is slower by far: fewer, or a run takes minutes
_GROUP = group_id(GroupKind.NEXT_HOP, 1, 3)
_TO_GROUP = (ToGroup(_GROUP),)
_DELIVER = (PushVlan(), SetField("vlan_vid", vid(110)), Output(1))


def flows_of(number: int) -> list[Flow]:
    """Return the flows of VM ``number``; each VM has its own MAC and address, every 50 share a CUG."""
    mac, ip = 0x020000000000 | number, 0x0A000000 | number
    segment = SEGMENT.of(1 + number // 50)
    port = 1 + number % 40
    return [
        Flow(Table.INGRESS, 1000, match(in_port=port, vlan_vid=0, eth_src=mac), (), Table.ADMIT, segment),
        Flow(
            Table.ADMIT, 1000, match(in_port=port, metadata=segment, eth_src=mac, eth_type=ETH_IPV4, ipv4_src=ip), (),
            Table.ANSWER,
        ),
        Flow(
            Table.ADMIT, 1000,
            match(in_port=port, metadata=segment, eth_src=mac, eth_type=ETH_ARP, arp_sha=mac, arp_spa=ip), (), Table.ANSWER,
        ),
        Flow(
            Table.ANSWER, 1000, match(metadata=segment, eth_dst=MAC_BROADCAST, eth_type=ETH_ARP, arp_op=1, arp_tpa=ip),
            (
                Move("eth_src", "eth_dst"), SetField("eth_src", mac), SetField("arp_op", 2), Move("arp_sha", "arp_tha"),
                Move("arp_spa", "arp_tpa"), SetField("arp_sha", mac), SetField("arp_spa", ip),
            ),
            Table.DELIVER, HAIRPIN.of(1),
        ),
        Flow(Table.BRIDGE, 1000, match(metadata=segment, eth_dst=mac), _TO_GROUP),
        Flow(Table.DELIVER, 1000, match(metadata=segment, eth_dst=mac), _DELIVER),
    ]  # fmt: skip


def _ours(count: int) -> Callable[[], object]:
    fresh = itertools.count()  # VMs never seen before in each run: no cache may make a second run the faster one

    def work() -> int:
        return sum(len(wire.flow_add(flow, 7)) for number in itertools.islice(fresh, count) for flow in flows_of(number))

    return work


def _ours_finished(count: int) -> Callable[[], object]:
    flows = [flow for number in range(count) for flow in flows_of(number)]

    def work() -> int:
        return sum(len(wire.flow_add(flow, 7)) for flow in flows)

    return work


def _ryu(count: int) -> Callable[[], object]:
    """Return the same flows through Ryu, objects made and serialised, as an application does it."""
    from ryu.ofproto import ofproto_v1_3 as ofp
    from ryu.ofproto import ofproto_v1_3_parser as parser
    from ryu.ofproto.ofproto_protocol import ProtocolDesc

    path = ProtocolDesc(version=4)

    def send(table: Table, fields: dict[str, Any], actions: list[Any], goto: Table | None, *metadata: int) -> int:
        instructions: list[Any] = []
        if actions:
            instructions.append(parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions))
        if metadata:
            instructions.append(parser.OFPInstructionWriteMetadata(*metadata))
        if goto is not None:
            instructions.append(parser.OFPInstructionGotoTable(goto.id))
        message = parser.OFPFlowMod(
            path, table_id=table.id, priority=1000, buffer_id=ofp.OFP_NO_BUFFER, out_port=ofp.OFPP_ANY,
            out_group=ofp.OFPG_ANY, match=parser.OFPMatch(**fields), instructions=instructions,
        )  # fmt: skip
        message.set_xid(7)
        message.serialize()
        return len(message.buf)

    def one(number: int) -> int:
        mac, ip = mac_text(0x020000000000 | number), str(IPv4Address(0x0A000000 | number))
        segment, port = SEGMENT.of(1 + number // 50), 1 + number % 40
        field, move = parser.OFPActionSetField, parser.NXActionRegMove
        own = {"in_port": port, "metadata": segment, "eth_src": mac}
        asked = {"metadata": segment, "eth_dst": "ff:ff:ff:ff:ff:ff", "eth_type": ETH_ARP, "arp_op": 1, "arp_tpa": ip}
        turn = [
            move("eth_src_nxm", "eth_dst_nxm", 48), field(eth_src=mac), field(arp_op=2),
            move("arp_sha_nxm", "arp_tha_nxm", 48), move("arp_spa_nxm", "arp_tpa_nxm", 32), field(arp_sha=mac),
            field(arp_spa=ip),
        ]  # fmt: skip
        deliver = [parser.OFPActionPushVlan(), field(vlan_vid=vid(110)), parser.OFPActionOutput(1, 0)]
        there = {"metadata": segment, "eth_dst": mac}
        return (
            send(Table.INGRESS, {"in_port": port, "vlan_vid": 0, "eth_src": mac}, [], Table.ADMIT, *segment)
            + send(Table.ADMIT, {**own, "eth_type": ETH_IPV4, "ipv4_src": ip}, [], Table.ANSWER)
            + send(Table.ADMIT, {**own, "eth_type": ETH_ARP, "arp_sha": mac, "arp_spa": ip}, [], Table.ANSWER)
            + send(Table.ANSWER, asked, turn, Table.DELIVER, *HAIRPIN.of(1))
            + send(Table.BRIDGE, there, [parser.OFPActionGroup(_GROUP)], None)
            + send(Table.DELIVER, there, deliver, None)
        )

    def work() -> int:
        return sum(map(one, range(count)))

    return work


def run() -> Iterator[Row]:
    """Flow-mods a second in one process. Raises RuntimeError when the contenders do not write equally many bytes."""
    mine, theirs = _ours(RYU_VMS)(), _ryu(RYU_VMS)()
    if mine != theirs:
        raise RuntimeError(f"not the same flows: {mine} bytes here, {theirs} bytes from Ryu")
    each = len(flows_of(0))
    cases = {
        "compile arguments to bytes": Workload("match, Flow and message made", VMS * each, _ours(VMS)),
        "flows to bytes": Workload("messages of flows that exist", VMS * each, _ours_finished(VMS)),
        "Ryu": Workload("objects made and serialised by Ryu", RYU_VMS * each, _ryu(RYU_VMS)),
    }
    yield from rates(cases)
