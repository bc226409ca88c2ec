"""A store whose long commits are written aside, while the thread that asked for them serves others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Final

from ryu_vmmob.store.base import OpenStore, Record, Write

LONG: Final = 200
"""Writes. Fewer take some milliseconds, of which the disk's share cannot be helped: to hand them over would cost as much."""


class AsideStore:
    """A `Store` over another one. ``aside`` calls a function in another thread and waits for it without holding others up.

    One commit is written at a time: ``turn`` is entered for each of them.
    """

    def __init__(
        self, store: OpenStore, aside: Callable[..., Any], turn: AbstractContextManager[object], long: int = LONG
    ) -> None:
        self._store = store
        self._aside = aside
        self._turn = turn
        self._long = long

    @property
    def revision(self) -> int:
        """See `Store`, here and below."""
        return self._store.revision

    def load(self) -> Iterable[Record]:
        """Every record."""
        return self._store.load()

    def commit(self, revision: int | None, writes: Iterable[Write], *, sync: bool = True) -> None:
        """All or nothing."""
        rows = list(writes)
        with self._turn:
            if len(rows) < self._long or not self._store.blocks:
                self._store.commit(revision, rows, sync=sync)
            else:
                self._aside(self._store.commit, revision, rows, sync=sync)

    def backup(self, path: str, pause: Callable[[], None]) -> None:
        """Copy it. No commit is half written while a piece is copied: a long one waits for a pause, or the copy for its end."""

        def others() -> None:
            self._turn.__exit__(None, None, None)
            try:
                pause()
            finally:
                self._turn.__enter__()

        with self._turn:
            self._store.backup(path, others)

    def tidy(self) -> bool:
        """Tidy up, when no commit is being written."""
        with self._turn:
            return self._store.tidy()

    def close(self) -> None:
        """Let go of it, when it has written what it is about to write."""
        with self._turn:
            self._store.close()
