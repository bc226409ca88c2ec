"""Whatever a switch hands over or answers: no exception, and neither the state nor the desired flows change by it.

From bytes on: through the guard and Ryu's own parser, our reading of Ryu's objects, and the handlers. `VMMOB_EXAMPLES` examples
of each (default 600), the same in each run.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RS, IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from ryu_vmmob import compat
from ryu_vmmob.apps import transactions
from ryu_vmmob.apps.session import Session
from ryu_vmmob.flows import wire
from ryu_vmmob.flows.flow import CONTROLLER, Output
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.commands import StartMigration
from ryu_vmmob.punt.values import PacketOut
from ryu_vmmob.southbound.packets import PacketIn, Packets
from ryu_vmmob.southbound.ryu_messages import error_text, packet_in
from tests.support import openflow_peer as of
from tests.support.engine_site import Site
from tests.support.punted_packets import CUGS, DCS, HOPS, VMS, plain

EXAMPLES = int(os.environ.get("VMMOB_EXAMPLES", "600"))
MANY = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
MOVES = (
    StartMigration("m1", "web1", "srv-c1", activate_on="request"),
    StartMigration("m2", "db1", "srv-a1", activate_on="request"),
)
MAC = "02:00:00:00:01:0b"
ND: dict[str, Any] = {"src": "2001:db8:1::11", "hlim": 255}
FRAMES = [
    bytes(Ether(dst="ff:ff:ff:ff:ff:ff", src=MAC) / layers)
    for layers in (
        ARP(op=1, psrc="10.1.0.11", pdst="10.1.0.1"),
        ARP(op=2, hwsrc=MAC, psrc="10.1.0.11", pdst="10.1.0.11"),
        ARP(op=3, hwsrc=MAC, hwdst=MAC, psrc="0.0.0.0", pdst="0.0.0.0"),
        Dot1Q(vlan=100) / Dot1Q(vlan=5) / ARP(op=1, psrc="10.1.0.11", pdst="10.1.0.1"),
        IP(src="10.1.0.11", dst="10.2.0.11", ttl=1, options=b"\x94\x04\0\0") / UDP(),
        IP(src="10.1.0.11", dst="8.8.8.8", ttl=1, frag=5) / UDP(),
        IPv6(dst="2001:db8:1::1", **ND) / ICMPv6ND_NS(tgt="2001:db8:1::1"),
        IPv6(dst="ff02::1", **ND) / ICMPv6ND_NA(tgt="2001:db8:1::11"),
        IPv6(dst="ff02::2", **ND) / ICMPv6ND_RS(),
        IPv6(dst="2001:db8:2::11", **ND) / IPv6ExtHdrHopByHop() / IPv6ExtHdrFragment(m=1) / UDP(),
        IP(src="10.1.0.11", dst="192.0.2.254") / UDP() / Raw(bytes(8000)),
    )
] + [Ether(dst="01:80:c2:00:00:0e", src=MAC, type=0x88CC).build() + bytes.fromhex("0207040200000000 0104050131 06020078 0000")]


def network(dialect_plain: bool) -> Site:
    """Two data centres, two moves under way, every switch in step."""
    site = Site(plain(DCS) if dialect_plain else DCS, *CUGS, *VMS, *HOPS, *MOVES)
    assert len([row for row in site.state.migrations.values() if not row.phase.is_final]) == 2
    return site


SITES = [network(False), network(True)]
PUNTING = [
    [
        (name, cookie)
        for name, tables in sorted(site.engine.desired.tables.items())
        for cookie, flow in sorted(tables.flows.items())
        if flow.table in (Table.INGRESS, Table.REFUSE)
        or any(isinstance(row, Output) and row.port == CONTROLLER for row in flow.actions)
    ]
    for site in SITES
]
"""(switch, cookie) of the flows that hand packets to the controller, or let them in."""


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed with up to six bytes replaced, perhaps cut short or with something behind it."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 6))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        del data[draw(st.integers(0, len(data))) :]
    return bytes(data) + draw(st.binary(max_size=12))


def unchanged(site: Site) -> Any:
    """What no packet and no malformed message may change, by identity."""
    desired = site.engine.desired
    return site.state, dict(desired.tables), {name: dict(rows.flows) for name, rows in desired.tables.items()}


def same(site: Site, before: Any) -> None:
    state, tables, flows = before
    assert site.state is state
    assert all(site.engine.desired.tables[name] is rows for name, rows in tables.items())
    assert {name: dict(rows.flows) for name, rows in site.engine.desired.tables.items()} == flows


BEFORE = [unchanged(site) for site in SITES]


@given(
    st.integers(0, 1), st.randoms(use_true_random=False), st.binary(max_size=120) | mutated(FRAMES),
    st.integers(0, (1 << 64) - 1) | st.integers(0, 1 << 36), st.integers(0, 0xFFFFFFFF) | st.integers(1, 60), st.booleans(),
)  # fmt: skip
@MANY
def test_any_packet_of_any_flow(which: int, pick: Any, frame: bytes, metadata: int, in_port: int, ttl_invalid: bool) -> None:
    """Every switch and flow that hands packets over, also one of another switch's or nobody's, and any metadata and port."""
    site = SITES[which]
    sent: list[PacketOut] = []
    packets = Packets(site.engine, sent.append)
    switches = [*site.fabric.switches, "nowhere"]
    for number in range(3):
        switch, cookie = pick.choice(PUNTING[which])
        switch = switch if number else pick.choice(switches)
        if number == 2:
            segment = pick.choice([row.key for row in site.state.cugs.values()])
            metadata = segment | segment << 32 | metadata & 0xFFFF0000
        packets.came(switch, PacketIn(cookie, in_port, metadata, frame, ttl_invalid), 1000.0)
    packets.look(1001.0)
    for packet in sent:
        assert len(wire.packet_out(packet.actions, packet.frame, 1)) <= wire.MAX_PACKET_OUT
    # A neighbour outside is believed what it answers; nothing else is news.
    if site.state is not BEFORE[which][0]:
        assert site.state.vms is BEFORE[which][0].vms
        assert site.state.cugs is BEFORE[which][0].cugs
        assert site.state.migrations is BEFORE[which][0].migrations
        BEFORE[which] = unchanged(site)
    same(site, BEFORE[which])


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(transactions, "REPLY_TIMEOUT", 0.001)  # what is not there by then will not come
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


OXM = of.oxm(0, bytes(3) + b"\1") + of.oxm(2, bytes(8))
MESSAGES = [
    of.packet_in(1 << 56, OXM, FRAMES[0]), of.packet_in(1 << 56, of.oxm(2, bytes(16), mask=True), b""),
    of.packet_in(0, of.oxm(10, b"\x86\xdd") + of.oxm(36, bytes(16)), FRAMES[6], total=9),
    of.message(of.ERROR, struct.pack("!HH", 5, 1) + bytes(64)),
    of.message(of.ERROR, struct.pack("!HHI", 0xFFFF, 2300, of.ONF) + bytes(8)),
    of.message(of.ERROR, struct.pack("!HH", 0, 0) + b"not compatible"),
    of.message(of.BARRIER_REPLY), of.message(of.PORT_STATUS, bytes(8) + of.port(1)),
    of.message(of.EXPERIMENTER, struct.pack("!IIIHH", of.ONF, of.BUNDLE_CONTROL, 1, 5, 3)),
    of.multipart(of.FLOW, struct.pack("!H46xHH4x", 56, 1, 4)), of.multipart(of.GROUP_DESC, struct.pack("!HBxI", 8, 0, 1)),
    of.multipart(of.PORT_DESC, of.port(1) + of.port(2)), of.multipart(9, bytes(40)), of.multipart(10, bytes(24)),
    of.message(of.HELLO, struct.pack("!HHI", 1, 8, 0x10)), of.message(of.FEATURES_REPLY, bytes(24)),
]  # fmt: skip


class Peer:
    """A connection as the guard sees it."""

    def __init__(self, parent: Any, ports: bool) -> None:
        self.ofproto, self.ofproto_parser = parent.ofproto, parent.ofproto_parser
        self.state, self.address, self.id = "main", ("peer", 1), 1
        self.closed = False
        if ports:
            self.ports: dict[int, Any] = {}

    def close(self) -> None:
        self.closed = True


@given(mutated(MESSAGES), st.sampled_from([4, 4, 4, 4, 1, 6, 0, 99]), st.booleans(), st.sampled_from(["main", "config"]))
@MANY
def test_any_message_through_the_guard(data: bytes, version: int, ports: bool, state: str) -> None:
    """It is read, or the connection is closed; nothing is raised, in Ryu's parser nor in our reading of what it made."""
    compat.apply()
    from ryu.ofproto import ofproto_parser, ofproto_protocol

    if len(data) < 8:
        return
    peer = Peer(ofproto_protocol.ProtocolDesc(version=4), ports)
    peer.state = state
    message = ofproto_parser.msg(peer, version, data[1], len(data), 7, bytearray(data))
    assert message is not None or peer.closed
    kind = type(message).__name__
    if kind == "OFPPacketIn":
        packet = packet_in(message)
        assert all(type(row) is int for row in (packet.cookie, packet.in_port, packet.metadata))
        assert type(packet.frame) is bytes
    elif kind.startswith("OFPError"):
        assert error_text(message)


