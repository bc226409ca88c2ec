"""A store wrapper that reports failures, at most one event a second, and retries."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Final

from ryu_vmmob.model.draft import Event
from ryu_vmmob.store.base import Record, Store, StoreError, Write

TELL_INTERVAL: Final = 1.0
"""Seconds between two events about a store that fails, and between two tries whether it still does."""


class Keeper:
    """A `Store` over another one. ``clock`` in seconds; ``tell`` gets ``store.failed`` and ``store.recovered``."""

    def __init__(self, store: Store, clock: Callable[[], float], tell: Callable[[Event], None]) -> None:
        self._store = store
        self._clock = clock
        self._tell = tell
        self._told: float | None = None
        self._tried = 0.0
        self.trouble: str | None = None
        """Why it did not take the last commit, in a sentence; None while it does."""

    @property
    def revision(self) -> int:
        """See `Store`, here and below."""
        return self._store.revision

    def load(self) -> Iterable[Record]:
        """Every record."""
        return self._store.load()

    def commit(self, revision: int | None, writes: Iterable[Write], *, sync: bool = True) -> None:
        """All or nothing."""
        try:
            self._store.commit(revision, writes, sync=sync)
        except StoreError as error:
            self._failed(str(error))
            raise
        if self.trouble is not None:
            self.trouble = None
            self._told = None
            self._tell(Event("store.recovered", {"revision": self.revision}))

    def note(self, writes: Iterable[Write]) -> None:
        """Write what belongs to no revision of the state. Raises StoreError."""
        self.commit(None, writes)

    def backup(self, path: str, pause: Callable[[], None]) -> None:
        """Write a copy."""
        self._store.backup(path, pause)

    def tidy(self) -> bool:
        """Tidy up. A store that rejects it is reported, as if it had rejected a commit."""
        try:
            return self._store.tidy()
        except StoreError as error:
            self._failed(str(error))
            return False

    def close(self) -> None:
        """Let go of it."""
        self._store.close()

    def look(self) -> None:
        """Retry a store that failed: without a write its recovery would never be noticed."""
        if self.trouble is not None and not self._recent(self._tried):
            with contextlib.suppress(StoreError):  # told already, as far as it is to be told
                self.note(())

    def _failed(self, reason: str) -> None:
        self.trouble = reason
        self._tried = self._clock()
        if self._told is None or not self._recent(self._told):
            self._told = self._clock()
            self._tell(Event("store.failed", {"reason": reason}))

    def _recent(self, then: float) -> bool:
        """Also right when the clock is put back."""
        return 0 <= self._clock() - then < TELL_INTERVAL
