"""Packets that cannot be routed: which router says what, to whom, and where its word leaves the fabric."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, ICMPerror, IPerror
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6TimeExceeded,
    IPerror6,
    IPv6,
)
from scapy.packet import Raw

from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.commands import Prepared, StartMigration
from ryu_vmmob.model.migrations import Deliver
from ryu_vmmob.model.move_options import Delivery
from ryu_vmmob.model.objects import Phase
from ryu_vmmob.model.routing_domains import ExternalsChanged
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import mac_text
from ryu_vmmob.punt.values import Ask, PacketOut
from tests.support.commands import cug, do
from tests.support.punted_packets import (
    DB1,
    DCS,
    GATEWAY_MAC,
    HOP_1,
    HOP_2,
    LONE1,
    WEB1,
    ask,
    at,
    dcs,
    ether,
    from_edge,
    from_member,
    from_outside,
    mine,
    place,
    sent,
)

FAR, FAR6 = "203.0.113.9", "2001:db8:9::9"
STRANGER = 0x02BB00000001
WEB1_AT, WEB2_AT, LONE1_AT = (at(dcs(), name) for name in ("web1", "web2", "lone1"))


def udp(src: str, dst: str, ttl: int = 1) -> Any:
    return IP(src=src, dst=dst, ttl=ttl) / UDP(sport=4000, dport=33434) / Raw(b"x" * 20)


def udp6(src: str, dst: str, ttl: int = 1) -> Any:
    return IPv6(src=src, dst=dst, hlim=ttl) / UDP(sport=4000, dport=33434) / Raw(b"x" * 20)


def member(packet: Any) -> Any:
    return ether(GATEWAY_MAC, WEB1.mac) / packet


def expired(state: State, packet: Any, **more: Any) -> list[Any]:
    """web1's packet, whose time is over at its own edge."""
    return ask(state, "tor-a:1", from_member(state, "web"), Table.GATEWAY, member(packet), **more)


def unrouted(state: State, packet: Any, **more: Any) -> list[Any]:
    """web1's packet, which its own edge cannot route."""
    return ask(state, "tor-a:1", from_member(state, "web"), Table.ROUTE, member(packet), **more)


# Whose time is over


@pytest.mark.parametrize("target", ["10.2.0.11", "10.1.0.12", FAR])
def test_a_members_first_hop_is_its_own_gateway(target: str) -> None:
    where, frame = sent(expired(dcs(), udp("10.1.0.11", target)))
    assert where == WEB1_AT
    assert (frame.dst, frame.src) == (mac_text(WEB1.mac), mac_text(GATEWAY_MAC))
    assert (frame[IP].src, frame[IP].dst) == ("10.1.0.1", "10.1.0.11")
    assert (frame[ICMP].type, frame[ICMP].code) == (11, 0)
    assert (frame[IPerror].dst, frame[IPerror].id) == (target, 1)


def test_the_same_in_ipv6() -> None:
    where, frame = sent(expired(dcs(), udp6("2001:db8:1::11", FAR6)))
    assert where == WEB1_AT
    assert (frame[IPv6].src, frame[IPv6].dst) == ("2001:db8:1::1", "2001:db8:1::11")
    assert ICMPv6TimeExceeded in frame
    assert frame[IPerror6].dst == FAR6


def test_a_cug_without_routing_domain_has_a_first_hop_too() -> None:
    state = dcs()
    frame = ether(GATEWAY_MAC, LONE1.mac) / udp("10.3.0.11", FAR)
    where, told = sent(ask(state, "tor-a:2", from_member(state, "lone"), Table.GATEWAY, frame))
    assert (where, told[IP].src) == (LONE1_AT, "10.3.0.1")


def test_a_switch_that_may_not_count_down_says_so_itself() -> None:
    _, frame = sent(unrouted(dcs(), udp("10.1.0.11", "10.2.0.11"), ttl_invalid=True))
    assert (frame[IP].src, frame[ICMP].type) == ("10.1.0.1", 11)


def over(state: State, switch: str, packet: Any, table: Table = Table.GATEWAY) -> list[Any]:
    """A packet that comes over the routed segment."""
    frame = ether(mine(state, switch), mine(state, "border-3")) / packet
    return ask(state, f"{switch}:49", from_edge(state), table, frame)


