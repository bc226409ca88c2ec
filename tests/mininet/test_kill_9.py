"""kill -9 in the middle of a move, under 1,000 packets a second and stream: no loss beyond that of the same move without it.

The controller dies at a named point (`tests/support/dying.py`), is started again at once, and the orchestrator asks again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.support import dying
from tests.support.laboratory import MISSING

if TYPE_CHECKING or not MISSING:
    from mininet_topos.scenario import both_ways
    from mininet_topos.switchover import send_on
    from mininet_topos.traffic import Result, Traffic
    from mininet_topos.world import World, populate, running

HOME, AWAY = "srv-a1", "srv-c1"
MOVER, PEERS = "web-1", ("web-2", "web-3")

BEFORE_FLIP = [("StartMigration stored", 1), ("bundle filled", 2), ("Prepared before the store", 1)]
AFTER_FLIP = [("Activate stored", 1), ("bundle committed", 1), ("Commit stored", 1), ("bundle committed", 5)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(directory=tmp_path_factory.mktemp("kill"), first=[Path(dying.__file__)]) as live:
        populate(live)
        for name in live.lab.fabric.switches:  # after a death they would knock only every 8 s
            live.lab.ovs.vsctl("set", "controller", live.lab.bridge(name), "max_backoff=1000")
        yield live


def _resurrect(world: World) -> None:
    """Wait for its death; then start it again."""
    world.controller.until_dead()
    world.controller.start()
    world.orchestrator.until_in_step()


def _begin(world: World, to: str, dies: bool) -> Any:
    """The migration that was asked for. If the controller ``dies`` of it, whether or not it could answer."""
    call, body = world.orchestrator.call, {"vm": MOVER, "to": to}
    if not dies:
        return call("POST", "/v1/migrations", body)
    with suppress(requests.ConnectionError):
        call("POST", "/v1/migrations", body)
    _resurrect(world)
    rows = [row for row in call("GET", "/v1/migrations", vm=MOVER)["items"] if row["state"] in ("preparing", "prepared")]
    return rows[0] if rows else call("POST", "/v1/migrations", body)


def _move(world: World, before: tuple[str, int] | None, after: tuple[str, int] | None) -> list[Result]:
    """A hot move under traffic with a death before or after the flip."""
    mover = world.vms[MOVER]
    source, to = mover.server, AWAY if mover.server == HOME else HOME
    with Traffic(world.lab, both_ways(mover, world.everyone(*PEERS)), world.scenario.rate) as traffic:
        if before:
            dying.die_at(world.controller.directory, *before)
        began = _begin(world, to, dies=before is not None)
        world.lab.prepare_server(mover, to, [leg["to_vlan_id"] for leg in began["interfaces"]])
        world.orchestrator.until_state(began["id"], "prepared")
        _pause(world, began)
        if after:
            dying.die_at(world.controller.directory, *after)
        world.lab.flip(mover, to)
        if after:
            _resurrect(world)
        world.orchestrator.until_state(began["id"], "committed")
        world.lab.release_server(mover, source)
    return list(traffic.results)


def _pause(world: World, migration: Any) -> None:
    """The VM stops, its traffic is switched, and what still comes to its source is sent on."""
    mover, network = world.vms[MOVER], world.orchestrator.network(migration)
    assert network is not None
    mover.nic.ask({"op": "pause"})
    network.deliver()
    quiet = 0
    while quiet < 5:
        time.sleep(0.01)
        quiet = 0 if send_on(mover, network) else quiet + 1


@pytest.fixture(scope="module")
def undisturbed(world: World) -> list[Result]:
    """The same move, there and back, with nobody killed: the worst of each stream."""
    return [*_move(world, None, None), *_move(world, None, None)]


@pytest.mark.parametrize("before", BEFORE_FLIP, ids=lambda row: row[0])
def test_killed_before_the_vm_is_there(world: World, undisturbed: list[Result], before: tuple[str, int]) -> None:
    _check(_move(world, before, None), undisturbed)


@pytest.mark.parametrize("after", AFTER_FLIP, ids=lambda row: f"{row[0]} {row[1]}")
def test_killed_when_the_vm_is_there(world: World, undisturbed: list[Result], after: tuple[str, int]) -> None:
    _check(_move(world, None, after), undisturbed)


def _check(results: list[Result], undisturbed: list[Result]) -> None:
    for r in results:
        print(f"{r.name}: sent {r.sent}, lost {r.lost} {r.missing[:5]}, doubled {r.doubled}, gap {r.longest_gap:.1f} ms")
    allowed = max(r.lost for r in undisturbed), max(r.doubled for r in undisturbed)
    print(f"without a kill: lost {allowed[0]}, doubled {allowed[1]}, gap {max(r.longest_gap for r in undisturbed):.1f} ms")
    assert all(r.lost <= allowed[0] and r.doubled <= allowed[1] for r in results)
