"""The gateway beside every VM, wherever it is, and the straight way behind it; and nobody speaks in another's name."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.mininet import ways
from tests.support.forgeries import forgeries, honest
from tests.support.laboratory import MISSING

if TYPE_CHECKING or not MISSING:
    from mininet_topos.endpoint import Endpoint
    from mininet_topos.observers import listening, look_at_wires, route, send_frames, sniffing
    from mininet_topos.routed_world import populate
    from mininet_topos.scenario import both_ways
    from mininet_topos.servers import Vm
    from mininet_topos.traffic import Traffic
    from mininet_topos.world import World, running

HOME = "srv-a1"
PLACES = ("srv-a3", "srv-b1", "srv-c1", "srv-d1", HOME)  # without VLAN-IDs, a LAG, the other data centre
COUNTED_SECONDS = 30.0
"""The controller asks switches for their counts every ten seconds."""
TTL = re.compile(r"ttl=(\d+)")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running() as live:
        populate(live)
        yield live


def _gateway_says(world: World, vm: Vm) -> set[tuple[str, int | None]]:
    """MAC and TTL of what the gateway's addresses answer to a ping, of both IP versions."""
    addresses = vm.interfaces[0].gateways
    with listening(vm) as heard:
        for address in addresses:
            said = vm.run("ping", "-c", "2", "-i", "0.2", "-W", "2", address)
            assert len(TTL.findall(said)) == 2, said
    return {(row.source, row.ttl) for row in heard.frames["eth0"] if row.direction == "in" and row.ip_source in addresses}


@pytest.mark.requirement("R40")
def test_every_vm_reaches_its_gateway_everywhere(world: World) -> None:
    """The same addresses, the same MAC and the same TTL at every place; also to one that has to ask for the MAC first."""
    (first,) = _gateway_says(world, world.vms["web-1"])
    assert first[0] == world.lab.fabric.gateway_mac
    for vm in world.vms.values():
        assert _gateway_says(world, vm) == {first}, vm.name
    mover = world.vms["web-1"]
    for place in PLACES:
        world.orchestrator.move(mover, place)
        assert _gateway_says(world, mover) == {first}, place
        for address in mover.interfaces[0].gateways:
            mover.run("ip", "neighbour", "del", address, "dev", "eth0")
            mover.run("ping", "-c", "1", "-W", "2", address)
            assert world.lab.fabric.gateway_mac in mover.run("ip", "neighbour", "show", address)
            mover.freeze_neighbour(address, world.lab.fabric.gateway_mac)


@pytest.mark.requirement("R5b", "R11b", "R40", "R41", "R42")
@pytest.mark.parametrize("place", PLACES)
def test_routed_packets_go_the_straight_way(world: World, place: str) -> None:
    """First router: the ToR beside the sender; last one: that beside the receiver; no cable twice, no other data centre."""
    lab, mover = world.lab, world.vms["web-1"]
    if mover.server != place:
        world.orchestrator.move(mover, place)
    others = world.everyone("db-1", "db-2", "db-3", "db-4")
    beside = [vm for vm in others if vm.server == place]
    peers: list[Endpoint] = [*(vm for vm in others if vm.server != place), *lab.outside.values()]
    for version in (4, 6):
        with Traffic(lab, both_ways(mover, [*beside, *peers], version), rate=100):
            wires = look_at_wires(lab, 0.5)
        assert wires.dropped == 0
        for peer in peers:
            ways.check(lab, wires, mover, peer, version)
            cables = ways.check(lab, wires, peer, mover, version)
            here = {lab.fabric.switches[ways.edge(lab, one)].data_center for one in (peer, mover)}
            if len(here) == 1:
                assert ways.places(lab, cables) == here, cables
        for peer in beside:  # to the ToR and back, on one cable
            (rows,) = wires.packets(mover.address(version=version), peer.address(version=version)).values()
            assert sorted((row.ttl, row.source == lab.fabric.gateway_mac) for row in rows) == [(63, True), (64, False)]


