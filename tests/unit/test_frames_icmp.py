"""Answers to pings and ICMP errors as Scapy reads them; and about what no error may be sent."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, UDPerror
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_Redirect,
    ICMPv6TimeExceeded,
    IPerror6,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
)
from scapy.packet import Raw

from ryu_vmmob.frames.icmp import Unreachable, echo_reply, may_report, time_exceeded, unreachable
from ryu_vmmob.frames.wire import checksum
from ryu_vmmob.net.addresses import MAC_BROADCAST, mac_text
from tests.support.scapy_frames import (
    FAR_4,
    FAR_6,
    GATEWAY_4,
    GATEWAY_6,
    GATEWAY_MAC,
    VM_4,
    VM_6,
    VM_MAC,
    dissected,
    ether,
    seen,
    v4,
    v6,
)

IP4: dict[str, Any] = {"src": v4(VM_4), "dst": v4(FAR_4)}
IP6: dict[str, Any] = {"src": v6(VM_6), "dst": v6(FAR_6)}
BACK = (mac_text(VM_MAC), mac_text(GATEWAY_MAC))


def test_the_checksum_of_the_rfc() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF ^ 0xDDF2  # RFC 1071, 3
    assert checksum(b"\x01") == 0xFEFF
    assert checksum(b"") == 0xFFFF


@pytest.mark.parametrize("data", [b"", b"abc", bytes(1400)], ids=len)
def test_a_ping_is_answered(data: bytes) -> None:
    asked = seen(ether() / IP(src=v4(VM_4), dst=v4(GATEWAY_4), tos=0x20) / ICMP(type=8, id=7, seq=65535) / Raw(data))
    packet = dissected(echo_reply(asked, GATEWAY_4, GATEWAY_MAC, VM_MAC), IP, ICMP, *([Raw] if data else []))
    assert (packet.dst, packet.src) == BACK
    assert (packet[IP].src, packet[IP].dst, packet[IP].ttl, packet[IP].tos) == (v4(GATEWAY_4), v4(VM_4), 64, 0x20)
    assert (packet[ICMP].type, packet[ICMP].code, packet[ICMP].id, packet[ICMP].seq) == (0, 0, 7, 65535)
    assert bytes(packet[ICMP].payload) == data


@pytest.mark.parametrize("data", [b"", b"abc", bytes(1400)], ids=len)
def test_a_ping_of_ipv6_is_answered(data: bytes) -> None:
    ping = ICMPv6EchoRequest(id=7, seq=65535, data=data)
    asked = seen(ether() / IPv6(src=v6(VM_6), dst=v6(GATEWAY_6), tc=0x20) / ping)
    packet = dissected(echo_reply(asked, GATEWAY_6, GATEWAY_MAC, VM_MAC), IPv6, ICMPv6EchoReply)
    assert (packet.dst, packet.src) == BACK
    assert (packet[IPv6].src, packet[IPv6].dst, packet[IPv6].hlim, packet[IPv6].tc) == (v6(GATEWAY_6), v6(VM_6), 64, 0x20)
    reply = packet[ICMPv6EchoReply]
    assert (reply.code, reply.id, reply.seq, reply.data) == (0, 7, 65535, data)


def test_only_a_ping_is_answered() -> None:
    with pytest.raises(ValueError, match="no echo request"):
        echo_reply(seen(ether() / IP(**IP4) / UDP()), GATEWAY_4, GATEWAY_MAC, VM_MAC)


def test_time_exceeded() -> None:
    asked = seen(ether() / IP(**IP4, ttl=1) / UDP(sport=5, dport=33434) / Raw(b"trace"))
    data = time_exceeded(asked.network, GATEWAY_4, GATEWAY_MAC, VM_MAC)
    packet = dissected(data, IP, ICMP, IPerror, UDPerror, Raw)
    assert (packet.dst, packet.src) == BACK
    assert (packet[IP].src, packet[IP].dst, packet[IP].tos) == (v4(GATEWAY_4), v4(VM_4), 0xC0)
    assert (packet[ICMP].type, packet[ICMP].code, packet[ICMP].unused) == (11, 0, 0)
    assert bytes(packet[ICMP].payload) == asked.network


def test_time_exceeded_of_ipv6() -> None:
    asked = seen(ether() / IPv6(**IP6, hlim=1) / UDP(sport=5, dport=33434) / Raw(b"trace"))
    packet = dissected(
        time_exceeded(asked.network, GATEWAY_6, GATEWAY_MAC, VM_MAC), IPv6, ICMPv6TimeExceeded, IPerror6, UDPerror, Raw
    )
    assert (packet.dst, packet.src) == BACK
    assert (packet[IPv6].src, packet[IPv6].dst) == (v6(GATEWAY_6), v6(VM_6))
    assert packet[ICMPv6TimeExceeded].code == 0
    assert bytes(packet[ICMPv6TimeExceeded].payload) == asked.network


@pytest.mark.parametrize(
    ("kind", "code4", "code6"),
    [
        (Unreachable.NET, 0, 0),
        (Unreachable.HOST, 1, 3),
        (Unreachable.PORT, 3, 4),
        (Unreachable.PROHIBITED, 13, 1),
    ],
)
def test_unreachable(kind: Unreachable, code4: int, code6: int) -> None:
    old = seen(ether() / IP(**IP4) / UDP() / Raw(b"x")).network
    packet = dissected(unreachable(old, kind, GATEWAY_4, GATEWAY_MAC, VM_MAC), IP, ICMP, IPerror, UDPerror, Raw)
    assert (packet[ICMP].type, packet[ICMP].code, bytes(packet[IPerror])) == (3, code4, old)
    new = seen(ether() / IPv6(**IP6) / UDP() / Raw(b"x")).network
    packet = dissected(unreachable(new, kind, GATEWAY_6, GATEWAY_MAC, VM_MAC), IPv6, ICMPv6DestUnreach, IPerror6, UDPerror, Raw)
    assert (packet[ICMPv6DestUnreach].code, bytes(packet[IPerror6])) == (code6, new)


def test_as_much_is_quoted_as_fits() -> None:
    old = seen(ether() / IP(**IP4) / UDP() / Raw(bytes(range(250)) * 6)).network
    data = time_exceeded(old, GATEWAY_4, GATEWAY_MAC, VM_MAC)
    assert (len(data) - 14, data[14 + 28 :]) == (576, old[:548])
    new = seen(ether() / IPv6(**IP6) / UDP() / Raw(bytes(range(250)) * 6)).network
    data = time_exceeded(new, GATEWAY_6, GATEWAY_MAC, VM_MAC)
    assert (len(data) - 14, data[14 + 48 :]) == (1280, new[:1232])


@pytest.mark.parametrize("original", [b"", b"\x45" + bytes(18), b"\x60" + bytes(38), b"\x50" + bytes(60)], ids=len)
def test_no_error_about_what_is_no_packet(original: bytes) -> None:
    with pytest.raises(ValueError, match="no IP packet"):
        time_exceeded(original, GATEWAY_4, GATEWAY_MAC, VM_MAC)
    with pytest.raises(ValueError, match="no IP packet"):
        unreachable(original, Unreachable.NET, GATEWAY_4, GATEWAY_MAC, VM_MAC)


@pytest.mark.parametrize(
    "packet",
    [
        IP(**IP4) / UDP(),
        IP(**IP4) / TCP(),
        IP(**IP4, proto=253),
        IP(**IP4) / ICMP(type=8),
        IP(**IP4, flags="MF") / UDP(),
        IPv6(**IP6) / UDP(),
        IPv6(**IP6) / ICMPv6EchoRequest(),
        IPv6(**IP6) / IPv6ExtHdrDestOpt() / ICMPv6EchoRequest(),
        IPv6(**IP6) / IPv6ExtHdrFragment(m=1) / UDP(),
        IPv6(**IP6, nh=59),
        IPv6(src="fe80::1", dst=v6(FAR_6)) / UDP(),
    ],
    ids=lambda packet: packet.summary(),
)
def test_what_is_reported(packet: Any) -> None:
    assert may_report(seen(ether() / packet))
    assert not may_report(seen(ether(dst=MAC_BROADCAST) / packet))
    assert not may_report(seen(ether(dst=0x3333FF000001) / packet))
    assert not may_report(seen(ether(src=0x010000000001) / packet))


INNER = IPerror(src=v4(FAR_4), dst=v4(VM_4)) / UDPerror()


@pytest.mark.parametrize(
    "packet",
    [
        *(IP(**IP4) / ICMP(type=kind) / INNER for kind in (3, 4, 5, 11, 12, 31, 255)),
        IP(**IP4, proto=1),
        IP(**IP4, frag=1) / UDP(),
        *(IP(src=src, dst=v4(FAR_4)) / UDP() for src in ("0.0.0.0", "127.0.0.1", "224.0.0.5", "240.0.0.1", "255.255.255.255")),
        *(IP(src=v4(VM_4), dst=dst) / UDP() for dst in ("0.0.0.0", "224.0.0.5", "239.1.1.1", "255.255.255.255")),
        IPv6(**IP6) / ICMPv6TimeExceeded() / IPerror6() / UDPerror(),
        IPv6(**IP6) / ICMPv6DestUnreach() / IPerror6() / UDPerror(),
        IPv6(**IP6) / IPv6ExtHdrDestOpt() / ICMPv6DestUnreach() / IPerror6() / UDPerror(),
        IPv6(**IP6) / ICMPv6ND_Redirect(),
        IPv6(**IP6, nh=58),
        IPv6(**IP6, nh=60),
        IPv6(**IP6) / IPv6ExtHdrFragment(offset=1) / UDP(),
        *(IPv6(src=src, dst=v6(FAR_6)) / UDP() for src in ("::", "::1", "ff02::1")),
        *(IPv6(src=v6(VM_6), dst=dst) / UDP() for dst in ("::", "::1", "ff02::1", "ff0e::1")),
    ],
    ids=lambda packet: packet.summary(),
)
def test_what_is_not_reported(packet: Any) -> None:
    frame = seen(ether() / packet)
    assert frame.content is not None
    assert not may_report(frame)


def test_a_subnets_broadcast_address_is_not_reported() -> None:
    to_all, from_all = (IP(**{**IP4, end: "10.2.0.255"}) / UDP() for end in ("dst", "src"))
    for packet in (to_all, from_all):
        assert may_report(seen(ether() / packet))
        assert not may_report(seen(ether() / packet), broadcasts={0x0A0200FF})


def test_what_is_no_ip_is_not_reported() -> None:
    assert not may_report(seen(ether() / Raw(bytes(46))))


def test_no_error_about_an_error() -> None:
    asked = seen(ether() / IP(**IP4) / UDP())
    assert not may_report(seen(time_exceeded(asked.network, GATEWAY_4, VM_MAC, GATEWAY_MAC)))
