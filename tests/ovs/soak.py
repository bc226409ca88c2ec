"""A soak: everything at random at once for a long time, with the real controller and a real Open vSwitch on dummy ports.

Workers send commands of all kinds by REST, good and bad. Meanwhile cables are pulled, switches lose the controller, the clock
on the wall is set, the controller is killed with SIGKILL, and a guest floods its port with anything. All the time somebody asks
whether the controller is alive (`SilenceProbe`). At the end everything is put right and must come to rest, switches must have
what a fresh compile has, and the controller must hold no more than one that was just started.

What the controller keeps up to a bound (`soak_bounds`) takes an hour to be full. With ``--small-bounds`` it is full within a
minute, and what still grows after that is a fault (`Found.grown`).

    .venv/bin/python -m tests.ovs.soak --seconds 1200
    .venv/bin/python -m tests.ovs.soak --seconds 600 --small-bounds
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import requests

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.bench.silence import SilenceProbe
from tests.ovs import soak_bounds, soak_types, soak_watch
from tests.ovs.soak_commands import CUGS, VMS, Commands, Found, mac_of
from tests.support.controller import Site, until

WORKERS: Final = 3
UPLINKS: Final = (("tor-a", 49), ("tor-b", 49), ("tor-c", 49), ("border-1", 48), ("border-1", 10), ("tor-b", 2))
STEPS: Final = (3600.0, -7200.0, 86400.0, -2.5, 0.7)
"""Seconds by which the clock on the wall is set."""
VITAL: Final = ("a fault in", "Traceback", "uncaught exception", "no reply within")
"""What the log must not have."""
EARLY_LIVES: Final = 0.35
"""Share of the time in which the controller is killed again and again; after that it lives on, so that growth shows."""


class Soak:
    """One run. ``seed`` of what is drawn; threads make each run another all the same."""

    def __init__(self, site: Site, seconds: float, seed: int = 1, *, small: bool = False) -> None:
        self.site, self.seconds, self.seed, self.small = site, seconds, seed, small
        self.found = Found()
        self._draw = random.Random(seed)
        self._over = threading.Event()
        self._down: tuple[str, int] | None = None
        self._away: str | None = None
        self._ahead = 0.0
        self._probe: SilenceProbe | None = None
        self._since = 0.0
        self._lives: list[list[float]] = []
        """When a controller was ready, and when it was ended: before it was ready it may take its time."""

    def run(self) -> Found:
        """All of it; raises AssertionError where something does not come to its end."""
        threads = [threading.Thread(target=self._work, args=(number,)) for number in range(WORKERS)]
        threads.append(threading.Thread(target=self._noise))
        commands = Commands(self.site, self.seed, self.found)
        while len(self.site.rest.get("/v1/cugs")["items"]) < CUGS:
            commands.put_cug()
        commands.session.close()
        self._listen()
        for thread in threads:
            thread.start()
        try:
            self._trouble()
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
            self._deaf()
        self._calm()
        self._compare()
        return self.found

    # What goes on all the time

    def _work(self, number: int) -> None:
        commands = Commands(self.site, self.seed * 100 + number, self.found)
        try:
            self._command(commands)
        finally:
            commands.session.close()

    def _command(self, commands: Commands) -> None:
        while not self._over.wait(commands.draw.random() * 0.12):
            try:
                commands.step()
            except requests.RequestException:
                self.found.tally["requests that a kill left without an answer"] += 1
                self._over.wait(0.2)
            except Exception as error:
                self.found.faults.append(f"a worker: {error!r}")
                return

    def _noise(self) -> None:
        """One guest that sends anything, as fast as it can be put in."""
        draw = random.Random(self.seed + 7)
        bridge = self.site.bridges["tor-a"]
        while not self._over.wait(0.05):
            bridge.receive(1, *(noise(draw) for _ in range(20)))
            self.found.tally["frames of the noisy guest"] += 20

    # Trouble, one after the other

    def _trouble(self) -> None:
        began = time.monotonic()
        kills = max(1, int(self.seconds * EARLY_LIVES / 40))
        planned = [began + self.seconds * EARLY_LIVES * (number + 1) / kills for number in range(kills)]
        while (now := time.monotonic()) < began + self.seconds:
            if planned and now >= planned[0]:
                planned.pop(0)
                self._kill()
            (kind,) = self._draw.choices([self._cable, self._switch, self._set_clock, self._tamper], weights=[6, 2, 2, 1])
            kind()
            self._take()
            self._over.wait(self._draw.random() * min(3.0, self.seconds / 20))
            if any(row.startswith("a worker") for row in self.found.faults):
                return

    def _cable(self) -> None:
        if self._down is not None:
            self.site.bridges[self._down[0]].set_link(self._down[1], up=True)
            self._down = None
        else:
            self._down = self._draw.choice(UPLINKS)
            self.site.bridges[self._down[0]].set_link(self._down[1], up=False)
        self.found.tally["cables pulled or plugged"] += 1

    def _switch(self) -> None:
        """A switch loses the controller, or the one that has comes back."""
        if self._away is not None:
            self.site.dial(self._away)
            self._away = None
        else:
            self._away = self._draw.choice(sorted(self.site.bridges))
            self.site.hang_up(self._away)
        self.found.tally["connections cut or made"] += 1

    def _set_clock(self) -> None:
        self._ahead += self._draw.choice(STEPS)
        file = self.site.directory / soak_watch.AHEAD
        draft = file.with_name("ahead.new")
        draft.write_text(str(self._ahead))
        draft.rename(file)
        self.found.tally["steps of the clock"] += 1

    def _tamper(self) -> None:
        """Somebody empties a switch behind the controller's back; the next audit sees it."""
        name = self._draw.choice(sorted(self.site.bridges))
        self.site.bridges[name].clear()
        self.site.rest.ask("POST", f"/v1/switches/{name}/audit")
        self.found.tally["switches emptied"] += 1

    def _kill(self) -> None:
        self._deaf()
        self.site.controller.kill()
        self.site.start(in_step=False)
        if self._away is not None:  # they are all called again at a start
            self._away = None
        self.found.tally["kills"] += 1
        self._listen()

    # Who listens

    def _listen(self) -> None:
        self._probe = SilenceProbe(self.site.controller.rest, self.site.openflow_port)
        self._probe.__enter__()
        self._since = time.time()
        self._lives.append([self._since, float("inf")])

    def _deaf(self) -> None:
        if self._probe is not None:
            self._take()
            self._lives[-1][1] = time.time()
            self._probe.__exit__()
            self._probe = None

    def _take(self) -> None:
        if self._probe is None:
            return
        heard = self._probe.take()
        self.found.healthz.append(heard.healthz)
        self.found.echo.append(heard.echo)

    # The end

    def _calm(self) -> None:
        """Put everything right, and let every move come to its end."""
        if self._down is not None:
            self.site.bridges[self._down[0]].set_link(self._down[1], up=True)
        if self._away is not None:
            self.site.dial(self._away)
        rest = self.site.rest
        until(lambda: all(row["connected"] for row in rest.get("/v1/switches")["items"]))
        for row in rest.get("/v1/batches")["items"]:
            if row["state"] == "running":
                rest.ask("POST", f"/v1/batches/{row['id']}/abort")

        def under_way() -> list[Any]:
            open_ = ("preparing", "prepared", "activated")
            rows = [row for row in rest.get("/v1/migrations")["items"] if row["state"] in open_]
            for row in rows:
                rest.ask("POST", f"/v1/migrations/{row['id']}/{'commit' if row['state'] == 'activated' else 'abort'}")
            return rows

        until(lambda: not under_way(), under_way)
        for bridge in self.site.bridges:
            rest.ask("POST", f"/v1/switches/{bridge}/audit")
        self.site.until_right()

    def _compare(self) -> None:
        """The controller at rest, beside one that was just started on the same store."""
        found, pid = self.found, self.site.controller.pid
        found.rest = self._at_rest()
        found.samples = [row for row in self._samples() if row["pid"] == pid and row["time"] >= self._since]
        found.types = [row for row in self._rows(soak_types.TYPES) if row["time"] >= self._since]
        if self.small:
            found.caches = json.loads((self.site.directory / soak_bounds.CACHES).read_text())
            found.faults += found.grown()
        self.site.controller.stop()
        found.faults += [word for word in VITAL if word in self.site.controller.log]
        self.site.start()
        found.fresh = self._at_rest()
        pieces = self._rows(soak_watch.PIECES)
        found.pieces = [row for row in pieces if any(a + row["seconds"] <= row["time"] <= b for a, b in self._lives)]
        found.faults += self.site.differences()

    def _at_rest(self) -> dict[str, Any]:
        """The next samples' least numbers: connections that are kept alive end after a while."""
        count = len(self._samples())
        until(lambda: len(self._samples()) >= count + 8)
        rows = self._samples()[-5:]
        return {name: min(row[name] for row in rows) for name in rows[0]}

    def _samples(self) -> list[dict[str, Any]]:
        return self._rows(soak_watch.SAMPLES)

    def _rows(self, name: str) -> list[dict[str, Any]]:
        """Whole lines of a file; none when it is not there."""
        file = self.site.directory / name
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]


