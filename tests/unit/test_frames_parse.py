"""What we read of frames that Scapy built, and of frames whose lengths lie."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q
from scapy.packet import Raw

from ryu_vmmob.frames.content import (
    Arp,
    EchoRequest,
    Ipv4,
    Ipv6,
    NeighbourAdvertisement,
    NeighbourSolicitation,
    RouterSolicitation,
)
from ryu_vmmob.frames.parse import MAX_EXTENSION_HEADERS, MAX_TAGS, parse
from ryu_vmmob.frames.wire import tag
from ryu_vmmob.net.addresses import mac_text
from ryu_vmmob.net.protocols import ETH_ARP, ETH_IPV4
from tests.support.scapy_frames import (
    FAR_4,
    FAR_6,
    GATEWAY_6,
    GATEWAY_MAC,
    VM_4,
    VM_6,
    VM_MAC,
    ether,
    seen,
    v4,
    v6,
)

IP4: dict[str, Any] = {"src": v4(VM_4), "dst": v4(FAR_4)}
IP6: dict[str, Any] = {"src": v6(VM_6), "dst": v6(FAR_6)}
ND: dict[str, Any] = {"src": v6(VM_6), "dst": v6(GATEWAY_6), "hlim": 255}
PING = ICMP(type=8, id=7, seq=9) / Raw(b"abc")
PING6 = ICMPv6EchoRequest(id=7, seq=9, data=b"abc")
OPTION = ICMPv6NDOptSrcLLAddr(lladdr=mac_text(VM_MAC))
ASKS = ICMPv6ND_NS(tgt=v6(GATEWAY_6)) / OPTION


def test_ethernet_and_tags() -> None:
    arp = ARP(op=1, hwsrc=mac_text(VM_MAC), psrc=v4(VM_4), hwdst=mac_text(0), pdst=v4(FAR_4))
    frame = seen(ether() / Dot1AD(vlan=4000, prio=5) / Dot1Q(vlan=7) / arp)
    assert (frame.dst, frame.src, frame.vlan_ids, frame.eth_type) == (GATEWAY_MAC, VM_MAC, (4000, 7), ETH_ARP)
    assert frame.content == Arp(1, VM_MAC, VM_4, 0, FAR_4)
    assert seen(ether() / arp).vlan_ids == ()


def test_more_tags_than_are_read() -> None:
    frame = seen(tag(bytes(ether() / IP(**IP4)), 9))
    assert isinstance(frame.content, Ipv4)
    data = bytes(ether() / IP(**IP4))
    for vlan_id in range(1, MAX_TAGS + 2):
        data = tag(data, vlan_id)
    frame = seen(data)
    assert frame.vlan_ids == tuple(range(MAX_TAGS + 1, 1, -1))
    assert (frame.eth_type, frame.content) == (0x8100, None)


def test_a_frame_cut_off_in_its_headers() -> None:
    data = bytes(ether() / Dot1Q(vlan=7) / IP(**IP4))
    assert all(parse(data[:size]) is None for size in range(18))
    assert seen(data[:18]).content is None


@pytest.mark.parametrize("changed", [{"hwtype": 6}, {"ptype": 0x86DD}, {"hwlen": 8}, {"plen": 16}])
def test_arp_of_other_kinds(changed: dict[str, Any]) -> None:
    assert seen(bytes(ether() / ARP(**changed)) + bytes(40)).content is None


def test_an_ipv4_packet_and_the_padding_behind_it() -> None:
    packet = IP(**IP4, ttl=3, tos=0x20) / UDP(sport=1, dport=2) / Raw(b"x")
    frame = seen(bytes(ether() / packet) + bytes(17))
    assert frame.content == Ipv4(VM_4, FAR_4, 17, 3, 0x20, 0, False)
    assert frame.network == bytes(packet)
    assert frame.payload == bytes(packet)[20:]
    assert (frame.is_whole, frame.message) == (True, None)


def test_an_ipv4_packet_with_options() -> None:
    frame = seen(ether() / IP(**IP4, options=b"\x94\x04\0\0") / PING)
    assert frame.message == EchoRequest(7, 9, b"abc")


def test_an_ipv4_packet_of_which_the_beginning_is_there() -> None:
    data = bytes(ether() / IP(**IP4) / ICMP(type=8) / Raw(bytes(500)))[:128]
    frame = seen(data)
    assert isinstance(frame.content, Ipv4)
    assert (frame.is_whole, frame.network, frame.message) == (False, data[14:], None)


def test_ipv4_fragments() -> None:
    first = seen(ether() / IP(**IP4, flags="MF") / PING)
    later = seen(ether() / IP(**IP4, frag=5) / PING)
    assert isinstance(first.content, Ipv4)
    assert isinstance(later.content, Ipv4)
    assert (first.content.fragment_offset, first.content.more_fragments, first.content.is_fragment) == (0, True, True)
    assert (later.content.fragment_offset, later.content.is_fragment) == (40, True)
    assert first.payload == bytes(PING)
    assert later.payload == b""
    assert first.message is later.message is None


@pytest.mark.parametrize(
    "header",
    [{"version": 5}, {"ihl": 4}, {"ihl": 15}, {"len": 19}, {"len": 0}, {"chksum": 1}],
    ids=str,
)
def test_ipv4_headers_that_lie(header: dict[str, int]) -> None:
    frame = seen(ether() / IP(**{**IP4, **header}))
    assert (frame.eth_type, frame.content, frame.payload) == (ETH_IPV4, None, b"")


@pytest.mark.parametrize("ping", [IP(**IP4) / PING, IPv6(**IP6) / PING6, IPv6(**IP6) / IPv6ExtHdrFragment() / PING6])
def test_an_echo_request(ping: Any) -> None:
    assert seen(ether() / ping).message == EchoRequest(7, 9, b"abc")


@pytest.mark.parametrize(
    "packet",
    [
        IP(**IP4) / ICMP(type=0) / Raw(b"abc"),
        IP(**IP4) / ICMP(type=8, code=1),
        IP(**IP4) / ICMP(type=8, chksum=1),
        IP(**IP4, proto=1) / Raw(b"\x08\0\xf7\xff"),
        IP(src="0.0.0.0", dst=v4(FAR_4)) / PING,
        IP(src="224.0.0.1", dst=v4(FAR_4)) / PING,
        IPv6(**IP6) / ICMPv6EchoRequest(code=1),
        IPv6(**IP6) / ICMPv6EchoRequest(cksum=1),
        IPv6(src="::", dst=v6(FAR_6)) / PING6,
        IPv6(src="ff02::1", dst=v6(FAR_6)) / PING6,
        IPv6(**IP6) / IPv6ExtHdrFragment(m=1) / PING6,
        IPv6(**IP6, nh=58) / Raw(b"\x80\0\0"),
        IPv6(**IP6, nh=58),
    ],
    ids=lambda packet: packet.summary(),
)
def test_no_echo_request_that_can_be_answered(packet: Any) -> None:
    frame = seen(ether() / packet)
    assert frame.content is not None
    assert frame.message is None


def test_an_ipv6_packet_and_the_padding_behind_it() -> None:
    packet = IPv6(**IP6, hlim=3, tc=0x20) / TCP()
    frame = seen(bytes(ether() / packet) + bytes(5))
    assert frame.content == Ipv6(VM_6, FAR_6, 6, 3, 0x20, 6, False, 0, False)
    assert (frame.network, frame.payload) == (bytes(packet), bytes(packet)[40:])


def test_extension_headers_are_followed() -> None:
    chain = (
        IPv6ExtHdrHopByHop()
        / IPv6ExtHdrRouting()
        / AH(nh=60, payloadlen=4, icv=bytes(12))
        / IPv6ExtHdrDestOpt()
        / UDP()
        / Raw(b"x")
    )
    frame = seen(ether() / IPv6(**IP6) / chain)
    assert isinstance(frame.content, Ipv6)
    assert (frame.content.next_header, frame.content.proto) == (0, 17)
    assert frame.payload == frame.network[-9:]


def test_extension_headers_without_end() -> None:
    for number, proto in ((MAX_EXTENSION_HEADERS, 59), (MAX_EXTENSION_HEADERS + 1, None)):
        chain = (bytes((60, 0)) + bytes(6)) * (number - 1) + bytes((59, 0)) + bytes(6)
        frame = seen(ether() / IPv6(**IP6, nh=60) / Raw(chain))
        assert isinstance(frame.content, Ipv6)
        assert frame.content.proto == proto


@pytest.mark.parametrize("cut", [b"", b"\x11", b"\x11" + bytes(6), b"\x11\x01" + bytes(13)], ids=len)
def test_extension_headers_cut_off(cut: bytes) -> None:
    frame = seen(ether() / IPv6(**IP6, nh=60) / Raw(cut))
    assert isinstance(frame.content, Ipv6)
    assert (frame.content.proto, frame.payload) == (None, b"")


def test_ipv6_fragments() -> None:
    later = seen(ether() / IPv6(**IP6) / IPv6ExtHdrFragment(offset=3, m=1) / UDP())
    assert later.content == Ipv6(VM_6, FAR_6, 44, 64, 0, 17, True, 24, True)
    assert later.payload == b""
    alone = seen(ether() / IPv6(**IP6) / IPv6ExtHdrFragment() / UDP())
    assert isinstance(alone.content, Ipv6)
    assert (alone.content.has_fragment_header, alone.content.is_fragment) == (True, False)


@pytest.mark.parametrize("header", [{"version": 4}, {"plen": 9}], ids=str)
def test_ipv6_headers_that_lie(header: dict[str, int]) -> None:
    frame = seen(ether() / IPv6(**{**IP6, **header}) / ICMPv6EchoRequest())
    assert (frame.content is None) == ("version" in header)
    assert (frame.is_whole, frame.message) == ("version" in header, None)


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (IPv6(**ND) / ASKS, NeighbourSolicitation(GATEWAY_6, VM_MAC)),
        (IPv6(**ND) / ICMPv6ND_NS(tgt=v6(GATEWAY_6)), NeighbourSolicitation(GATEWAY_6, None)),
        (
            IPv6(src="::", dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt=v6(GATEWAY_6)),
            NeighbourSolicitation(GATEWAY_6, None),
        ),
        (
            IPv6(**ND) / ICMPv6ND_NA(tgt=v6(VM_6), R=0, S=1, O=0) / ICMPv6NDOptDstLLAddr(lladdr=mac_text(VM_MAC)),
            NeighbourAdvertisement(VM_6, False, True, False, VM_MAC),
        ),
        (
            IPv6(src=v6(VM_6), dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=v6(VM_6), R=1, S=0, O=1),
            NeighbourAdvertisement(VM_6, True, False, True, None),
        ),
        (IPv6(**ND) / ICMPv6ND_RS() / OPTION, RouterSolicitation(VM_MAC)),
        (IPv6(src="::", dst="ff02::2", hlim=255) / ICMPv6ND_RS(), RouterSolicitation(None)),
    ],
    ids=lambda value: value.summary() if hasattr(value, "summary") else "",
)
def test_neighbour_discovery(packet: Any, message: object) -> None:
    assert seen(ether() / packet).message == message


def test_link_layer_options_of_another_length_do_not_count() -> None:
    long = Raw(bytes((1, 2)) + bytes(14))
    frame = seen(ether() / IPv6(**ND) / ICMPv6ND_NS(tgt=v6(GATEWAY_6)) / long / OPTION)
    assert frame.message == NeighbourSolicitation(GATEWAY_6, None)


UNSPECIFIED = IPv6(src="::", dst="ff02::1:ff00:1", hlim=255)


@pytest.mark.parametrize(
    "packet",
    [
        IPv6(**{**ND, "hlim": 254}) / ASKS,
        IPv6(**ND) / ICMPv6ND_NS(tgt=v6(GATEWAY_6), cksum=1),
        IPv6(**ND) / ICMPv6ND_NS(tgt=v6(GATEWAY_6), code=1),
        IPv6(**ND) / ICMPv6ND_NS(tgt="ff02::1"),
        IPv6(**ND) / ICMPv6ND_NS(tgt=v6(GATEWAY_6)) / Raw(b"\x01\0" + bytes(6)),
        IPv6(**ND) / ICMPv6ND_NS(tgt=v6(GATEWAY_6)) / Raw(b"\x01\x02" + bytes(6)),
        IPv6(**ND) / ICMPv6ND_NS(tgt=v6(GATEWAY_6)) / OPTION / Raw(b"\x01"),
        IPv6(**ND) / IPv6ExtHdrFragment() / ASKS,
        UNSPECIFIED / ASKS,
        IPv6(src="::", dst=v6(GATEWAY_6), hlim=255) / ICMPv6ND_NS(tgt=v6(GATEWAY_6)),
        UNSPECIFIED / ICMPv6ND_RS() / OPTION,
        IPv6(**ND) / ICMPv6ND_RS() / Raw(b"\x01\0"),
        IPv6(src=v6(VM_6), dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=v6(VM_6), S=1),
        IPv6(**ND) / ICMPv6ND_NA(tgt=v6(VM_6)) / Raw(b"\x02\0"),
    ],
    ids=lambda packet: packet.summary(),
)
def test_neighbour_discovery_that_is_to_be_discarded(packet: Any) -> None:
    frame = seen(ether() / packet)
    assert isinstance(frame.content, Ipv6)
    assert frame.message is None


def test_a_solicitation_cut_short() -> None:
    data = b"\x87\0" + bytes(20)
    assert seen(ether() / IPv6(**ND, nh=58) / Raw(data)).message is None


def test_a_tag_goes_on_top() -> None:
    data = bytes(ether() / IP(**IP4))
    assert tag(data, 4094) == bytes(ether() / Dot1Q(vlan=4094) / IP(**IP4))
    for vlan_id in (0, 4095, -1):
        with pytest.raises(ValueError, match="outside 1 to 4094"):
            tag(data, vlan_id)
    with pytest.raises(ValueError, match="13 bytes are no frame"):
        tag(data[:13], 1)
