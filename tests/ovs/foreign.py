"""Plain OpenFlow 1.3 switches with habits, under the real controller."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ryu_vmmob.bench.fake_habits import take_on
from tests.ovs.fakes import FakeSite
from tests.support.controller import FABRICS, SECONDS, nic

HABITED = "tor-a"


@contextmanager
def plain_site(tmp_path: Path, *habits: str, at: str = HABITED, **keys: str) -> Iterator[FakeSite]:
    """Plain switches, of which one has these habits; VMs at three of them. ``keys``: of all switches in the fabric file."""
    words = "".join(f" {key}: {value}," for key, value in {"dialect": "openflow13", **keys}.items())
    file = tmp_path / "plain.yaml"
    text = (FABRICS / "example.yaml").read_text(encoding="utf-8")
    file.write_text(re.sub("role: (tor|border),", rf"\g<0>{words}", text), encoding="utf-8")
    site = FakeSite(tmp_path, str(file))
    take_on(site.fakes[at], "has_no_bundles", *habits)
    if "matches_no_discovery" in habits:
        site.refusing = frozenset({at})
    with site:
        site.put_cugs()
        yield site


def populate(site: FakeSite) -> None:
    site.put_vm("w1", "srv-a1", nic("web", 11))
    site.put_vm("w2", "srv-b1", nic("web", 12))
    site.put_vm("d1", "srv-a1", nic("db", 14))


def put_four(site: FakeSite) -> None:
    """A VM that has IPv4 alone, at the habited switch."""
    site.rest.put("/v1/cugs/four", {"subnets": ["10.4.0.0/24"]})
    row = {"cug": "four", "mac": "02:00:00:00:04:11", "ips": ["10.4.0.11"]}
    site.rest.put("/v1/vms/f1", {"server": "srv-a1", "interfaces": [row]}, wait=SECONDS)


def there_and_back(site: FakeSite) -> None:
    """A whole move away from the habited switch, and one to it."""
    for server in ("srv-c1", "srv-a1"):
        begun = site.move("w1", server, activate_on="request")
        site.until_state(begun["id"], "prepared")
        site.rest.post(f"/v1/migrations/{begun['id']}/activate")
        site.until_state(begun["id"], "committed")


def events(site: FakeSite, kind: str) -> list[Any]:
    found: list[Any] = site.rest.get("/v1/events", types=kind)["items"]
    return found


def entries(site: FakeSite, name: str = HABITED) -> dict[tuple[int, int, bytes], int]:
    """Place -> cookie of everything that a switch has."""
    return site.fleet.do(lambda: {place: row.cookie for place, row in site.fakes[name].tables.flows.items()})


def capability(site: FakeSite, name: str = HABITED) -> Any:
    return site.switch(name)["capability"]


def modifications(site: FakeSite, name: str = HABITED) -> int:
    """Flow-mods, group-mods and meter-mods that a switch was ever sent."""
    return site.fleet.do(lambda: sum(site.fakes[name].said[kind] for kind in (14, 15, 29)))


def many(site: FakeSite, number: int) -> None:
    """So many VMs at the habited switch."""
    cugs = {f"big{index}": {"subnets": ["10.7.0.0/16"]} for index in range((number + 2) // 3)}
    rows = {f"m{index}": {"server": "srv-a1", "interfaces": [_nic(index)]} for index in range(number)}
    site.rest.post(
        "/v1/bulk", {"cugs": cugs, "vms": {"w1": {"server": "srv-a1", "interfaces": [nic("web", 11)]}, **rows}}, wait=SECONDS
    )


def _nic(index: int) -> dict[str, Any]:
    host = 20 + index
    return {
        "cug": f"big{index // 3}",
        "mac": f"02:00:00:00:{host >> 8:02x}:{host & 0xFF:02x}",
        "ips": [f"10.7.{host >> 8}.{host & 0xFF}"],
    }


def link(site: FakeSite) -> Any:
    return next(row for row in site.rest.get("/v1/fabric")["links"] if "tor-a:49" in (row["a"], row["b"]))
