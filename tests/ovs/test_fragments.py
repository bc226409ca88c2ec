"""Packets whole, in fragments and behind extension headers: what a real switch passes is what the policies and the trace say.

Real frames run through the real datapath of a switch in the fragment mode that the controller sets. A case is one policy and
one shape of a packet; the table of all of them is printed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from itertools import product
from typing import Any, Final, NamedTuple

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.model.commands import Command
from ryu_vmmob.model.decision import Fragment, Traffic, addressed, decide, member
from ryu_vmmob.model.policies import DeletePolicy, PutPolicy
from ryu_vmmob.model.policy import Protocol, Selector
from ryu_vmmob.net.addresses import mac_text
from ryu_vmmob.trace import Piece, Question, Trace, VmSource, trace
from tests.ovs.twin import Twin
from tests.support.commands import cug, nic, vm
from tests.support.controller import until
from tests.support.mutation_networks import fabric

PORT: Final = 7000
NUMBERS: Final = {"tcp": 6, "udp": 17, "icmp": 1}
SHAPES: Final = ("whole", "two fragments", "tiny first", "extension")
WEB, DB = Selector("cug", "web"), Selector("cug", "db")
SCOPES: Final = {"inside": ("10.1.0.12", "2001:db8:1::c"), "routed": ("10.2.0.11", "2001:db8:2::b")}
"""Addresses of who is sent to."""


class Sent(NamedTuple):
    """One frame of a case: as bytes, and what decision and trace are asked about it."""

    data: bytes
    fragment: Fragment
    piece: Piece


@pytest.fixture(scope="module")
def twin(ovs: PrivateOvs) -> Iterator[Twin]:
    """web1 on a tagged server; web2 and db1 on an untagged one at the same switch."""
    racks = fabric()
    trusted = replace(racks.servers["a2"], trusts_local_switching=True)
    found = Twin(ovs, replace(racks, servers={**racks.servers, "a2": trusted}))
    found.do(
        cug("web", 1, routing_domain="red"), cug("db", 2, routing_domain="red"),
        vm("web1", "a1", nic(11, ips=("10.1.0.11", "2001:db8:1::b"))),
        vm("web2", "a2", nic(12, ips=("10.1.0.12", "2001:db8:1::c"))),
        vm("db1", "a2", nic(11, "db", 2, ips=("10.2.0.11", "2001:db8:2::b"))),
        PutPolicy("sentinel", True, WEB, WEB, 300, 253),
    )  # fmt: skip
    yield found
    found.remove()


def policies(action: str, protocol: str, scope: str) -> tuple[Command, ...]:
    """The policy of a case over its opposite, so that it alone decides."""
    to = WEB if scope == "inside" else DB
    what: Protocol = "icmp" if protocol == "icmp" else NUMBERS[protocol]
    ports = () if protocol == "icmp" else ((PORT, PORT),)
    return (
        PutPolicy("case", action == "allow", WEB, to, 200, what, ports),
        PutPolicy("else", action == "deny", WEB, to, 50),
    )


def question(protocol: str, version: int, scope: str, piece: Piece = "no") -> Question:
    target = ip_address(SCOPES[scope][version == 6])
    number: Any = "icmp" if protocol == "icmp" else NUMBERS[protocol]
    return Question("web1", ip=target, protocol=number, port=None if protocol == "icmp" else PORT, fragment=piece)


def transport(protocol: str, version: int, ends: tuple[str, str], size: int = 64) -> bytes:
    """The transport of a packet with ``size`` bytes of data, its checksum right for the packet as a whole."""
    segment: Any = {
        "tcp": TCP(sport=40000, dport=PORT, flags="S"),
        "udp": UDP(sport=40000, dport=PORT),
        "icmp": ICMP() if version == 4 else ICMPv6EchoRequest(),
    }[protocol]
    whole: Any = (IP if version == 4 else IPv6)(src=ends[0], dst=ends[1]) / segment / Raw(bytes(size))
    return bytes(whole.__class__(bytes(whole)).payload)


def frames(shape: str, protocol: str, version: int, traced: Trace) -> list[Sent]:
    """The frames of a case, with the MACs and the tag that the guest's would have."""
    src, dst = ("ipv4_src", "ipv4_dst") if version == 4 else ("ipv6_src", "ipv6_dst")
    ends = str(ip_address(traced.packet[src])), str(ip_address(traced.packet[dst]))
    data = transport(protocol, version, ends)
    number = 58 if protocol == "icmp" and version == 6 else NUMBERS[protocol]

    def fragment(begin: int, end: int, more: bool) -> bytes:
        part = Raw(data[begin:end])
        if version == 4:
            flags = "MF" if more else 0
            return framed(traced, IP(src=ends[0], dst=ends[1], proto=number, flags=flags, frag=begin // 8, id=9) / part)
        header = IPv6ExtHdrFragment(nh=number, offset=begin // 8, m=int(more), id=9)
        return framed(traced, IPv6(src=ends[0], dst=ends[1], nh=44) / header / part)

    def cut(at: int, first: Piece) -> list[Sent]:
        return [Sent(fragment(0, at, True), "first", first), Sent(fragment(at, len(data), False), "later", "later")]

    match shape:
        case "whole":
            whole: Any = IP(proto=number) if version == 4 else IPv6(nh=number)
            whole.src, whole.dst = ends
            return [Sent(framed(traced, whole / Raw(data)), "no", "no")]
        case "two fragments":
            return cut(32, "first")
        case "tiny first":  # 8 bytes: the whole header of UDP and ICMP, and of TCP what the switch does not read
            return cut(8, "tiny" if protocol == "tcp" else "first")
    if version == 4:
        options: Any = IP(src=ends[0], dst=ends[1], proto=number, options=[IPOption_NOP()] * 4)
        return [Sent(framed(traced, options / Raw(data)), "no", "no")]
    return [
        Sent(framed(traced, IPv6(src=ends[0], dst=ends[1]) / behind / Raw(data)), "no", "no")
        for behind in (
            IPv6ExtHdrHopByHop(nh=number),
            IPv6ExtHdrDestOpt(nh=number),
            IPv6ExtHdrRouting(nh=number),
            IPv6ExtHdrHopByHop(nh=60) / IPv6ExtHdrDestOpt(nh=number),
            IPv6ExtHdrFragment(nh=number, offset=0, m=0),  # an atomic fragment is none (RFC 6946)
        )
    ]


class Wire:
    """The way from web1's port to that of the others. Behind each frame a long one is sent that surely comes out: frames do not
    overtake one another, so what has come out by then is all that will.
    """

    def __init__(self, twin: Twin) -> None:
        state, desired = twin.world.engine.state, twin.world.engine.desired.tables
        traced = trace(state, desired, Question("web1", ip=ip_address("10.1.0.12"), protocol=253))
        assert traced.verdict.kind == "delivered"
        assert isinstance(traced.source, VmSource)
        assert traced.source.port is not None
        self.bridge = twin.bridges[traced.source.port.switch]
        self.in_port, self.out_port = traced.source.port.port, traced.arrivals[0].port.port
        self._long = framed(traced, IP(src="10.1.0.11", dst="10.1.0.12", proto=253) / Raw(bytes(1200)))
        before = self._bytes()
        self.bridge.receive(self.in_port, self._long)
        until(lambda: self._bytes() > before, lambda: "no frame comes out")
        self._size = self._bytes() - before

    def passes(self, data: bytes) -> bool:
        """Whether a frame, shorter than the long one, comes out of the port."""
        before = self._bytes()
        self.bridge.receive(self.in_port, data)
        self.bridge.receive(self.in_port, self._long)
        until(lambda: self._bytes() - before >= self._size, lambda: "the long frame does not come out")
        return self._bytes() - before > self._size

    def _bytes(self) -> int:
        text = self.bridge.ovs.ofctl("dump-ports", self.bridge.name, str(self.out_port))
        found = re.search(r"tx pkts=\d+, bytes=(\d+)", text)
        assert found, text
        return int(found[1])


def framed(traced: Trace, packet: Any) -> bytes:
    """A packet in a frame with the MACs and the tag of the one that was traced."""
    head: Any = Ether(dst=mac_text(traced.packet["eth_dst"]), src=mac_text(traced.packet["eth_src"]))
    for tag in traced.packet.vlans:
        head /= Dot1Q(vlan=tag)
    return bytes(head / packet)


def decided(twin: Twin, protocol: str, version: int, scope: str, sent: Sent) -> bool:
    state = twin.world.engine.state
    sender = member(state, "web", ip_address("10.1.0.11" if version == 4 else "2001:db8:1::b"))
    receiver = addressed(state, sender, ip_address(SCOPES[scope][version == 6]))
    number = 58 if protocol == "icmp" and version == 6 else NUMBERS[protocol]
    if sent.fragment == "later":
        traffic = Traffic(44 if version == 6 else number, fragment="later")
    elif protocol == "icmp":
        traffic = Traffic(number, icmp_type=8 if version == 4 else 128, fragment=sent.fragment)
    else:
        source, target = (None, None) if sent.piece == "tiny" else (40000, PORT)
        traffic = Traffic(number, source, target, 2 if protocol == "tcp" else 0, fragment=sent.fragment)
    return decide(state, sender, receiver, traffic).allowed


def wanted(action: str, protocol: str, version: int, sent: Sent) -> bool:
    """By the words of the documents: what of it passes."""
    if sent.fragment == "no":
        return action == "allow"
    if sent.fragment == "first":
        return action == "allow" and sent.piece != "tiny"
    certain = protocol == "icmp" and version == 4  # a deny that a later fragment certainly falls under
    return action == "allow" or not certain


def test_a_packet_in_every_shape_under_every_policy(twin: Twin) -> None:
    lines, wrong = [], []
    said: Callable[[list[bool]], str] = lambda rows: " ".join("pass" if row else "drop" for row in rows)  # noqa: E731
    for action, protocol, scope in product(("deny", "allow"), NUMBERS, SCOPES):
        twin.do(*policies(action, protocol, scope))
        state, desired = twin.world.engine.state, twin.world.engine.desired.tables
        link = Wire(twin)
        for shape, version in product(SHAPES, (4, 6)):
            asked = trace(state, desired, question(protocol, version, scope))
            pieces = frames(shape, protocol, version, asked)
            wire = [link.passes(one.data) for one in pieces]
            decision = [decided(twin, protocol, version, scope, one) for one in pieces]
            traces = [trace(state, desired, question(protocol, version, scope, one.piece)) for one in pieces]
            told = [found.verdict.kind == "delivered" for found in traces]
            right = [wanted(action, protocol, version, one) for one in pieces]
            case = f"{action:6}{protocol:5}{shape:14}IPv{version}  {scope:7}"
            lines.append(f"{case} wire: {said(wire):10} decision: {said(decision):10} trace: {said(told)}")
            if not wire == decision == told == right:
                wrong.append(f"{lines[-1]} wanted: {said(right)}; {[found.verdict.reason for found in traces]}")
        twin.do(DeletePolicy("case"), DeletePolicy("else"))
    print("\n".join(lines))
    assert len(lines) == 96
    assert not wrong, "\n".join(wrong)


def test_overlapping_fragments_put_nothing_denied_together(twin: Twin) -> None:
    """A first fragment with ports that are allowed, and another one over it with those that are denied (RFC 1858, RFC 3128)."""
    twin.do(*policies("deny", "tcp", "inside"))
    state, desired = twin.world.engine.state, twin.world.engine.desired.tables
    link = Wire(twin)
    for version in (4, 6):
        asked = trace(state, desired, question("tcp", version, "inside"))
        honest = frames("two fragments", "tcp", version, asked)[0].data
        ports = struct.pack("!HH", 40000, PORT)
        assert honest.count(ports) == 1
        other = honest.replace(ports, struct.pack("!HH", 40000, PORT + 1))
        tiny = frames("tiny first", "tcp", version, asked)[0].data
        assert [link.passes(data) for data in (other, honest, tiny)] == [True, False, False]
    twin.do(DeletePolicy("case"), DeletePolicy("else"))
