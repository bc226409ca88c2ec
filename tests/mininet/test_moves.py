"""A VM moves, on real switches under a real controller: what is promised of a move, end to end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.mininet import tables
from tests.support.laboratory import MISSING

if TYPE_CHECKING or not MISSING:
    from mininet_topos.observers import foreign, listening, sniffing
    from mininet_topos.orchestrator import OrchestratorError
    from mininet_topos.scenario import Report
    from mininet_topos.servers import Interface, Vm
    from mininet_topos.switchover import switch_over
    from mininet_topos.traffic import Stream, Traffic
    from mininet_topos.world import World, populate, running

LISTENERS = ("db-1", "db-2")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running() as live:
        populate(live)
        yield live


@pytest.fixture
def mover(world: World) -> Vm:
    """web-1, at home on srv-a1."""
    vm = world.vms["web-1"]
    if vm.server != "srv-a1":
        world.orchestrator.move(vm, "srv-a1")
    return vm


def _kept(report: Report) -> None:
    """Print the counts; fail with every promise that was not kept."""
    print(f"\n{report.move.vm}: {report.move.source} > {report.move.target}, VLAN-IDs {report.move.vlan_ids}")
    for r in report.results:
        print(f"  {r.name}: sent {r.sent}, lost {r.lost}, doubled {r.doubled}, gap {r.longest_gap:.1f} ms")
    print(f"  TCP {dict(report.tcp)}, heard {dict(report.heard)}, flow-mods {report.move.flow_mods}")
    assert report.faults == [], f"the machine itself dropped: {dict(report.machine_drops)}"


FEW = 5
"""Never more than this many packets lost or doubled in a move, and in nine of ten moves none at all."""


def _counted(report: Report) -> int:
    return report.lost + report.doubled


def _only_counts(report: Report) -> bool:
    """Whether packets that were lost or doubled are all there is to complain of."""
    return len(report.faults) == sum(bool(r.lost) + bool(r.doubled) for r in report.results)


def _hot(world: World, vm: Vm, to: str, *peers: str, **options: Any) -> Report:
    """A move that keeps its promises, all of them and at once."""
    report = world.scenario.move(vm, to, world.everyone(*peers), **options)
    _kept(report)
    return report


@pytest.mark.requirement("R1", "R5a", "R16", "R17", "R22", "R26", "R30a", "R31", "R32b", "R33a", "R34b")
def test_hot_move_between_data_centres(world: World, mover: Vm) -> None:
    """(a) a peer in the old rack, (b) one in a third place, (c) TCP lives on, (d) another CUG on both servers hears nothing."""
    report = _hot(world, mover, "srv-c1", "web-2", "web-4", tcp_peer=world.vms["web-2"], listeners=world.everyone(*LISTENERS))
    assert all(result.sent > 500 for result in report.results)
    assert report.tcp["echoed"] > 100
    assert min(report.heard.values()) > 0
    before, after = report.move.vlan_ids
    assert before == after is not None  # its number on the server's cable comes along
    # every cable between switches carries a VLAN-ID of its own domain, and just one; a server's that of the vNIC there
    for hops in (report.hops_before, report.hops_after):
        for link, vlan_ids in hops.items():
            assert len(vlan_ids) == 1
            known = world.lab.fabric.link_by_name.get(link)
            if known is not None:
                assert vlan_ids[0] in world.lab.fabric.l2_domains[known.l2_domain].vlan_ids


@pytest.mark.requirement("R33a")
def test_ten_hot_moves_between_data_centres(world: World, mover: Vm) -> None:
    """In at least nine of ten moves nothing is lost or doubled, and never more than a few packets; TCP lives in all."""
    counts = []
    for number in range(10):
        to = "srv-c1" if number % 2 == 0 else "srv-a1"
        peers, listeners = world.everyone("web-2", "web-4"), world.everyone(*LISTENERS)
        report = world.scenario.move(mover, to, peers, tcp_peer=peers[0], wires=False, listeners=listeners)
        assert report.faults == [] or _only_counts(report), report.faults
        counts.append(_counted(report))
        print(f"\nmove {number + 1}, to {to}: sent {report.sent}, lost {report.lost}, doubled {report.doubled}")
    assert max(counts) <= FEW
    assert counts.count(0) >= 9, counts


@pytest.mark.requirement("R1", "R13", "R21", "R23", "R30a", "R31", "R32b", "R33a", "R34b")
@pytest.mark.parametrize(
    ("way", "peers"),
    [
        pytest.param(("srv-a2", "srv-a1"), ("web-2", "web-3"), id="inside-one-tor"),
        pytest.param(("srv-c1", "srv-d1", "srv-c2"), ("web-3", "web-2"), id="between-tors-of-one-domain"),
        pytest.param(("srv-b1", "srv-a1"), ("web-4", "web-2"), id="between-racks-over-a-lag"),
        pytest.param(("srv-a3", "srv-d1"), ("web-2", "web-3"), id="to-a-server-without-vlans"),
    ],
)
def test_hot_moves(world: World, mover: Vm, way: tuple[str, ...], peers: tuple[str, ...]) -> None:
    for to in way:
        report = _hot(world, mover, to, *peers, tcp_peer=world.vms[peers[1]])
        before, after = report.move.vlan_ids
        assert (after is None) == (to == "srv-a3")  # untagged
        assert before == after or None in (before, after)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"announce": False}, id="any-first-frame-activates"),
        pytest.param({"activate_on": "request", "announce": False}, id="activated-on-request"),
        pytest.param({"commit": "request"}, id="committed-on-request"),
    ],
)
def test_ways_to_activate_and_commit(world: World, mover: Vm, options: dict[str, Any]) -> None:
    _hot(world, mover, "srv-c1", "web-2", "web-4", wires=False, **options)


@pytest.mark.requirement("R32b")
def test_delivery_on_activation(world: World, mover: Vm) -> None:
    """The strict variant may lose packets while the target opens; nothing is doubled, TCP lives, it ends well."""
    report = world.scenario.move(
        mover, "srv-c1", world.everyone("web-2"), tcp_peer=world.vms["web-4"], wires=False, delivery="on_activation"
    )
    print(report.lost, report.longest_gap)
    assert report.doubled == 0
    assert report.tcp["ended"] is None
    assert report.tcp["echoed"] == report.tcp["written"]


def test_abort_leaves_no_trace(world: World, mover: Vm) -> None:
    flows, groups = tables.flows(world.lab), tables.groups(world.lab)
    with Traffic(world.lab, [Stream(mover, world.vms["web-2"]), Stream(world.vms["web-3"], mover)]) as traffic:
        migration = world.orchestrator.prepare(mover, "srv-c1")
        time.sleep(0.3)  # traffic in the prepared state
        assert tables.flows(world.lab) != flows
        aborted = world.orchestrator.abort(mover, "srv-c1", migration["id"])
    assert aborted["state"] == "aborted"
    assert [(r.lost, r.doubled) for r in traffic.results] == [(0, 0), (0, 0)]
    assert tables.flows(world.lab) == flows
    assert tables.groups(world.lab) == groups


def test_prepared_means_that_nothing_comes_to_the_new_place(world: World, mover: Vm) -> None:
    """Neither what neighbours on both servers and a third one send to it, nor what it says to all itself."""
    beside = [
        world.orchestrator.start_vm(f"beside-{n}", server, [_extra(40 + n)]) for n, server in enumerate(("srv-a1", "srv-c1"))
    ]
    peers = [*beside, world.vms["web-4"]]
    try:
        world.scenario.acquaint(mover, peers)
        migration = world.orchestrator.prepare(mover, "srv-c1")
        device = world.lab.servers["srv-c1"].device(mover.name)
        streams = [Stream(peer, mover) for peer in peers]
        with sniffing({"target": device}) as seen, Traffic(world.lab, streams, rate=200) as traffic:
            mover.run("sh", "-c", "ping -c 2 -i 0.2 -W 1 10.1.0.99 || true")
            time.sleep(0.5)
        switched = switch_over(world.lab, mover, "srv-c1", world.orchestrator.network(migration))
        world.orchestrator.until_state(migration["id"], "committed")
        world.lab.release_server(mover, "srv-a1")
        assert [(r.lost, r.doubled) for r in traffic.results] == [(0, 0)] * len(peers)
        assert seen.frames.get("target", []) == []
        assert switched["from"] == "srv-a1"
    finally:
        for vm in beside:
            world.orchestrator.end_vm(vm)


def test_a_second_migration_of_a_moving_vm_is_refused(world: World, mover: Vm) -> None:
    migration = world.orchestrator.prepare(mover, "srv-c1")
    with pytest.raises(OrchestratorError) as refusal:
        world.orchestrator.call("POST", "/v1/migrations", {"vm": mover.name, "to": "srv-b2"})
    assert refusal.value.status == 409
    world.orchestrator.abort(mover, "srv-c1", migration["id"])


@pytest.mark.requirement("R37")
def test_the_old_place_is_pruned(world: World, mover: Vm) -> None:
    """web-1 alone in rack-b: when it leaves, no broadcast of its CUG crosses a cable of that rack any more (R37)."""
    lonely = world.vms["web-4"]
    world.orchestrator.move(lonely, "srv-a2")
    world.orchestrator.move(mover, "srv-b1")
    world.orchestrator.move(mover, "srv-c1")
    cables = {name: device for name, device in world.lab.link_devices().items() if "tor-b" in name}
    members = [vm.interfaces[0].mac for vm in world.vms.values() if vm.interfaces[0].cug == "web"]
    others = {name: device for name, device in world.lab.link_devices().items() if "tor-c:49" in name}
    with sniffing({**cables, **others}) as sniff:
        for name in ("web-1", "web-2"):  # broadcasts: who has an address that nobody has
            world.vms[name].run("sh", "-c", "ping -c 2 -i 0.2 -W 1 10.1.0.99 || true")
    world.orchestrator.move(lonely, "srv-b2")
    counted = sniff.count(members)
    assert {name: counted[name] for name in cables} == dict.fromkeys(cables, 0)
    assert sum(counted[name] for name in others) > 0  # the sniffer does see such frames


@pytest.mark.requirement("R8", "R10")
def test_both_ip_versions_and_two_interfaces_move_together(world: World) -> None:
    """A VM in two CUGs, one of them with IPv4 and IPv6: all its interfaces move in one migration (R8, R10)."""
    orchestrator = world.orchestrator
    orchestrator.put_cug("green", ["10.3.0.0/24", "2001:db8:3::/64"])
    green = [Interface("green", f"02:00:00:00:03:{n:02x}", (f"10.3.0.{n}/24", f"2001:db8:3::{n}/64")) for n in (11, 12)]
    two = orchestrator.start_vm("two", "srv-a2", [green[0], _extra(51)])
    peer = orchestrator.start_vm("green-2", "srv-d1", [green[1]])
    other = world.vms["web-4"]
    streams = [
        Stream(two, peer), Stream(peer, two), Stream(two, peer, version=6), Stream(peer, two, version=6),
        Stream(other, two, target_interface=1), Stream(two, other, source_interface=1),
    ]  # fmt: skip
    try:
        two.run("ping", "-c", "1", "-W", "3", peer.address())
        two.run("ping", "-c", "1", "-W", "3", peer.address(version=6))
        other.run("ping", "-c", "1", "-W", "3", two.address(1))
        with Traffic(world.lab, streams, rate=500) as traffic:
            moves = [orchestrator.move(two, to) for to in ("srv-c1", "srv-a3", "srv-b1")]
        assert [(r.name, r.lost, r.doubled) for r in traffic.results] == [(s.name, 0, 0) for s in streams]
        assert {leg["cug"] for leg in moves[0].migration["interfaces"]} == {"green", "web"}
        first, second = moves[0].migration["interfaces"]
        assert first["to_vlan_id"] != second["to_vlan_id"]
    finally:
        for vm in (two, peer):
            orchestrator.end_vm(vm)


@pytest.mark.requirement("R49a", "R49b")
def test_a_spoofed_mac_is_not_believed(world: World, mover: Vm) -> None:
    """db-2 sends frames in the name of web-1: nobody hears them, and web-1 stays reachable where it is."""
    spoofer = world.vms["db-2"]
    script = (
        "import socket; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('eth0', 0));"
        f"m = bytes.fromhex('{mover.interfaces[0].mac.replace(':', '')}');"
        "f = b'\\xff' * 6 + m + b'\\x80\\x35' + bytes.fromhex('0001080006040003') + m + bytes(4) + m + bytes(4);"
        "[s.send(f.ljust(60, b'\\0')) for _ in range(20)]"
    )
    peer = world.vms["web-2"]
    with listening(world.vms["db-1"]) as heard, Traffic(world.lab, [Stream(peer, mover)], rate=500) as traffic:
        spoofer.run(sys.executable, "-c", script)
        time.sleep(0.3)
    assert heard.count([mover.interfaces[0].mac])["eth0"] == 0
    assert foreign(world.vms["db-1"], heard, world.scenario.members()) == {}
    assert (traffic.results[0].lost, traffic.results[0].doubled) == (0, 0)
    assert world.orchestrator.call("GET", "/v1/vms/web-1")["server"] == "srv-a1"


def _extra(number: int) -> Interface:
    from mininet_topos.world import interface

    return interface("web", number)
