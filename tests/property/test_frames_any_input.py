"""Whatever the bytes: a frame or None, whose answers can be built. Never an exception."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from ryu_vmmob.frames import arp_nd
from ryu_vmmob.frames.content import Arp, EchoRequest, Frame, Ipv4, Ipv6
from ryu_vmmob.frames.icmp import Unreachable, echo_reply, may_report, time_exceeded, unreachable
from ryu_vmmob.frames.parse import MAX_TAGS, parse
from ryu_vmmob.frames.wire import icmpv6, tag
from tests.support.scapy_frames import GATEWAY_4, GATEWAY_6, GATEWAY_MAC, VM_MAC, dissected, ether

ND: dict[str, Any] = {"src": "2001:db8:1::11", "dst": "2001:db8:1::1", "hlim": 255}
SEEDS = [
    bytes(Ether(dst="02:00:5e:00:01:01", src="02:00:00:00:00:11") / layers)
    for layers in (
        ARP(op=1, psrc="10.1.0.11", pdst="10.1.0.1"),
        Dot1Q(vlan=5) / Dot1Q(vlan=6) / ARP(op=2, psrc="10.1.0.11", pdst="10.1.0.1"),
        IP(src="10.1.0.11", dst="192.0.2.7", ttl=1) / UDP() / Raw(b"x" * 30),
        IP(src="10.1.0.11", dst="192.0.2.7", frag=3, options=b"\x94\x04\0\0") / TCP(),
        IP(src="10.1.0.11", dst="10.1.0.1") / ICMP(type=8, id=1, seq=2) / Raw(b"ping"),
        IPv6(src="2001:db8:1::11", dst="2001:db8:2::1", hlim=1) / UDP() / Raw(b"x" * 30),
        IPv6(**ND)
        / IPv6ExtHdrHopByHop()
        / AH(nh=60, payloadlen=4, icv=bytes(12))
        / IPv6ExtHdrDestOpt()
        / IPv6ExtHdrFragment(m=1)
        / TCP(),
        IPv6(**ND) / ICMPv6EchoRequest(id=1, seq=2, data=b"ping"),
        IPv6(**ND) / ICMPv6ND_NS(tgt="2001:db8:1::1") / ICMPv6NDOptSrcLLAddr() / ICMPv6NDOptSrcLLAddr(),
        IPv6(**ND) / ICMPv6ND_NA(tgt="2001:db8:1::11") / ICMPv6NDOptDstLLAddr(),
        IPv6(**ND) / ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(),
    )
]
LIMITS = settings(max_examples=1500, deadline=None)
macs, words, addresses = (st.integers(0, (1 << bits) - 1) for bits in (48, 32, 128))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A seed with up to four bytes replaced, perhaps cut short or with something behind it."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        del data[draw(st.integers(0, len(data))) :]
    return bytes(data) + draw(st.binary(max_size=20))


@given(st.binary(max_size=200) | mutated())
@LIMITS
def test_any_bytes(data: bytes) -> None:
    frame = parse(data)
    if frame is None:
        assert len(data) < 14 + 4 * MAX_TAGS
        return
    consistent(frame, data)
    if isinstance(frame.message, EchoRequest):
        reply = parse(echo_reply(frame, source(frame), GATEWAY_MAC, VM_MAC))
        assert reply is not None
        assert isinstance(reply.content, Ipv4 | Ipv6)
        assert isinstance(frame.content, Ipv4 | Ipv6)
        assert reply.content.dst == frame.content.src
    if may_report(frame):
        about = [unreachable(frame.network, kind, source(frame), GATEWAY_MAC, VM_MAC) for kind in Unreachable]
        about.append(time_exceeded(frame.network, source(frame), GATEWAY_MAC, VM_MAC))
        for error in map(parse, about):
            assert error is not None
            assert isinstance(error.content, Ipv4 | Ipv6)
            assert error.is_whole
            assert error.payload[8:] == frame.network[: len(error.payload) - 8]
            assert not may_report(error)


def consistent(frame: Frame, data: bytes) -> None:
    """What the parts of a frame promise of each other."""
    rest = data[14 + 4 * len(frame.vlan_ids) :]
    assert rest.startswith(frame.network)
    assert frame.network.endswith(frame.payload)
    assert all(0 <= vlan_id <= 4095 for vlan_id in frame.vlan_ids)
    if not isinstance(frame.content, Ipv4 | Ipv6):
        assert frame.network == rest
        assert frame.message is None
        assert frame.is_whole
    if frame.message is not None:
        assert frame.is_whole


def source(frame: Frame) -> int:
    return GATEWAY_4 if isinstance(frame.content, Ipv4) else GATEWAY_6


@given(macs, words, macs, words, st.integers(1, 4094))
@settings(max_examples=100, deadline=None)
def test_what_arp_says_comes_back(mac: int, ip: int, to_mac: int, to_ip: int, vlan_id: int) -> None:
    frame = parse(tag(arp_nd.arp_reply(mac, ip, to_mac, to_ip), vlan_id))
    assert frame is not None
    assert (frame.dst, frame.src, frame.vlan_ids) == (to_mac, mac, (vlan_id,))
    assert frame.content == Arp(2, mac, ip, to_mac, to_ip)


@given(macs, addresses, addresses)
@settings(max_examples=200, deadline=None)
def test_checksums_are_those_of_scapy(mac: int, ip: int, target: int) -> None:
    data = arp_nd.neighbour_solicitation(mac, ip, target)
    dissected(data, IPv6, ICMPv6ND_NS, *([ICMPv6NDOptSrcLLAddr] if ip else []))


OPTIONS = bytes(4) + bytes(16) + b"\x01\x01" * 4 * 8000
LARGEST = {
    "options": icmpv6(GATEWAY_MAC, VM_MAC, GATEWAY_6, GATEWAY_6, 135, OPTIONS, hop_limit=255),
    "tags": SEEDS[0][:12] + bytes((0x81, 0, 0, 1)) * 16000,
    "extension headers": bytes(ether() / IPv6(**ND, nh=60) / Raw((b"\x3c" + bytes(7)) * 8000)),
    "data": bytes(ether() / IPv6(**ND) / ICMPv6EchoRequest(data=bytes(64000))),
}


@pytest.mark.parametrize("data", LARGEST.values(), ids=LARGEST)
def test_the_largest_frames_take_no_longer(data: bytes) -> None:
    """The slowest takes some 4 ms; a walk that is quadratic would take minutes."""
    begun = time.process_time()
    frame = parse(data)
    assert time.process_time() - begun < 0.5
    assert frame is not None
