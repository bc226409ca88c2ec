"""The store on etcd, held by one controller.

Goals, and how each is met:

1. *A commit is whole and durable.* What is too large for one request is put first, in parts, under a token that no other commit
   has. Then one transaction compares the epoch and the head, puts the commit's key in the log and moves the head. Without it no
   reader looks at the parts; the next opening deletes them.
2. *An answer that did not come is not guessed.* The same transaction is sent again, to the next member: it can succeed only
   once, and when it fails, the log says whether it was carried out before. Where no member answers in time, the commit is
   refused and stays open. Before the next one the head is fenced, so that the open one cannot be carried out any more; where it
   was, it is taken back.
3. *One writes.* See `ryu_vmmob.store.etcd.owner`.
4. *A restored etcd is noticed*: epoch or head went back, or the cluster's id is another one (`ryu_vmmob.store.etcd.gateway`).
   Nothing is written any more until a restart.
5. *It stays small.* `tidy` puts changed buckets, moves the base, deletes the log before it and compacts etcd's history.

Network waits are those of `socket`: under eventlet other green threads run. Not for several threads at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple, NoReturn

from ryu_vmmob.store.base import Record, StoreError, Write, text_of
from ryu_vmmob.store.etcd import opening
from ryu_vmmob.store.etcd.address import NO_ACCESS, Access, parse
from ryu_vmmob.store.etcd.gateway import Gateway, RefusedError, UnavailableError, delete, put, same
from ryu_vmmob.store.etcd.layout import (
    FORMAT,
    Digest,
    Entry,
    Epoch,
    Format,
    Head,
    Keys,
    Row,
    joined,
    packed,
    parted,
    pieces,
    read,
    text,
)  # fmt: skip
from ryu_vmmob.store.etcd.owner import Owner
from ryu_vmmob.store.migrate import UPGRADES, migrated
from ryu_vmmob.store.sqlite import SCHEMA_VERSION, SqliteStore

LOG = logging.getLogger(__name__)

COMMIT_SECONDS: Final = 8.0
"""A commit is refused after so long without an answer. An etcd that elects a leader takes 1 to 3 s."""
AGAIN_SECONDS: Final = 2.5
"""The same while no member has answered the last one: a line of commands would wait so long for each."""
OPEN_SECONDS: Final = 20.0
AFTER_FAILURE: Final = 1.0
"""Seconds after a commit without an answer in which the next ones are refused at once: they would wait in line."""
LOOK_SECONDS: Final = 3.0
"""Between two looks at head and epoch, when nothing is committed."""
LOG_ENTRIES: Final = 1000
LOG_BYTES: Final = 16 * 1024 * 1024
"""A log longer than one of the two is folded into the buckets."""
_IN_ONE_PUT: Final = 400_000
"""Characters of the buckets that are put in one transaction, and `_KEYS_IN_ONE_PUT` of them: etcd takes 128 operations."""
_KEYS_IN_ONE_PUT: Final = 64
_BACKUP_ROWS: Final = 500


class _Open(NamedTuple):
    """A commit of which it is not known whether it was carried out."""

    entry: Entry
    head: bytes
    rows: list[Row]


class EtcdStore:
    """The store at ``url``; StoreError when it cannot be used. ``create``: one that is not there is made.

    ``clock`` is steady, in seconds.
    """

    blocks: Final = False

    def __init__(
        self, url: str, access: Access = NO_ACCESS, *, create: bool = True,
        clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        place = parse(url, access)
        self._label = f"store {place}"
        self._gateway = Gateway(place, access, clock, sleep)
        self._keys = Keys(place.prefix)
        self._owner = Owner(self._gateway, self._keys)
        self._clock = clock
        self._open: _Open | None = None
        self._back: tuple[list[Row], int] | None = None
        """What takes a commit back that was refused and carried out all the same, and the number of that commit."""
        self._fault: str | None = None
        self._silent: tuple[float, str] | None = None
        """Until when commits are refused at once, and why."""
        self._attempts = 0
        self._looked = clock()
        self._folding: tuple[int, list[int]] | None = None
        self._compact_to = 0
        with self._labelled():
            try:
                opening.provide(self._gateway, self._keys, clock() + OPEN_SECONDS, create=create)
                self._owner.claim(clock() + OPEN_SECONDS)
                self._found = opening.load(self._gateway, self._keys, clock() + 10 * OPEN_SECONDS)
                self._records, self._head = self._found.records, self._found.head
                self._revision = self._head.revision
                opening.clean(self._gateway, self._keys, self._found, self._owner.mark, clock() + OPEN_SECONDS)
                self._migrate(self._found.format.records)
            except BaseException:
                with suppress(StoreError):
                    self._owner.release(clock() + 2.0)
                self._gateway.close()
                raise

    @property
    def revision(self) -> int:
        """See `Store`, here and below."""
        return self._revision

    def load(self) -> Iterable[Record]:
        """Every record, of what this process has read at its opening and written since."""
        with self._labelled():
            return self._records.load()

    def commit(self, revision: int | None, writes: Iterable[Write], *, sync: bool = True) -> None:
        """Carry out all writes or none; ``sync`` makes no difference, the members of etcd always wait for their disks."""
        del sync
        with self._labelled():
            revision = self._revision if revision is None else revision
            if revision < self._revision:
                raise StoreError(f"revision {revision} is older than {self._revision}, which it has")
            rows = _encoded(writes)
            self._refuse_early()
            with self._failing():
                self._settle()
                if not rows and revision == self._revision:
                    self._look()
                    return
                self._write(revision, rows)
                self._revision = revision
        if len(self._found.logged) > 4 * LOG_ENTRIES or self._found.logged_bytes > 4 * LOG_BYTES:
            with suppress(StoreError):  # the commit stands
                while self._fold():  # nothing tidies up, and the log would fill etcd
                    pass

    def tidy(self) -> bool:
        """Renew the lease, see that the store is still this process's, fold a piece of a long log; whether there is more."""
        with self._labelled():
            self._refuse_early()
            with self._failing():
                self._owner.renew(self._until())
                if self._clock() - self._looked >= LOOK_SECONDS:
                    self._settle()
                    self._look()
                return self._fold()

    def backup(self, path: str, pause: Callable[[], None]) -> None:
        """Write the records of this moment into a new SQLite store, some hundred at a time."""
        rows, revision = self._records.rows(), self.revision
        copy = SqliteStore(path)
        try:
            for first in range(0, max(len(rows), 1), _BACKUP_ROWS):
                piece = rows[first : first + _BACKUP_ROWS]
                copy.commit(revision, [Write(kind, name, {}, body) for kind, name, body in piece], sync=False)
                pause()
        finally:
            copy.close()

    def close(self) -> None:
        """Let the next controller in; without an etcd that answers, it has to wait for the end of the lease."""
        if self._fault != "it is closed":
            self._fault = "it is closed"
            with suppress(StoreError):
                self._owner.release(self._clock() + 2.0)
            self._gateway.close()

    # Commits

    def _write(self, revision: int, rows: list[Row], undoes: int | None = None) -> None:
        """Put a commit into the log, and take it into memory."""
        self._attempts += 1
        token = f"{self._owner.epoch.number}-{self._owner.epoch.token}-{self._attempts}"
        digest, count = self._records.digest.copy(), len(self._records)
        body, parts = packed(()), 0
        for piece in pieces(rows):
            count = self._records.after(piece, count, digest)
            body = packed(piece)
            if len(piece) < len(rows):  # one of several
                self._put_mine([put(self._keys.part(token, parts), body)])
                self._found.logged_bytes += len(body)
                body, parts = b"", parts + 1
        seq = self._head.seq + 1
        entry = Entry(seq, revision, self._owner.epoch.number, token, len(rows), parts, count, str(digest), undoes)
        before = text(self._head)
        then = [put(self._keys.log(seq), joined(entry, body)), put(self._keys.head, text(entry.head()))]
        keys = (self._keys.epoch, self._keys.head, self._keys.log(seq))
        # From here on until there is an answer, it may have been carried out.
        self._open = _Open(entry, before, rows)
        done, found = self._gateway.txn([self._mine(), same(self._keys.head, before)], then, keys, self._until())
        if not done and not _is_of(found[2], token):  # in the log it is, when an earlier request's answer was lost
            self._refuse_taken(found[0], found[1])
        self._open = None
        self._adopt(entry, rows, len(body))

    def _adopt(self, entry: Entry, rows: Sequence[Row], size: int) -> None:
        self._head = entry.head()
        self._records.put(rows, Digest(entry.digest))
        self._found.logged[entry.seq] = entry.token if entry.parts else None
        self._found.logged_bytes += size
        self._looked = self._clock()

    def _settle(self) -> None:
        """See that a commit without an answer is not there: it was refused, so it must not come back."""
        if self._open is not None:
            self._find_out(self._open)
            self._open = None
        if self._back is not None:
            rows, undoes = self._back
            self._write(self._revision, rows, undoes)
            self._back = None

    def _find_out(self, lost: _Open) -> None:
        """Fence a commit, so that it cannot be carried out any more; or take it in, where it was."""
        old = read(Head, lost.head)
        fenced = old._replace(fence=old.fence + 1)
        keys = (self._keys.epoch, self._keys.head, self._keys.log(lost.entry.seq))
        done, found = self._gateway.txn(
            [self._mine(), same(self._keys.head, lost.head)], [put(self._keys.head, text(fenced))], keys, self._until()
        )
        if done or found[1] == text(fenced):
            self._head = fenced
            return
        if not _is_of(found[2], lost.entry.token):
            self._refuse_taken(found[0], found[1])
        if lost.entry.undoes is None:
            line = "%s: a commit that was refused for want of an answer had been carried out; it is taken back (commit %d)"
            LOG.warning(line, self._label, lost.entry.seq)
            self._back = [(kind, name, self._records.get((kind, name))) for kind, name, _ in lost.rows], lost.entry.seq
        else:
            self._back = None
        self._adopt(lost.entry, lost.rows, 0)

    def _mine(self) -> dict[str, Any]:
        return same(self._keys.epoch, self._owner.mark)

    def _refuse_taken(self, epoch: bytes | None, head: bytes | None) -> NoReturn:
        """Say why a transaction of ours did not hold. Nothing is written any more by this process."""
        ours = self._owner.epoch.number
        if epoch is None or head is None:
            self._fault = "its keys are gone from etcd: restore it, and restart this controller"
        else:
            now, last = read(Epoch, epoch), read(Head, head)
            if now.number < ours or last.seq < self._head.seq:
                self._fault = (
                    f"etcd went back: it has opening {now.number} and commit {last.seq}, and this process knows opening {ours} "
                    f"and commit {self._head.seq}. It was restored from a backup: see docs/etcd.md, then restart the controller"
                )
            elif now.token != self._owner.epoch.token:
                self._fault = (
                    f"another controller (process {now.pid} on {now.host}, opening {now.number}) has taken it over: this one "
                    f"(opening {ours}) writes nothing any more"
                )
            else:
                self._fault = f"another program changed its head: it has commit {last.seq}, and {self._head.seq} was the last"
        raise StoreError(self._fault)

    def _until(self) -> float:
        """Return the end of the time in which a request must be answered."""
        return self._clock() + (COMMIT_SECONDS if self._silent is None else AGAIN_SECONDS)

    def _look(self) -> None:
        """Refuse what is not this process's any more."""
        epoch, head = self._gateway.read((self._keys.epoch, self._keys.head), self._until())
        if epoch != self._owner.mark or head != text(self._head):
            self._refuse_taken(epoch, head)
        self._looked = self._clock()

    def _refuse_early(self) -> None:
        if self._fault is not None:
            raise StoreError(self._fault)
        if self._silent is not None and self._clock() < self._silent[0]:
            raise StoreError(self._silent[1])

    # A short log

    def _fold(self) -> bool:
        """Put some of the changed buckets of a long log; when all are there, delete the log. Whether there is more to do."""
        if self._folding is None:
            if len(self._found.logged) < LOG_ENTRIES and self._found.logged_bytes < LOG_BYTES:
                return False
            self._folding = self._head.seq, sorted(self._records.dirty)
            self._records.dirty = set()
            return True
        seq, buckets = self._folding
        some = self._some(buckets)
        try:
            if some:
                values = [put(self._keys.bucket(number), packed(self._records.bucket(number))) for number in some]
                self._put_mine(values)
                del buckets[: len(some)]
                return True
            self._put_mine([put(self._keys.base, str(seq).encode())])
        except BaseException:
            self._records.dirty.update(buckets)
            self._folding = None
            raise
        self._folding = None
        self._forget(seq)
        return False

    def _some(self, buckets: Sequence[int]) -> list[int]:
        some: list[int] = []
        size = 0
        for number in buckets[:_KEYS_IN_ONE_PUT]:
            size += self._records.size(number)
            if some and size > _IN_ONE_PUT:
                break
            some.append(number)
        return some

    def _put_mine(self, values: Sequence[dict[str, Any]]) -> None:
        done, found = self._gateway.txn([self._mine()], values, (self._keys.epoch, self._keys.head), self._until())
        if not done:
            self._refuse_taken(found[0], found[1])

    def _forget(self, seq: int) -> None:
        """Delete the log up to ``seq``, and let etcd forget what was before the fold before this one."""
        gone = {number: token for number, token in self._found.logged.items() if number <= seq}
        ranges = [delete(self._keys.logs[0], self._keys.log(seq + 1))]
        ranges += [delete(*self._keys.parts_of(token)) for token in gone.values() if token is not None]
        for first in range(0, len(ranges), _KEYS_IN_ONE_PUT):
            self._put_mine(ranges[first : first + _KEYS_IN_ONE_PUT])
        self._found.logged = {number: token for number, token in self._found.logged.items() if number > seq}
        self._found.logged_bytes = 0  # what came meanwhile is counted with the next fold's
        older, self._compact_to = self._compact_to, self._gateway.revision
        if older:
            try:
                self._gateway.call("kv/compaction", {"revision": str(older)}, self._until())
            except RefusedError as error:  # compacted by another program already, or by root only
                LOG.info("%s: its history is not compacted: %s", self._label, error)

    def _migrate(self, found: int) -> None:
        """Make the records those of the present format, in one commit."""
        if found == SCHEMA_VERSION:
            return
        writes = migrated(self._records.load(), found, SCHEMA_VERSION)
        # The format first: an earlier version must not read records of the present one. The upgrades may be run twice.
        self._put_mine([put(self._keys.format, text(Format(FORMAT, found, SCHEMA_VERSION)))])
        self._write(self._revision, _encoded(writes))
        self._put_mine([put(self._keys.format, text(Format(FORMAT, SCHEMA_VERSION, SCHEMA_VERSION)))])
        steps = "; ".join(UPGRADES[number].says for number in range(found, SCHEMA_VERSION))
        LOG.warning("%s: format %d is now format %d (%s)", self._label, found, SCHEMA_VERSION, steps)

    # Errors

    @contextmanager
    def _labelled(self) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            raise StoreError(f"{self._label}: {str(error).removeprefix(f'{self._label}: ')}") from error

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Remember for a moment that no member answered."""
        try:
            yield
        except UnavailableError as error:
            self._silent = self._clock() + AFTER_FAILURE, str(error)
            raise
        self._silent = None


def _encoded(writes: Iterable[Write]) -> list[Row]:
    """Return the rows of writes, one for each object: of several the last counts. Raises StoreError."""
    rows: dict[tuple[str, str], str | None] = {}
    for write in writes:
        body = text_of(write)
        try:
            f"{write.kind}{write.name}".encode()
        except ValueError as error:  # half of a surrogate pair
            raise StoreError(f"{write.kind} {write.name!r} cannot be stored: {error}") from error
        rows[write.kind, write.name] = None if write.body is None else body
    return [(kind, name, body) for (kind, name), body in rows.items()]


def _is_of(value: bytes | None, token: str) -> bool:
    """Whether a commit in the log is that of ``token``."""
    return value is not None and parted(value)[0].token == token
