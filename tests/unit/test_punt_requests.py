"""Questions to gateways, members and the edge: on a plain OpenFlow switch the controller says what Open vSwitch would have."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptPrefixInfo,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether

from ryu_vmmob.flows.compiler import full
from ryu_vmmob.flows.flow import CONTROLLER, Output
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.frames.parse import parse
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import eui64_link_local, mac_text
from ryu_vmmob.punt.answer import answer
from ryu_vmmob.punt.values import PacketOut, Punted
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.switch import Tables
from tests.support.frames import to_bytes
from tests.support.punted_packets import (
    DCS,
    GATEWAY_LOCAL,
    GATEWAY_MAC,
    LONE1,
    WEB1,
    WEB2,
    ask,
    at,
    dcs,
    ether,
    from_edge,
    from_member,
    from_outside,
    mine,
    place,
    plain,
    sent,
)

STRANGER = 0x02BB00000001
WEB1_AT = at(dcs(), "web1")


def v4(text: str) -> int:
    return int(IPv4Address(text))


def v6(text: str) -> int:
    return int(IPv6Address(text))


WEB1_4, WEB1_6, LOCAL_6 = v4("10.1.0.11"), v6("2001:db8:1::11"), eui64_link_local(WEB1.mac)
BORDER = mine(dcs(), "border-1")
FROM_MEMBER: dict[str, Packet] = {
    "arp gateway": make.arp_request(WEB1.mac, WEB1_4, v4("10.1.0.1")),
    "arp member": make.arp_request(WEB1.mac, WEB1_4, v4("10.1.0.12")),
    "nd gateway": make.neighbour_solicitation(WEB1.mac, WEB1_6, v6("2001:db8:1::1")),
    "nd gateway on the link": make.neighbour_solicitation(WEB1.mac, LOCAL_6, v6(GATEWAY_LOCAL)),
    "nd member": make.neighbour_solicitation(WEB1.mac, LOCAL_6, v6("2001:db8:1::12")),
    "nd member on the link": make.neighbour_solicitation(WEB1.mac, WEB1_6, eui64_link_local(WEB2.mac)),
    "ping gateway": make.ping(GATEWAY_MAC, WEB1.mac, v4("10.1.0.1"), WEB1_4),
    "ping another gateway": make.ping(GATEWAY_MAC, WEB1.mac, v4("10.2.0.1"), WEB1_4),
    "ping6 gateway": make.ping6(GATEWAY_MAC, WEB1.mac, v6("2001:db8:1::1"), WEB1_6),
    "ping6 gateway on the link": make.ping6(GATEWAY_MAC, WEB1.mac, v6(GATEWAY_LOCAL), LOCAL_6),
}
FROM_OUTSIDE: dict[str, Packet] = {
    "arp": make.arp_request(STRANGER, v4("192.0.2.7"), v4("192.0.2.1")),
    "nd": make.neighbour_solicitation(STRANGER, v6("2001:db8:ffff::7"), v6("2001:db8:ffff::1")),
    "ping": make.ping(BORDER, STRANGER, v4("192.0.2.1"), v4("192.0.2.7")),
    "ping6": make.ping6(BORDER, STRANGER, v6("2001:db8:ffff::1"), v6("2001:db8:ffff::7")),
    "ping gateway": make.ping(BORDER, STRANGER, v4("10.1.0.1"), v4("203.0.113.9")),
}


def by_the_switch(switch: str, port: int, packet: Packet) -> tuple[str, bytes]:
    """Open vSwitch's own answer: (where it leaves, without its tag)."""
    compiled = full(dcs())
    result = Tables(compiled.flows(switch), compiled.groups(switch)).process(packet, port)
    ((out, frame),) = result.outputs
    assert not result.controller
    tag = f"/{frame.vlans[0]}" if frame.vlans else ""
    return f"{switch}:{out}{tag}", to_bytes(frame.with_vlans())


def by_the_controller(switch: str, port: int, packet: Packet, meta: int) -> tuple[str, bytes]:
    """The controller's answer in the place of a switch that knows no field moves."""
    state = dcs(fabric=plain(DCS))
    compiled = full(state)
    result = Tables(compiled.flows(switch), compiled.groups(switch)).process(packet, port)
    ((cookie, copy),) = result.controller
    flow = compiled.tables[switch].flows[cookie]
    assert flow.table is Table.ANSWER
    assert not result.outputs
    (out,) = answer(state, Punted(switch, port, meta, flow.table, flow.owner, to_bytes(copy)))
    assert isinstance(out, PacketOut)
    return place(out), out.frame


