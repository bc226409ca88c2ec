"""An archive as the kernel unpacks it at its start (cpio, "new ASCII" format), as a pure function of what is in it."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass

HEADER_FIELDS = 13
TRAILER = "TRAILER!!!"


@dataclass(frozen=True)
class Entry:
    """A file, directory, link or device. ``mode`` has the kind as `stat` writes it; ``device``: major and minor number."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def directory(name: str) -> Entry:
    """Return a directory that all may enter."""
    return Entry(name, stat.S_IFDIR | 0o755)


def program(name: str, data: bytes) -> Entry:
    """Return a file that can be executed."""
    return Entry(name, stat.S_IFREG | 0o755, data)


def link(name: str, target: str) -> Entry:
    """Return a symbolic link."""
    return Entry(name, stat.S_IFLNK | 0o777, target.encode())


def terminal(name: str, major: int, minor: int) -> Entry:
    """Return a character device."""
    return Entry(name, stat.S_IFCHR | 0o600, device=(major, minor))


def archive(entries: Iterable[Entry]) -> bytes:
    """Return the archive. All belongs to root and has the time 0, so equal contents give equal bytes."""
    parts = [_record(number, entry) for number, entry in enumerate(entries, start=1)]
    return b"".join([*parts, _record(0, Entry(TRAILER, 0))])


def _record(inode: int, entry: Entry) -> bytes:
    name = entry.name.encode() + b"\0"
    fields = (inode, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    if len(fields) != HEADER_FIELDS:
        raise AssertionError("a header has thirteen fields")
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
