"""A store in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ryu_vmmob.store.base import Record, StoreError, Write


class MemoryStore:
    """A store in a dictionary that refuses commits when told to."""

    def __init__(self) -> None:
        self.revision = 0
        self.records: dict[tuple[str, str], Record] = {}
        self.full = False
        self.commits = 0
        self.synced: list[bool] = []
        """Of each commit, whether it waits for the disk."""
        self.meanwhile: Callable[[], None] | None = None
        """What others do while the next commit is written."""

    def load(self) -> Iterable[Record]:
        return list(self.records.values())

    def commit(self, revision: int | None, writes: Iterable[Write], *, sync: bool = True) -> None:
        if self.full:
            raise StoreError("the disk is full")
        revision = self.revision if revision is None else revision
        assert revision >= self.revision
        if self.meanwhile is not None:
            others, self.meanwhile = self.meanwhile, None
            others()
        self.commits += 1
        self.synced.append(sync)
        self.revision = revision
        for kind, name, body, _ in writes:
            if body is None:
                self.records.pop((kind, name), None)
            else:
                self.records[kind, name] = Record(kind, name, body)

    def backup(self, path: str, pause: Callable[[], None]) -> None:
        raise StoreError("there is nothing to copy")

    def tidy(self) -> bool:
        return False

    def close(self) -> None:
        pass