def noise(draw: random.Random) -> bytes:
    """A frame of a guest that sends anything: other VMs' addresses, unknown tags, broken content."""
    source = draw.choice([mac_of(draw.randrange(VMS), draw.randrange(CUGS)), draw.getrandbits(48) & ~(1 << 40)])
    target = draw.choice([0xFFFFFFFFFFFF, 0x02005E000001, mac_of(draw.randrange(VMS), draw.randrange(CUGS)), 0x333300000001])
    tags = draw.choice([b"", b"\x81\x00" + draw.randrange(4096).to_bytes(2, "big")])
    kind = draw.choice([0x0806, 0x0800, 0x86DD, 0x8035, 0x88CC, draw.randrange(1 << 16)]).to_bytes(2, "big")
    return target.to_bytes(6, "big") + source.to_bytes(6, "big") + tags + kind + draw.randbytes(draw.randrange(46, 200))


def soaked(
    ovs: PrivateOvs, directory: Path, seconds: float, seed: int = 1, *, small: bool = False, types: bool = False
) -> Found:
    """Run a soak in a directory of its own; with ``small`` bounds, and with a count of objects by ``types``."""
    settings = {"vlan_quarantine": "2", "link_up_delay": "0", "rest_rate": "0"}
    watches = [soak_bounds] * small + [soak_watch] + [soak_types] * types
    with Site(ovs, directory, settings=settings, first=[Path(str(row.__file__)) for row in watches]) as site:
        return Soak(site, seconds, seed, small=small).run()


