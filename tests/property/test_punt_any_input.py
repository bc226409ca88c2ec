"""Whatever a switch hands over, however it came there: an answer or none, never an exception."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RS, IPv6
from scapy.layers.l2 import ARP

from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import TABLES
from ryu_vmmob.frames.parse import parse
from ryu_vmmob.model.commands import StartMigration
from ryu_vmmob.punt.answer import answer
from ryu_vmmob.punt.values import PacketOut, Punted
from tests.support.punted_packets import GATEWAY_MAC, WEB1, dcs, ether, from_edge, from_member, from_outside, mine

STATE = dcs(StartMigration("m1", "web1", "srv-d1"))
BORDER = mine(STATE, "border-1")
STRANGER = 0x02BB00000001
SEEDS = [
    bytes(frame)
    for dst, src in ((GATEWAY_MAC, WEB1.mac), (BORDER, STRANGER))
    for frame in (
        ether(dst, src) / ARP(op=1, psrc="10.1.0.11", pdst="10.1.0.1"),
        ether(dst, src) / ARP(op=2, hwsrc="02:bb:00:00:00:01", psrc="192.0.2.7", pdst="192.0.2.1"),
        ether(dst, src) / IP(src="10.1.0.11", dst="10.2.0.99", ttl=1) / UDP(),
        ether(dst, src) / IP(src="203.0.113.9", dst="10.1.0.11", ttl=1) / UDP(),
        ether(dst, src) / IP(src="10.1.0.11", dst="192.0.2.1") / ICMP(),
        ether(dst, src) / IPv6(src="2001:db8:1::11", dst="2001:db8:ffff::7") / ICMPv6EchoRequest(),
        ether(dst, src) / IPv6(src="2001:db8:1::11", dst="2001:db8:1::1", hlim=255) / ICMPv6ND_NS(tgt="2001:db8:1::1"),
        ether(dst, src) / IPv6(src="2001:db8:ffff::7", dst="2001:db8:ffff::1", hlim=255) / ICMPv6ND_NA(),
        ether(dst, src) / IPv6(src="fe80::ff:fe00:10b", dst="ff02::2", hlim=255) / ICMPv6ND_RS(),
    )
]
METADATA = [from_member(STATE, "web"), from_member(STATE, "lone"), from_edge(STATE), from_outside(STATE)]
PLACES = [("tor-a", 1), ("tor-d", 1), ("tor-b", 2), ("border-1", 10), ("border-1", 1), ("nowhere", 1)]


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A seed with up to four bytes replaced, perhaps cut short."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        del data[draw(st.integers(0, len(data))) :]
    return bytes(data)


@given(
    frames() | st.binary(max_size=100),
    st.sampled_from(METADATA) | st.integers(0, (1 << 64) - 1),
    st.sampled_from(PLACES),
    st.sampled_from(TABLES),
    st.booleans(),
)
@settings(max_examples=1500, deadline=None)
def test_any_packet(frame: bytes, metadata: int, place: tuple[str, int], table: object, ttl_invalid: bool) -> None:
    for found in answer(STATE, Punted(*place, metadata, table, Owner(OwnerKind.SWITCH), frame, ttl_invalid)):  # type: ignore[arg-type]
        if isinstance(found, PacketOut):
            assert found.actions
            said = parse(found.frame)
            assert said is not None
            assert said.content is not None
