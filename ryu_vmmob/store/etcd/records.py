"""What an etcd store holds, kept in memory: what a record was before a write that is taken back, and what a bucket has."""

from __future__ import annotations

import json
from collections.abc import Iterable

from ryu_vmmob.store.base import Record, StoreError
from ryu_vmmob.store.etcd.layout import BUCKETS, Digest, Name, Row, bucket_of


class Records:
    """All records, by bucket. ``dirty``: the buckets that differ from what etcd has of them."""

    def __init__(self) -> None:
        self.digest = Digest()
        self.dirty: set[int] = set()
        self._buckets: list[dict[Name, str]] = [{} for _ in range(BUCKETS)]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def get(self, name: Name) -> str | None:
        """Return the body of a record as text; None when there is none."""
        return self._buckets[bucket_of(name)].get(name)

    def after(self, rows: Iterable[Row], count: int, digest: Digest) -> int:
        """Return how many records there are after ``rows``, of which no two are of one record; ``digest`` follows them."""
        for kind, name, body in rows:
            old = self.get((kind, name))
            if old is not None:
                digest.remove((kind, name), old)
                count -= 1
            if body is not None:
                digest.add((kind, name), body)
                count += 1
        return count

    def put(self, rows: Iterable[Row], digest: Digest | None = None, *, dirty: bool = True) -> None:
        """Carry out writes. ``digest``: what it is after them, where that is known."""
        rows = list(rows)
        if digest is None:
            for row in rows:
                self._count = self.after((row,), self._count, self.digest)
                self._set(row, dirty=dirty)
            return
        for row in rows:
            self._count += (row[2] is not None) - (self.get(row[:2]) is not None)
            self._set(row, dirty=dirty)
        self.digest = digest

    def _set(self, row: Row, *, dirty: bool) -> None:
        kind, name, body = row
        number = bucket_of((kind, name))
        if body is None:
            self._buckets[number].pop((kind, name), None)
        else:
            self._buckets[number][kind, name] = body
        if dirty:
            self.dirty.add(number)

    def bucket(self, number: int) -> list[Row]:
        """Return the rows of a bucket."""
        return [(kind, name, body) for (kind, name), body in self._buckets[number].items()]

    def size(self, number: int) -> int:
        """Return the characters of the bodies of a bucket."""
        return sum(map(len, self._buckets[number].values()))

    def rows(self) -> list[tuple[str, str, str]]:
        """Return all rows, by kind and name."""
        return sorted((kind, name, body) for bucket in self._buckets for (kind, name), body in bucket.items())

    def load(self) -> list[Record]:
        """Return all records, by kind and name. Raises StoreError where one cannot be read."""
        try:
            return [Record(kind, name, json.loads(body)) for kind, name, body in self.rows()]
        except ValueError as error:
            raise StoreError(f"a record of it cannot be read: {error}") from error
