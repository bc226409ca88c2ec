"""A peer on the OpenFlow port that says anything at all: the controller lives, serves the others, and believes nothing of it.

The peer takes the place of tor-c, whose bridge is told to stay away; the four others are real. `VMMOB_FUZZ` is the number of
random connections (default 60).
"""

from __future__ import annotations

import itertools
import os
import random
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mininet_topos.ovs import PrivateOvs
from tests.support import openflow_peer as of
from tests.support.controller import Site, nic, until
from tests.support.openflow_peer import Peer, honest, message, multipart, oxm, packet_in

DPID = 0x0C
PORTS = of.port(1) + of.port(49)
OTHERS = ("tor-a", "tor-b", "border-1", "border-2")
CONNECTIONS = int(os.environ.get("VMMOB_FUZZ", "60"))
MESSAGES = 60
MEGABYTES = 150
"""The controller may grow by no more than this, whatever the peer says; it has some 100 MB."""
FRAME = bytes.fromhex("ffffffffffff 020000000113 0806 0001 0800 06 04 0001 020000000113 0a010013 000000000000 0a010001")


@pytest.fixture(scope="module")
def site(ovs: PrivateOvs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """VMs on every rack and one that is prepared to move, and tor-c's bridge away."""
    with Site(ovs, tmp_path_factory.mktemp("hostile"), settings={"link_up_delay": "0"}) as started:
        started.put_cugs()
        started.put_vm("w1", "srv-a1", nic("web", 11), nic("db", 11))
        started.put_vm("w2", "srv-b1", nic("web", 12))
        started.put_vm("w3", "srv-c1", nic("web", 13))
        started.move("w1", "srv-b1", activate_on="request")
        started.disconnect("tor-c")
        yield started


def believed(site: Site) -> list[Any]:
    """What no switch has a say in, and since when the others are connected.

    Where a CUG is present follows the links that are up, and of the ends of its own links each switch is asked.
    """
    kinds = [site.rest.get(f"/v1/{kind}")["items"] for kind in ("cugs", "vms", "policies")]
    for row in kinds[0]:
        del row["presence"]
    moves = [(row["id"], row["state"]) for row in site.rest.get("/v1/migrations")["items"]]
    return [*kinds, moves, [site.switch(name)["connected_since"] for name in OTHERS]]


def memory(site: Site) -> float:
    """Megabytes that the controller has resident."""
    status = Path(f"/proc/{site.controller.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@pytest.fixture
def unmoved(site: Site) -> Iterator[Callable[[], None]]:
    """The check that nothing has happened to anybody else; made at the end in any case."""
    pid, before, begun = site.controller.pid, believed(site), memory(site)

    def check() -> None:
        assert site.controller.pid == pid
        assert believed(site) == before
        assert memory(site) < begun + MEGABYTES

    yield check
    check()


def hurt(site: Site, peer: Peer) -> None:
    """The controller is alive, and the peer's connection closed."""
    until(peer.closed.is_set, lambda: site.controller.log[-2000:])
    assert site.rest.get("/healthz")


MASKED = oxm(2, bytes(8) + b"\xff" * 8, mask=True) + oxm(0, bytes(3) + b"\1")
NO_ASCII = message(of.ERROR, struct.pack("!HH", 0, 0) + b"\xff\xfe no ascii")
BEFORE: dict[str, bytes] = {
    "version 0": message(of.HELLO, version=0) + message(of.PACKET_IN, version=0),
    "version 255": message(of.HELLO) + message(of.PACKET_IN, version=255),
    "an error that is no ASCII, before the hello": NO_ASCII,
    "an error of another version after the hello": message(of.HELLO) + message(of.ERROR, bytes(1), version=1),
    "ports before the features": message(of.HELLO) + multipart(of.PORT_DESC, b""),
    "half a feature": message(of.HELLO) + message(of.FEATURES_REPLY, bytes(5)),
    "nothing but zeroes": bytes(4096),
    "nothing but ones": b"\xff" * 70000,
    "HTTP": b"GET /v1/vms HTTP/1.1\r\nHost: controller\r\n\r\n" * 1000,
}
"""What is said on a connection that has not come to its end; each has to be closed."""


@pytest.mark.parametrize("said", BEFORE.values(), ids=BEFORE)
def test_nonsense_instead_of_a_handshake(said: bytes, site: Site, unmoved: Callable[[], None]) -> None:
    with Peer(site.openflow_port) as peer:
        peer.send(said)
        hurt(site, peer)


CLOSED: dict[str, bytes] = {
    "an error that is no ASCII": NO_ASCII,
    "a packet-in cut short": message(of.PACKET_IN, bytes(9)),
    "a match field over its end": packet_in(0, b"\x80\0\0\x7f", b""),
    "an unknown type": message(77, bytes(30)),
    "flows of an impossible length": multipart(of.FLOW, bytes(56)),
    "another version": message(of.ECHO_REQUEST, version=1),
}
IGNORED: dict[str, bytes] = {
    "a packet-in of nothing": packet_in(0, b"", b"", total=60000),
    "a barrier nobody asked for": b"".join(message(of.BARRIER_REPLY, xid=xid) for xid in range(700)),
    "an error about nothing": b"".join(message(of.ERROR, struct.pack("!HH", 5, 1) + bytes(8), xid) for xid in range(700)),
    "an experimenter's error": message(of.ERROR, struct.pack("!HHI", 0xFFFF, 2300, of.ONF), 5),
    "an error of no known type": message(of.ERROR, struct.pack("!HH", 0xFFFE, 0xFFFE) + bytes(8), 5),
    "a bundle nobody opened": message(of.EXPERIMENTER, struct.pack("!IIIHH", of.ONF, of.BUNDLE_CONTROL, 9, 5, 3), 5),
    "flows nobody asked for": multipart(of.FLOW, struct.pack("!H46xHH4x", 56, 1, 4), 5),
    "ports that no link ends at": b"".join(message(of.PORT_STATUS, bytes(8) + of.port(n)) for n in range(100, 700)),
    "the handshake again": message(of.HELLO) + message(of.FEATURES_REPLY, bytes(24)) + multipart(of.PORT_DESC, PORTS),
}


def connect(site: Site, peer: Peer) -> None:
    """The peer is tor-c, and empty; it obeys until it is in step."""
    assert peer.connect(DPID, PORTS)
    follow(site, peer)


def follow(site: Site, peer: Peer) -> None:
    """It obeys until it has all that it should have."""
    peer.obey()
    until(lambda: (row := site.switch("tor-c"))["in_step"] and row["connected"], lambda: site.controller.log[-2000:])
    peer.obedient = False


@pytest.mark.parametrize("said", CLOSED.values(), ids=CLOSED)
def test_nonsense_that_ends_the_connection(said: bytes, site: Site, unmoved: Callable[[], None]) -> None:
    with Peer(site.openflow_port) as peer:
        connect(site, peer)
        peer.send(said)
        hurt(site, peer)
    until(lambda: not site.switch("tor-c")["connected"])


@pytest.mark.parametrize("said", IGNORED.values(), ids=IGNORED)
def test_nonsense_that_means_nothing(said: bytes, site: Site, unmoved: Callable[[], None]) -> None:
    with Peer(site.openflow_port) as peer:
        connect(site, peer)
        peer.send(said + message(of.ECHO_REQUEST, b"still here?", xid=99))
        assert peer.wait_for(of.ECHO_REPLY) == (of.ECHO_REPLY, 99, b"still here?")
        # It is served as before.
        site.rest.put("/v1/cugs/nonsense", {"subnets": ["10.9.0.0/24"]})
        interface = {"cug": "nonsense", "mac": "02:00:00:00:09:01", "ips": ["10.9.0.9"]}
        site.rest.put("/v1/vms/nonsense", {"server": "srv-c1", "interfaces": [interface]})
        follow(site, peer)
        site.rest.call("DELETE", "/v1/vms/nonsense")
        site.rest.call("DELETE", "/v1/cugs/nonsense")


MATCHES = {"nothing": b"", "a mask": MASKED}
LENGTHS = {"one byte": oxm(2, b"\1") + oxm(0, b"\1"), "200 bytes": oxm(2, bytes(200)), "eight bytes": oxm(0, bytes(8))}


@pytest.mark.parametrize("match", [*MATCHES.values(), *LENGTHS.values()], ids=[*MATCHES, *LENGTHS])
def test_any_match_of_a_packet_that_met_a_flow_of_ours(match: bytes, site: Site, unmoved: Callable[[], None]) -> None:
    cookies = [int(cookie, 16) for cookie in site.flows("tor-c")]
    with Peer(site.openflow_port) as peer:
        connect(site, peer)
        peer.send(b"".join(packet_in(cookie, match, FRAME) for cookie in cookies) + message(of.ECHO_REQUEST, xid=98))
        # Match fields have one length each (7.2.3.7): what has another one is no message.
        assert peer.wait_for(of.ECHO_REPLY) == ((of.ECHO_REPLY, 98, b"") if match in MATCHES.values() else None)


WRONG: dict[str, Callable[[int, int, bytes], bytes | None]] = {
    "a barrier instead of flows": lambda kind, xid, body: message(of.BARRIER_REPLY, xid=xid),
    "a bundle instead of everything": lambda kind, xid, body: message(
        of.EXPERIMENTER, struct.pack("!IIIHH", of.ONF, of.BUNDLE_CONTROL, 1, 5, 3), xid
    ),
    "flows instead of everything": lambda kind, xid, body: multipart(of.FLOW, b"", xid),
    "every error there is": lambda kind, xid, body: message(of.ERROR, struct.pack("!HH", xid % 20, xid % 7) + bytes(8), xid),
}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG)
def test_a_wrong_answer_to_the_right_question(
    answer: Callable[[int, int, bytes], bytes | None], site: Site, unmoved: Callable[[], None]
) -> None:
    with Peer(site.openflow_port) as peer:
        assert peer.connect(DPID, PORTS)
        for _ in range(5):
            row = peer.wait_for(of.MULTIPART_REQUEST, of.BARRIER_REQUEST, of.EXPERIMENTER)
            if row is None:
                break
            wrong = answer(*row)
            peer.send((wrong or b"") + (honest(*row) or b""))
        assert site.rest.get("/healthz")


def until_asked(peer: Peer, kind: int) -> tuple[int, int, bytes]:
    """The first multipart request of this type; everything before it is answered."""
    while True:
        row = peer.wait_for(of.MULTIPART_REQUEST, of.BARRIER_REQUEST, of.EXPERIMENTER)
        assert row is not None
        if row[0] == of.MULTIPART_REQUEST and int.from_bytes(row[2][:2]) == kind:
            return row
        peer.send(honest(*row) or b"")


def test_answers_without_an_end(site: Site, unmoved: Callable[[], None]) -> None:
    """Parts of a reply, always with another to follow: full of flows, and empty."""
    for number_of, (kind, entry) in enumerate(((of.FLOW, None), (of.FLOW, b""), (of.GROUP_DESC, None)), start=1):
        with Peer(site.openflow_port) as peer:
            assert peer.connect(DPID, PORTS)
            row = until_asked(peer, kind)
            number = 0
            while not peer.closed.is_set():
                rows = []
                for _ in range(1000):
                    number += 1
                    flow = struct.pack("!H22xQ16xHH4x", 56, 0x7A << 56 | number, 1, 4)
                    rows.append(flow if kind == of.FLOW else struct.pack("!HBxI", 8, 0, 1 << 28 | number & 0xFFFFFFF))
                body = b"".join(rows) if entry is None else entry
                for _ in range(1 if entry is None else 1000):
                    if not peer.send(multipart(kind, body, row[1], more=True)):
                        break
            hurt(site, peer)
        said = site.controller.log
        assert said.count("its reply has no end") + said.count("faster than its answers can be read") >= number_of


@pytest.mark.parametrize("kind", [of.FLOW, of.GROUP_DESC])
def test_an_answer_without_an_end_no_faster_than_it_is_read(kind: int, site: Site, unmoved: Callable[[], None]) -> None:
    """Nothing of it has to wait: what was read already must not fill the memory."""
    with Peer(site.openflow_port) as peer:
        assert peer.connect(DPID, PORTS)
        row = until_asked(peer, kind)
        # Flows may all be the same: each copy is one that should not be there. Of groups there is one with an id.
        body = struct.pack("!H22xQ16xHH4x", 56, 0x7A << 56 | 1, 1, 4) * 1000
        if kind == of.GROUP_DESC:
            body = b"".join(struct.pack("!HBxI", 8, 0, 1 << 28 | number) for number in range(1 << 20))
        parts = [body[at : at + 64000] for at in range(0, len(body), 64000)]
        messages = [multipart(kind, part, row[1], more=True) for part in parts]
        for data in itertools.cycle(messages):
            if peer.closed.is_set() or not peer.send(data):
                break
            time.sleep(0.006)
        hurt(site, peer)
    print(f"{memory(site):.0f} MB")
    said = site.controller.log
    assert "its reply has no end" in said or "faster than its answers can be read" in said


def test_ports_without_an_end(site: Site, unmoved: Callable[[], None]) -> None:
    with Peer(site.openflow_port) as peer:
        peer.send(message(of.HELLO))
        asked = peer.wait_for(of.FEATURES_REQUEST)
        assert asked is not None
        peer.send(message(of.FEATURES_REPLY, struct.pack("!QIBBHII", DPID, 0, 254, 0, 0, 0, 0), asked[1]))
        number = 0
        while not peer.closed.is_set():
            body = b"".join(of.port(number + step) for step in range(1000))
            number += 1000
            if not peer.send(multipart(of.PORT_DESC, body, 1, more=True)):
                break
        hurt(site, peer)


def test_one_dpid_again_and_again(site: Site, unmoved: Callable[[], None]) -> None:
    """Each connection takes the place of the one before, while packets come in without a pause."""
    peers: list[Peer] = []
    try:
        for _ in range(30):
            peers.append(Peer(site.openflow_port))
            assert peers[-1].connect(DPID, PORTS)
            peers[-1].send(packet_in(1 << 56, oxm(0, bytes(3) + b"\1"), FRAME) * 500)
        for peer in peers[:-1]:
            until(peer.closed.is_set)
        until(lambda: site.switch("tor-c")["connected"])
    finally:
        for peer in peers:
            peer.__exit__(None, None, None)


def test_peers_that_never_read(site: Site, unmoved: Callable[[], None]) -> None:
    peers = [Peer(site.openflow_port, read=False) for _ in range(20)]
    try:
        for peer in peers:
            peer.send(message(of.HELLO) + message(of.ECHO_REQUEST, bytes(60000)) * 20)
        site.rest.put("/v1/cugs/web2", {"subnets": ["10.8.0.0/24"]})
        site.rest.call("DELETE", "/v1/cugs/web2")
    finally:
        for peer in peers:
            peer.__exit__(None, None, None)


def _seeds(cookies: list[int]) -> list[bytes]:
    metadata = oxm(2, bytes(3) + b"\1\0\0\0\1")
    frames = [packet_in(cookie, oxm(0, bytes(3) + b"\1") + metadata, FRAME) for cookie in cookies]
    return [
        *frames,
        *(row for row in (*BEFORE.values(), *CLOSED.values(), *IGNORED.values()) if len(row) < 300),
        message(of.PORT_STATUS, bytes(8) + of.port(1)), message(of.PORT_STATUS, b"\1" + bytes(7) + of.port(49, down=True)),
        message(of.HELLO, struct.pack("!HHI", 1, 8, 0x10)), message(of.ECHO_REQUEST, b"?"),
        *(message(kind, bytes(range(40))) for kind in range(30)),
        *(multipart(kind, bytes(128)) for kind in range(15)),
    ]  # fmt: skip


def _mutated(draw: random.Random, seeds: list[bytes], xids: list[int]) -> bytes:
    data = bytearray(draw.choice(seeds))
    if xids and draw.random() < 0.5:
        data[4:8] = (draw.choice(xids) & 0xFFFFFFFF).to_bytes(4)
    for _ in range(draw.choice([0, 0, 1, 1, 2, 4])):
        data[draw.randrange(len(data))] = draw.choice([0, 1, 4, 8, 0x7F, 0x80, 0xFF, draw.randrange(256)])
    if draw.random() < 0.1:
        del data[draw.randrange(len(data)) :]
    if draw.random() < 0.8 and len(data) >= 8:
        data[2:4] = len(data).to_bytes(2)
    return bytes(data)


def test_random_connections(site: Site, unmoved: Callable[[], None]) -> None:
    """Mutated messages of every kind at every point of a connection, in between what is right."""
    said = 0
    seeds = _seeds([int(cookie, 16) for cookie in site.flows("tor-c")])
    for seed in range(CONNECTIONS):
        draw = random.Random(seed)
        with Peer(site.openflow_port) as peer:
            # How far it gets before it goes astray: nothing, a hello, the features, everything.
            depth = draw.choice([0, 1, 3, 3, 3])
            if depth == 1:
                peer.send(message(of.HELLO))
            if depth == 3:
                peer.connect(DPID, PORTS)
            for _ in range(MESSAGES):
                xids = [row[1] for row in peer.asked]
                if depth == 3 and peer.asked and draw.random() < 0.5:
                    row = peer.asked.pop(0)
                    if not peer.send(honest(*row) or b""):
                        break
                said += 1
                if not peer.send(_mutated(draw, seeds, [*xids, *(xid + 1 for xid in xids)])):
                    break
        unmoved() if seed % 20 == 0 else site.rest.get("/healthz")
    print(f"{said} messages on {CONNECTIONS} connections")
    assert "a fault in" not in site.controller.log
    assert "Traceback" not in site.controller.log


def test_in_the_end_everything_is_right(site: Site) -> None:
    """The real tor-c comes back, the move that waited all the time is carried out."""
    site.reconnect("tor-c")
    site.until_right()
    (begun,) = (row["id"] for row in site.rest.get("/v1/migrations")["items"])
    site.rest.post(f"/v1/migrations/{begun}/activate")
    site.until_state(begun, "committed")
    site.until_right()
