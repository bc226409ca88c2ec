"""A VM moves while it talks to the outside and to other CUGs over IPv4 and IPv6: what is promised of routed traffic."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.laboratory import MISSING

if TYPE_CHECKING or not MISSING:
    from mininet_topos.endpoint import Endpoint
    from mininet_topos.observers import look_at_wires, sniffing
    from mininet_topos.processes import ChildError
    from mininet_topos.routed_world import interface, populate, start_vm, until_reached
    from mininet_topos.scenario import Report, both_ways
    from mininet_topos.servers import Vm
    from mininet_topos.traffic import Stream, Traffic
    from mininet_topos.world import World, running

FEW = 5
"""Never more than this many packets lost or doubled in a move, and in nine of ten moves none at all."""
FAILOVER_SECONDS = 60.0
LISTENERS = ("lone-1", "lone-2")  # of another routing domain, with the same addresses, on both servers of the move


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


def _ends(world: World, *names: str) -> list[Endpoint]:
    return [world.lab.outside[name] if name in world.lab.outside else world.vms[name] for name in names]


def _kept(report: Report) -> None:
    """Print the counts; fail with every promise that was not kept."""
    print(f"\n{report.move.vm}: {report.move.source} > {report.move.target}, VLAN-IDs {report.move.vlan_ids}")
    for r in (*report.results, *report.forbidden):
        print(f"  {r.name}: sent {r.sent}, received {r.received}, doubled {r.doubled}, gap {r.longest_gap:.1f} ms")
    print(f"  TCP {dict(report.tcp)}, heard {dict(report.heard)}, flow-mods {report.move.flow_mods}")
    assert report.faults == [], f"the machine itself dropped: {dict(report.machine_drops)}"


@pytest.mark.requirement("R5b", "R11b", "R30b", "R32b", "R33a", "R34b")
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    "peers",
    [
        pytest.param(("internet-1", "internet-2"), id="outside-by-both-borders"),
        pytest.param(("db-1", "db-3"), id="other-cug-in-the-rack-it-leaves"),
        pytest.param(("db-2", "db-4"), id="other-cug-in-the-other-data-centre"),
    ],
)
def test_hot_move_under_routed_traffic(world: World, mover: Vm, peers: tuple[str, ...], version: int) -> None:
    """There and back: nothing lost, nothing doubled, TCP from outside or to the other CUG lives on."""
    ends = _ends(world, *peers)
    outside = peers[0] in world.lab.outside
    for to in ("srv-c1", "srv-a1"):
        report = world.scenario.move(
            mover, to, ends, version=version, listeners=world.everyone(*LISTENERS),
            tcp_from=ends[0] if outside else None, tcp_peer=None if outside else ends[1],
        )  # fmt: skip
        _kept(report)
        assert all(result.sent > 500 for result in report.results)
        assert report.tcp["echoed"] > 100


@pytest.mark.requirement("R30b", "R33a")
def test_ten_hot_moves_under_routed_traffic(world: World, mover: Vm) -> None:
    """In at least nine of ten moves nothing is lost or doubled, and never more than a few packets; TCP lives in all."""
    counts = []
    for number in range(10):
        to = "srv-c1" if number % 2 == 0 else "srv-a1"
        version = 4 if number % 4 < 2 else 6
        outside, other = _ends(world, f"internet-{1 + number // 2 % 2}", ("db-3", "db-4")[number // 4 % 2])
        report = world.scenario.move(mover, to, [outside, other], version=version, tcp_from=outside, wires=False)
        only_counts = len(report.faults) == sum(bool(r.lost) + bool(r.doubled) for r in report.results)
        assert report.faults == [] or only_counts, report.faults
        counts.append(report.lost + report.doubled)
        print(f"\nmove {number + 1}, to {to}, IPv{version}: sent {report.sent}, lost {report.lost}, doubled {report.doubled}")
    assert max(counts) <= FEW
    assert counts.count(0) >= 9, counts


@pytest.mark.requirement("R11a", "R45", "R46a", "R48b")
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("way", [("srv-b1", "srv-c1"), ("srv-a3", "srv-d1")], ids=["tagged", "by-a-server-without-vlans"])
def test_forbidden_traffic_stays_forbidden_through_moves(world: World, mover: Vm, way: tuple[str, ...], version: int) -> None:
    """Another port, another CUG, another routing domain, at 1,000 packets a second all the while: none is delivered."""
    near, far, beyond, through, lone = _ends(world, "db-1", "db-2", "internet-1", "internet-2", "lone-1")
    pairs = [
        (beyond, mover), (through, mover), (mover, beyond), (near, mover), (mover, far), (lone, far), (through, near)
    ]  # fmt: skip
    forbidden = [Stream(source, target, version, forbidden=True) for source, target in pairs]
    for to in way:
        report = world.scenario.move(mover, to, _ends(world, "internet-1"), version=version, extra=forbidden, wires=False)
        _kept(report)
        assert [r.received for r in report.forbidden] == [0] * len(forbidden)
        assert min(r.sent for r in report.forbidden) > 500


@pytest.mark.requirement("R37", "R42")
def test_a_rack_without_members_carries_nothing_of_the_routing_domain(world: World, mover: Vm) -> None:
    """web-4 is alone in rack-b. When it has left, none of its packets, routed or bridged, crosses a cable there."""
    lonely = world.vms["web-4"]
    peers = _ends(world, "internet-1", "internet-2", "db-3", "web-1")
    cables = world.lab.link_devices()
    rack = {name for name in cables if "tor-b" in name}
    streams = [stream for version in (4, 6) for stream in both_ways(lonely, peers, version)]
    for to, silent in (("srv-d1", True), ("srv-b2", False)):
        world.orchestrator.move(lonely, to)
        with sniffing(cables) as wires, Traffic(world.lab, streams, rate=100):
            lonely.run("sh", "-c", "ping -c 2 -i 0.2 -W 1 10.1.0.99 || true")  # a broadcast: an address that nobody has
            time.sleep(0.3)
        heard = {name: count for name, count in wires.total().items() if count}
        assert (not rack & heard.keys()) == silent, (to, heard)
        assert heard.keys() - rack


@pytest.mark.requirement("R5b", "R43")
@pytest.mark.parametrize("how", ["cut", "silence"])
def test_the_other_external_network_takes_over(world: World, mover: Vm, how: str) -> None:
    """The next hop in use dies, with or without its carrier: traffic leaves by the other border, later by the first again."""
    started = world.controller.pid
    target = world.lab.outside["internet-2"]  # an address that both networks lead to
    first = _leaves_by(world, mover, target)
    dead = world.lab.outside[first]
    alive = next(one for name, one in world.lab.outside.items() if name != first)
    getattr(dead, how)()
    try:
        began = time.monotonic()
        for version in (4, 6):
            until_reached(mover, target, version, FAILOVER_SECONDS)
        print(f"\n{first} {how}: the other one after {time.monotonic() - began:.1f} s")
        assert _leaves_by(world, mover, target) == alive.name
        streams = [stream for version in (4, 6) for stream in both_ways(mover, [alive], version)]
        with Traffic(world.lab, streams) as traffic:
            time.sleep(1.0)
        assert [(r.name, r.lost, r.doubled) for r in traffic.results] == [(s.name, 0, 0) for s in streams]
    finally:
        dead.revive()
    deadline = time.monotonic() + FAILOVER_SECONDS
    while _leaves_by(world, mover, target) != first:
        assert time.monotonic() < deadline, f"{first} is alive again and not used"
    for peer in world.lab.outside.values():
        for version in (4, 6):
            until_reached(mover, peer, version)
    assert world.controller.pid == started


def _leaves_by(world: World, vm: Vm, target: Endpoint) -> str:
    """The external network by which packets of both IP versions leave now; empty while they differ, or while none does."""
    found = set()
    try:
        with Traffic(world.lab, [Stream(vm, target, version) for version in (4, 6)], rate=50):
            wires = look_at_wires(world.lab)
    except ChildError:
        return ""
    for version in (4, 6):
        seen = wires.packets(vm.address(version=version), target.address(version=version))
        found.add(tuple(name for name in world.lab.outside if any(cable.endswith(f"={name}") for cable in seen)))
    return found.pop()[0] if len(found) == 1 and len(next(iter(found))) == 1 else ""


@pytest.mark.requirement("R24", "R25")
def test_a_guests_own_tag_stays_as_it_moves(world: World) -> None:
    """A guest that tags with 300 does so everywhere, whatever the fabric's VLAN-ID, and on a server without any, too."""
    tagged = start_vm(world, "tagged", "srv-a1", interface("web", 31, guest_vlan_id=300))
    peers = _ends(world, "web-2", "db-4", "internet-1", "web-1")
    beside = world.vms["web-1"]
    try:
        for peer in peers:
            until_reached(tagged, peer, 4)
        for to in ("srv-c1", "srv-a3", "srv-a1"):
            _kept(world.scenario.move(tagged, to, peers, tcp_from=peers[2], wires=False))
            device = world.lab.servers[to].device(tagged.name)
            cables = {name: one for name, one in world.lab.link_devices().items() if name.endswith(f"={to}")}
            with sniffing({"guest": device, **cables}) as seen, Traffic(world.lab, both_ways(tagged, peers), rate=100):
                time.sleep(0.3)
            own = [tagged.interfaces[0].mac]
            assert seen.vlan_ids(own)["guest"] == {300}
            (wanted,) = world.orchestrator.call("GET", "/v1/vms/tagged")["interfaces"]
            assert wanted["vlan_id"] is None  # nobody adds a tag
            # A guest of its CUG on the same server is reached through the switch, which puts on the tag of that one.
            neighbours = world.orchestrator.tags("web-1") if beside.server == to else set()
            assert [seen.vlan_ids(own)[cable] for cable in cables] == [{300, *neighbours}]
        assert tagged.card()["wrong_tags"] == 0
    finally:
        world.orchestrator.end_vm(tagged)
        del world.vms["tagged"]