def probes(mac: int) -> dict[str, tuple[Packet, Packet]]:
    """Address probes of a member for what is taken, and what each is told."""
    all_nodes, override, router = make.ALL_NODES, make.OVERRIDE, 0x80000000
    gateway, member = v6("2001:db8:1::1"), v6("2001:db8:1::12")
    told = {
        target: make.neighbour_advertisement(owner, target, mac, all_nodes).with_fields(nd_reserved=flags)
        for owner, target, flags in (
            (int(GATEWAY_MAC), gateway, override | router),
            (int(GATEWAY_MAC), v6(GATEWAY_LOCAL), override | router),
            (WEB2.mac, member, override),
            (WEB2.mac, eui64_link_local(WEB2.mac), override),
        )
    }
    rows = {f"nd {IPv6Address(target)}": (make.neighbour_solicitation(mac, 0, target), tells) for target, tells in told.items()}
    rows["arp gateway"] = make.arp_probe(mac, v4("10.1.0.1")), make.arp_reply(int(GATEWAY_MAC), v4("10.1.0.1"), mac, 0)
    rows["arp member"] = make.arp_probe(mac, v4("10.1.0.12")), make.arp_reply(WEB2.mac, v4("10.1.0.12"), mac, 0)
    return rows


@pytest.mark.parametrize("name", probes(WEB1.mac))
def test_who_would_take_an_address_is_told_whose_it_is(name: str) -> None:
    """RFC 5227, 2.1.1 and RFC 4862, 5.4: by the switch itself, and the same by the controller for a plain one."""
    probe, tells = probes(WEB1.mac)[name]
    probe = probe.with_vlans(int(WEB1_AT.partition("/")[2]))
    where, frame = by_the_switch("tor-a", 1, probe)
    said_where, said = by_the_controller("tor-a", 1, probe, from_member(dcs(), "web"))
    assert said_where == where == WEB1_AT
    for told in (parse(frame), parse(said)):
        wanted = parse(to_bytes(tells))
        assert told is not None
        assert wanted is not None
        assert (told.dst, told.src, told.content) == (wanted.dst, wanted.src, wanted.content)
    if name.startswith("nd "):
        one, other = Ether(frame)[ICMPv6ND_NA], Ether(said)[ICMPv6ND_NA]
        flags = tells["nd_reserved"]
        assert (one.R, one.S, one.O) == (other.R, other.S, other.O) == (flags >> 31, 0, 1)
        assert one.tgt == other.tgt == str(IPv6Address(tells["ipv6_nd_target"]))


FREE = [make.arp_probe(WEB1.mac, v4("10.1.0.99")), make.neighbour_solicitation(WEB1.mac, 0, v6("2001:db8:1::99"))]


@pytest.mark.parametrize("probe", FREE)
def test_a_probe_for_an_address_that_nobody_has_is_refused(probe: Packet) -> None:
    compiled = full(dcs())
    tables = Tables(compiled.flows("tor-a"), compiled.groups("tor-a"))
    result = tables.process(probe.with_vlans(int(WEB1_AT.partition("/")[2])), 1)
    assert not result.outputs
    assert result.path[-1].table is Table.REFUSE


def same(one: bytes, other: bytes) -> None:
    """Two frames say the same: of the IP header only what numbers fragments may differ."""
    first, second = parse(one), parse(other)
    assert first is not None
    assert second is not None
    assert (first.dst, first.src, first.content, first.payload) == (second.dst, second.src, second.content, second.payload)


@pytest.mark.parametrize("name", FROM_MEMBER)
def test_a_members_question(name: str) -> None:
    packet = FROM_MEMBER[name].with_vlans(int(WEB1_AT.partition("/")[2]))
    where, frame = by_the_switch("tor-a", 1, packet)
    said_where, said = by_the_controller("tor-a", 1, packet, from_member(dcs(), "web"))
    assert said_where == where == WEB1_AT
    same(frame, said)


@pytest.mark.parametrize("name", FROM_OUTSIDE)
def test_a_question_from_outside(name: str) -> None:
    where, frame = by_the_switch("border-1", 10, FROM_OUTSIDE[name])
    said_where, said = by_the_controller("border-1", 10, FROM_OUTSIDE[name], from_outside(dcs()))
    assert said_where == where == "border-1:10"
    same(frame, said)


