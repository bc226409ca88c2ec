"""A thousand random moves, with everything that can go wrong in between: nothing is left of that, and all can move again.

Aborts, kill -9 of the controller in the middle of its work, cables pulled, switches that lose the controller. `VMMOB_MOVES`
moves (1000), drawn from one seed. The counts are printed.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import requests

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.sim import packet as make
from tests.support.controller import SECONDS, Site, nic, nic_mac, until

MOVES = int(os.environ.get("VMMOB_MOVES", "1000"))
VMS = 40
SEED = 20
UPLINKS = (("tor-a", 49), ("tor-b", 49), ("tor-c", 49), ("border-1", 48))


class Movers:
    """Moves VMs at random, each move a few requests; what was acknowledged is remembered."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.draw = random.Random(SEED)
        self.servers = sorted(site.fabric.servers)
        self.moving: dict[str, dict[str, Any]] = {}
        """The move of a VM that has not come to its end, as it was answered last."""
        self.acknowledged: set[str] = set()
        self.tally: Counter[str] = Counter()

    def step(self) -> None:
        """One request about one VM."""
        name = f"w{self.draw.randrange(VMS)}"
        row = self.moving.get(name)
        if row is None:
            self._begin(name)
        else:
            self._go_on(name, row)

    def _begin(self, name: str) -> None:
        draw = self.draw
        body = {
            "vm": name, "to": draw.choice(self.servers), "mode": draw.choice(["hot", "cold"]),
            "delivery": draw.choice(["at_pause", "at_pause", "early", "on_activation"]),
            "activate_on": draw.choice(["announcement", "request"]),
            "commit": draw.choice(["automatic", "automatic", "automatic", "request"]),
        }  # fmt: skip
        answer = self.site.rest.ask("POST", "/v1/migrations", body)
        if answer.status_code == 201:
            self.moving[name] = answer.json()
            self.acknowledged.add(answer.json()["id"])
            self.tally["begun"] += 1
        else:
            assert answer.status_code in (409, 503), answer.text
            self.tally[f"not begun: {answer.json()['title']}"] += 1

    def _go_on(self, name: str, row: dict[str, Any]) -> None:
        if row["state"] == "activated" and row["commit"] == "request":
            self._ask(name, row, "commit")
        elif row["activate_on"] == "announcement" and self.draw.random() < 0.15:
            self._announce(name, row)
        else:
            self._ask(name, row, "abort" if self.draw.random() < 0.3 else "activate")

    def _ask(self, name: str, row: dict[str, Any], step: str) -> None:
        answer = self.site.rest.ask("POST", f"/v1/migrations/{row['id']}/{step}")
        self.tally[f"{step}: {answer.status_code}"] += 1
        assert answer.status_code in (200, 409, 503), answer.text
        now = answer.json() if answer.status_code == 200 else self.site.migration(row["id"])
        if now["state"] in ("committed", "aborted", "failed") or (now["state"] == "activated" and now["commit"] == "automatic"):
            self.moving.pop(name)
        else:
            self.moving[name] = now

    def _announce(self, name: str, row: dict[str, Any]) -> None:
        """The VM speaks at its target: whether that is heard now depends on what the switch has by now."""
        frame = make.rarp(nic_mac("web", number(name)))
        (vlan_id,) = (leg["to_vlan_id"] for leg in row["interfaces"] if leg["cug"] == "web")
        port = self.site.fabric.servers[row["to"]].attach[0]
        self.site.inject(f"{port.switch}:{port.port}", frame.with_vlans(vlan_id) if vlan_id is not None else frame)
        self.tally["announced"] += 1

    def until_killed(self, stop: threading.Event) -> None:
        """On and on, until the controller is gone."""
        while not stop.is_set():
            try:
                self.step()
            except requests.RequestException:
                self.tally["requests without an answer"] += 1
                return

    def after_a_restart(self) -> None:
        """Nothing acknowledged is lost. What was asked for and not answered may have been done."""
        for name in [*self.moving]:
            row = self.site.migration(self.moving[name]["id"])
            self.moving.pop(name)
            if row["state"] in ("preparing", "prepared", "activated"):
                self.moving[name] = row
        for row in self.under_way():
            self.moving.setdefault(row["vm"], row)

    def under_way(self) -> list[dict[str, Any]]:
        rows = self.site.rest.get("/v1/migrations")["items"]
        assert {row["id"] for row in rows} >= self.acknowledged or len(rows) >= 1000  # older ones are forgotten
        return [row for row in rows if row["state"] in ("preparing", "prepared", "activated")]


