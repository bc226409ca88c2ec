"""The opening of an etcd store: made where there is none, read, held against its digest, cleared of what a crash left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ryu_vmmob.store.base import StoreError
from ryu_vmmob.store.etcd.gateway import Gateway, absent, delete, put, same
from ryu_vmmob.store.etcd.layout import FORMAT, Digest, Entry, Epoch, Format, Head, Keys, parted, read, text, unpacked
from ryu_vmmob.store.etcd.records import Records
from ryu_vmmob.store.migrate import UPGRADES
from ryu_vmmob.store.sqlite import SCHEMA_VERSION

_PAGE_OF_VALUES: Final = 16
"""Values of up to 1 MB in one answer; of the log, whose values are small, more."""
_PAGE_OF_LOG: Final = 256
_PAGE_OF_NAMES: Final = 5000
_RANGES_AT_ONCE: Final = 64


@dataclass
class Found:
    """An opened store. ``logged``: the commits of the log, with the token of those in parts; ``logged_bytes``: of all."""

    format: Format
    records: Records
    head: Head
    base: int
    logged: dict[int, str | None]
    logged_bytes: int


def provide(gateway: Gateway, keys: Keys, until: float, *, create: bool) -> None:
    """See that there is a store of a known format. Raises StoreError."""
    (found,) = gateway.read((keys.format,), until)
    if found is None:
        if not create:
            raise StoreError("there is none")
        if gateway.range(*keys.all, until, limit=1, keys_only=True):
            raise StoreError("its prefix has keys of another program: choose another prefix")
        none = Epoch(0, "none", "", 0, "")
        head = Head(0, 0, "none", 0, str(Digest()))
        first = [
            put(keys.format, text(Format(FORMAT, SCHEMA_VERSION, SCHEMA_VERSION))), put(keys.epoch, text(none)),
            put(keys.head, text(head)), put(keys.base, b"0"),
        ]  # fmt: skip
        gateway.txn([absent(keys.format)], first, (), until)  # another controller was quicker: the owner's key decides
        (found,) = gateway.read((keys.format,), until)
    _refuse_format(read(Format, found))


def _refuse_format(found: Format) -> None:
    if found.layout != FORMAT:
        raise StoreError(f"the format {found.layout} of its keys is not {FORMAT}, which this version reads")
    if found.least > SCHEMA_VERSION:
        raise StoreError(f"its format {found.least} is newer than {SCHEMA_VERSION}, the newest this version reads")
    if found.records != SCHEMA_VERSION and found.records not in UPGRADES:
        raise StoreError(f"its format {found.records} is not known")


def load(gateway: Gateway, keys: Keys, until: float) -> Found:
    """Read everything. Raises StoreError where it is not what its head says. The caller has claimed it: it does not change."""
    format_, base, head_ = gateway.read((keys.format, keys.base, keys.head), until)
    head = read(Head, head_)
    if base is None or not base.isdigit():
        raise StoreError("it is damaged: its base is missing; restore it")
    records = Records()
    for pair in gateway.pages(*keys.buckets, until, page=_PAGE_OF_VALUES):
        records.put(unpacked(pair.value), dirty=False)
    found = Found(read(Format, format_), records, head, int(base), {}, 0)
    for pair in gateway.pages(keys.log(found.base + 1), keys.logs[1], until, page=_PAGE_OF_LOG):
        entry, body = parted(pair.value)
        if entry.seq != found.base + len(found.logged) + 1:
            raise StoreError(f"it is damaged: commit {found.base + len(found.logged) + 1} is missing; restore it")
        size = _replay(gateway, keys, records, entry, body, until)
        found.logged[entry.seq] = entry.token if entry.parts else None
        found.logged_bytes += size
    last = max(found.logged, default=found.base)
    if (last, len(records), str(records.digest)) != (head.seq, head.records, head.digest):
        raise StoreError(
            f"it is damaged: it has commit {last} and {len(records)} records, and its head says commit {head.seq} and "
            f"{head.records} records" + ("; restore it" if last != head.seq else ", or their digest differs; restore it")
        )
    return found


def _replay(gateway: Gateway, keys: Keys, records: Records, entry: Entry, body: bytes, until: float) -> int:
    """Carry out a commit of the log; its bytes."""
    if not entry.parts:
        records.put(unpacked(body))
        return len(body)
    parts = gateway.pages(*keys.parts_of(entry.token), until, page=_PAGE_OF_VALUES)
    if [pair.key for pair in parts] != [keys.part(entry.token, number) for number in range(entry.parts)]:
        raise StoreError(f"it is damaged: parts of commit {entry.seq} are missing; restore it")
    for pair in parts:
        records.put(unpacked(pair.value))
    return sum(len(pair.value) for pair in parts)


def clean(gateway: Gateway, keys: Keys, found: Found, mark: bytes, until: float) -> None:
    """Delete what a process that was killed has left: parts of commits that were never made, and a log already folded."""
    used = set(found.logged.values())
    names = gateway.pages(*keys.parts, until, page=_PAGE_OF_NAMES, keys_only=True)
    strays = sorted({keys.token_of(pair.key) for pair in names} - used)
    _delete(gateway, keys, mark, [keys.parts_of(token) for token in strays], until)
    if gateway.range(keys.logs[0], keys.log(found.base + 1), until, limit=1, keys_only=True):
        _delete(gateway, keys, mark, [(keys.logs[0], keys.log(found.base + 1))], until)


def _delete(gateway: Gateway, keys: Keys, mark: bytes, ranges: Sequence[tuple[str, str]], until: float) -> None:
    for first in range(0, len(ranges), _RANGES_AT_ONCE):
        some = [delete(*bounds) for bounds in ranges[first : first + _RANGES_AT_ONCE]]
        gateway.txn([same(keys.epoch, mark)], some, (), until)
