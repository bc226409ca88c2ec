"""Switches of plain OpenFlow 1.3: what they cannot answer themselves, the controller answers; the rest is as ever."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.laboratory import MISSING

if TYPE_CHECKING or not MISSING:
    from mininet_topos.endpoint import Endpoint
    from mininet_topos.observers import route
    from mininet_topos.orchestrator import OrchestratorError
    from mininet_topos.routed_world import policies, populate
    from mininet_topos.world import FABRIC, World, running

NAMES = ("web-1", "web-3", "db-2", "db-3")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The usual world; its switches are said to know nothing but the standard."""
    fabric = tmp_path_factory.mktemp("fabric") / "plain.yaml"
    text = FABRIC.read_text(encoding="utf-8")
    plain = re.sub("role: (tor|border),", r"\g<0> dialect: openflow13,", text)
    fabric.write_text(plain, encoding="utf-8")
    with running(fabric) as live:
        assert {switch.dialect.value for switch in live.lab.fabric.switches.values()} == {"openflow13"}
        populate(live, NAMES, replies=False)
        yield live


@pytest.mark.requirement("R40")
@pytest.mark.parametrize("version", [4, 6])
def test_the_gateway_and_the_members_answer(world: World, version: int) -> None:
    """To a guest that has forgotten every MAC, for any target."""
    asker, peer = world.everyone("web-1", "web-3")
    gateway = asker.interfaces[0].gateways[version == 6]
    for target, mac in ((gateway, world.lab.fabric.gateway_mac), (peer.address(version=version), peer.interfaces[0].mac)):
        asker.run("ip", "neighbour", "flush", "to", target, "dev", "eth0", "nud", "all")
        asker.run("ping", "-c", "2", "-i", "0.2", "-W", "3", target)
        assert mac in asker.run("ip", "neighbour", "show", target)
        asker.freeze_neighbour(target, mac)


@pytest.mark.requirement("R40", "R42")
@pytest.mark.parametrize("version", [4, 6])
def test_the_route_as_a_guest_sees_it(world: World, version: int) -> None:
    """A switch that cannot match the TTL hands over what it cannot count down; the controller says whose time is up."""
    asker, far = world.everyone("web-1", "db-2")
    gateway = asker.interfaces[0].gateways[version == 6]
    first, *between, last = route(asker, far.address(version=version))
    assert (first, len(between), last) == (gateway, 1, far.address(version=version))
    outside = world.lab.outside["internet-1"]
    assert route(asker, outside.address(version=version))[-1] == outside.address(version=version)


@pytest.mark.requirement("R11b", "R30b", "R34b")
@pytest.mark.parametrize("version", [4, 6])
def test_hot_moves_under_traffic(world: World, version: int) -> None:
    """Bridged, routed and with the outside: nothing lost, nothing doubled."""
    mover = world.vms["web-1"]
    peers: list[Endpoint] = [*world.everyone("web-3", "db-3"), world.lab.outside["internet-1"]]
    for to in ("srv-c1", "srv-a1"):
        report = world.scenario.move(mover, to, peers, version=version, wires=False)
        assert report.faults == [], report.machine_drops


@pytest.mark.requirement("R45")
def test_a_policy_that_they_cannot_carry_is_refused(world: World) -> None:
    """TCP flags are no part of OpenFlow 1.3."""
    name, body = next((name, body) for name, body in policies().items() if body.get("replies"))
    with pytest.raises(OrchestratorError, match="tcp_flags"):
        world.orchestrator.put_policy(name, **body)
    assert name not in {row["name"] for row in world.orchestrator.call("GET", "/v1/policies")["items"]}
