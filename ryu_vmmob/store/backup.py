"""Copies of the default store: made of a running controller's, checked, and put into the place of a stopped one's.

A copy is one file, complete without a log, that says that it was closed; a controller opens it like any store.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote

from ryu_vmmob.store.base import Record, StoreError
from ryu_vmmob.store.codec import decode
from ryu_vmmob.store.migrate import migrated
from ryu_vmmob.store.sqlite import APPLICATION_ID, CLOSED, SCHEMA_VERSION, connect, make_folders, row_checksum, sync_to_disk

_PENDING_BYTE: Final = 0x40000000
_LOCK_BYTES: Final = 512
"""Where SQLite locks a database file: the pending byte, the reserved byte, the shared range (os.h of SQLite, PENDING_BYTE)."""


class Contents(NamedTuple):
    """The content of a copy: the number of its format, the revision, and how many objects there are of each kind."""

    format: int
    revision: int
    objects: Mapping[str, int]


def complete(path: str) -> Contents:
    """Make what `SqliteStore.backup` has written a store by itself, and check it as `inspect` does."""
    try:
        with contextlib.closing(connect(f"file:{quote(path)}?mode=rw")) as db:
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute(CLOSED)
    except sqlite3.Error as error:
        raise StoreError(f"copy {path}: {error}") from error
    return inspect(path)


def inspect(path: str) -> Contents:
    """Return what a copy holds; nothing is changed. Raises StoreError where a controller of this version would not open it."""
    _refuse_log(path)
    try:
        with contextlib.closing(connect(f"file:{quote(path)}?immutable=1")) as db:
            format_ = _format(db, path)
            faults = [text for (text,) in db.execute("PRAGMA integrity_check(3)")]
            if faults != ["ok"]:
                raise StoreError(f"{path} is damaged ({' '.join('; '.join(faults).split())})")
            if not _was_closed(db):
                raise StoreError(f"{path} was not closed, and its log is not beside it: it is no whole copy")
            heads = db.execute("SELECT revision FROM head").fetchall()
            records = list(_records(db, path))
    except sqlite3.Error as error:
        raise StoreError(f"{path} is no store: {error}") from error
    if len(heads) != 1:
        raise StoreError(f"{path} is damaged: its revision is missing")
    found = {(row.kind, row.name): row.body for row in records}
    for write in migrated(records, format_, SCHEMA_VERSION):
        if write.body is not None:
            found[write.kind, write.name] = write.body
    for (kind, name), body in found.items():
        decode(kind, name, body)
    return Contents(format_, heads[0][0], Counter(row.kind for row in records))


def _refuse_log(path: str) -> None:
    try:
        if not os.path.isfile(path):
            raise StoreError(f"{path} is no file")
        if os.path.lexists(f"{path}-wal") and os.path.getsize(f"{path}-wal"):
            raise StoreError(f"{path} has a log beside it, and a copy is one file: have a controller open and close it")
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error


def _format(db: sqlite3.Connection, path: str) -> int:
    ((owner,),) = db.execute("PRAGMA application_id")
    ((format_,),) = db.execute("PRAGMA user_version")
    if owner != APPLICATION_ID:
        raise StoreError(f"{path} is no store of a controller")
    if not 1 <= format_ <= SCHEMA_VERSION:
        raise StoreError(f"{path} has format {format_}, and this version reads 1 to {SCHEMA_VERSION}")
    return int(format_)


def _was_closed(db: sqlite3.Connection) -> bool:
    """Whether the file says so; those of the first version have no such note."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'life'").fetchone():
        return True
    return bool(db.execute("SELECT closed FROM life").fetchone() != (0,))


def _records(db: sqlite3.Connection, path: str) -> Iterator[Record]:
    for kind, name, revision, text, found in db.execute("SELECT kind, name, revision, body, checksum FROM record"):
        if found != row_checksum(kind, name, revision, text):
            raise StoreError(f"{path} is damaged: {kind} {name!r} does not match its checksum")
        yield Record(kind, name, json.loads(text))


def is_in_use(path: str) -> bool:
    """Whether another process has the store open: whether SQLite's lock on its file is held."""
    try:
        number = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.lockf(number, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCK_BYTES, _PENDING_BYTE)
    except BlockingIOError:
        return True
    finally:
        os.close(number)
    return False


def put_back(copy: str, path: str) -> str | None:
    """Put a copy into the place of the store at ``path``, which no process has open; return where what was there is kept.

    At no moment is there no store: a controller that starts meanwhile finds the old one, the new one, or one that it refuses.
    Raises StoreError.
    """
    inspect(copy)
    try:
        if is_in_use(path):
            raise StoreError(f"store {path}: a controller has it open; stop that first")
        folder = os.path.dirname(path)
        make_folders(folder)
        draft = f"{path}.restored"
        with open(copy, "rb") as source, open(draft, "wb") as target:
            while block := source.read(2**20):
                target.write(block)
        _own(draft, path if os.path.lexists(path) else folder)
        sync_to_disk(draft)
        kept = _keep(path)
        os.replace(draft, path)
        sync_to_disk(folder)
    except OSError as error:
        raise StoreError(f"store {path}: the copy cannot be put there: {error.strerror or error}") from error
    return kept


def _own(draft: str, like: str) -> None:
    """Give a file to the owner of another, and let no other user read it."""
    found = os.stat(like)
    if os.geteuid() == 0:
        os.chown(draft, found.st_uid, found.st_gid)
    os.chmod(draft, found.st_mode & 0o666)


def _keep(path: str) -> str | None:
    """Keep the store that is there under another name, its log first: without it the file is refused, and not opened empty."""
    log = f"{path}-wal"
    if not os.path.lexists(path) and not os.path.lexists(log):
        return None
    kept, number = f"{path}.before-restore", 1
    while os.path.lexists(kept) or os.path.lexists(f"{kept}-wal"):
        number += 1
        kept = f"{path}.before-restore.{number}"
    if os.path.lexists(log):
        os.rename(log, f"{kept}-wal")
    if os.path.lexists(path):
        os.link(path, kept)
    return kept