def test_a_plain_switch_gets_no_field_moves_at_all() -> None:
    compiled = full(dcs(fabric=plain(DCS)))
    for switch in DCS.switches:
        for flow in compiled.flows(switch):
            if flow.table is Table.ANSWER and flow.actions:
                assert flow.actions == (Output(CONTROLLER, 0xFFFF),)


# Router solicitations


def rs(src: str, src_mac: int = WEB1.mac) -> Any:
    return ether(0x333300000002, src_mac) / IPv6(src=src, dst="ff02::2", hlim=255) / ICMPv6ND_RS()


def test_a_router_solicitation_is_answered_to_the_asker() -> None:
    state = dcs()
    where, frame = sent(ask(state, "tor-a:1", from_member(state, "web"), Table.ANSWER, rs(str(IPv6Address(LOCAL_6)))))
    assert where == WEB1_AT
    assert (frame.dst, frame.src) == (mac_text(WEB1.mac), mac_text(GATEWAY_MAC))
    assert (frame[IPv6].src, frame[IPv6].dst, frame[IPv6].hlim) == (GATEWAY_LOCAL, str(IPv6Address(LOCAL_6)), 255)
    assert frame[ICMPv6ND_RA].routerlifetime == 1800
    prefix = frame[ICMPv6NDOptPrefixInfo]
    assert (prefix.prefix, prefix.prefixlen, prefix.L, prefix.A) == ("2001:db8:1::", 64, 1, 0)


def test_who_has_no_address_yet_is_answered_as_all_nodes_are() -> None:
    """RFC 4861, 6.2.6: to all nodes; here in a frame to the asker alone."""
    frame = sent(ask(dcs(), "tor-a:1", from_member(dcs(), "web"), Table.ANSWER, rs("::")))[1]
    assert (frame.dst, frame[IPv6].dst) == (mac_text(WEB1.mac), "ff02::1")
    assert frame[ICMPv6ND_RA].routerlifetime == 1800


def test_without_a_routing_domain_the_gateway_is_no_default_router() -> None:
    state = dcs()
    local = str(IPv6Address(eui64_link_local(LONE1.mac)))
    frame = sent(ask(state, "tor-a:2", from_member(state, "lone"), Table.ANSWER, rs(local, LONE1.mac)))[1]
    assert frame[ICMPv6ND_RA].routerlifetime == 0
    assert frame[ICMPv6NDOptPrefixInfo].prefix == "2001:db8:3::"


# Packets that are no question, or a question for an unknown address


def nothing(state: State, where: str, meta: int, frame: Any) -> None:
    assert ask(state, where, meta, Table.ANSWER, frame) == []


def test_no_answer() -> None:
    state = dcs()
    web = from_member(state, "web")
    local = str(IPv6Address(LOCAL_6))
    nd: dict[str, Any] = {"src": local, "dst": "ff02::1:ff00:99", "hlim": 255}
    arp = ARP(op=1, hwsrc=mac_text(WEB1.mac), psrc="10.1.0.11", pdst="10.1.0.99")
    nothing(state, "tor-a:1", web, Ether(src=mac_text(WEB1.mac), dst="ff:ff:ff:ff:ff:ff") / arp)
    nothing(state, "tor-a:1", web, ether(0x333300000001, WEB1.mac) / IPv6(**nd) / ICMPv6ND_NS(tgt="2001:db8:1::99"))
    nothing(state, "tor-a:1", web, rs("::", 0x02CC00000001))
    nothing(state, "tor-a:1", web, rs(local, 0x02CC00000001))
    nothing(state, "tor-a:1", web, ether(GATEWAY_MAC, WEB1.mac) / IPv6(src=local, dst="ff02::1") / ICMPv6EchoRequest())
    nothing(state, "tor-a:1", web, b"")
    nothing(state, "tor-a:1", web, b"\x00" * 60)
    nothing(state, "border-1:10", from_outside(state), rs(local, STRANGER))
    nothing(state, "tor-a:49", from_edge(state), rs(local))
    nothing(state, "tor-a:1", 0, rs(local))
    gateway = {**nd, "dst": "ff02::1:ff00:1"}
    nothing(state, "tor-a:1", web, ether(0x333300000001, 0) / IPv6(**gateway) / ICMPv6ND_NS(tgt="2001:db8:1::1"))


def test_tables_that_ask_nothing() -> None:
    state = dcs()
    for table in (Table.INGRESS, Table.REFUSE, Table.BRIDGE):
        assert ask(state, "tor-a:1", from_member(state, "web"), table, rs(str(IPv6Address(LOCAL_6)))) == []
