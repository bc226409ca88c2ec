"""A soak: everything at random at once for a long time, with the real controller and a real Open vSwitch on dummy ports.

Workers send commands of all kinds by REST, good and bad. Meanwhile cables are pulled, switches lose the controller, the clock
on the wall is set, the controller is killed with SIGKILL, and a guest floods its port with anything. All the time somebody asks
whether the controller is alive (`SilenceProbe`). At the end everything is put right and must come to rest, switches must have
what a fresh compile has, and the controller must hold no more than one that was just started.

    .venv/bin/python -m tests.ovs.soak --seconds 1200
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.bench.silence import SilenceProbe
from ryu_vmmob.net.addresses import mac_text
from ryu_vmmob.sim import packet as make
from tests.ovs import soak_watch
from tests.support.controller import Site, until

WORKERS: Final = 3
CUGS, VMS, POLICIES = 8, 40, 12
UPLINKS: Final = (("tor-a", 49), ("tor-b", 49), ("tor-c", 49), ("border-1", 48), ("border-1", 10), ("tor-b", 2))
STEPS: Final = (3600.0, -7200.0, 86400.0, -2.5, 0.7)
"""Seconds by which the clock on the wall is set."""
TAKEN: Final = frozenset({200, 201, 202, 204, 400, 404, 409, 412, 413, 415, 422, 429, 503})
"""What a request may be answered."""
VITAL: Final = ("a fault in", "Traceback", "uncaught exception", "no reply within")
"""What the log must not have."""
EARLY_LIVES: Final = 0.35
"""Share of the time in which the controller is killed again and again; after that it lives on, so that growth shows."""


@dataclass
class Found:
    """What there was."""

    tally: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    healthz: list[float] = field(default_factory=list)
    echo: list[float] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    """Of the last long life."""
    rest: dict[str, Any] = field(default_factory=dict)
    """The last sample of that, everything at rest."""
    fresh: dict[str, Any] = field(default_factory=dict)
    """A sample of a controller that was started after it on the same store."""
    pieces: list[dict[str, Any]] = field(default_factory=list)

    def growth(self, what: str) -> tuple[float, float]:
        """Medians of the second and of the last quarter of the last long life."""
        rows = [row[what] for row in self.samples]
        quarter = max(1, len(rows) // 4)
        return statistics.median(rows[quarter : 2 * quarter]), statistics.median(rows[-quarter:])


class Commands:
    """Commands of all kinds, drawn at random. Several threads may draw."""

    def __init__(self, site: Site, seed: int, found: Found) -> None:
        self.site, self.found = site, found
        self.draw = random.Random(seed)
        self.servers = sorted(site.fabric.servers)
        self.session = requests.Session()
        self.session.trust_env = False
        self.moving: list[dict[str, Any]] = []
        self.kinds: Mapping[Callable[[], None], int] = {
            self.put_cug: 4, self.delete_cug: 1, self.put_vm: 12, self.delete_vm: 3, self.put_policy: 5, self.move: 14,
            self.delete_policy: 3, self.go_on: 24, self.announce: 8, self.evacuate: 1, self.bulk: 3, self.refused_bulk: 1,
            self.look: 14, self.trace: 6, self.audit: 1, self.reload: 1, self.junk: 2, self.big: 1,
        }  # fmt: skip

    def step(self) -> None:
        """One of them."""
        (kind,) = self.draw.choices(list(self.kinds), weights=list(self.kinds.values()))
        kind()

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        """One request. What it must not be answered is a fault."""
        if body is not None:
            more["json"] = body
        answer = self.session.request(method, self.site.controller.rest + path, timeout=120, **more)
        kind = re.sub(r"/(v1/\w+)/[^/?]+", r"/\1/*", path.partition("?")[0])
        self.found.tally[f"{method} {kind} {answer.status_code}"] += 1
        if answer.status_code not in TAKEN:
            self.found.faults.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer

    def cug(self) -> tuple[str, dict[str, Any]]:
        number = self.draw.randrange(CUGS)
        subnets = [f"10.{100 + number}.0.0/24", f"2001:db8:{100 + number:x}::/64"][: self.draw.choice([1, 2, 2, 2])]
        domain = self.draw.choice([None, "red", "red", "blue"])
        return f"c{number}", {"subnets": subnets, "routing_domain": domain}

    def vm(self, number: int | None = None) -> tuple[str, dict[str, Any]]:
        number = self.draw.randrange(VMS) if number is None else number
        nics = []
        for cug in sorted(self.draw.sample(range(CUGS), self.draw.choice([1, 1, 1, 2]))):
            ips = [f"10.{100 + cug}.0.{number + 10}", f"2001:db8:{100 + cug:x}::{number + 10:x}"][: self.draw.choice([1, 1, 2])]
            nics.append({"cug": f"c{cug}", "mac": mac_text(mac_of(number, cug)), "ips": ips})
        return f"v{number}", {"server": self.draw.choice(self.servers), "interfaces": nics}

    def wait(self) -> str:
        return self.draw.choice(["", "", "?wait=2"])

    def put_cug(self) -> None:
        name, body = self.cug()
        self.ask("PUT", f"/v1/cugs/{name}{self.wait()}", body)

    def delete_cug(self) -> None:
        self.ask("DELETE", f"/v1/cugs/c{self.draw.randrange(CUGS)}")

    def put_vm(self) -> None:
        name, body = self.vm()
        known = self.ask("GET", f"/v1/vms/{name}")
        if known.ok and self.draw.random() < 0.8:
            body["server"] = known.json()["server"]
        self.ask("PUT", f"/v1/vms/{name}{self.wait()}", body)

    def delete_vm(self) -> None:
        self.ask("DELETE", f"/v1/vms/v{self.draw.randrange(VMS)}{self.wait()}")

    def end(self) -> dict[str, Any]:
        ends = [{"cug": f"c{self.draw.randrange(CUGS)}"}, {"vm": f"v{self.draw.randrange(VMS)}"}, {"prefix": "198.51.100.0/24"}]
        return self.draw.choice([*ends, {"any": True}])

    def put_policy(self) -> None:
        protocol = self.draw.choice(["tcp", "udp", "icmp", None])
        body = {
            "priority": self.draw.randrange(1, 200), "action": self.draw.choice(["allow", "deny"]), "from": self.end(),
            "to": self.end(), "protocol": protocol, **({"ports": ["80", "8000-8099"]} if protocol in ("tcp", "udp") else {}),
        }  # fmt: skip
        self.ask("PUT", f"/v1/policies/p{self.draw.randrange(POLICIES)}{self.wait()}", body)

    def delete_policy(self) -> None:
        self.ask("DELETE", f"/v1/policies/p{self.draw.randrange(POLICIES)}")

    def move(self) -> None:
        draw = self.draw
        body = {
            "vm": f"v{draw.randrange(VMS)}", "to": draw.choice(self.servers), "mode": draw.choice(["hot", "hot", "cold"]),
            "delivery": draw.choice(["at_pause", "at_pause", "early", "on_activation"]),
            "activate_on": draw.choice(["announcement", "request"]),
            "commit": draw.choice(["automatic", "automatic", "request"]), "timeout": draw.choice([2, 20, 300]),
        }  # fmt: skip
        query = draw.choice(["", "", "?wait=2", "?dry_run=true"])
        answer = self.ask("POST", f"/v1/migrations{query}", body)
        if answer.status_code == 201:
            self.moving.append(answer.json())

    def go_on(self) -> None:
        if not self.moving:
            return
        row = self.draw.choice(self.moving)
        step = self.draw.choice(["deliver", "frames", "activate", "activate", "commit", "commit", "abort", "look"])
        path = f"/v1/migrations/{row['id']}"
        if step == "look":
            answer = self.ask("GET", path)
        elif step == "frames":
            self.ask("POST", f"{path}/frames", data=frames_body(row), headers={"Content-Type": "application/msgpack"})
            return
        else:
            force = {"force": True} if step == "abort" and self.draw.random() < 0.2 else None
            answer = self.ask("POST", f"{path}/{step}{self.wait()}", force)
        if answer.status_code == 404 or (answer.ok and answer.json().get("state") in ("committed", "aborted", "failed")):
            self.moving.remove(row)

    def announce(self) -> None:
        """A VM speaks at the place to which it is to move."""
        if not self.moving:
            return
        row = self.draw.choice(self.moving)
        for leg in row["interfaces"][:1]:
            frame = make.rarp(mac_of(int(row["vm"][1:]), int(leg["cug"][1:])))
            port = self.site.fabric.servers[row["to"]].attach[0]
            vlan_id = leg["to_vlan_id"]
            self.site.inject(f"{port.switch}:{port.port}", frame if vlan_id is None else frame.with_vlans(vlan_id))
            self.found.tally["a VM announced"] += 1

    def evacuate(self) -> None:
        answer = self.ask("POST", f"/v1/servers/{self.draw.choice(self.servers)}/evacuate", {"parallel": 4, "timeout": 20})
        if answer.status_code == 202 and self.draw.random() < 0.5:
            self.ask("POST", f"/v1/batches/{answer.json()['id']}/abort")

    def bulk(self) -> None:
        known = {row["name"]: row["server"] for row in self.ask("GET", "/v1/vms").json().get("items", ())}
        vms = dict(self.vm(number) for number in self.draw.sample(range(VMS), 10))
        for name, body in vms.items():
            body["server"] = known.get(name, body["server"])
        self.ask("POST", "/v1/bulk", {"cugs": dict(self.cug() for _ in range(2)), "vms": vms})

    def refused_bulk(self) -> None:
        """All good but the last."""
        cugs = {f"r{number}": {"subnets": [f"172.16.{number}.0/24"]} for number in range(60)}
        vms = {}
        for number in range(60):
            nic = {"cug": f"r{number}", "mac": f"02:00:aa:00:00:{number:02x}", "ips": [f"172.16.{number}.9"]}
            vms[f"r{number:02}"] = {"server": "nowhere" if number == 59 else "srv-a1", "interfaces": [nic]}
        self.ask("POST", "/v1/bulk", {"cugs": cugs, "vms": vms})

    def look(self) -> None:
        paths = (
            "/v1/vms", "/v1/cugs", "/v1/policies", "/v1/migrations", "/v1/batches", "/v1/switches", "/v1/fabric", "/v1/events",
            "/metrics", "/readyz", "/openapi.json", "/v1/switches/tor-a/flows", "/v1/switches/border-1",
            f"/v1/vms/v{self.draw.randrange(VMS)}/placements", f"/v1/cugs/c{self.draw.randrange(CUGS)}",
        )  # fmt: skip
        self.ask("GET", self.draw.choice(paths))

    def trace(self) -> None:
        to = self.draw.choice([f"10.{100 + self.draw.randrange(CUGS)}.0.{10 + self.draw.randrange(VMS)}", "198.51.100.9"])
        source = self.draw.choice([{"vm": f"v{self.draw.randrange(VMS)}", "interface": 0}, {"external": "internet-1"}])
        self.ask("POST", "/v1/trace", {"from": source, "to": {"ip": to}, "protocol": "tcp", "port": 80})

    def audit(self) -> None:
        self.ask("POST", f"/v1/switches/{self.draw.choice(sorted(self.site.fabric.switches))}/audit")

    def reload(self) -> None:
        self.ask("POST", "/v1/fabric/reload")

    def junk(self) -> None:
        kind = self.draw.choice(["application/json", "application/msgpack", "text/plain", ""])
        data = self.draw.randbytes(self.draw.randrange(2000))
        path = self.draw.choice(["/v1/bulk", "/v1/vms/v1", "/v1/trace", "/v1/migrations", "/v1/cugs/c1"])
        self.ask("PUT" if path[-2:] in ("v1", "c1") else "POST", path, data=data, headers={"Content-Type": kind})

    def big(self) -> None:
        """As much as is taken, and all of it wrong."""
        if self.draw.random() < 0.2:
            self.ask("POST", "/v1/bulk", {"vms": {f"v{number}": {} for number in range(300_000)}})


def mac_of(vm: int, cug: int) -> int:
    """The MAC of a VM's interface."""
    return 0x020000000000 | (cug + 1) << 8 | vm


