"""The controller dies, cables are pulled: traffic between VMs on real switches goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import networkx
import pytest

from tests.mininet import tables
from tests.support.laboratory import MISSING

if TYPE_CHECKING or not MISSING:
    from mininet_topos.lab import Lab
    from mininet_topos.servers import Vm
    from mininet_topos.traffic import Stream, Traffic
    from mininet_topos.world import World, populate, running

REPAIR_SECONDS = 20.0


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running() as live:
        populate(live)
        yield live


def _streams(world: World) -> list[Stream]:
    mover, near, far = world.everyone("web-1", "web-2", "web-3")
    return [Stream(mover, near), Stream(near, mover), Stream(mover, far), Stream(far, mover)]


def test_kill_9_and_restart_touch_nothing(world: World) -> None:
    """No flow is written again, none differs, no packet is lost or doubled, and the switches are in step again."""
    flows, groups = tables.flows(world.lab), tables.groups(world.lab)
    with Traffic(world.lab, _streams(world)) as traffic:
        began = time.monotonic()
        world.controller.kill()
        time.sleep(1.5)  # without a controller, longer than the switches wait to connect again
        world.controller.start()
        world.orchestrator.until_in_step()
        lasted = time.monotonic() - began
        age = tables.youngest_flow(world.lab)
    for r in traffic.results:
        print(f"{r.name}: sent {r.sent}, lost {r.lost}, doubled {r.doubled}, gap {r.longest_gap:.1f} ms")
    print(f"without or with a new controller for {lasted:.1f} s; youngest flow {age:.1f} s old")
    assert [(r.lost, r.doubled) for r in traffic.results] == [(0, 0)] * 4, traffic.machine_drops
    assert age > lasted, "a flow was written during or after the restart"
    assert tables.flows(world.lab) == flows
    assert tables.groups(world.lab) == groups


def test_a_prepared_move_survives_kill_9(world: World) -> None:
    mover = world.vms["web-1"]
    home = mover.server
    with Traffic(world.lab, _streams(world)) as traffic:
        migration = world.orchestrator.prepare(mover, "srv-c1")
        world.controller.kill()
        flipped = world.lab.flip(mover, "srv-c1")  # nobody is there to hear the announcement
        time.sleep(1.0)
        world.controller.start()
        world.orchestrator.until_in_step()
        mover.run("ping", "-c", "3", "-i", "0.2", "-W", "3", world.vms["web-2"].address())
        done = world.orchestrator.until_state(migration["id"], "committed")
        world.lab.release_server(mover, home)
    print(flipped, done["timeline"])
    out, into, out_far, into_far = traffic.results
    assert [(r.lost, r.doubled) for r in (out, out_far)] == [(0, 0)] * 2, traffic.machine_drops
    for r in (into, into_far):  # without a controller traffic stays with the source; then all of it comes
        assert r.doubled == 0
        assert 0 < r.lost < r.sent
        assert r.missing == tuple(range(r.missing[0], r.missing[0] + len(r.missing))), "one gap, from the flip on"
    assert world.orchestrator.call("GET", "/v1/vms/web-1")["server"] == "srv-c1"
    world.orchestrator.move(mover, home)


def _busiest_links(lab: Lab, world: World) -> list[str]:
    """Links between switches that carry packets between web-1 and web-3 now."""
    mover, far = world.everyone("web-1", "web-3")
    hops = world.scenario.hops(mover, [Stream(mover, far), Stream(far, mover)])
    return [link for link in hops if link in lab.fabric.link_by_name]


def _until_reachable(vm: Vm, peers: list[Vm]) -> None:
    deadline = time.monotonic() + REPAIR_SECONDS
    for peer in peers:
        while "1 received" not in vm.run("sh", "-c", f"ping -c 1 -W 1 {peer.address()} || true"):
            assert time.monotonic() < deadline, f"{vm.name} does not reach {peer.name}"


@pytest.mark.parametrize("part", ["first", "last"])
def test_a_pulled_cable_is_bypassed(world: World, part: str) -> None:
    """Of every cable between rack and data centre that has an alternative: traffic goes on over the other way."""
    lab = world.lab
    used = [link for link in _busiest_links(lab, world) if "tor-d" not in link or "tor-c" in link]
    redundant = [link for link in used if _has_alternative(lab, link)]
    assert redundant, used
    cable = redundant[0 if part == "first" else -1]
    mover, peers = world.vms["web-1"], world.everyone("web-2", "web-3", "web-4")
    flows, groups = tables.flows(lab), tables.groups(lab)
    with Traffic(lab, _streams(world)) as traffic:
        lab.set_link(cable, up=False)
        _until_reachable(mover, peers)
        time.sleep(1.0)
    after = Traffic(lab, _streams(world))
    with after:
        time.sleep(0.5)
    for result in traffic.results:
        print(f"{cable} pulled: {result.name}: lost {result.lost} of {result.sent}, gap {result.longest_gap:.0f} ms")
    assert [(r.lost, r.doubled) for r in after.results] == [(0, 0)] * 4, after.machine_drops
    assert [r.doubled for r in traffic.results] == [0] * 4
    with Traffic(lab, _streams(world)) as back:
        lab.set_link(cable, up=True)
        _until_tables(world, flows, groups)
    for result in back.results:
        print(f"{cable} back: {result.name}: lost {result.lost} of {result.sent}, doubled {result.doubled}")
    _until_reachable(mover, peers)
    world.orchestrator.until_in_step()


@pytest.mark.requirement("R14")
def test_a_lag_survives_with_one_member(world: World) -> None:
    """web-1 on srv-b1, whose two cables are one LAG: either may go."""
    mover = world.vms["web-1"]
    peers = world.everyone("web-2", "web-3", "web-4")
    world.orchestrator.move(mover, "srv-b1")
    try:
        for index in (1, 2):
            world.lab.set_uplink("srv-b1", index, up=False)
            try:
                _until_reachable(mover, peers)
                with Traffic(world.lab, _streams(world)) as traffic:
                    time.sleep(0.5)
                assert [(r.lost, r.doubled) for r in traffic.results] == [(0, 0)] * 4, traffic.machine_drops
            finally:
                world.lab.set_uplink("srv-b1", index, up=True)
            _until_reachable(mover, peers)
    finally:
        world.orchestrator.move(mover, "srv-a1")


def _has_alternative(lab: Lab, link: str) -> bool:
    graph: networkx.MultiGraph[str] = networkx.MultiGraph()
    for one in lab.fabric.links:
        if one.name != link:
            graph.add_edge(one.a.switch, one.b.switch)
    ends = lab.fabric.link_by_name[link]
    return bool({ends.a.switch, ends.b.switch} <= set(graph) and networkx.has_path(graph, ends.a.switch, ends.b.switch))


def _until_tables(world: World, flows: dict[str, list[str]], groups: dict[str, list[str]]) -> None:
    """Until the fabric is as it was before the cable was pulled: the tables depend on the state, not on the road."""
    deadline = time.monotonic() + REPAIR_SECONDS
    while (tables.flows(world.lab), tables.groups(world.lab)) != (flows, groups):
        assert time.monotonic() < deadline, "the tables are not what they were before the cable was pulled"
        time.sleep(0.2)
