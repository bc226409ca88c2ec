"""A store wrapper that measures the time of commits."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ryu_vmmob.store.base import Record, Store, StoreError, Write


class TimedStore:
    """A `Store` over another one. ``told`` gets the seconds of each commit by ``clock`` (steady), and whether it was taken."""

    def __init__(self, store: Store, clock: Callable[[], float], told: Callable[[float, bool], None]) -> None:
        self._store = store
        self._clock = clock
        self._told = told

    @property
    def revision(self) -> int:
        """See `Store`, here and below."""
        return self._store.revision

    def load(self) -> Iterable[Record]:
        """Every record."""
        return self._store.load()

    def commit(self, revision: int | None, writes: Iterable[Write], *, sync: bool = True) -> None:
        """All or nothing."""
        began = self._clock()
        try:
            self._store.commit(revision, writes, sync=sync)
        except StoreError:
            self._told(self._clock() - began, False)  # noqa: FBT003  (a callback)
            raise
        self._told(self._clock() - began, True)  # noqa: FBT003  (a callback)

    def backup(self, path: str, pause: Callable[[], None]) -> None:
        """Write a copy."""
        self._store.backup(path, pause)

    def tidy(self) -> bool:
        """Tidy up."""
        return self._store.tidy()

    def close(self) -> None:
        """Let go of it."""
        self._store.close()
