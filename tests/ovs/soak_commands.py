"""Commands of all kinds by REST, good and bad, drawn at random."""

from __future__ import annotations

import random
import re
import statistics
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import requests

from ryu_vmmob.net.addresses import mac_text
from ryu_vmmob.sim import packet as make
from tests.support.controller import Site

CUGS, VMS, POLICIES = 8, 40, 12
LONG: Final = 240.0
"""Seconds of a life whose second quarter begins when all is full, with small bounds."""
GROWTH: Final = 1.03
"""With small bounds, what the last quarter of such a life may hold of what the second held. The state is never the same."""

TAKEN: Final = frozenset({200, 201, 202, 204, 400, 404, 409, 412, 413, 415, 422, 429, 503})
"""What a request may be answered."""


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

    types: list[dict[str, Any]] = field(default_factory=list)
    """Counts of objects by type in that life, a minute apart (`soak_types`)."""
    caches: dict[str, list[int]] = field(default_factory=dict)
    """Entries, bound and misses of each cache at its end (`soak_bounds`)."""

    def growth(self, what: str) -> tuple[float, float]:
        """Medians of the second and of the last quarter of the last long life."""
        rows = [row[what] for row in self.samples]
        quarter = max(1, len(rows) // 4)
        return statistics.median(rows[quarter : 2 * quarter]), statistics.median(rows[-quarter:])

    def grown(self) -> list[str]:
        """Faults: what holds more than its bound, and a life that was long enough for all to be full and grew all the same."""
        found = [f"{name} holds {row[0]} of {row[1]}" for name, row in self.caches.items() if row[0] > row[1]]
        seconds = self.samples[-1]["time"] - self.samples[0]["time"] if self.samples else 0.0
        before, after = self.growth("blocks") if self.samples else (0.0, 0.0)
        if seconds >= LONG and after > before * GROWTH:
            found.append(f"blocks grew from {before:.0f} to {after:.0f} in half of {seconds:.0f} s, with all bounds small")
        return found

    def grown_types(self) -> dict[str, list[int]]:
        """The types whose counts grew most in the second half of the last life: before and after."""
        if len(self.types) < 2:
            return {}
        before, after = self.types[len(self.types) // 2 - 1]["counts"], self.types[-1]["counts"]
        rows = {name: [before.get(name, 0), number] for name, number in after.items()}
        most = sorted(rows, key=lambda name: rows[name][0] - rows[name][1])[:20]
        return {name: rows[name] for name in most if rows[name][1] > rows[name][0]}


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
