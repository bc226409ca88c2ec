"""The default store: one SQLite file, held exclusively by one controller.

Write-ahead log with ``synchronous=FULL``: a commit is on the disk when it returns, unless no caller waits for it, and a process
or machine that dies in the middle of one leaves the state before it. Every row carries a checksum, because SQLite itself does
not notice damage inside a row.

While it is open the file says so (table `life`), and after a crash still. So a file that was not closed and has no log beside
it has lost the log, and with it perhaps what was acknowledged last: refused as well. And a file or log that is taken away
while the controller runs takes no commit any more: it would be gone with the process.

A file of an earlier format is made one of the present (`ryu_vmmob.store.migrate`) in one transaction; before that a copy of it
is kept beside it, which the earlier version can open.

A new file is made aside and linked into place when it is complete. So an empty file is never one of ours in the making
but a lost one, and is refused: an empty state would take every flow out of the switches.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import tempfile
import weakref
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby, islice
from typing import Final, NoReturn
from urllib.parse import quote

from ryu_vmmob.store.base import Record, StoreError, Write, text_of
from ryu_vmmob.store.migrate import UPGRADES, migrated

LOG = logging.getLogger(__name__)

APPLICATION_ID: Final = 0x764D4F42
"""``vMOB`` in the file's header: whose file this is."""
SCHEMA_VERSION: Final = 3
"""The present format. An earlier version refuses a newer one, so what it would not understand is not lost by it."""

_LIFE: Final = (
    "CREATE TABLE IF NOT EXISTS life (id INTEGER PRIMARY KEY CHECK (id = 0), closed INTEGER NOT NULL)",
    "INSERT OR IGNORE INTO life VALUES (0, 1)",
)
_ROWS: Final = 500
"""Rows in one statement. SQLite takes 32,766 values."""
_BACKUP_PAGES: Final = 64
"""Pages of 4 KiB copied in one piece: well under a millisecond."""
CLOSED: Final = "UPDATE life SET closed = 1"

_SCHEMA: Final = (
    """CREATE TABLE record (
        kind TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL, body TEXT NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (kind, name)
    ) WITHOUT ROWID""",
    "CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 0), revision INTEGER NOT NULL)",
    "INSERT INTO head VALUES (0, 0)",
    *_LIFE,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

_REASONS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "it is read-only here",
    sqlite3.SQLITE_PERM: "access is not permitted",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: see that the folder exists and may be written to",
    sqlite3.SQLITE_BUSY: "another process has it open: one store serves one controller",
    sqlite3.SQLITE_LOCKED: "another process has it open: one store serves one controller",
    sqlite3.SQLITE_NOTADB: "it is not a database",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore it from a copy",
}


