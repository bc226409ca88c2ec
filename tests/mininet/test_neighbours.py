"""Two VMs of one CUG behind one wire find each other with empty caches, whatever their server's switch learns from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.mininet.learning_bridge import LearningBridge
from tests.support.laboratory import MISSING

if TYPE_CHECKING or not MISSING:
    from mininet_topos import machine
    from mininet_topos.names import uplink_name
    from mininet_topos.servers import Interface, Vm
    from mininet_topos.world import FABRIC, World, running

SERVER = "srv-a1"
TIMES, PINGS = 20, 10


@pytest.fixture(scope="module", params=["openvswitch", "openflow13"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """CUG web with a and e on one server that tags per CUG, and far on another."""
    fabric = tmp_path_factory.mktemp("fabric") / "neighbours.yaml"
    text = re.sub("role: (tor|border),", rf"\g<0> dialect: {request.param},", FABRIC.read_text(encoding="utf-8"))
    row = f'{SERVER}: {{attach: "tor-a:1", tagging: per_cug}}'
    text, number = re.subn(rf'{SERVER}: *\{{attach: "tor-a:1"[^}}]*\}}', row, text)
    assert number == 1
    fabric.write_text(text, encoding="utf-8")
    with running(fabric) as live:
        live.orchestrator.put_cug("web", ["10.1.0.0/24", "2001:db8:1::/64"])
        for name, server, host in (("a", SERVER, 11), ("e", SERVER, 15), ("far", "srv-b1", 13)):
            card = Interface("web", f"02:00:00:00:01:{host:02x}", (f"10.1.0.{host}/24", f"2001:db8:1::{host:x}/64"))
            live.vms[name] = live.orchestrator.start_vm(name, server, [card])
        yield live


def arrived(asker: Vm, address: str) -> int:
    """How many of `PINGS` pings are answered, when the asker has forgotten every MAC."""
    asker.run("ip", "neighbour", "flush", "all")
    said = asker.run("sh", "-c", f"ping -c {PINGS} -i 0.05 -W 3 {address} || true")
    found = re.search(r"(\d+) received", said)
    assert found is not None, said
    return int(found[1])


def losses(world: World, times: int) -> list[str]:
    """Who lost how many pings to whom; a and e ask each other ``times`` times, and someone elsewhere once."""
    a, e, far = world.everyone("a", "e", "far")
    found = []
    for version in (4, 6):
        for asker, asked in [*[(a, e), (e, a)] * times, (a, far), (far, e)]:
            before = machine.sample()
            number = arrived(asker, asked.address(version=version))
            if number < PINGS and machine.sample().since(before):
                number = arrived(asker, asked.address(version=version))  # the machine's own queues were full
            if number != PINGS:
                found.append(f"{asker.name} to {asked.name}, IPv{version}: {number} of {PINGS}")
    return found


@pytest.mark.requirement("R8")
def test_behind_open_vswitch_that_learns(world: World) -> None:
    assert losses(world, TIMES // 2) == []


@pytest.mark.requirement("R8")
def test_behind_a_bridge_that_learns_from_each_frame(world: World) -> None:
    """It takes the place of the server's own: the same cable, the same access ports. No MAC of a member comes to the uplink."""
    server, uplink = world.lab.servers[SERVER], uplink_name(SERVER, 1)
    devices = {name: server.device(name) for name in ("a", "e")}
    tag = world.orchestrator.call("GET", "/v1/vms/a")["interfaces"][0]["vlan_id"]
    with ExitStack() as stack:
        for device in (uplink, *devices.values()):
            world.lab.ovs.vsctl("del-port", server.bridge, device)
            stack.callback(world.lab.ovs.vsctl, "add-port", server.bridge, device)
        bridge = stack.enter_context(LearningBridge(uplink, dict.fromkeys(devices.values(), tag)))
        found = losses(world, TIMES // 2)
        assert (found, [row for row in bridge.moved if row[1] == uplink]) == ([], [])
