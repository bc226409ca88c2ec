"""docs/refusals.md has every refusal of the code, with its title and requirement; docs/running.md every kind of event."""

from __future__ import annotations

import ast
import contextlib
import re
import shutil
import sqlite3
from http import HTTPStatus
from pathlib import Path

import pytest

from ryu_vmmob.store.base import StoreError, Write
from ryu_vmmob.store.sqlite import SqliteStore
from tests.unit.refusal_texts import ROOT, refusals

REFUSALS = (ROOT / "docs" / "refusals.md").read_text(encoding="utf-8")
RUNNING = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
REST = (ROOT / "docs" / "rest.md").read_text(encoding="utf-8")
TEXTS = refusals()
FRAGMENTS = {"external network", "in the store", "there is no …"}
"""What the code puts into a sentence that the page has whole."""


def events() -> set[str]:
    """Every kind of event, of the table in docs/rest.md, which a test holds against the code."""
    return set(re.findall(r"^\| `([a-z_]+\.[a-z_]+|gap)` \|", REST.partition("\n### Events")[2], re.MULTILINE))


def titles() -> set[str]:
    """Every title that an answer may have and that is no phrase of HTTP."""
    found = set()
    phrases = {status.phrase.lower() for status in HTTPStatus}
    for file in [*(ROOT / "ryu_vmmob").glob("*/*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            rows = [row.value for row in node.keywords if row.arg == "title"]
            rows += node.args[1:2] if name in ("Refusal", "conflict") else []
            found |= {row.value for row in rows if isinstance(row, ast.Constant) and isinstance(row.value, str)}
    return found - phrases


def test_the_code_is_read_rightly() -> None:
    assert len(TEXTS) >= 110
    assert "VM … is on server …: POST a migration to move it" in TEXTS
    assert "R45: switch … takes … flows, and this would make …" in TEXTS
    assert {"no VLAN-ID free", "links are changing", "not stored"} <= titles()


@pytest.mark.parametrize("text", sorted(TEXTS))
def test_every_refusal_has_its_cause_and_cure(text: str) -> None:
    assert text in FRAGMENTS or f"`{text}`" in REFUSALS or text in titles(), f"{TEXTS[text]} says: {text}"


def test_nothing_is_explained_that_nobody_says() -> None:
    named = set(re.findall(r"R\d+", " ".join(TEXTS)))
    explained = set(re.findall(r"`(R[\d, R]+): ", REFUSALS))
    assert named == {number for row in explained for number in re.findall(r"R\d+", row)}


def test_every_title() -> None:
    missing = {title for title in titles() if f"`{title}`" not in REFUSALS}
    assert not missing


def test_every_event() -> None:
    assert len(events()) > 40
    missing = {kind for kind in events() if f"`{kind}`" not in RUNNING}
    assert not missing


def test_every_event_explained_is_one() -> None:
    table = RUNNING.partition("## Events")[2]
    rows = re.findall(r"^\| ((?:`[a-z_.]+`(?:, )?)+) \|", table, re.MULTILINE)
    assert {kind for row in rows for kind in re.findall(r"`([a-z_.]+)`", row)} == events()


def test_what_is_said_of_copies_of_the_store(tmp_path: Path) -> None:
    live, both, alone = (tmp_path / name for name in ("live.db", "both.db", "alone.db"))
    store = SqliteStore(str(live))
    store.commit(1, [Write("cug", "web", {"name": "web"})])
    with contextlib.closing(sqlite3.connect(live, timeout=0)) as other, pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("SELECT count(*) FROM record")
    shutil.copy(live, alone)
    for suffix in ("", "-wal"):  # as a process that ends at once leaves them
        shutil.copy(f"{live}{suffix}", f"{both}{suffix}")
    store.close()
    again = SqliteStore(str(both))
    assert again.revision == 1
    again.close()
    with pytest.raises(StoreError, match="it was not closed, and its log"):
        SqliteStore(str(alone))