class SqliteStore:
    """A store in the file at ``path`` (absolute), or in memory for None; StoreError when it cannot be used.

    Not for several native threads at once; the thread that opened it need not be the one that uses it.
    """

    blocks: Final = True

    def __init__(self, path: str | None) -> None:
        self.path = path
        self._revision = 0
        self._label = "store in memory" if path is None else f"store {path}"
        self._places: dict[str, tuple[int, int]] = {}
        self._waits = True
        if path is not None:
            self._provide(path)
        with self._translated():
            self._db = connect(":memory:") if path is None else connect(f"file:{quote(path)}?mode=rw")
        self._shut: Callable[[], None] = self._db.close
        try:
            self._open()
        except BaseException:
            self._shut()
            raise

    @property
    def revision(self) -> int:
        """See `Store`, here and below."""
        return self._revision

    def load(self) -> Iterable[Record]:
        """Read everything."""
        return [Record(kind, name, json.loads(text)) for kind, name, text in self._rows()]

    def commit(self, revision: int | None, writes: Iterable[Write], *, sync: bool = True) -> None:
        """Write all or nothing."""
        revision = self._revision if revision is None else revision
        if revision < self._revision:
            raise StoreError(f"{self._label}: revision {revision} is older than {self._revision}, which it has")
        # Encoded first: a value that JSON cannot hold must not leave half a transaction.
        rows = [(write.kind, write.name, *_encoded(write, revision)) for write in writes]
        self._check_places()
        with self._translated():
            self._wait_for_disk(sync=sync)
        with self._translated(), self._transaction():
            self._write(revision, rows)
            self._db.execute("UPDATE head SET revision = ?", (revision,))
        self._revision = revision

    def _write(self, revision: int, rows: Iterable[tuple[str, str, str | None, int]]) -> None:
        """Within a transaction: rows of kind, name, body as text (None: to delete) and checksum."""
        for is_deletion, group in groupby(rows, lambda row: row[2] is None):
            if is_deletion:
                for kind, name, _, _ in group:
                    self._db.execute("DELETE FROM record WHERE kind = ? AND name = ?", (kind, name))
                continue
            # Many rows in a statement: each statement gives the interpreter lock back and has to get it again.
            while piece := list(islice(group, _ROWS)):
                places = ", ".join(["(?, ?, ?, ?, ?)"] * len(piece))
                row = [value for kind, name, text, checksum in piece for value in (kind, name, revision, text, checksum)]
                self._db.execute(f"INSERT OR REPLACE INTO record VALUES {places}", row)  # noqa: S608

    def _wait_for_disk(self, *, sync: bool) -> None:
        """Whether commits do, from now on. With NORMAL the log is only written; the next one with FULL synchronises it."""
        if sync is not self._waits:
            self._db.execute(f"PRAGMA synchronous = {'FULL' if sync else 'NORMAL'}")
            self._waits = sync

    def backup(self, path: str, pause: Callable[[], None]) -> None:
        """Copy it to a new file by SQLite's backup interface, `_BACKUP_PAGES` at a time with a pause after each.

        What is committed in a pause by this store itself is in the copy (https://sqlite.org/c3ref/backup_finish.html).
        """
        with self._translated(), contextlib.closing(connect(f"file:{quote(path)}?mode=rwc")) as target:
            target.execute("PRAGMA synchronous = OFF")  # the client that stores the copy waits for its own disk
            self._db.backup(target, pages=_BACKUP_PAGES, progress=lambda *_: pause())

    def tidy(self) -> bool:
        """Do nothing: SQLite folds its log in by itself."""
        return False

    def close(self) -> None:
        """Close the file; the log is folded into it."""
        self._places = {}
        with self._translated():
            self._shut()

    def _provide(self, path: str) -> None:
        """See that there is a file; make one, complete or not at all."""
        try:
            if os.path.lexists(path):
                if os.path.isfile(path) and os.path.getsize(path) == 0:
                    self._refuse("the file is empty, so what it held is lost; restore it, or remove it to start empty")
                for place in (path, os.path.dirname(path)):  # the folder, because the log stands beside the file
                    if not os.access(place, os.R_OK):
                        self._refuse(f"{place} may not be read by this user")
                    if not os.access(place, os.W_OK):
                        self._refuse(f"{place} is read-only for this user")
                self._refuse_lost_log(path)
                return
            if os.path.lexists(f"{path}-wal"):
                # SQLite would play it back into the new file.
                self._refuse(f"the file is gone and its log {path}-wal is not; restore it, or remove the log to start empty")
            folder = os.path.dirname(path)
            make_folders(folder)
            with tempfile.TemporaryDirectory(prefix=".new-store-", dir=folder) as aside, self._translated():
                draft = os.path.join(aside, "draft")
                with contextlib.closing(connect(f"file:{quote(draft)}?mode=rwc")) as db:
                    for statement in _SCHEMA:
                        db.execute(statement)
                sync_to_disk(draft)
                with contextlib.suppress(FileExistsError):  # another controller was quicker: the lock decides
                    os.link(draft, path)
            sync_to_disk(folder)
        except OSError as error:
            self._refuse(f"{error.strerror or error} ({error.filename or path})", error)

    def _refuse_lost_log(self, path: str) -> None:
        if not os.path.isfile(path) or os.path.lexists(f"{path}-wal"):
            return
        closed = True
        # Read apart, so that nothing is made beside the file. What is wrong with it otherwise is told later.
        with contextlib.suppress(sqlite3.Error), contextlib.closing(connect(f"file:{quote(path)}?immutable=1")) as db:
            closed = db.execute("SELECT closed FROM life").fetchone() != (0,)
        if not closed:
            self._refuse(
                f"it was not closed, and its log {path}-wal is gone; put the log back, or restore both. Where another "
                f"program has folded the log in, as sqlite3 does, say so: sqlite3 {path} '{CLOSED}'"
            )

    def _check_places(self) -> None:
        """Refuse a commit to files that were moved or deleted: it would be lost with the process."""
        for place, number in self._places.items():
            try:
                found: tuple[int, int] | None = _file_number(place)
            except OSError:
                found = None
            if found != number:
                self._refuse(f"{place} was {'replaced' if found else 'taken away'} while it is in use; put it back")

    def _open(self) -> None:
        with self._translated():
            # Before the first access: the lock is then taken once and kept, also over the write-ahead log.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            if self.path is None:
                for statement in _SCHEMA:
                    self._db.execute(statement)
            self._check_identity()
            # Also when the process ends without closing: SQLite would fold the log in and say nothing in the file.
            self._shut = weakref.finalize(self, _shut, self._db)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("BEGIN EXCLUSIVE")
            self._db.execute("COMMIT")
            faults = [text for (text,) in self._db.execute("PRAGMA integrity_check(3)")]
            if faults != ["ok"]:
                told = " ".join("; ".join(faults).split())  # SQLite begins new lines
                self._refuse(f"it is damaged: restore it from a copy ({told})")
            heads = self._db.execute("SELECT revision FROM head").fetchall()
        if len(heads) != 1:
            self._refuse("it is damaged: its revision is missing; restore it from a copy")
        self._revision = heads[0][0]
        found = self._format()
        records = self.load()  # damage is found before anything is changed
        if found != SCHEMA_VERSION:
            self._migrate(found, records)
        if self.path is not None:
            with self._translated():
                self._mark_open()
            self._places = {place: _file_number(place) for place in (self.path, f"{self.path}-wal")}

    def _mark_open(self) -> None:
        """Note in the file itself, not in its log, that it is in use: the log may be what gets lost."""
        for statement in _LIFE:  # files made before there was such a note
            self._db.execute(statement)
        if self._db.execute("SELECT closed FROM life").fetchone() == (1,):
            self._db.execute("UPDATE life SET closed = 0")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _format(self) -> int:
        with self._translated():
            ((found,),) = self._db.execute("PRAGMA user_version")
        return int(found)

    def _migrate(self, found: int, records: Iterable[Record]) -> None:
        """Make it a store of the present format, all of it or nothing. What it was is kept, in a file of its own."""
        kept = self._keep_copy(found)
        writes = migrated(records, found, SCHEMA_VERSION)
        with self._translated(), self._transaction():
            self._write(self._revision, [(write.kind, write.name, *_encoded(write, self._revision)) for write in writes])
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        steps = "; ".join(UPGRADES[number].says for number in range(found, SCHEMA_VERSION))
        line = "%s: format %d is now format %d (%s): %d records written; as it was it is kept in %s"
        LOG.warning(line, self._label, found, SCHEMA_VERSION, steps, len(writes), kept)

    def _keep_copy(self, found: int) -> str:
        """Keep a copy of the file, its log folded in, beside it; never in the place of an earlier one."""
        path = self.path or ""
        kept, number = f"{path}.format-{found}", 1
        while os.path.lexists(kept):
            number += 1
            kept = f"{path}.format-{found}.{number}"
        draft = f"{kept}.draft"
        try:
            with contextlib.suppress(FileNotFoundError):
                os.remove(draft)
            with self._translated():
                self._db.execute("VACUUM INTO ?", (draft,))
                with contextlib.closing(connect(f"file:{quote(draft)}?mode=rw")) as db:
                    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'life'").fetchone():
                        db.execute(CLOSED)  # complete, whatever became of the file it was made from
            os.chmod(draft, os.stat(path).st_mode & 0o777)
            sync_to_disk(draft)
            os.rename(draft, kept)
            sync_to_disk(os.path.dirname(path))
        except (OSError, StoreError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error).removeprefix(f"{self._label}: ")
            self._refuse(f"its format {found} has to become {SCHEMA_VERSION}, and no copy can be kept first: {reason}", error)
        return kept

    def _check_identity(self) -> None:
        ((owner,),) = self._db.execute("PRAGMA application_id")
        version = self._format()
        if owner != APPLICATION_ID:
            self._refuse("it is a database of some other program")
        if version > SCHEMA_VERSION:
            self._refuse(f"its format {version} is newer than {SCHEMA_VERSION}, the newest this version reads")
        if version != SCHEMA_VERSION and version not in UPGRADES:
            self._refuse(f"its format {version} is not known")

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        """(kind, name, body as text) of every record, each held against its checksum."""
        with self._translated():
            rows = self._db.execute("SELECT kind, name, revision, body, checksum FROM record ORDER BY kind, name").fetchall()
        for kind, name, revision, text, checksum in rows:
            if checksum != row_checksum(kind, name, revision, text):
                self._refuse(f"it is damaged: {kind} {name!r} does not match its checksum; restore it from a copy")
            yield kind, name, text

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # A failed COMMIT may have ended the transaction by itself, and the first error is the one to tell.
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            # The low byte is the kind of error, the rest says more about it.
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            self._refuse(_REASONS.get(code, str(error)), error)

    def _refuse(self, reason: str, cause: BaseException | None = None) -> NoReturn:
        raise StoreError(f"{self._label}: {reason}") from cause


