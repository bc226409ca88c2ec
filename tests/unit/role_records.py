"""A store for what is kept about roles."""

from __future__ import annotations

from typing import Any

from ryu_vmmob.engine.roles import Roles
from ryu_vmmob.store.base import Record, StoreError, Write


class Records:
    """Records of roles, which a full disk takes no more of."""

    def __init__(self, rows: dict[str, Any] | None = None) -> None:
        self.rows = dict(rows or {})
        self.full = False

    def start(self, life: int) -> Roles:
        return Roles([Record("meta", name, {"value": value}) for name, value in self.rows.items()], life, self._store)

    def _store(self, writes: list[Write]) -> None:
        if self.full:
            raise StoreError("the disk is full")
        self.rows.update({row.name: row.body["value"] for row in writes if row.body is not None})

    def copy(self) -> Records:
        return Records(self.rows)
