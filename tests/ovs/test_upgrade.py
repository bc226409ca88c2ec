"""A switch full of an earlier version's flows, traffic through it, and this version's controller on that version's store."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from scapy.utils import RawPcapReader

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.net.protocols import UDP
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim.packet import Packet
from tests.support.controller import Listener, Site, nic_ip, nic_mac, until
from tests.support.frames import to_bytes
from tests.support.releases import RELEASES, recorded

SWITCH = "tor-a"
PORTS = (1, 2, 49)
AT_ONCE = 20
"""Frames of each stream that are handed over in one call."""


class Way(NamedTuple):
    """Where a frame left: port, MACs and tags."""

    port: int
    src: str
    dst: str
    tags: tuple[int, ...]


Outcome = frozenset[tuple[Way, int]]
"""The ways by which a frame left, each with how often."""


class Stream:
    """Frames that come in at ``port``, told from all others by their UDP source port."""

    def __init__(self, name: str, port: int, packet: Packet, *tags: int) -> None:
        self.name = name
        self.port = port
        self._frame = to_bytes(packet.with_vlans(*tags))
        self._place = 14 + 4 * len(tags) + 20

    def frames(self, numbers: range) -> list[bytes]:
        before, after = self._frame[: self._place], self._frame[self._place + 2 :]
        return [before + number.to_bytes(2, "big") + after for number in numbers]


def read(frame: bytes, port: int) -> tuple[int, Way] | None:
    """The number of a frame of a stream, and its way; None of any other frame."""
    tags, offset = [], 12
    while frame[offset : offset + 2] == b"\x81\x00":
        tags.append(int.from_bytes(frame[offset + 2 : offset + 4], "big") & 0xFFF)
        offset += 4
    if frame[offset : offset + 2] != b"\x08\x00" or frame[offset + 11] != UDP:
        return None
    return int.from_bytes(frame[offset + 22 : offset + 24], "big"), Way(port, frame[6:12].hex(), frame[:6].hex(), tuple(tags))


def udp(to: int, of: int, port: int = 9) -> Packet:
    return make.udp(nic_mac("web", to), nic_mac("web", of), nic_ip("web", to), nic_ip("web", of), port)


def streams(tags: Mapping[str, int]) -> list[Stream]:
    """Within the switch, out of it, into it, and what is forbidden. ``tags``: the VLAN-ID of w1's cable, and the trunk's."""
    return [
        Stream("w1 to w2, here", 1, udp(12, 11), tags["w1"]),
        Stream("w2 to w1, here", 2, udp(11, 12)),
        Stream("w1 to w3, elsewhere", 1, udp(13, 11), tags["w1"]),
        Stream("w3 to w2, from elsewhere", 49, udp(12, 13), tags["trunk"]),
        Stream("w9 to w1, from elsewhere, denied", 49, udp(11, 19, 7), tags["trunk"]),
        Stream("w2 in w1's name", 2, udp(12, 11)),
    ]


class Traffic:
    """Sends all streams again and again, and says of each frame by which ways it left."""

    def __init__(self, site: Site, rows: list[Stream]) -> None:
        self._site = site
        self._rows = rows
        self._next = 1000
        self._sent: dict[int, str] = {}
        self._over = threading.Event()
        for port in PORTS:
            file = site.directory / f"out-{port}.pcap"
            site.ovs.vsctl("set", "interface", f"{SWITCH}.{port}", f"options:tx_pcap={file}")

    def round(self) -> None:
        for row in self._rows:
            numbers = range(self._next, self._next + AT_ONCE)
            self._next += AT_ONCE
            self._sent.update(dict.fromkeys(numbers, row.name))
            self._site.bridges[SWITCH].receive(row.port, *row.frames(numbers))

    def _run(self) -> None:
        while not self._over.is_set() and self._next < 65000 - AT_ONCE * len(self._rows):
            self.round()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> int:
        """End it; how many frames of each stream were sent in all."""
        self._over.set()
        self._thread.join()
        return len(self._sent) // len(self._rows)

    def outcomes(self) -> dict[str, Counter[Outcome]]:
        """By stream: how many frames left by which ways, each with how often."""
        left: dict[int, Counter[Way]] = {number: Counter() for number in self._sent}
        for port in PORTS:
            for frame, _ in RawPcapReader(str(self._site.directory / f"out-{port}.pcap")):
                number, way = read(frame, port) or (0, None)
                if number in left and way is not None:
                    left[number][way] += 1
        found: dict[str, Counter[Outcome]] = {}
        for number, name in self._sent.items():
            found.setdefault(name, Counter())[frozenset(left[number].items())] += 1
        return found


def fill(site: Site, release: str) -> None:
    """Give the switch what that version gave it: meters, groups, flows."""
    messages = bytes.fromhex("".join((RELEASES / release / f"{SWITCH}.hex").read_text().split()))
    with site.bridges[SWITCH].client() as client:
        assert client.apply(messages) == []
        assert len(client.cookies()) > 100


def shifted(site: Site) -> None:
    """Give the switch its own flows under the numbers of other tables, as a version with another pipeline would have them."""
    shown = site.ovs.ofctl("dump-flows", "--no-stats", "--no-names", SWITCH)
    rows = []
    for row in shown.splitlines():
        if "cookie=" not in row:
            continue
        table = re.search(r"table=(\d+)", row)
        row = re.sub(r"table=\d+,? ?", "", row.strip())
        row = re.sub(r"goto_table:(\d+)", lambda found: f"goto_table:{int(found[1]) + 1}", row)
        row = re.sub(r"cookie=0x([0-9a-f]+)", lambda found: f"cookie={int(found[1], 16) ^ 0xFFFF:#x}", row)
        number = int(table[1]) if table else 0
        rows.append(f"table={number + 1 if number else 1},{row}")
    rows.append("table=0,cookie=0x7a00000000000001,priority=0,actions=goto_table:1")
    site.ovs.ofctl("del-flows", SWITCH)
    site.ovs.ofctl("add-flows", SWITCH, "-", stdin="\n".join(rows) + "\n")


def check(outcomes: dict[str, Counter[Outcome]], before: dict[str, Counter[Outcome]]) -> None:
    """Every frame of a stream went the one way that the first went, once: none lost, doubled or astray."""
    for name, found in outcomes.items():
        assert len(found) == 1, f"{name}: {found}"
        assert found.keys() == before[name].keys(), name


def in_one_bundle(heard: Listener) -> None:
    """No flow or group was changed outside of a bundle: between two such messages a frame would meet half of each version."""
    counts = heard.counts()
    heard.stop()
    assert sum(number for kind, number in counts.items() if kind.endswith("ADD_MESSAGE")) > 100
    assert not [kind for kind in counts if kind.endswith(("FLOW_MOD", "GROUP_MOD"))]


def meant(before: dict[str, Counter[Outcome]]) -> None:
    """The streams go where they should: else nothing would be shown by their going there for ever."""
    ports = {name: [sorted(way.port for way, _ in ways) for ways in found] for name, found in before.items()}
    assert ports == {
        "w1 to w2, here": [[2]], "w2 to w1, here": [[1]], "w1 to w3, elsewhere": [[49]], "w3 to w2, from elsewhere": [[2]],
        "w9 to w1, from elsewhere, denied": [[]], "w2 in w1's name": [[]],
    }  # fmt: skip


@pytest.mark.parametrize("release", ["2026-11-27", "2026-11-30"])
def test_a_new_version_replaces_the_flows_of_an_old_one_without_a_loss(release: str, ovs: PrivateOvs, tmp_path: Path) -> None:
    site = Site(ovs, tmp_path, str(RELEASES / "fabric.yaml"))
    try:
        recorded(release, tmp_path / "vmmob.db")
        fill(site, release)
        rows = streams({"w1": vlan_id(release, "rack-a/1"), "trunk": vlan_id(release, "core-1/1")})
        traffic = Traffic(site, rows)
        traffic.round()
        before = traffic.outcomes()
        meant(before)
        heard = site.listen()
        traffic.start()
        site.start()
        site.until_right()
        sent = traffic.stop()
        assert sent > AT_ONCE
        traffic.round()
        check(traffic.outcomes(), before)
        in_one_bundle(heard)
        (first,) = re.findall(rf"switch {SWITCH}: has (\d+) flows .*; (\d+) messages to reconcile it", site.controller.log)[:1]
        assert int(first[1]) > 20, "it is another version's"
        assert "format 1 is now format" in site.controller.log
    finally:
        site.close()


def test_all_tables_shifted_are_replaced_without_a_loss(ovs: PrivateOvs, tmp_path: Path) -> None:
    """A pipeline with one table more in front: each table has the flows of another, and metadata that mean something else."""
    site = Site(ovs, tmp_path, str(RELEASES / "fabric.yaml"))
    try:
        release = "2026-11-30"
        recorded(release, tmp_path / "vmmob.db")
        site.start()
        site.until_right()
        site.controller.kill()
        shifted(site)
        rows = streams({"w1": vlan_id(release, "rack-a/1"), "trunk": vlan_id(release, "core-1/1")})
        traffic = Traffic(site, rows)
        traffic.round()
        before = traffic.outcomes()
        meant(before)
        heard = site.listen()
        traffic.start()
        site.start()
        site.until_right()
        assert traffic.stop() > AT_ONCE
        traffic.round()
        check(traffic.outcomes(), before)
        in_one_bundle(heard)
        until(lambda: site.switch(SWITCH)["in_step"])
    finally:
        site.close()


def vlan_id(release: str, name: str) -> int:
    """The VLAN-ID of a segment in an L2 domain, as that version stored it."""
    (found,) = re.findall(rf"'allocation','{name}',\d+,'{{\"value\":(\d+)}}'", (RELEASES / release / "store.sql").read_text())
    return int(found)
