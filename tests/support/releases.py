"""The stores that earlier releases wrote."""

from __future__ import annotations

import sqlite3
from pathlib import Path

RELEASES = Path(__file__).parents[1] / "releases"


def recorded(release: str, path: Path) -> Path:
    """The store of a release as a file."""
    with sqlite3.connect(path) as db:
        db.executescript((RELEASES / release / "store.sql").read_text())
    db.close()
    return path
