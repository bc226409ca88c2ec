"""QEMU without libvirt: the product's library follows QEMU's own events at both ends of a live migration."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ryu_vmmob.client import Client
from ryu_vmmob.hypervisor.departure import Departure, Tap
from ryu_vmmob.hypervisor.qmp import Monitor, arrive, leave, prepare_to_leave
from tests.support.laboratory import MISSING_FOR_VMS

if TYPE_CHECKING or not MISSING_FOR_VMS:
    from mininet_topos.qemu import image, world
    from mininet_topos.qemu.streams import GuestTraffic, Outcome

RATE = 100.0
"""Packets a second of a stream."""
FEW = 2
SECONDS = 60.0
REST = "http://127.0.0.1:8080"
"""In the laboratory's own network namespace, where this thread is meanwhile."""


@pytest.fixture(scope="module")
def live() -> Iterator[world.Product]:
    with world.product(image.ensure()) as product:
        yield product


class Move:
    """One move of the guest, as etc/qemu/move.py has it."""

    def __init__(self, live: world.Product, to: str) -> None:
        self.vm, self.to, self.source = live.vm, to, live.vm.server
        self.url = REST
        self.client = Client(self.url)
        self.move: Any = self.client.migrations.start(self.vm.name, to, activate_on="request", wait=10)
        self.vm.receive_at(to, [leg["to_vlan_id"] for leg in self.move["interfaces"]])
        tap = Tap(0, self.vm.interfaces[0].mac, self.vm.lab.servers[self.source].device(self.vm.name, 0))
        self.departure = Departure(self.move, [tap], Client(self.url).migrations)
        self.departure.start()

    def run(self) -> bool:
        """Whether it has left."""
        old, new = self.vm.machine, self.vm.machine_at(self.to)
        with Monitor(str(old.second_monitor)) as source, Monitor(str(new.second_monitor)) as target:
            ends: list[bool] = []
            steps = Client(self.url).migrations
            waiting = threading.Thread(target=lambda: ends.append(arrive(target, self.move["id"], steps)), daemon=True)
            waiting.start()
            prepare_to_leave(source)
            left = leave(source, self.departure, self.client.migrations, uri=new.incoming)
            if left:
                waiting.join(SECONDS)
                assert ends == [True]
                self.client.migrations.deliver(self.move["id"], wait=10)
                self.vm.server = self.to
        return left


def moved(live: world.Product, to: str) -> tuple[Outcome, Move]:
    with GuestTraffic(live.vm, live.peers, RATE) as traffic:
        move = Move(live, to)
        source = move.source
        assert move.run()
        outcome = traffic.stop(SimpleNamespace(stopped=0, resumed=1))  # type: ignore[arg-type]
    live.vm.leave(source)
    move.departure.close()
    assert move.departure.join(SECONDS)
    return outcome, move


@pytest.mark.requirement("R1", "R33a")
def test_there_and_back(live: world.Product) -> None:
    sent = 0
    for to in ("srv-c1", world.HOME):
        outcome, move = moved(live, to)
        done = live.orchestrator.until_state(move.move["id"], "committed")
        print([(one.name, one.sent, one.lost, one.doubled, one.reordered) for one in outcome.to_guest], move.departure.sent)
        assert (done["delivered"], done["reason"]) == (True, "requested")
        assert sum(one.doubled for one in outcome.to_guest) == 0
        assert max(one.lost for one in outcome.to_guest) <= FEW
        assert [one.lost for one in outcome.from_guest] == [0] * len(live.peers)
        sent += move.departure.sent
    assert sent > 0


def test_a_target_that_ends(live: world.Product) -> None:
    move = Move(live, "srv-c1")
    with Monitor(str(live.vm.machine_at("srv-c1").second_monitor)) as target:
        waiting = threading.Thread(target=arrive, args=(target, move.move["id"], move.client.migrations), daemon=True)
        waiting.start()
        live.vm.leave("srv-c1")
        waiting.join(SECONDS)
    done = live.orchestrator.until_state(move.move["id"], "aborted")
    assert done["reason"] == "QEMU: the process at the target ended"
    move.departure.close()
    assert move.departure.join(SECONDS)
    assert all("0% packet loss" in peer.run("ping", "-c", "2", "-W", "5", live.vm.address(version=version))
               for peer, version in live.peers)  # fmt: skip
