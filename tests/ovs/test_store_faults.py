"""The store fails, at the start and while the controller runs, with real switches: a sentence, and nothing else changes."""

from __future__ import annotations

import os
import random
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mininet_topos.controller import ControllerError
from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.sim import packet as make
from tests.support.controller import SECONDS, WEB, Site, nic, nic_mac, populate, until

# At the start


def cut(share: float) -> Callable[[Path], None]:
    """Keep so much of the file."""
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(20_000))


def flip_in_header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[3] ^= 0x10
    path.write_bytes(data)


def flip_in_row(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.rindex(b"srv-a1") + 4] ^= 1
    path.write_bytes(data)


def page_of_zeros(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(4096) + data[8192:])


def newer(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def crashed_without_its_log(path: Path) -> None:
    """As a crash leaves it, and then the log is gone."""
    with sqlite3.connect(path) as db:
        db.execute("UPDATE life SET closed = 0")
    db.close()


def another_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE mine (a)")
    db.close()


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut to nothing": (cut(0), "what it held is lost"),
    "half of it": (cut(0.5), "damaged"),
    "all but the last bytes": (cut(0.99), "damaged"),
    "garbage": (garbage, "not a database"),
    "a bit of the header": (flip_in_header, "not a database"),
    "a bit of a row": (flip_in_row, "checksum"),
    "a page of zeros": (page_of_zeros, "damaged"),
    "a newer format": (newer, "format 99 is newer"),
    "a folder": (folder, "cannot be opened"),
    "another program's": (another_program, "some other program"),
    "no log after a crash": (crashed_without_its_log, "log"),
}


def test_a_store_that_cannot_be_used_stops_the_start_and_touches_no_switch(ovs: PrivateOvs, tmp_path: Path) -> None:
    path = tmp_path / "vmmob.db"
    with Site(ovs, tmp_path) as site:
        populate(site)
        site.until_right()
        before = {name: site.has(name) for name in site.bridges}
        site.controller.kill()
        sound = tmp_path / "sound"
        sound.mkdir()
        for file in tmp_path.glob("vmmob.db*"):
            shutil.move(file, sound)
        # Folded into one file, so that the fault is not made good from the log.
        with sqlite3.connect(sound / path.name) as db:
            db.execute("UPDATE life SET closed = 1")
        db.close()
        listener = site.listen()
        for name, (spoil, says) in FAULTS.items():
            shutil.copy(sound / path.name, path)
            spoil(path)
            said = len(site.controller.log)
            with pytest.raises(ControllerError):
                site.controller.start()
            lines = site.controller.log[said:].strip().splitlines()
            assert lines[-1].startswith("vmmob: store "), (name, lines)
            assert says in lines[-1], (name, lines)
            assert not any("Traceback" in line for line in lines), (name, lines)
            if path.is_dir():
                path.rmdir()
            path.unlink(missing_ok=True)
            Path(f"{path}-wal").unlink(missing_ok=True)
        assert {name: site.has(name) for name in site.bridges} == before
        shutil.copy(sound / path.name, path)
        site.start()
        assert listener.counts()["OFPST_FLOW"] >= len(site.bridges)
        assert listener.changes() == 0
        listener.stop()
        assert site.differences() == []


# While it runs


class Disk:
    """Where the store is, and how it gets full and has room again."""

    def __init__(self, folder: Path, fill: Callable[[Site], None], empty: Callable[[Site], None], says: str) -> None:
        self.folder, self.fill, self.empty, self.says = folder, fill, empty, says


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no mount here: {mounted.stderr.strip()}")

    def fill(site: Site) -> None:
        with (folder / "ballast").open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(4096))
                except OSError:
                    break
        # The log has room of its own for a while: use it up.
        for number in range(100, 250):
            if site.rest.ask("PUT", f"/v1/cugs/fill-{number}", {"subnets": [f"10.{number}.0.0/24"]}).status_code == 503:
                return
        pytest.fail("the disk does not get full")

    yield Disk(folder, fill, lambda site: (folder / "ballast").unlink(), "the disk is full")
    subprocess.run(["umount", str(folder)], check=True)


