"""Copies of the store: made while commits go on, checked, and put back."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ryu_vmmob.store import Write, open_store
from ryu_vmmob.store.backup import complete, inspect, put_back
from ryu_vmmob.store.base import StoreError
from ryu_vmmob.store.sqlite import SCHEMA_VERSION, SqliteStore
from tests.support.releases import RELEASES, recorded
from tests.support.rest_service import WEB, Service, vm
from tests.unit.cli_support import Shell, shell
from tests.unit.store_support import contents, path, url

__all__ = ["path", "shell"]


def meta(number: int, size: int = 3000) -> Write:
    return Write("meta", f"row{number}", {"value": f"{number}:" + "x" * size})


def nothing() -> None:
    pass


def copied(store: SqliteStore, target: Path, pause: Callable[[], None] = nothing) -> Path:
    store.backup(str(target), pause)
    complete(str(target))
    return target


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, path: Path) -> SqliteStore:
    found = open_store(url(path) if request.param == "file" else "sqlite:///:memory:")
    assert isinstance(found, SqliteStore)
    return found


def test_a_copy_opens_and_has_everything(store: SqliteStore, tmp_path: Path) -> None:
    store.commit(5, [meta(number) for number in range(50)])
    target = copied(store, tmp_path / "copy.db")
    assert sorted(row.name for row in tmp_path.iterdir() if row.name.startswith("copy")) == ["copy.db"]
    again = open_store(url(target))
    assert (again.revision, contents(again)) == (5, contents(store))
    store.commit(6, [meta(51)])  # the original goes on
    again.close()
    store.close()


def test_a_large_copy_is_made_in_many_small_pieces_and_commits_go_on(store: SqliteStore, tmp_path: Path) -> None:
    """So it holds up nobody: between two pauses there is a fixed number of pages, however many there are."""
    store.commit(1, [meta(number) for number in range(3000)])
    seen: list[dict[tuple[str, str], object]] = [contents(store)]
    pauses = 0

    def pause() -> None:
        nonlocal pauses
        pauses += 1
        # Two rows that belong together, in one commit: a copy has both or neither. Old rows change and go as well.
        if pauses <= 30:
            writes = [
                meta(7, 100 * pauses),
                Write("meta", "pair-a", {"value": pauses}),
                Write("meta", "pair-b", {"value": pauses}),
            ]
            store.commit(store.revision + 1, [*writes, Write("meta", f"row{2999 - pauses}", None)])
            seen.append(contents(store))

    target = copied(store, tmp_path / "copy.db", pause)
    pages = sqlite3.connect(target).execute("PRAGMA page_count").fetchone()[0]
    assert pauses >= pages // 64 >= 30
    found = open_store(url(target))
    assert contents(found) in seen
    assert found.revision == 1 + seen.index(contents(found))
    found.close()
    assert contents(store) == seen[-1]
    store.close()


def test_what_a_copy_holds(path: Path, tmp_path: Path) -> None:
    service = Service(store=open_store(url(path)))
    service.with_web().put("/v1/vms/web2", vm("srv-c1", 12))
    copy = tmp_path / "copy.db"
    answer = service.ask("POST", "/v1/backup")
    assert (answer.status_int, answer.content_type) == (200, "application/vnd.sqlite3")
    copy.write_bytes(answer.body)
    found = inspect(str(copy))
    assert (found.format, found.revision) == (SCHEMA_VERSION, 3)
    assert {kind: found.objects[kind] for kind in ("cug", "vm", "policy")} == {"cug": 1, "vm": 2, "policy": 0}
    service.put("/v1/cugs/late", {"subnets": ["10.9.0.0/24"]})
    again = Service(store=open_store(url(copy)))
    assert again.get("/v1/bulk") == {**service.get("/v1/bulk"), **{
        key: {name: row for name, row in service.get("/v1/bulk")[key].items() if name != "late"} for key in ("cugs",)
    }, "numbers": again.get("/v1/bulk")["numbers"]}  # fmt: skip
    assert again.get("/v1/vms") == service.get("/v1/vms")
    again.engine.close()
    service.engine.close()


def test_a_reader_gets_no_copy_and_a_full_disk_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(store=open_store(url(path)), tokens=("operator c2VjcmV0 o", "reader cmVhZGVy r"))
    service.tokens = ("cmVhZGVy",)
    assert service.ask("POST", "/v1/backup").status_int == 403
    service.tokens = ("c2VjcmV0",)
    monkeypatch.setattr("tempfile.tempdir", "/dev/full/none")
    assert service.ask("POST", "/v1/backup").status_int == 503
    monkeypatch.undo()
    assert service.ask("POST", "/v1/backup").status_int == 200
    service.engine.close()


# inspect


def good(path: Path, tmp_path: Path) -> Path:
    store = open_store(url(path))
    assert isinstance(store, SqliteStore)
    store.commit(3, [meta(number, 10) for number in range(20)])
    copy = copied(store, tmp_path / "copy.db")
    store.close()
    return copy


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("PRAGMA user_version = 99", f"has format 99, and this version reads 1 to {SCHEMA_VERSION}"),
        ("PRAGMA application_id = 1", "is no store of a controller"),
        ("UPDATE record SET body = '{\"value\":1}' WHERE name = 'row3'", "meta 'row3' does not match its checksum"),
        ("DELETE FROM head", "its revision is missing"),
        ("UPDATE life SET closed = 0", "was not closed"),
        ("DROP TABLE record", "is no store: no such table: record"),
    ],
)
def test_copies_that_are_not_good(path: Path, tmp_path: Path, statement: str, says: str) -> None:
    copy = good(path, tmp_path)
    db = sqlite3.connect(copy)
    db.execute(statement)
    db.commit()
    db.close()
    before = copy.read_bytes()
    with pytest.raises(StoreError, match=says):
        inspect(str(copy))
    with pytest.raises(StoreError, match=says):
        put_back(str(copy), str(tmp_path / "other.db"))
    assert copy.read_bytes() == before
    assert not (tmp_path / "other.db").exists()


def test_more_that_is_no_copy(path: Path, tmp_path: Path) -> None:
    copy = good(path, tmp_path)
    half = tmp_path / "half.db"
    half.write_bytes(copy.read_bytes()[:5000])
    text = tmp_path / "text"
    text.write_text("no database " * 1000)
    unknown = tmp_path / "unknown.db"
    shutil.copy(copy, unknown)
    store = open_store(url(unknown))
    store.commit(4, [Write("vm", "web1", {"name": "web1", "colour": "blue"})])
    store.close()
    shutil.copy(copy, tmp_path / "logged.db")
    (tmp_path / "logged.db-wal").write_bytes(b"x")
    for file, says in (
        (half, "is damaged|is no store"), (text, "is no store"), (tmp_path / "none", "is no file"), (tmp_path, "is no file"),
        (unknown, "vm 'web1' in the store cannot be read"), (tmp_path / "logged.db", "has a log beside it"),
    ):  # fmt: skip
        with pytest.raises(StoreError, match=says):
            inspect(str(file))


def test_a_copy_of_an_earlier_version_is_good(tmp_path: Path) -> None:
    for release in sorted(row.name for row in RELEASES.iterdir() if row.is_dir()):
        found = inspect(str(recorded(release, tmp_path / f"{release}.db")))
        assert found.format < SCHEMA_VERSION
        assert found.objects["vm"] >= 3


# put back


def test_a_copy_is_put_into_place_and_what_was_there_is_kept(path: Path, tmp_path: Path) -> None:
    copy = good(path, tmp_path)
    store = open_store(url(path))
    store.commit(9, [meta(99, 10)])
    after = contents(store)
    store.close()
    os.chmod(path, 0o640)
    assert put_back(str(copy), str(path)) == f"{path}.before-restore"
    assert os.stat(path).st_mode & 0o777 == 0o640
    now, kept = open_store(url(path)), open_store(url(Path(f"{path}.before-restore")))
    assert (now.revision, kept.revision, contents(kept)) == (3, 9, after)
    now.close()
    kept.close()
    assert put_back(str(copy), str(path)) == f"{path}.before-restore.2"
    assert not list(tmp_path.glob("*.restored"))


def test_into_a_place_where_nothing_is(path: Path, tmp_path: Path) -> None:
    copy = good(path, tmp_path)
    place = tmp_path / "new" / "folder" / "vmmob.db"
    assert put_back(str(copy), str(place)) is None
    store = open_store(url(place))
    assert store.revision == 3
    store.close()


def test_the_log_of_a_killed_controller_is_kept_with_its_file(path: Path, tmp_path: Path) -> None:
    copy = good(path, tmp_path)
    write = (
        "import os, sys; from ryu_vmmob.store import open_store, Write; store = open_store(sys.argv[1]);"
        "store.commit(8, [Write('meta', 'last', {'value': 1})]); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", write, url(path)], check=False)
    assert Path(f"{path}-wal").stat().st_size > 0
    put_back(str(copy), str(path))
    kept, now = open_store(url(Path(f"{path}.before-restore"))), open_store(url(path))
    assert (kept.revision, now.revision) == (8, 3)
    kept.close()
    now.close()


HOLD = (
    "import sys; from ryu_vmmob.store import open_store; store = open_store(sys.argv[1]); print('open', flush=True);"
    "sys.stdin.readline(); store.close()"
)


def test_a_store_that_is_in_use_is_left_alone(path: Path, tmp_path: Path, shell: Shell) -> None:
    copy = good(path, tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, url(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "open\n"
        for more in ([], ["--dry-run"]):
            said = shell.run("restore", str(copy), "--store", url(path), *more, status=1).stderr
            assert "a controller has it open; stop that first" in said
        assert sorted(row.name for row in tmp_path.iterdir() if row.name.startswith("vmmob.db.")) == []
    finally:
        process.communicate("\n")
    assert process.returncode == 0
    assert "is that now" in shell.run("restore", str(copy), "--store", url(path)).stdout


# The command line


def test_backup_and_restore(shell: Shell, path: Path, tmp_path: Path) -> None:
    shell.service.with_web()
    file = tmp_path / "copy.db"
    file.write_text("an older one")
    out = shell.run("backup", str(file)).stdout
    assert out == f"{file}: revision 2, 1 CUGs, 1 VMs, 0 policies, 0 migrations, format {SCHEMA_VERSION}\n"
    assert shell.json("backup", str(file))["revision"] == 2
    assert os.stat(file).st_mode & 0o777 == 0o600
    shell.service.put("/v1/cugs/late", WEB | {"subnets": ["10.9.0.0/24"]})
    lines = shell.run("restore", str(file), "--store", url(path), "--dry-run").stdout.splitlines()
    assert (lines, path.exists()) == ([out.strip()], False)
    lines = shell.run("restore", str(file), "--store", url(path)).stdout.splitlines()
    assert lines[1] == f"{path} is that now"
    again = Service(store=open_store(url(path)))
    assert [row["name"] for row in again.get("/v1/cugs")["items"]] == ["web"]
    again.engine.close()
    assert f"what was there is kept in {path}.before-restore" in shell.run("restore", str(file), "--store", url(path)).stdout


def test_a_copy_that_comes_damaged_replaces_nothing(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "copy.db"
    file.write_text("an older one")
    monkeypatch.setattr("ryu_vmmob.client.Client.backup", lambda self: b"no store at all")
    assert "is not good" in shell.run("backup", str(file), status=1).stderr
    assert file.read_text() == "an older one"
    assert "cannot be written" in shell.run("backup", str(tmp_path / "none" / "copy.db"), status=2).stderr
    assert not list(tmp_path.glob(".vmmob-backup-*"))
    assert "write sqlite:///PATH" in shell.run("restore", str(file), "--store", "postgres://x", status=2).stderr
    said = shell.run("restore", str(file), "--store", "etcd://one/x", status=2).stderr
    assert f"is restored into an empty prefix: vmmob store copy sqlite://{file} URL" in said
    assert "is no store" in shell.run("restore", str(file), "--store", url(tmp_path / "x.db"), status=1).stderr
