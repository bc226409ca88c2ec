"""After whatever commands, every packet goes through the real switches as it goes through the simulator."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.sim.remembering import Installed
from ryu_vmmob.store import open_store
from tests.ovs.trace import assert_agrees, everything_sent
from tests.support.controller import SECONDS, Site, nic
from tests.support.world import World

SEED = 20
COMMANDS = 16
SAMPLE = 120


class Restored(World):
    """The world as the store in ``folder`` has it, all switches in step."""

    def __init__(self, site: Site, folder: Path) -> None:
        for file in sorted(site.directory.glob("vmmob.db*"), reverse=True):
            shutil.copy(file, folder)
        self.engine = Engine(site.fabric, open_store(f"sqlite:///{folder}/vmmob.db"), lambda: 0.0)
        self.engine.close()
        self.fabric = site.fabric
        self.installed = self.engine.desired.tables
        self._read = Installed()
        self.window = [self.engine.state]


class Hand:
    """Random commands by REST; a refusal is an answer like any other."""

    def __init__(self, site: Site, seed: int) -> None:
        self._site = site
        self._random = random.Random(seed)
        self._count = 10
        self.answered: list[tuple[str, int]] = []

    def act(self) -> None:
        rest, pick = self._site.rest, self._random.choice
        servers = sorted(self._site.fabric.servers)
        vms = [row["name"] for row in rest.get("/v1/vms")["items"]]
        moving = [row["id"] for row in rest.get("/v1/migrations")["items"] if row["state"] in ("prepared", "activated")]
        kind = pick(["add", "add", "move", "move", "activate", "commit", "abort", "delete"])
        if kind == "add" or not vms:
            self._count += 1
            cugs = pick([["web"], ["db"], ["web", "db"]])
            body = {"server": pick(servers), "interfaces": [nic(cug, self._count) for cug in cugs]}
            self._ask("PUT", f"/v1/vms/v{self._count}", body)
        elif kind == "move":
            delivery = pick(["at_pause", "early", "on_activation"])
            body = {"vm": pick(vms), "to": pick(servers), "commit": "request", "delivery": delivery}
            self._ask("POST", "/v1/migrations", body)
        elif kind == "delete":
            self._ask("DELETE", f"/v1/vms/{pick(vms)}")
        elif moving:
            self._ask("POST", f"/v1/migrations/{pick(moving)}/{kind}")

    def _ask(self, method: str, path: str, body: Any = None) -> None:
        answer = self._site.rest.ask(method, path, body, wait=SECONDS)
        assert answer.status_code in (200, 201, 204, 409, 422), answer.text
        self.answered.append((method, answer.status_code))


def test_the_real_switches_do_what_the_simulator_does(ovs: PrivateOvs, tmp_path: Path) -> None:
    with Site(ovs, tmp_path, "two-dcs.yaml") as site:
        site.put_cugs()
        hand = Hand(site, SEED)
        for name, server in (("v2", "srv-a1"), ("v3", "srv-b1"), ("v4", "srv-d1")):
            site.put_vm(name, server, nic("web", int(name[1:])), nic("db", int(name[1:])))
        compared = 0
        for half in range(2):
            for _ in range(COMMANDS // 2):
                hand.act()
            site.until_right()
            folder = tmp_path / f"copy-{half}"
            folder.mkdir()
            # A packet that is traced is a packet: what the switch copies to its controller would activate migrations.
            site.disconnect(*site.bridges)
            compared += compare(site, Restored(site, folder), half)
            site.reconnect(*site.bridges)
            site.until_right()
        print(f"{compared} packets compared after {hand.answered}")
        good = [row for row in hand.answered if row[1] < 300]
        assert len(good) > COMMANDS // 2
        assert {"PUT", "POST"} <= {method for method, _ in good}


def compare(site: Site, world: Restored, seed: int) -> int:
    """A sample of what members and forgers may send, at every switch it comes to; how many passages that were."""
    world.check()
    view = world.view()
    visits = {
        (visit.switch, visit.in_port, visit.packet)
        for packet, port in everything_sent(view)
        for visit in view.network.inject(packet, port).visits
    }
    assert len(visits) > SAMPLE
    by_switch = {name: sorted((row for row in visits if row[0] == name), key=str) for name in site.bridges}
    chance, sample = random.Random(seed), []
    for rows in by_switch.values():  # of each as many, where it has them
        sample += chance.sample(rows, min(len(rows), SAMPLE // len(by_switch)))
    hosts = {seat.switch for seat in view.seats}
    assert len(hosts) > 1
    assert {name for name, _, _ in sample} > hosts
    for name, in_port, packet in sample:
        assert_agrees(site.bridges[name], view.tables[name], packet, in_port)
    return len(sample)
