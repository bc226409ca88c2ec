"""A QEMU guest is migrated live between servers whose switches learn: what it receives is counted inside it.

The reference is the same move on the same fabric without a controller. The order of the tests is that of the pauses: each
begins where the guest is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

from tests.support.laboratory import MISSING_FOR_VMS

if TYPE_CHECKING or not MISSING_FOR_VMS:
    from mininet_topos.orchestrator import STEP_SECONDS
    from mininet_topos.qemu import image, report, world
    from mininet_topos.qemu.streams import GuestTraffic
    from mininet_topos.qemu.vm import Pause

RATE = 250.0
EVERY_WAY = ("srv-c1", "srv-a1", "srv-c1", "srv-b1", "srv-b2", "srv-a1")  # data centres, a LAG, racks


@pytest.fixture(scope="module")
def live() -> Iterator[world.Product]:
    with world.product(image.ensure()) as product:
        yield product


def _told(records: Sequence[world.Record]) -> None:
    for record in records:
        print(
            f"\n{record.source} > {record.target}: pause {record.pause.milliseconds:.0f} ms, {report.in_pause(record)} packets "
            f"sent in it, delivered after {report.delivered_ms(record)} ms, {record.pause.late} frames late, "
            f"{record.pause.sent_on} sent on, lost {report.lost(record)}, doubled {report.doubled(record)}, stale "
            f"{report.stale(record)}, reordered {report.reordered(record)}, {record.outcome.tcp}, "
            f"machine's drops {record.outcome.machine_drops}"
        )


def _home(live: world.Product) -> None:
    if live.vm.server != world.HOME:
        live.move(world.HOME)


@pytest.mark.requirement("R1", "R31", "R33a")
def test_the_guest_gets_every_packet(live: world.Product) -> None:
    """Four streams of 250/s each way, IPv4 and IPv6, bridged and routed, and TCP at full speed, through every move."""
    records = [world.measured(live, to, RATE, tcp=True) for to in EVERY_WAY]
    _told(records)
    for record in records:
        assert report.in_pause(record) > 0
        assert [one.lost for one in record.outcome.from_guest] == [0] * len(world.PEERS)
        assert [one.doubled for one in record.outcome.from_guest] == [0] * len(world.PEERS)
        assert [one.received for one in record.outcome.forbidden] == [0, 0]
        assert all(one.sent > 100 for one in record.outcome.forbidden)
        tcp = record.outcome.tcp
        assert tcp is not None
        assert tcp.alive
        assert tcp.written > 1_000_000
        migration = record.migration
        assert migration is not None
        assert sum(entry["frames"] for entry in migration["timeline"]) == record.pause.sent_on
        if migration["delivered"]:
            (entry,) = [entry for entry in migration["timeline"] if entry["state"] == "delivered"]
            assert entry["frames"] == record.pause.sent_on
        else:  # on a busy machine the guest may go on, and speak, before the request comes
            assert record.pause.delivered is not None
            assert record.pause.resumed < record.pause.delivered
    assert sum(record.migration["delivered"] for record in records if record.migration) >= len(records) - 1
    assert max(map(report.lost, records)) <= report.FEW
    assert sum(map(report.doubled, records)) <= report.FEW
    assert sum(map(report.stale, records)) == 0
    assert sum(map(report.flawless, records)) >= len(records) - 1
    assert [tcp.timeouts for record in records if (tcp := record.outcome.tcp)].count(0) >= len(records) - 1
    assert sum(record.pause.sent_on for record in records) > 0  # without them, those would be lost


@pytest.mark.requirement("R33a")
def test_without_late_frames_sent_on_only_those_are_lost(live: world.Product) -> None:
    _home(live)
    records = [world.measured(live, to, RATE, send_on=False) for to in ("srv-c1", "srv-a1")]
    _told(records)
    for record in records:
        assert report.doubled(record) == 0
        assert 0 < report.lost(record) <= record.pause.late + report.FEW
        delivered = report.delivered_ms(record)
        if delivered is not None and delivered < record.pause.milliseconds:  # a busy machine may deliver after the pause
            assert report.lost(record) < report.in_pause(record)


def test_an_abort_after_the_pause_gives_the_traffic_back(live: world.Product) -> None:
    _home(live)
    orchestrator, vm = live.orchestrator, live.vm
    migration = orchestrator.call("POST", "/v1/migrations", {"vm": vm.name, "to": "srv-c1"})
    orchestrator.until_state(migration["id"], "prepared")
    vm.receive_at("srv-c1", [leg["to_vlan_id"] for leg in migration["interfaces"]])
    vm.machine.qmp.ask("stop")
    network = orchestrator.network(migration)
    assert network is not None
    network.deliver()
    vm.machine.qmp.ask("cont")
    aborted = orchestrator.call("POST", f"/v1/migrations/{migration['id']}/abort", wait=STEP_SECONDS)
    assert aborted["state"] == "aborted"
    vm.leave("srv-c1")
    with GuestTraffic(vm, live.peers, RATE) as traffic:
        outcome = traffic.stop(Pause(0, 0, None, 0, 0, 0))
    assert [(one.lost, one.doubled) for one in outcome.to_guest] == [(0, 0)] * len(world.PEERS)
    assert [(one.lost, one.doubled) for one in outcome.from_guest] == [(0, 0)] * len(world.PEERS)
    assert orchestrator.call("GET", f"/v1/vms/{vm.name}")["server"] == world.HOME


def test_without_a_controller_the_pause_is_lost() -> None:
    """The reference, and the proof that the counting can fail."""
    with world.without_controller(image.ensure()) as plain:
        records = [world.measured(plain, to, RATE) for to in ("srv-c1", "srv-a1", "srv-b2")]
        pids = [plain.vm.machine.pid]
        running = plain.vm.machine
    _told(records)
    assert not running.running, pids
    for record in records:
        assert sum(one.lost_in_pause for one in record.outcome.to_guest) >= 0.9 * report.in_pause(record) > 0
        assert sum(one.lost for one in record.outcome.from_guest) == 0
