"""Stores of earlier versions, recorded by those versions (`tests/releases`): opened, made new in form, and kept."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ryu_vmmob.fabric.loader import load
from ryu_vmmob.store import migrate, open_store
from ryu_vmmob.store.base import Record, StoreError
from ryu_vmmob.store.migrate import UPGRADES, migrated
from ryu_vmmob.store.sqlite import SCHEMA_VERSION
from tests.support.releases import RELEASES, recorded
from tests.support.rest_service import Service

FIRST = RELEASES / "2026-11-23"
ALL = sorted(row.parent.name for row in RELEASES.glob("*/store.sql"))
FORMATS = {"2026-11-30-format-2": 2}
"""Of releases whose stores are not of the first format."""
LATER = {"presence", "switches", "timeline", "started", "ended", "gap"}
"""Keys of the present moment, keys that were added since, and one that was removed (`gap`)."""


def format_of(path: Path) -> int:
    db = sqlite3.connect(path)
    try:
        return int(db.execute("PRAGMA user_version").fetchone()[0])
    finally:
        db.close()


def _as_then(old: Any, new: Any) -> Any:
    """What is told now, with the keys that were told then."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {key: _as_then(old[key], new[key]) for key in old if key in new}
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [_as_then(left, right) for left, right in zip(old, new, strict=True)]
    return new


def told(service: Service, release: str) -> dict[str, list[Any]]:
    return {url: service.get(url)["items"] for url in json.loads((RELEASES / release / "views.json").read_text())}


@pytest.mark.parametrize("release", ALL)
def test_a_store_of_every_release_opens_and_has_what_it_had(release: str, tmp_path: Path) -> None:
    path = recorded(release, tmp_path / "vmmob.db")
    before = format_of(path)
    service = Service(store=open_store(f"sqlite:///{path}"), fabric=load(RELEASES / "fabric.yaml"))
    service.connect()
    now = told(service, release)
    for url, items in json.loads((RELEASES / release / "views.json").read_text()).items():
        rows = {row.get("name") or row["id"]: row for row in now[url]}
        assert rows.keys() == {row.get("name") or row["id"] for row in items}
        for old in items:
            new = rows[old.get("name") or old["id"]]
            kept = old.keys() - LATER
            assert {key: _as_then(old[key], new[key]) for key in kept} == {key: old[key] for key in kept}
    # The move that was under way goes on to its end.
    service.put(
        "/v1/vms/w7", {"server": "srv-a1", "interfaces": [{"cug": "web", "mac": "02:00:00:00:01:07", "ips": ["10.1.0.7"]}]}
    )
    (id_,) = (row["id"] for row in now["/v1/migrations"] if row["vm"] == "w9")
    service.confirm()
    assert service.ask("POST", f"/v1/migrations/{id_}/activate").status_int == 200
    service.confirm()
    assert service.ask("POST", f"/v1/migrations/{id_}/commit").status_int == 200
    service.confirm()
    assert service.get("/v1/vms/w9")["server"] == "srv-b1"
    service.engine.close()
    again = Service(store=open_store(f"sqlite:///{path}"), fabric=load(RELEASES / "fabric.yaml"))
    assert again.get("/v1/vms/w9")["server"] == "srv-b1"
    again.engine.close()
    assert (before, format_of(path)) == (FORMATS.get(release, 1), SCHEMA_VERSION)
    assert format_of(Path(f"{path}.format-{before}")) == before, "and the earlier version may have its own back"