def number(name: str) -> int:
    return 10 + int(name[1:])


def kill(site: Site, movers: Movers) -> None:
    """kill -9 while requests are on their way; then start again."""
    stop = threading.Event()
    worker = threading.Thread(target=movers.until_killed, args=(stop,))
    before = movers.tally.total()
    worker.start()
    until(lambda: movers.tally.total() > before + 15 or not worker.is_alive())
    site.controller.kill()
    stop.set()
    worker.join(SECONDS)
    assert not worker.is_alive()
    site.start()
    movers.after_a_restart()


def test_a_thousand_random_moves(ovs: PrivateOvs, tmp_path: Path) -> None:
    begun = time.monotonic()
    with Site(ovs, tmp_path, settings={"link_up_delay": "0"}) as site:
        site.put_cugs()
        movers = Movers(site)
        vms = {
            f"w{n}": {
                "server": movers.draw.choice(movers.servers),
                "interfaces": [nic("web", 10 + n), *([nic("db", 10 + n)] if n % 4 == 0 else [])],
            }
            for n in range(VMS)
        }
        site.rest.post("/v1/bulk", {"vms": vms}, wait=SECONDS)
        trouble = ["kill", "cable", "away", "cable", "away"] * 5
        every = MOVES // (len(trouble) + 1)
        down: tuple[str, int] | None = None
        away: str | None = None
        while movers.tally["begun"] < MOVES:
            movers.step()
            if trouble and movers.tally["begun"] >= MOVES - every * len(trouble):
                what = trouble.pop()
                movers.tally[what] += 1
                # What was out of order is put right by the next trouble: moves go on meanwhile.
                if down is not None:
                    site.bridges[down[0]].set_link(down[1], up=True)
                    down = None
                if away is not None:
                    site.reconnect(away)
                    away = None
                if what == "kill":
                    kill(site, movers)
                elif what == "cable":
                    down = movers.draw.choice(UPLINKS)
                    site.bridges[down[0]].set_link(down[1], up=False)
                else:
                    away = movers.draw.choice(sorted(site.bridges))
                    site.disconnect(away)
        if down is not None:
            site.bridges[down[0]].set_link(down[1], up=True)
        if away is not None:
            site.reconnect(away)
        moved = time.monotonic() - begun
        for row in movers.under_way():
            site.rest.ask("POST", f"/v1/migrations/{row['id']}/{'commit' if row['state'] == 'activated' else 'abort'}")
        until(lambda: not movers.under_way(), movers.under_way)
        site.until_right()
        # A controller that begins again finds nothing to do.
        site.controller.kill()
        listener = site.listen()
        site.start()
        assert listener.changes() == 0
        listener.stop()
        assert site.differences() == []
        last: dict[str, tuple[str, str]] = {}
        for name in sorted(vms):
            server = site.rest.get(f"/v1/vms/{name}")["server"]
            to = movers.draw.choice([one for one in movers.servers if one != server])
            body = {"vm": name, "to": to, "activate_on": "request"}
            started = site.rest.post("/v1/migrations", body)
            site.rest.post(f"/v1/migrations/{started['id']}/activate")
            last[name] = started["id"], to
        until(lambda: not movers.under_way(), movers.under_way)
        site.until_right()
        print(f"\n{moved:.0f} s of {time.monotonic() - begun:.0f}: {dict(sorted(movers.tally.items()))}")
        for name, (id_, to) in last.items():
            assert site.migration(id_)["state"] == "committed"
            assert site.rest.get(f"/v1/vms/{name}")["server"] == to
        assert "a fault in" not in site.controller.log
