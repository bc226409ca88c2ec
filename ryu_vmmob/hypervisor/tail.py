"""The last frames that reached a paused VM's taps: which of them the VM has not read. Pure; time comes in.

The VM has read what reached a tap before it stopped, and nothing of what came later. So frames are kept for a short while,
until it is known when it stopped, and those that are older than that are forgotten. The last few of those are in doubt until it
is known how many the guest got.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

BEFORE_SECONDS: Final = 2.0
"""How long a frame is kept while it is not known that the VM has paused: the news takes some milliseconds."""
BEFORE_BYTES: Final = 8 * 2**20
AFTER_BYTES: Final = 64 * 2**20
SMALLEST, LARGEST = 14, 9216
"""Bytes of a frame that the controller takes."""
IN_DOUBT: Final = 4
"""The last frames of an interface that count as read, and are kept all the same."""
BATCH_FRAMES: Final = 1000
BATCH_BYTES: Final = 2**21 - 2**16
"""Of one request; what stands around the frames in it has room as well."""


class Arrival(NamedTuple):
    """A frame as it reached a tap: the VM's interface (from 0), nanoseconds since the epoch, and its number at this tap."""

    interface: int
    time: int
    frame: bytes
    number: int = 0


class Tail:
    """The frames of one VM that is about to leave. ``lost`` counts those that are not sent on although they should be."""

    def __init__(self, before_bytes: int = BEFORE_BYTES, after_bytes: int = AFTER_BYTES) -> None:
        self._frames: deque[Arrival] = deque()
        self._bytes = 0
        self._limits = (before_bytes, after_bytes)
        self.paused_at: int | None = None
        self.lost = 0
        self._read: Mapping[int, int] = {}
        self._doubtful: dict[int, deque[Arrival]] = {}

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, arrival: Arrival) -> None:
        """Keep a frame that has reached a tap."""
        if self.paused_at is not None and self._was_read(arrival, self.paused_at):
            self._doubt(arrival)
            return
        if not SMALLEST <= len(arrival.frame) <= LARGEST:
            self.lost += self.paused_at is not None
            return
        if self.paused_at is not None and self._bytes + len(arrival.frame) > self._limits[1]:
            self.lost += 1
            return
        self._frames.append(arrival)
        self._bytes += len(arrival.frame)
        if self.paused_at is None:
            horizon = arrival.time - int(BEFORE_SECONDS * 1e9)
            self._forget(lambda first: first.time < horizon or self._bytes > self._limits[0])

    def pause(self, at: int, read: Mapping[int, int] | None = None) -> None:
        """Note that the VM stopped at ``at``, nanoseconds since the epoch; what reached its taps until then it has read.

        ``read``: for each interface the number of the last frame that it really read, as far as it is known. What was still
        queued when it stopped has a higher one.
        """
        self.paused_at, self._read = at, dict(read or {})
        kept = []
        for row in self._frames:
            if self._was_read(row, at):
                self._doubt(row)
            else:
                kept.append(row)
        self._frames = deque(kept)
        self._bytes = sum(len(row.frame) for row in kept)

    def settle(self, interface: int, got: int) -> int:
        """Return the guest got the frames of an interface up to number ``got``; how many are to be sent on for that."""
        rows = [row for row in self._doubtful.pop(interface, ()) if row.number > got]
        rows = [row for row in rows if SMALLEST <= len(row.frame) <= LARGEST]
        self._frames.extendleft(reversed(rows))
        self._bytes += sum(len(row.frame) for row in rows)
        return len(rows)

    def resume(self) -> None:
        """Forget what was kept: the VM goes on here after all, and reads what is for it itself."""
        self.paused_at = None
        self._frames.clear()
        self._doubtful.clear()
        self._bytes = 0

    def take(self) -> tuple[int, list[bytes]] | None:
        """Return the next frames to be sent on, all of one interface, as many as a request may have; None while
        there are none.
        """
        if self.paused_at is None or not self._frames:
            return None
        interface, size, batch = self._frames[0].interface, 0, list[bytes]()
        while self._frames and len(batch) < BATCH_FRAMES:
            first = self._frames[0]
            if first.interface != interface or size + len(first.frame) > BATCH_BYTES:
                break
            self._frames.popleft()
            batch.append(first.frame)
            size += len(first.frame) + 8
            self._bytes -= len(first.frame)
        return interface, batch

    def _doubt(self, arrival: Arrival) -> None:
        self._doubtful.setdefault(arrival.interface, deque(maxlen=IN_DOUBT)).append(arrival)

    def _was_read(self, arrival: Arrival, at: int) -> bool:
        last = self._read.get(arrival.interface)
        return arrival.time <= at and (last is None or arrival.number <= last)

    def _forget(self, is_old: Callable[[Arrival], bool]) -> None:
        while self._frames and is_old(self._frames[0]):
            self._bytes -= len(self._frames.popleft().frame)
