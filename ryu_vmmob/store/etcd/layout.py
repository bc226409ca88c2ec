"""The keys of an etcd store, and their values. Pure.

========================== =============================================================================================
key, after the prefix      value
========================== =============================================================================================
``/format``                the format of these keys, and that of the records (`Format`)
``/epoch``                 the number of the last opening, and who opened it (`Epoch`)
``/owner``                 the same text as ``/epoch``, under a lease: there while that process lives
``/head``                  the last commit (`Head`)
``/log/SEQ``               one key for each commit (`Entry`), put in the transaction that moves the head
``/parts/TOKEN/N``         the writes of a commit that is too large for one request, put before that transaction
``/base``                  SEQ: everything up to it is in the buckets
``/bucket/N``              the records whose kind and name hash to N, as of some commit from the base to the head
========================== =============================================================================================

SEQ counts commits, also those that leave the revision as it is. A reader takes the buckets, then the log from the base on, in
order: a record in a bucket may be newer than the base, and the log then says the same again. A follower watches ``/log/``: each
commit is one event there, whose parts are there already.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final, NamedTuple, TypeVar

from ryu_vmmob.store.base import StoreError

FORMAT: Final = 1
"""Of the keys. Another one is refused."""
BUCKETS: Final = 256
MOST_BYTES: Final = 1_000_000
"""Of one value. etcd takes 1.5 MiB a request (``--max-request-bytes``)."""
PIECE: Final = 1_000_000
"""Characters of records that become one part: some 10 ms of work, and far less than `MOST_BYTES` when they are compressed."""

Name = tuple[str, str]
"""Kind and name."""
Row = tuple[str, str, str | None]
"""Kind, name, and the body as text; None deletes."""
_T = TypeVar("_T", bound="Format | Epoch | Head | Entry")


class Format(NamedTuple):
    """``layout`` of the keys, and the number of the records' format (`store.sqlite.SCHEMA_VERSION`).

    ``least``: the format of the records that a reader has to know. It is more than ``records`` while an upgrade is under way.
    """

    layout: int
    records: int
    least: int


class Epoch(NamedTuple):
    """The number of an opening, its token, and the process. ``alone`` tells the process from any other on its machine."""

    number: int
    token: str
    host: str
    pid: int
    alone: str


class Head(NamedTuple):
    """The last commit. ``records`` and ``digest`` are of all records after it; ``fence`` makes a lost commit impossible."""

    seq: int
    revision: int
    token: str
    records: int
    digest: str
    fence: int = 0


class Entry(NamedTuple):
    """A commit. ``parts`` 0: its writes stand behind this text. ``undoes``: it takes an earlier one back."""

    seq: int
    revision: int
    epoch: int
    token: str
    writes: int
    parts: int
    records: int
    digest: str
    undoes: int | None = None

    def head(self) -> Head:
        """Return the head after it."""
        return Head(self.seq, self.revision, self.token, self.records, self.digest)


class Keys:
    """The names of the keys under a prefix."""

    def __init__(self, prefix: str) -> None:
        self.all = (f"{prefix}/", f"{prefix}0")
        self.format = f"{prefix}/format"
        self.epoch = f"{prefix}/epoch"
        self.owner = f"{prefix}/owner"
        self.head = f"{prefix}/head"
        self.base = f"{prefix}/base"
        self.logs = (f"{prefix}/log/", f"{prefix}/log0")
        self.parts = (f"{prefix}/parts/", f"{prefix}/parts0")
        self.buckets = (f"{prefix}/bucket/", f"{prefix}/bucket0")

    def log(self, seq: int) -> str:
        """Return the key of a commit. Their order is that of the numbers."""
        return f"{self.logs[0]}{seq:016d}"

    def part(self, token: str, number: int) -> str:
        """Return the key of a part of a commit."""
        return f"{self.parts[0]}{token}/{number:05d}"

    def parts_of(self, token: str) -> tuple[str, str]:
        """Return the range of all parts of a commit."""
        return f"{self.parts[0]}{token}/", f"{self.parts[0]}{token}0"

    def token_of(self, part: str) -> str:
        """Return whose part a key is."""
        return part.removeprefix(self.parts[0]).partition("/")[0]

    def bucket(self, number: int) -> str:
        """Return the key of a bucket."""
        return f"{self.buckets[0]}{number:03d}"


def text(value: _T) -> bytes:
    """Return a value's text; the same value has the same text."""
    return json.dumps(value._asdict(), separators=(",", ":"), sort_keys=True).encode()


def read(type_: type[_T], found: bytes | None) -> _T:
    """Return the value of a text. Raises StoreError where it is none."""
    try:
        return type_(**json.loads(found or b""))
    except (ValueError, TypeError) as error:
        raise StoreError(f"its {type_.__name__.lower()} cannot be read: {error}") from error


def joined(entry: Entry, packed: bytes) -> bytes:
    """Return the value of a commit's key."""
    return text(entry) + b"\n" + packed


def parted(found: bytes) -> tuple[Entry, bytes]:
    """Return the inverse of `joined`. Raises StoreError."""
    head, _, packed = found.partition(b"\n")
    return read(Entry, head), packed


def pieces(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield rows in pieces that each fit one value."""
    piece: list[Row] = []
    size = 0
    for row in rows:
        piece.append(row)
        size += len(row[0]) + len(row[1]) + len(row[2] or "")
        if size >= PIECE:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def packed(rows: Iterable[Row]) -> bytes:
    """Return rows as the bytes of a value. Raises StoreError where they are too many for one."""
    lines = "\n".join(f"{json.dumps(kind)}\t{json.dumps(name)}\t{body or ''}" for kind, name, body in rows)
    found = zlib.compress(lines.encode(), 1)
    if len(found) > MOST_BYTES:
        raise StoreError(f"{len(found)} bytes are too many for one value in etcd, which takes {MOST_BYTES}")
    return found


def unpacked(found: bytes) -> Iterator[Row]:
    """Yield the inverse of `packed`. Raises StoreError."""
    try:
        lines = zlib.decompress(found).decode()
        for line in lines.split("\n") if lines else ():
            kind, name, body = line.split("\t", 2)
            yield json.loads(kind), json.loads(name), body or None
    except (ValueError, zlib.error) as error:
        raise StoreError(f"a part of it is damaged: {error}") from error


def bucket_of(name: Name) -> int:
    """Return the number of the bucket that a record belongs to."""
    return zlib.crc32(f"{name[0]}\0{name[1]}".encode()) % BUCKETS


class Digest:
    """A digest of a set of records: it does not depend on their order, and follows each change at once."""

    _SIZE = 16

    def __init__(self, value: str = "0") -> None:
        self._sum = int(value, 16)

    def copy(self) -> Digest:
        """Return another one that goes on from here."""
        return Digest(str(self))

    def add(self, name: Name, body: str) -> None:
        """Take a record in."""
        self._sum = (self._sum + self._of(name, body)) % (1 << (8 * self._SIZE))

    def remove(self, name: Name, body: str) -> None:
        """Take a record out."""
        self._sum = (self._sum - self._of(name, body)) % (1 << (8 * self._SIZE))

    def __str__(self) -> str:
        return f"{self._sum:032x}"

    def _of(self, name: Name, body: str) -> int:
        return int.from_bytes(blake2b(f"{name[0]}\0{name[1]}\0{body}".encode(), digest_size=self._SIZE).digest(), "big")