def _limit(site: Site, size: int) -> None:
    _, hard = resource.prlimit(site.controller.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(site.controller.pid, resource.RLIMIT_FSIZE, (size, hard))


@pytest.fixture
def no_room(tmp_path: Path) -> Disk:
    """No file of the controller's may grow any more (this needs no root): a write fails with another error than ENOSPC."""
    folder = tmp_path / "disk"
    folder.mkdir()
    return Disk(folder, lambda site: _limit(site, 0), lambda site: _limit(site, resource.RLIM_INFINITY), "disk I/O error")


@pytest.fixture
def moved_away(tmp_path: Path) -> Disk:
    """Somebody moves the file while it is in use, and puts it back."""
    folder = tmp_path / "disk"
    folder.mkdir()
    path, aside = folder / "vmmob.db", folder / "aside.db"
    return Disk(folder, lambda site: os.rename(path, aside), lambda site: os.rename(aside, path), "was taken away")


@pytest.mark.parametrize("kind", [pytest.param("small_disk", marks=pytest.mark.root), "no_room", "moved_away"])
def test_a_store_that_takes_nothing(ovs: PrivateOvs, tmp_path: Path, request: pytest.FixtureRequest, kind: str) -> None:
    disk: Disk = request.getfixturevalue(kind)
    settings = {"store": f"sqlite://{disk.folder}/vmmob.db", "link_up_delay": "0"}
    with Site(ovs, tmp_path, settings=settings, store=disk.folder) as site:
        populate(site)
        by_request = site.move("w1", "srv-c1", activate_on="request")
        announced = site.move("w2", "srv-c1")
        # A switch is away, so one move still prepares when the disk gets full.
        site.disconnect("tor-b")
        waiting = site.move("w9", "srv-b1")
        assert waiting["state"] == "preparing"
        site.until_in_step(but=frozenset({"tor-b"}))
        disk.fill(site)
        before = {name: site.has(name) for name in site.bridges}
        revision = site.rest.get("/v1/fabric")["revision"]
        for method, path, body in (
            ("PUT", "/v1/cugs/late", {"subnets": ["10.99.0.0/24"]}),
            ("PUT", "/v1/vms/late", {"server": "srv-a1", "interfaces": [nic("web", 77)]}),
            ("DELETE", "/v1/vms/w3", None),
            ("POST", "/v1/migrations", {"vm": "w3", "to": "srv-b1"}),
            ("POST", f"/v1/migrations/{by_request['id']}/activate", None),
            ("POST", f"/v1/migrations/{announced['id']}/abort", None),
        ):
            answer = site.rest.ask(method, path, body)
            assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json"), answer.text
            assert answer.json()["detail"].startswith("nothing was changed: store "), answer.text
            assert disk.says in answer.json()["detail"]
        # What follows by itself, and what a VM announces, has to wait as well.
        site.reconnect("tor-b")
        site.until_in_step()
        (vlan_id,) = (leg["to_vlan_id"] for leg in announced["interfaces"])
        site.inject("tor-c:1", make.rarp(nic_mac("web", 12)).with_vlans(vlan_id))
        ready = site.rest.ask("GET", "/readyz")
        assert ready.status_code == 503
        assert any(disk.says in row for row in ready.json()["troubles"])
        assert site.rest.get("/v1/fabric")["revision"] == revision
        assert site.migration(waiting["id"])["state"] == "preparing"
        assert site.migration(announced["id"])["state"] == "prepared"
        assert {name: site.has(name) for name in before if name != "tor-b"} == {
            name: rows for name, rows in before.items() if name != "tor-b"
        }
        if kind == "small_disk":  # a controller that starts now starts on what is stored
            site.controller.kill()
            site.start()
            assert site.rest.get("/v1/fabric")["revision"] == revision
            assert site.rest.ask("PUT", "/v1/cugs/late", {"subnets": ["10.99.0.0/24"]}).status_code == 503
            site.inject("tor-c:1", make.rarp(nic_mac("web", 12)).with_vlans(vlan_id))
            until(lambda: "the store did not take it" in site.controller.log)
        disk.empty(site)
        # By itself: nobody asks for anything, and the VM does not say it again.
        site.until_state(announced["id"], "committed")
        site.until_state(waiting["id"], "prepared")
        until(lambda: site.rest.ask("GET", "/readyz").json()["troubles"] == [])
        site.put_vm("late", "srv-a1", nic("web", 77))
        site.rest.post(f"/v1/migrations/{by_request['id']}/activate", wait=SECONDS)
        site.until_state(by_request["id"], "committed")
        site.until_right()
        # It was all durable.
        site.controller.kill()
        site.start()
        site.until_right()
        assert site.rest.get("/v1/vms/w2")["server"] == site.rest.get("/v1/vms/w1")["server"] == "srv-c1"


# It is lost


def test_an_empty_store_takes_no_flow_out_of_switches_that_forward(ovs: PrivateOvs, tmp_path: Path) -> None:
    with Site(ovs, tmp_path) as site:
        populate(site)
        site.until_right()
        before = {name: site.has(name) for name in site.bridges}
        site.controller.kill()
        kept = tmp_path / "kept"
        kept.mkdir()
        for file in tmp_path.glob("vmmob.db*"):
            shutil.move(file, kept)
        listener = site.listen()
        held = set(site.bridges)
        for _ in range(2):  # once more: it is no newer store that was started a second time
            site.start(in_step=False)
            until(lambda: {row["name"] for row in site.rest.get("/v1/switches")["items"] if row["faults"]} == held)
            ready = site.rest.ask("GET", "/readyz")
            assert ready.status_code == 503
            assert len(ready.json()["troubles"]) == len(held)
            assert all("is held" in row and "take_over" in row for row in ready.json()["troubles"])
            site.rest.put("/v1/cugs/other", {"subnets": ["10.50.0.0/24"]})
            interface = nic("web", 90) | {"cug": "other", "ips": ["10.50.0.9"]}
            site.rest.put("/v1/vms/o1", {"server": "srv-a1", "interfaces": [interface]})
            assert listener.changes() == 0
            assert {name: site.has(name) for name in site.bridges} == before
            site.controller.kill()
        # The store is found again: as if nothing had been.
        lost = [tmp_path / file.name for file in tmp_path.glob("vmmob.db*")]
        for file in lost:
            file.rename(tmp_path / f"new-{file.name}")
        for file in kept.iterdir():
            shutil.copy(file, tmp_path)
        site.start()
        assert listener.changes() == 0
        assert site.differences() == []
        site.controller.kill()
        # It is not, and somebody says so, switch by switch.
        for file in tmp_path.glob("vmmob.db*"):
            file.unlink()
        for file in tmp_path.glob("new-vmmob.db*"):
            file.rename(tmp_path / file.name.removeprefix("new-"))
        site.start(in_step=False)
        until(lambda: len(site.rest.ask("GET", "/readyz").json()["troubles"]) == len(held))
        site.rest.post("/v1/switches/tor-a/take_over")
        site.until_in_step(but=frozenset(held - {"tor-a"}))
        assert {name for name in held if site.has(name) != before[name]} == {"tor-a"}
        for name in sorted(held - {"tor-a"}):
            site.rest.post(f"/v1/switches/{name}/take_over")
        site.until_right()
        assert site.rest.get("/readyz")["troubles"] == []
        site.controller.kill()
        listener = site.listen()
        site.start()  # for good
        assert listener.changes() == 0
        listener.stop()


def test_a_store_begun_anew_that_is_told_the_same_again(ovs: PrivateOvs, tmp_path: Path) -> None:
    """What the switches have is then what is desired, so there is nothing to ask."""

    def tell() -> None:
        for name, body in {"web": WEB, "other": {"subnets": ["10.9.0.0/24"]}}.items():
            site.rest.put(f"/v1/cugs/{name}", body)
        site.rest.put("/v1/vms/w1", {"server": "srv-a1", "interfaces": [nic("web", 11)]})
        site.rest.put("/v1/vms/w2", {"server": "srv-c1", "interfaces": [nic("web", 12)]})

    with Site(ovs, tmp_path, settings={"audit_interval": "1"}) as site:
        tell()
        site.until_right()
        site.controller.kill()
        for file in tmp_path.glob("vmmob.db*"):
            file.unlink()
        listener = site.listen()
        site.start(in_step=False)
        until(lambda: len(site.rest.ask("GET", "/readyz").json()["troubles"]) > 0)
        tell()
        site.until_right()
        assert listener.changes() == 0
        listener.stop()