@pytest.mark.requirement("R40", "R42")
@pytest.mark.parametrize("version", [4, 6])
def test_the_route_as_a_guest_sees_it(world: World, version: int) -> None:
    """Between data centres two routers, then the VM; to the outside the gateway, the border, the host."""
    mover = world.vms["web-1"]
    if mover.server != HOME:
        world.orchestrator.move(mover, HOME)
    ours, theirs = (world.vms[name].interfaces[0].gateways[version == 6] for name in ("web-1", "db-1"))
    near, far = (vm.address(version=version) for vm in world.everyone("db-3", "db-4"))
    assert route(mover, ours) == [ours]
    assert route(mover, near) == [ours, near]
    first, second, *end = route(mover, far)
    assert (first, end) == (ours, [far])
    assert second in (ours, theirs)
    for outside in world.lab.outside.values():
        target = outside.address(version=version)
        borders = {str(one.ip) for external in world.lab.fabric.externals.values() for one in external.addresses}
        first, second, *end = route(mover, target)
        assert (first, end) == (ours, [target])
        assert second in borders
        assert route(outside, mover.address(version=version))[-1] == mover.address(version=version)


@pytest.mark.requirement("R9b")
def test_routing_domains_may_have_the_same_addresses(world: World) -> None:
    """lone-1 has web-1's addresses, lone-2 has web-2's: each hears its own CUG's packets only."""
    lone, other, twin = world.everyone("lone-1", "lone-2", "web-2")
    for version in (4, 6):
        address = other.address(version=version)
        assert address == twin.address(version=version)
        with listening(other) as heard, listening(twin) as not_heard:
            lone.run("ping", "-c", "3", "-i", "0.1", "-W", "2", address)
        assert heard.count([lone.interfaces[0].mac])["eth0"] >= 3
        assert [row for row in not_heard.frames["eth0"] if row.ip_destination == address] == []


@pytest.mark.requirement("R49a")
def test_nobody_speaks_in_anothers_name(world: World) -> None:
    """Frames with another's MAC or IP address, and lies in ARP and neighbour discovery: none reaches anybody."""
    lab = world.lab
    liar, victim, witness, other = world.everyone("web-4", "web-1", "web-2", "db-3")
    outside = lab.outside["internet-1"]
    honest_frames = honest(liar, victim, other, lab.fabric.gateway_mac)
    false = forgeries(liar, victim, witness, other, outside.address(), outside.address(version=6), lab.fabric.gateway_mac)
    before, told = _refused(world, liar), len(world.controller.log)
    for frames in (honest_frames, false):
        with (
            listening(victim) as first, listening(witness) as second, listening(other) as third,
            sniffing({one.device: one.device for one in lab.outside.values()}, outside.pid) as beyond,
        ):  # fmt: skip
            send_frames(liar, frames)
            time.sleep(0.5)
        inside = [[row for row in sniff.frames["eth0"] if row.direction == "in"] for sniff in (first, second, third)]
        left = [row for rows in beyond.frames.values() for row in rows if row.direction == "in" and _from_a_cug(row.ip_source)]
        own = {liar.address(version=version) for version in (4, 6)} if frames is honest_frames else set()
        assert [{row.ip_source for row in rows} for rows in inside] == [own, set(), own], inside
        assert not left, left
    deadline = time.monotonic() + COUNTED_SECONDS
    while _refused(world, liar) < before + len(false):
        assert time.monotonic() < deadline, f"{_refused(world, liar) - before} of {len(false)} frames are counted as refused"
        time.sleep(0.2)
    events = [line for line in world.controller.log[told:].splitlines() if "refused.spoofing" in line]
    assert events
    assert all(f"server={liar.server} " in line for line in events), events


def _refused(world: World, vm: Vm) -> int:
    """Frames refused from a VM's server, as REST counts them."""
    (port,) = world.lab.fabric.servers[str(vm.server)].attach
    counts: dict[str, int] = world.orchestrator.call("GET", f"/v1/switches/{port.switch}")["refused"]
    return counts.get(str(vm.server), 0)


def _from_a_cug(address: str | None) -> bool:
    return str(address).startswith(("10.", "2001:db8:1:", "2001:db8:2:"))
