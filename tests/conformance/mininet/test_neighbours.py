"""Policies and names between neighbours on one server, and between servers: on real bridges, and as the trace says it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.forgeries import in_a_neighbours_name, in_its_own_name
from tests.support.laboratory import MISSING

if TYPE_CHECKING or not MISSING:
    from mininet_topos.observers import listening, send_frames
    from mininet_topos.servers import Interface
    from mininet_topos.traffic import PORT, Stream, Traffic
    from mininet_topos.world import World, running

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(MISSING), reason=MISSING or "")]

VMS = (("one", "srv-a1"), ("two", "srv-a1"), ("near", "srv-a2"), ("three", "srv-b1"), ("four", "srv-b1"), ("far", "srv-c1"))
"""Neighbours on a cable and on a LAG; and others under the same ToR, under another, and in another data centre."""
DENIED = [("one", "two"), ("two", "one"), ("four", "three"), ("one", "near"), ("far", "two")]
RATE, PACKETS = 100.0, 1000
SECONDS = 120.0


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running() as live:
        live.orchestrator.put_cug("web", ["10.1.0.0/24", "2001:db8:1::/64"])
        for number, (name, server) in enumerate(VMS, 11):
            card = Interface("web", f"02:00:00:00:01:{number:02x}", (f"10.1.0.{number}/24", f"2001:db8:1::{number:x}/64"))
            live.vms[name] = live.orchestrator.start_vm(name, server, [card])
        yield live


def policy(source: str, target: str, version: int) -> dict[str, Any]:
    """Nothing to this port."""
    ends = {"from_": {"vm": source}, "to": {"vm": target}}
    return {**ends, "action": "deny", "protocol": "udp", "ports": [str(PORT + version)], "priority": 200}


def traced(world: World, source: str, target: str, version: int) -> str:
    """The trace's verdict on a packet of a stream."""
    body = {
        "from": {"vm": source},
        "to": {"ip": world.vms[target].address(version=version)},
        "protocol": "udp",
        "port": PORT + version,
    }
    return str(world.orchestrator.call("POST", "/v1/trace", body)["verdict"])


def until_more(traffic: Traffic, of: list[int], number: int) -> dict[int, int]:
    """Wait until ``number`` packets more have come of each of these streams; counts of all streams then."""
    wanted = {stream: count + number for stream, count in traffic.counts().items() if stream in of}
    deadline = time.monotonic() + SECONDS
    while any((now := traffic.counts()).get(stream, 0) < count for stream, count in wanted.items()):
        assert time.monotonic() < deadline, {stream: (now.get(stream), count) for stream, count in wanted.items()}
        time.sleep(0.2)
    return traffic.counts()


@pytest.mark.requirement("R46b", "R48b")
@pytest.mark.parametrize("version", [4, 6])
def test_a_policy_put_while_packets_run_is_in_force_when_its_put_is_answered(world: World, version: int) -> None:
    """Of 1,000 packets after it none of the denied arrives, and of those allowed each; and all do when it is gone again."""
    pairs = list(permutations(world.vms, 2))
    streams = [Stream(world.vms[a], world.vms[b], version) for a, b in pairs]
    denied = [number for number, pair in enumerate(pairs) if pair in DENIED]
    allowed = [number for number in range(len(pairs)) if number not in denied]
    with Traffic(world.lab, streams, RATE) as traffic:
        assert {traced(world, *pair, version=version) for pair in pairs} == {"delivered"}
        for a, b in DENIED:
            world.orchestrator.put_policy(f"{a}-{b}", **policy(a, b, version))
        before = until_more(traffic, allowed, 5)  # what was on a cable when the last answer came is there
        verdicts = {pair: traced(world, *pair, version=version) for pair in pairs}
        assert verdicts == {pair: "denied" if pair in DENIED else "delivered" for pair in pairs}
        after = until_more(traffic, allowed, PACKETS)
        assert [after[number] - before[number] for number in denied] == [0] * len(DENIED)
        for a, b in DENIED:
            world.orchestrator.call("DELETE", f"/v1/policies/{a}-{b}", wait=60)
        until_more(traffic, denied, 100)
    lost = {result.name: result.lost for number, result in enumerate(traffic.results) if number in allowed and result.lost}
    assert lost == {}, traffic.machine_drops
    assert {result.name: result.doubled for result in traffic.results if result.doubled} == {}


@pytest.mark.requirement("R49a")
@pytest.mark.parametrize(("liar", "victim"), [("one", "two"), ("four", "three")], ids=["cable", "lag"])
def test_nobody_speaks_in_the_name_of_a_neighbour(world: World, liar: str, victim: str) -> None:
    """1,000 frames of ARP, neighbour discovery and RARP: none reaches the neighbour or anybody else; true ones reach all."""
    vms = world.vms
    others = [vm for name, vm in vms.items() if name != liar]
    macs = {vms[name].interfaces[0].mac for name in (liar, victim)}
    false, true = in_a_neighbours_name(vms[liar], vms[victim]), in_its_own_name(vms[liar])
    for frames, count in ((false, -(-PACKETS // len(false))), (true, 5)):
        with ExitStack() as stack:
            sniffs = [stack.enter_context(listening(vm)) for vm in others]
            send_frames(vms[liar], frames, count)
            time.sleep(0.5)
        heard = [
            sum(row.frames for row in sniff.frames["eth0"] if row.direction == "in" and row.source in macs) for sniff in sniffs
        ]
        assert heard == [0 if frames is false else count * len(true)] * len(others), frames is false
    address = vms[victim].interfaces[0]
    for body in (
        {"from": {"vm": liar, "mac": address.mac}, "to": {"mac": "ff:ff:ff:ff:ff:ff"}},
        {"from": {"vm": liar, "ip": vms[victim].address()}, "to": {"ip": vms[victim].address()}, "protocol": "arp"},
    ):
        assert world.orchestrator.call("POST", "/v1/trace", body)["verdict"] == "dropped", body
