"""What the tests of the store share: a file of their own, and short ways to fill and to read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ryu_vmmob.store import Store, Write, open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vmmob.db"


def url(path: Path) -> str:
    return f"sqlite://{path}"


def fill(path: Path, count: int = 50) -> None:
    store = open_store(url(path))
    store.commit(7, [Write("vm", f"web{number}", {"text": "x" * 500}) for number in range(count)])
    store.close()


def contents(store: Store) -> dict[tuple[str, str], object]:
    return {(record.kind, record.name): record.body for record in store.load()}