def test_the_hosting_edge_speaks_as_the_gateway_of_the_target() -> None:
    """web1 to db1: the second hop is tor-b, which speaks as db's gateway; the answer goes straight to tor-a."""
    state = dcs()
    where, frame = sent(over(state, "tor-b", udp("10.1.0.11", "10.2.0.11")))
    assert where == WEB1_AT
    assert (frame.dst, frame.src) == (mac_text(WEB1.mac), mac_text(GATEWAY_MAC))
    assert (frame[IP].src, frame[IP].dst, frame[ICMP].type) == ("10.2.0.1", "10.1.0.11", 11)


def test_a_border_on_the_way_out_speaks_with_its_address_there() -> None:
    state = dcs()
    where, frame = sent(over(state, "border-1", udp("10.1.0.11", FAR)))
    assert (where, frame[IP].src, frame[IP].dst) == (WEB1_AT, "192.0.2.1", "10.1.0.11")
    where, frame = sent(over(state, "border-3", udp6("2001:db8:1::12", FAR6)))
    assert (where, frame[IPv6].src) == (WEB2_AT, "2001:db8:fffe::1")


def test_behind_a_border_the_outside_hears_of_the_gateway_by_the_nearest_exit() -> None:
    state = dcs()
    where, frame = sent(over(state, "tor-b", udp(FAR, "10.2.0.11")))
    assert where == "border-1:10"
    assert (frame.dst, frame.src) == (mac_text(HOP_1), mac_text(mine(state, "border-1")))
    assert (frame[IP].src, frame[IP].dst) == ("10.2.0.1", FAR)
    where, frame = sent(over(state, "tor-c", udp6(FAR6, "2001:db8:1::12")))
    assert (where, frame.dst, frame[IPv6].src) == ("border-3:10", mac_text(HOP_2), "2001:db8:1::1")


def test_with_the_nearest_exit_down_the_other_one_is_used() -> None:
    state = dcs(ExternalsChanged(frozenset({"internet-1"})))
    assert sent(over(state, "tor-b", udp(FAR, "10.2.0.11")))[0] == "border-3:10"
    assert over(dcs(ExternalsChanged(frozenset(DCS.externals))), "tor-b", udp(FAR, "10.2.0.11")) == []


def outside(state: State, packet: Any, table: Table, src: int = STRANGER) -> list[Any]:
    """A packet from the wire of internet-1."""
    frame = ether(mine(state, "border-1"), src) / packet
    return ask(state, "border-1:10", from_outside(state), table, frame)


def test_to_the_outside_the_border_speaks_with_its_address_there() -> None:
    state = dcs()
    where, frame = sent(outside(state, udp(FAR, "10.2.0.11"), Table.GATEWAY))
    assert where == "border-1:10"
    assert (frame.dst, frame.src) == (mac_text(STRANGER), mac_text(mine(state, "border-1")))
    assert (frame[IP].src, frame[ICMP].type) == ("192.0.2.1", 11)
    assert sent(outside(state, udp6(FAR6, "2001:db8:2::11"), Table.GATEWAY))[1][IPv6].src == "2001:db8:ffff::1"


def test_an_external_network_with_a_tag_gets_it_back() -> None:
    tagged = replace(DCS, externals={**DCS.externals, "internet-1": replace(DCS.externals["internet-1"], vlan_id=77)})
    state = dcs(fabric=tagged)
    assert sent(outside(state, udp(FAR, "10.2.0.11"), Table.GATEWAY))[0] == "border-1:10/77"
    assert sent(over(state, "tor-b", udp(FAR, "10.2.0.11")))[0] == "border-1:10/77"


# What cannot be reached