def report(found: Found) -> dict[str, Any]:
    """The numbers, for people."""
    worst = max(found.pieces, key=lambda row: row["processor"], default=None)
    return {
        "counts": dict(sorted(found.tally.items())),
        "faults": found.faults,
        "longest silence of /healthz, s": max(found.healthz),
        "longest silence of echo replies, s": max(found.echo),
        "longest piece without a pause, s of processor time": worst and worst["processor"],
        "where": worst and worst["at"][:2],
        "last life, s": found.samples[-1]["time"] - found.samples[0]["time"] if found.samples else 0,
        "growth": {what: found.growth(what) for what in ("memory", "blocks", "descriptors", "green_threads", "timers")},
        "types that grew": found.grown_types(),
        "objects lost in frozen cycles, each minute": [row["lost"] for row in found.types],
        "caches: entries, bound, misses": {name: row for name, row in found.caches.items() if row[0]},
        "at rest": found.rest,
        "just started": found.fresh,
    }


def main() -> int:
    """Exit status 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=1200.0, help="how long (default 1200)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--small-bounds", action="store_true", help="small bounds for what is kept; growth is then a fault")
    parser.add_argument("--types", action="store_true", help="count objects by type each minute; that stops the controller")
    options = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vmmob-soak-")))
        ovs = stack.enter_context(PrivateOvs(dummy=True))
        found = soaked(ovs, directory, options.seconds, options.seed, small=options.small_bounds, types=options.types)
    json.dump(report(found), sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