class Scripted:
    """A datapath that answers each thing it is sent with the next of a script."""

    def __init__(self, script: list[Any]) -> None:
        self.script = script
        self.closed = False
        self.session: Session | None = None

    def send(self, data: bytes) -> bool:
        assert self.session is not None
        at = 0
        while at < len(data):
            length, xid = struct.unpack_from("!2xHI", data, at)
            if not self.script:
                self.session.end()
                return False
            answer = self.script.pop(0)
            for _ in range(answer[1]):
                self._say(answer, xid)
            at += length
        return True

    def _say(self, answer: Any, xid: int) -> None:
        kind, _, offset, body, more = answer
        xid = xid + offset & 0xFFFFFFFF
        assert self.session is not None
        if kind == "error":
            self.session.error(xid, body.hex())
        else:
            made = {19: {"mp_type": 1, "body": body, "more": more}, 4: {"type": len(body) % 8}}.get(kind, {})
            self.session.reply(SimpleNamespace(xid=xid, msg_type=kind, **made))

    def close(self) -> None:
        self.closed = True


ENTRY = struct.pack("!H22xQ16xHH4x", 56, 0x7A << 56 | 5, 1, 4)
bodies = st.sampled_from([b"", ENTRY, ENTRY * 3, struct.pack("!HBxI", 8, 0, 1 << 28), bytes(7)]) | st.binary(max_size=70)
answers = st.tuples(
    st.sampled_from([19, 19, 21, 4, "error"]), st.integers(0, 3), st.sampled_from([0, 0, 0, 1, 2, -1, 5]), bodies, st.booleans()
)


@given(st.lists(answers, max_size=40))
@MANY
def test_any_answers_to_a_session(script: list[Any]) -> None:
    """The session ends by itself, or with the connection; what it kept of the switch's words is bounded by what it asked."""
    site = SITES[0]
    before = site.state
    datapath: Any = Scripted(script)
    session = Session(datapath, "tor-a", site.engine, 0.0)
    datapath.session = session
    session.run()
    assert datapath.closed or not session._alive
    assert site.state is before
    assert not site.engine.fleet.is_connected("tor-a")
    assert len(session._errors) <= 4000
    site.connect("tor-a")
