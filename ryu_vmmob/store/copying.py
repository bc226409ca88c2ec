"""A store copied into another one of any kind, and checked there."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import NamedTuple

from ryu_vmmob.store import Access, open_store
from ryu_vmmob.store.base import Record, StoreError, Write, text_of
from ryu_vmmob.store.etcd.address import NO_ACCESS
from ryu_vmmob.store.etcd.layout import Digest


class Copied(NamedTuple):
    """What both stores hold: the revision, the number of records, and the digest of them (32 hexadecimal digits)."""

    revision: int
    records: int
    digest: str


def copy(source: str, target: str, access: Access = NO_ACCESS) -> Copied:
    """Copy what the store at URL ``source`` holds into an empty one at ``target``, in one commit. ``access`` is for etcd.

    A source of an earlier format becomes one of the present first, as when a controller opens it. Raises StoreError where one
    of them cannot be opened or has a controller, where the target has something, and where it holds something else afterwards.
    """
    for url in (source, target):
        if url.endswith(":memory:"):
            raise StoreError(f"store {url!r}: it ends with its process, so there is nothing to copy")
    if source == target:
        raise StoreError(f"store {source!r}: it is both source and target")
    with closing(open_store(source, access, create=False)) as store:
        records = list(store.load())
        found = _summed(store.revision, records)
        with closing(open_store(target, access)) as other:
            if other.revision or list(other.load()):
                raise StoreError(f"store {target!r}: it is not empty (revision {other.revision}), and nothing was copied")
            other.commit(found.revision, [Write(*record) for record in records])
    with closing(open_store(target, access, create=False)) as other:
        there = _summed(other.revision, other.load())
    if there != found:
        raise StoreError(f"store {target!r}: it holds {there.records} records, digest {there.digest}, and not what was copied")
    return found


def _summed(revision: int, records: Iterable[Record]) -> Copied:
    digest, count = Digest(), 0
    for record in records:
        digest.add((record.kind, record.name), text_of(Write(*record)))
        count += 1
    return Copied(revision, count, str(digest))
