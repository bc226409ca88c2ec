"""ARP and neighbour discovery frames as Scapy reads them, and as we read them back."""

from __future__ import annotations

import pytest
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP

from ryu_vmmob.frames import arp_nd as make
from ryu_vmmob.frames.content import Arp, NeighbourAdvertisement, NeighbourSolicitation
from ryu_vmmob.frames.parse import parse
from ryu_vmmob.net.addresses import MAC_BROADCAST, mac_text
from tests.support.scapy_frames import (
    FAR_6,
    GATEWAY_4,
    GATEWAY_6,
    GATEWAY_MAC,
    LOCAL_6,
    VM_4,
    VM_6,
    VM_MAC,
    dissected,
    seen,
    v4,
    v6,
)


@pytest.mark.parametrize("to_mac", [MAC_BROADCAST, VM_MAC])
def test_an_arp_request(to_mac: int) -> None:
    data = make.arp_request(GATEWAY_MAC, GATEWAY_4, VM_4, to_mac)
    packet = dissected(data, ARP)
    assert (packet.dst, packet.src, packet.type) == (mac_text(to_mac), mac_text(GATEWAY_MAC), 0x0806)
    arp = packet[ARP]
    assert (arp.hwtype, arp.ptype, arp.hwlen, arp.plen, arp.op) == (1, 0x0800, 6, 4, 1)
    assert (arp.hwsrc, arp.psrc, arp.hwdst, arp.pdst) == (mac_text(GATEWAY_MAC), v4(GATEWAY_4), mac_text(0), v4(VM_4))
    assert seen(data).content == Arp(1, GATEWAY_MAC, GATEWAY_4, 0, VM_4)


def test_an_arp_reply() -> None:
    data = make.arp_reply(GATEWAY_MAC, GATEWAY_4, VM_MAC, VM_4)
    packet = dissected(data, ARP)
    assert (packet.dst, packet.src) == (mac_text(VM_MAC), mac_text(GATEWAY_MAC))
    arp = packet[ARP]
    assert (arp.op, arp.hwsrc, arp.psrc) == (2, mac_text(GATEWAY_MAC), v4(GATEWAY_4))
    assert (arp.hwdst, arp.pdst) == (mac_text(VM_MAC), v4(VM_4))
    assert seen(data).content == Arp(2, GATEWAY_MAC, GATEWAY_4, VM_MAC, VM_4)


def test_a_neighbour_solicitation() -> None:
    data = make.neighbour_solicitation(GATEWAY_MAC, GATEWAY_6, VM_6)
    packet = dissected(data, IPv6, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr)
    assert (packet.dst, packet.src) == ("33:33:ff:00:00:11", mac_text(GATEWAY_MAC))
    assert (packet[IPv6].src, packet[IPv6].dst, packet[IPv6].hlim) == (v6(GATEWAY_6), "ff02::1:ff00:11", 255)
    assert packet[ICMPv6ND_NS].tgt == v6(VM_6)
    assert packet[ICMPv6NDOptSrcLLAddr].lladdr == mac_text(GATEWAY_MAC)
    assert seen(data).message == NeighbourSolicitation(VM_6, GATEWAY_MAC)


def test_a_known_neighbour_is_asked_alone() -> None:
    data = make.neighbour_solicitation(GATEWAY_MAC, GATEWAY_6, VM_6, VM_MAC)
    packet = dissected(data, IPv6, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr)
    assert (packet.dst, packet[IPv6].dst) == (mac_text(VM_MAC), v6(VM_6))
    assert seen(data).message == NeighbourSolicitation(VM_6, GATEWAY_MAC)


def test_duplicate_address_detection() -> None:
    data = make.neighbour_solicitation(GATEWAY_MAC, 0, GATEWAY_6)
    assert dissected(data, IPv6, ICMPv6ND_NS)[IPv6].src == "::"
    assert seen(data).message == NeighbourSolicitation(GATEWAY_6, None)
    with pytest.raises(ValueError, match="multicast address"):
        make.neighbour_solicitation(GATEWAY_MAC, 0, GATEWAY_6, VM_MAC)


@pytest.mark.parametrize("router", [True, False])
@pytest.mark.parametrize("override", [True, False])
@pytest.mark.parametrize("to", [(VM_MAC, VM_6), (0, 0)])
def test_a_neighbour_advertisement(router: bool, override: bool, to: tuple[int, int]) -> None:
    solicited = to != (0, 0)
    data = make.neighbour_advertisement(GATEWAY_MAC, GATEWAY_6, *to, router=router, solicited=solicited, override=override)
    packet = dissected(data, IPv6, ICMPv6ND_NA, ICMPv6NDOptDstLLAddr)
    wanted = (mac_text(VM_MAC), v6(VM_6)) if solicited else ("33:33:00:00:00:01", "ff02::1")
    assert (packet.dst, packet[IPv6].dst) == wanted
    assert (packet.src, packet[IPv6].src, packet[IPv6].hlim) == (mac_text(GATEWAY_MAC), v6(GATEWAY_6), 255)
    said = packet[ICMPv6ND_NA]
    assert (said.R, said.S, said.O, said.tgt) == (router, solicited, override, v6(GATEWAY_6))
    assert packet[ICMPv6NDOptDstLLAddr].lladdr == mac_text(GATEWAY_MAC)
    assert seen(data).message == NeighbourAdvertisement(GATEWAY_6, router, solicited, override, GATEWAY_MAC)