@pytest.mark.parametrize("release", ALL)
def test_an_upgrade_keeps_a_copy_of_the_old_store_and_logs_it(
    release: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = recorded(release, tmp_path / "vmmob.db")
    before = [*sqlite3.connect(path).execute("SELECT * FROM record ORDER BY kind, name")]
    found = format_of(path)
    with caplog.at_level(logging.WARNING):
        open_store(f"sqlite:///{path}").close()
    (line,) = (row.getMessage() for row in caplog.records)
    says = "; ".join(UPGRADES[number].says for number in range(found, SCHEMA_VERSION))
    assert f"store {path}: format {found} is now format {SCHEMA_VERSION} ({says})" in line
    assert f"kept in {path}.format-{found}" in line
    assert [*sqlite3.connect(f"{path}.format-{found}").execute("SELECT * FROM record ORDER BY kind, name")] == before
    caplog.clear()
    open_store(f"sqlite:///{path}").close()
    assert not caplog.records, "once"
    assert sorted(row.name for row in tmp_path.iterdir()) == ["vmmob.db", f"vmmob.db.format-{found}"]


def test_the_first_form_knew_no_routing_domains(tmp_path: Path) -> None:
    """Its CUGs name one, and the controller ended with a KeyError."""
    path = recorded(FIRST.name, tmp_path / "vmmob.db")
    store = open_store(f"sqlite:///{path}")
    found = {(row.kind, row.name): row.body for row in store.load()}
    assert found["routing_domain", "red"] == {"key": 3, "name": "red"}
    assert found["meta", "last_segment_key"] == {"value": 3}
    store.close()


def test_a_store_that_was_not_closed_is_kept_complete(tmp_path: Path) -> None:
    """Killed with the log full: the copy has what the log has, and opens by itself."""
    path = recorded(FIRST.name, tmp_path / "vmmob.db")
    write = (
        "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('PRAGMA journal_mode = WAL');"
        "db.execute('UPDATE head SET revision = 99'); db.commit(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", write, str(path)], check=False)
    assert Path(f"{path}-wal").stat().st_size > 0
    store = open_store(f"sqlite:///{path}")
    assert store.revision == 99
    store.close()
    kept = tmp_path / "kept.db"
    shutil.copy(f"{path}.format-1", kept)
    again = open_store(f"sqlite:///{kept}")
    assert again.revision == 99
    again.close()


def test_a_copy_is_never_put_in_the_place_of_another(tmp_path: Path) -> None:
    path = recorded(FIRST.name, tmp_path / "vmmob.db")
    Path(f"{path}.format-1").write_text("mine")
    Path(f"{path}.format-1.2.draft").write_text("half a copy")
    open_store(f"sqlite:///{path}").close()
    assert Path(f"{path}.format-1").read_text() == "mine"
    assert format_of(Path(f"{path}.format-1.2")) == 1
    assert not Path(f"{path}.format-1.2.draft").exists()


def test_without_room_for_the_copy_nothing_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recorded(FIRST.name, tmp_path / "vmmob.db")
    full = OSError(28, "No space left on device")

    def refuse(*_: object) -> None:
        raise full

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(
        StoreError, match=rf"its format 1 has to become {SCHEMA_VERSION}, and no copy can be kept first: No space"
    ):
        open_store(f"sqlite:///{path}")
    monkeypatch.undo()
    assert format_of(path) == 1
    open_store(f"sqlite:///{path}").close()


def test_a_step_that_fails_leaves_the_store_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recorded(FIRST.name, tmp_path / "vmmob.db")
    before = [*sqlite3.connect(path).execute("SELECT * FROM record ORDER BY kind, name")]
    step = UPGRADES[1]

    def fails(records: migrate.Records) -> list[Any]:
        step.run(records)
        raise RuntimeError("in the middle")

    monkeypatch.setitem(migrate.UPGRADES, 1, step._replace(run=fails))
    with pytest.raises(RuntimeError):
        open_store(f"sqlite:///{path}")
    assert format_of(path) == 1
    assert [*sqlite3.connect(path).execute("SELECT * FROM record ORDER BY kind, name")] == before


@pytest.mark.parametrize(
    ("number", "says"),
    [(SCHEMA_VERSION + 1, f"its format {SCHEMA_VERSION + 1} is newer than {SCHEMA_VERSION}"), (0, "its format 0 is not known")],
)
def test_another_format_is_refused_by_its_number(number: int, says: str, tmp_path: Path) -> None:
    path = recorded(FIRST.name, tmp_path / "vmmob.db")
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {number}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=says):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == before
    assert [row.name for row in tmp_path.iterdir()] == ["vmmob.db"]


def test_there_is_a_step_from_every_format_to_the_next() -> None:
    assert sorted(UPGRADES) == list(range(1, SCHEMA_VERSION))
    assert all(step.says for step in UPGRADES.values())


def test_steps_see_what_earlier_ones_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def second(records: migrate.Records) -> list[Any]:
        seen.append(dict(records))
        return []

    monkeypatch.setitem(migrate.UPGRADES, 2, migrate.Upgrade("nothing", second))
    rows = [Record("cug", "web", {"key": 1, "name": "web", "routing_domain": "red"})]
    written = migrated(rows, 1, 3)
    assert [(row.kind, row.name) for row in written] == [("routing_domain", "red"), ("meta", "last_segment_key")]
    assert seen[0]["routing_domain", "red"] == {"key": 2, "name": "red"}
    with pytest.raises(KeyError):
        migrated(rows, 3, 5)
