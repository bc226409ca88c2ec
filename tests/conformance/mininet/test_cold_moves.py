"""A VM is stopped, moves, and starts elsewhere with empty caches (sections 3.2 of the draft, R31 to R34)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.laboratory import MISSING

if TYPE_CHECKING or not MISSING:
    from mininet_topos.traffic import Stream, Traffic
    from mininet_topos.world import populate, running

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(MISSING), reason=MISSING or "")]


@pytest.mark.requirement("R1", "R31", "R32a", "R33b", "R34a")
def test_a_cold_move_between_data_centres() -> None:
    """The same addresses at the target; peers keep what they learned of it; only what was sent meanwhile is lost."""
    with running() as world:
        populate(world)
        lab, orchestrator, old = world.lab, world.orchestrator, world.vms["web-1"]
        peers = world.everyone("web-2", "web-3", "web-4")
        ping = f"ping -c 3 -i 0.2 -W 1 {old.address()} || true"
        migration = orchestrator.call("POST", "/v1/migrations", {"vm": "web-1", "to": "srv-c1", "mode": "cold"}, wait=30)
        assert (migration["state"], migration["mode"]) == ("prepared", "cold")
        lab.remove_vm(old)
        assert orchestrator.call("POST", f"/v1/migrations/{migration['id']}/deliver", wait=30)["delivered"]  # it has stopped
        assert all("0 received" in peer.run("sh", "-c", ping) for peer in peers)
        assert orchestrator.call("GET", "/v1/vms/web-1")["server"] == "srv-a1"
        new = lab.add_vm("web-1", "srv-c1", old.interfaces, [leg["to_vlan_id"] for leg in migration["interfaces"]])
        assert new.run("ip", "neighbour", "show").strip() == ""
        new.run("ping", "-c", "1", "-W", "5", peers[0].address())
        done = orchestrator.until_state(migration["id"], "committed")
        assert orchestrator.call("GET", "/v1/vms/web-1")["server"] == "srv-c1"
        for peer in peers:
            new.run("ping", "-c", "1", "-W", "5", peer.address())
        streams = [stream for peer in peers for stream in (Stream(new, peer), Stream(peer, new))]
        with Traffic(lab, streams) as traffic:
            time.sleep(0.5)
        for r in traffic.results:
            print(f"{r.name}: sent {r.sent}, lost {r.lost}, doubled {r.doubled}")
        assert [(r.name, r.lost, r.doubled) for r in traffic.results] == [(s.name, 0, 0) for s in streams], done
        assert min(r.sent for r in traffic.results) > 100