def test_an_address_of_a_cug_that_is_nobodys() -> None:
    where, frame = sent(unrouted(dcs(), udp("10.1.0.11", "10.2.0.77", 64)))
    assert (where, frame[IP].src) == (WEB1_AT, "10.1.0.1")
    assert (frame[ICMP].type, frame[ICMP].code) == (3, 1)
    assert ICMPerror not in frame or frame[IPerror].dst == "10.2.0.77"
    _, frame = sent(unrouted(dcs(), udp6("2001:db8:1::11", "2001:db8:2::77", 64)))
    assert (frame[ICMPv6DestUnreach].code, frame[IPv6].src) == (3, "2001:db8:1::1")
    _, frame = sent(outside(dcs(), udp(FAR, "10.2.0.77", 64), Table.ROUTE))
    assert (frame[ICMP].code, frame[IP].src, frame[IP].dst) == (1, "192.0.2.1", FAR)


def test_an_address_that_no_prefix_holds() -> None:
    state = dcs(ExternalsChanged(frozenset(DCS.externals)))
    _, frame = sent(unrouted(state, udp("10.1.0.11", FAR, 64)))
    assert (frame[ICMP].type, frame[ICMP].code, frame[IP].src) == (3, 0, "10.1.0.1")
    _, frame = sent(unrouted(state, udp6("2001:db8:1::11", FAR6, 64)))
    assert frame[ICMPv6DestUnreach].code == 0


def test_nobody_outside_is_carried_to_the_outside() -> None:
    for target in (FAR, "198.51.100.7", "192.0.2.7"):
        _, frame = sent(outside(dcs(), udp("192.0.2.9", target, 64), Table.ROUTE))
        assert (frame[ICMP].type, frame[ICMP].code, frame[IP].src) == (3, 0, "192.0.2.1")


def test_another_routing_domains_addresses_mean_nothing() -> None:
    _, frame = sent(unrouted(dcs(cug("far", 7, routing_domain="blue")), udp("10.1.0.11", "10.7.0.7", 64)))
    assert frame[ICMP].code == 0


# The wire of an external network


@pytest.mark.parametrize(
    ("packet", "address"),
    [
        (udp("10.1.0.11", "192.0.2.7", 64), "192.0.2.7"),
        (udp6("2001:db8:1::11", "2001:db8:ffff::7", 64), "2001:db8:ffff::7"),
    ],
    ids=["v4", "v6"],
)
def test_a_neighbour_that_is_not_known_is_asked_for(packet: Any, address: str) -> None:
    assert over(dcs(), "border-1", packet, Table.ROUTE) == [Ask("internet-1", ip_address(address))]


@pytest.mark.parametrize("address", ["192.0.2.0", "192.0.2.255"])
def test_what_names_no_host_there_is_not_asked_for(address: str) -> None:
    assert over(dcs(), "border-1", udp("10.1.0.11", address, 64), Table.ROUTE) == []


@pytest.mark.parametrize("table", [Table.ROUTE, Table.GATEWAY])
def test_an_address_of_the_border_answers_pings_and_nothing_else(table: Table) -> None:
    state = dcs()
    ping = IP(src="10.1.0.11", dst="192.0.2.1", ttl=1) / ICMP(id=7, seq=9) / Raw(b"abc")
    where, frame = sent(over(state, "border-1", ping, table))
    assert (where, frame[IP].src, frame[IP].dst) == (WEB1_AT, "192.0.2.1", "10.1.0.11")
    assert (frame[ICMP].type, frame[ICMP].id, frame[ICMP].seq, bytes(frame[Raw])) == (0, 7, 9, b"abc")
    assert frame.src == mac_text(GATEWAY_MAC)
    ping6 = IPv6(src="2001:db8:1::11", dst="2001:db8:ffff::1") / ICMPv6EchoRequest(id=7, seq=9, data=b"abc")
    _, frame = sent(over(state, "border-1", ping6, table))
    assert (frame[ICMPv6EchoReply].id, frame[ICMPv6EchoReply].data) == (7, b"abc")
    _, frame = sent(over(state, "border-1", udp("10.1.0.11", "192.0.2.1"), table))
    assert (frame[ICMP].type, frame[ICMP].code, frame[IP].src) == (3, 3, "192.0.2.1")