def test_an_advertisement_to_all_nodes_cannot_be_a_solicited_one() -> None:
    with pytest.raises(ValueError, match="not solicited"):
        make.neighbour_advertisement(GATEWAY_MAC, GATEWAY_6, router=True, solicited=True, override=True)
    with pytest.raises(ValueError, match="a MAC and an address"):
        make.neighbour_advertisement(GATEWAY_MAC, GATEWAY_6, VM_MAC, 0, router=True, solicited=False, override=True)


def test_a_router_advertisement() -> None:
    prefixes = [(GATEWAY_6 >> 64 << 64, 64), (FAR_6 >> 80 << 80, 48)]
    data = make.router_advertisement(GATEWAY_MAC, LOCAL_6, prefixes, 1800, 1450)
    options = (ICMPv6NDOptSrcLLAddr, ICMPv6NDOptMTU, ICMPv6NDOptPrefixInfo, ICMPv6NDOptPrefixInfo)
    packet = dissected(data, IPv6, ICMPv6ND_RA, *options)
    assert (packet.dst, packet.src) == ("33:33:00:00:00:01", mac_text(GATEWAY_MAC))
    assert (packet[IPv6].src, packet[IPv6].dst, packet[IPv6].hlim) == (v6(LOCAL_6), "ff02::1", 255)
    said = packet[ICMPv6ND_RA]
    assert (said.chlim, said.M, said.O, said.H, said.P) == (64, 0, 0, 0, 0)
    assert (said.routerlifetime, said.reachabletime, said.retranstimer) == (1800, 0, 0)
    assert packet[ICMPv6NDOptSrcLLAddr].lladdr == mac_text(GATEWAY_MAC)
    assert packet[ICMPv6NDOptMTU].mtu == 1450
    for number, (prefix, length) in enumerate(prefixes, start=1):
        option = packet.getlayer(ICMPv6NDOptPrefixInfo, number)
        assert (option.prefix, option.prefixlen, option.L, option.A) == (v6(prefix), length, 1, 0)
        assert option.validlifetime >= option.preferredlifetime > 0


@pytest.mark.parametrize(("managed", "other", "autonomous"), [(True, True, False), (False, True, True), (False, False, True)])
def test_a_router_advertisement_says_what_hosts_are_to_do(managed: bool, other: bool, autonomous: bool) -> None:
    """RFC 4861, 4.2 and 4.6.2: M, O and A."""
    asked = {"managed": managed, "other": other, "autonomous": autonomous}
    packet = dissected(
        make.router_advertisement(GATEWAY_MAC, LOCAL_6, [(GATEWAY_6 >> 64 << 64, 64)], 1800, **asked),
        IPv6, ICMPv6ND_RA, ICMPv6NDOptSrcLLAddr, ICMPv6NDOptPrefixInfo,
    )  # fmt: skip
    said, option = packet[ICMPv6ND_RA], packet[ICMPv6NDOptPrefixInfo]
    assert (managed, other, 1, autonomous) == (said.M, said.O, option.L, option.A)


def test_a_router_advertisement_to_one_host_without_mtu() -> None:
    data = make.router_advertisement(GATEWAY_MAC, LOCAL_6, [(0, 0)], 0, to_mac=VM_MAC, to_ip=VM_6)
    packet = dissected(data, IPv6, ICMPv6ND_RA, ICMPv6NDOptSrcLLAddr, ICMPv6NDOptPrefixInfo)
    assert (packet.dst, packet[IPv6].dst, packet[ICMPv6ND_RA].routerlifetime) == (mac_text(VM_MAC), v6(VM_6), 0)


def test_a_router_advertisement_that_hosts_would_discard() -> None:
    with pytest.raises(ValueError, match="link-local"):
        make.router_advertisement(GATEWAY_MAC, GATEWAY_6, [], 1800)
    with pytest.raises(ValueError, match="no prefix of 64 bits"):
        make.router_advertisement(GATEWAY_MAC, LOCAL_6, [(GATEWAY_6, 64)], 1800)
    with pytest.raises(ValueError, match="no prefix of 129 bits"):
        make.router_advertisement(GATEWAY_MAC, LOCAL_6, [(0, 129)], 1800)
    with pytest.raises(OverflowError):
        make.router_advertisement(GATEWAY_MAC, LOCAL_6, [], 65536)


def test_values_that_do_not_fit() -> None:
    with pytest.raises(OverflowError):
        make.arp_request(1 << 48, GATEWAY_4, VM_4)
    with pytest.raises(OverflowError):
        make.arp_reply(GATEWAY_MAC, 1 << 32, VM_MAC, VM_4)


def test_our_router_advertisement_is_no_message_for_us() -> None:
    frame = parse(make.router_advertisement(GATEWAY_MAC, LOCAL_6, [], 1800))
    assert frame is not None
    assert frame.is_group_addressed
    assert frame.message is None