def frames_body(row: dict[str, Any]) -> bytes:
    """A frame that reached the source of a move after its pause."""
    import msgpack  # type: ignore[import-untyped]

    leg = row["interfaces"][0]
    mac = mac_of(int(row["vm"][1:]), int(leg["cug"][1:]))
    frame = mac.to_bytes(6, "big") + bytes.fromhex("02000000fffe0800") + bytes(50)
    packed: bytes = msgpack.packb({"interface": 0, "frames": [frame] * 3})
    return packed


class Soak:
    """One run. ``seed`` of what is drawn; threads make each run another all the same."""

    def __init__(self, site: Site, seconds: float, seed: int = 1) -> None:
        self.site, self.seconds, self.seed = site, seconds, seed
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
        self.site.controller.stop()
        found.faults += [word for word in VITAL if word in self.site.controller.log]
        self.site.start()
        found.fresh = self._at_rest()
        pieces = [json.loads(line) for line in self._lines(soak_watch.PIECES)]
        found.pieces = [row for row in pieces if any(a + row["seconds"] <= row["time"] <= b for a, b in self._lives)]
        found.faults += self.site.differences()

    def _at_rest(self) -> dict[str, Any]:
        """The next samples' least numbers: connections that are kept alive end after a while."""
        count = len(self._samples())
        until(lambda: len(self._samples()) >= count + 8)
        rows = self._samples()[-5:]
        return {name: min(row[name] for row in rows) for name in rows[0]}

    def _samples(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._lines(soak_watch.SAMPLES)]

    def _lines(self, name: str) -> list[str]:
        file = self.site.directory / name
        return [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")] if file.exists() else []


def noise(draw: random.Random) -> bytes:
    """A frame of a guest that sends anything: other VMs' addresses, unknown tags, broken content."""
    source = draw.choice([mac_of(draw.randrange(VMS), draw.randrange(CUGS)), draw.getrandbits(48) & ~(1 << 40)])
    target = draw.choice([0xFFFFFFFFFFFF, 0x02005E000001, mac_of(draw.randrange(VMS), draw.randrange(CUGS)), 0x333300000001])
    tags = draw.choice([b"", b"\x81\x00" + draw.randrange(4096).to_bytes(2, "big")])
    kind = draw.choice([0x0806, 0x0800, 0x86DD, 0x8035, 0x88CC, draw.randrange(1 << 16)]).to_bytes(2, "big")
    return target.to_bytes(6, "big") + source.to_bytes(6, "big") + tags + kind + draw.randbytes(draw.randrange(46, 200))


def soaked(ovs: PrivateOvs, directory: Path, seconds: float, seed: int = 1) -> Found:
    """Run a soak in a directory of its own."""
    settings = {"vlan_quarantine": "2", "link_up_delay": "0", "rest_rate": "0"}
    with Site(ovs, directory, settings=settings, first=[Path(soak_watch.__file__)]) as site:
        return Soak(site, seconds, seed).run()


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
        "at rest": found.rest,
        "just started": found.fresh,
    }


def main() -> int:
    """Exit status 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=1200.0, help="how long (default 1200)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vmmob-soak-")))
        ovs = stack.enter_context(PrivateOvs(dummy=True))
        found = soaked(ovs, directory, options.seconds, options.seed)
    json.dump(report(found), sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