def connect(uri: str) -> sqlite3.Connection:
    """Open a database by its URI; the caller begins and ends transactions."""
    # isolation_level None: transactions are where BEGIN and COMMIT stand. timeout 0: a locked store is refused at once.
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=0, check_same_thread=False)


def _encoded(write: Write, revision: int) -> tuple[str | None, int]:
    """Return a write's body as text (None: to delete) and its checksum."""
    text = text_of(write)
    try:
        return (None if write.body is None else text), row_checksum(write.kind, write.name, revision, text)
    except ValueError as error:  # half of a surrogate pair
        raise StoreError(f"{write.kind} {write.name!r} cannot be stored: {error}") from error


def row_checksum(kind: str, name: str, revision: int, text: str) -> int:
    """Return the checksum of a row."""
    return zlib.crc32(f"{kind}\0{name}\0{revision}\0{text}".encode())


def make_folders(folder: str) -> None:
    """Create what is missing of ``folder``, so that it is still there after a power cut."""
    if os.path.isdir(folder):
        return
    above = os.path.dirname(folder)
    make_folders(above)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o750)
    sync_to_disk(above)


def _shut(db: sqlite3.Connection) -> None:
    """Close in good order. Where there is no room to say so it stays as a crash leaves it, with its log."""
    with contextlib.suppress(sqlite3.Error):
        db.execute(CLOSED)
    db.close()


def _file_number(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def sync_to_disk(path: str) -> None:
    """Wait until a file or a folder is on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