def test_a_gateway_is_the_end_of_a_trace_to_it() -> None:
    for target in ("10.1.0.1", "10.2.0.1"):
        for packet in (udp("10.1.0.11", target), IP(src="10.1.0.11", dst=target, ttl=64) / TCP(dport=22)):
            _, frame = sent(expired(dcs(), packet))
            assert (frame[ICMP].type, frame[ICMP].code, frame[IP].src) == (3, 3, target)
    _, frame = sent(outside(dcs(), udp(FAR, "10.2.0.1"), Table.GATEWAY))
    assert (frame[ICMP].code, frame[IP].src) == (3, "10.2.0.1")


# What is not reported


@pytest.mark.parametrize(
    "packet",
    [
        IP(src="10.1.0.11", dst=FAR, ttl=1) / ICMP(type=3, code=1) / Raw(bytes(28)),
        IP(src="10.1.0.11", dst=FAR, ttl=1, frag=10) / Raw(bytes(28)),
        IP(src="10.1.0.11", dst="10.2.0.255", ttl=1) / UDP(),
        IP(src="10.1.0.11", dst="192.0.2.255", ttl=1) / UDP(),
        IP(src="0.0.0.0", dst=FAR, ttl=1) / UDP(),
        IP(src="10.1.0.11", dst="224.0.0.9", ttl=1) / UDP(),
        IPv6(src="fe80::ff:fe00:10b", dst=FAR6, hlim=1) / UDP(),
        IPv6(src="2001:db8:1::11", dst="ff02::1", hlim=1) / UDP(),
    ],
    ids=["error", "fragment", "broadcast", "their-broadcast", "no-source", "group", "link-local", "group6"],
)
def test_no_error_about(packet: Any) -> None:
    state = dcs()
    if packet.dst == "192.0.2.255":
        assert over(state, "border-1", packet) == []
    else:
        assert expired(state, packet) == []


def test_no_error_to_nobody() -> None:
    state = dcs()
    unknown = ether(GATEWAY_MAC, 0x02CC00000001) / udp("10.1.0.11", FAR)
    assert ask(state, "tor-a:1", from_member(state, "web"), Table.GATEWAY, unknown) == []
    assert over(state, "tor-b", udp("10.1.0.99", "10.2.0.11")) == []
    assert over(state, "tor-b", udp("10.1.0.11", FAR)) == []  # no border: no such way out
    gone = state.segment_names.delete(state.routing_domains["red"].key)
    assert over(replace(state, segment_names=gone), "tor-b", udp("10.1.0.11", "10.2.0.11")) == []


def test_the_link_layer_addresses_of_a_frame_are_one_stations() -> None:
    state = dcs()
    frame = ether(GATEWAY_MAC, 0x010000000001) / udp("10.1.0.11", FAR)
    assert ask(state, "tor-a:1", from_member(state, "web"), Table.GATEWAY, frame) == []


# Where a VM is


def test_a_lag_is_answered_through_its_group() -> None:
    state = dcs()
    frame = ether(GATEWAY_MAC, DB1.mac) / udp("10.2.0.11", FAR)
    where, _ = sent(ask(state, "tor-b:2", from_member(state, "db"), Table.GATEWAY, frame))
    assert where.startswith("tor-b:group:lag/")


@pytest.mark.parametrize("delivery", ["at_pause", "early"])
def test_while_a_vm_is_prepared_to_move_it_hears_where_it_speaks_or_where_it_is_served(delivery: Delivery) -> None:
    state = dcs(StartMigration("m1", "web1", "srv-d1", delivery=delivery))
    assert state.migrations["m1"].phase is Phase.PREPARING
    new = ask(state, "tor-d:1", from_member(state, "web"), Table.GATEWAY, member(udp("10.1.0.11", FAR)))
    assert sent(new)[0] == at(state, "web1", "srv-d1")
    found = over(state, "tor-b", udp("10.1.0.11", "10.2.0.11"))
    places = [WEB1_AT, at(state, "web1", "srv-d1")] if delivery == "early" else [WEB1_AT]
    assert [place(row) for row in found if isinstance(row, PacketOut)] == places
    delivered = do(state, Prepared("m1"), Deliver("m1")).state
    if delivery == "at_pause":
        found = over(delivered, "tor-b", udp("10.1.0.11", "10.2.0.11"))
        assert [place(row) for row in found if isinstance(row, PacketOut)] == [at(delivered, "web1", "srv-d1")]
