"""How many of the frames at a tap the guest really got, told by the index of its card's receive queue. Pure.

QEMU without vhost reads a frame from the tap and throws it away when the guest is stopped meanwhile: after its run state has
changed (softmmu/cpus.c, `do_vm_stop`) it still reads one, net/net.c purges that, and it reads another. The tap's counter has
both as read. The used ring of the receive queue counts what the guest got, modulo 65,536. So the two counts differ by a
constant while nothing is under way. A frame that the card may filter out (of a group, or for another MAC) can make the
difference larger for good, so the samples after the last of them count.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

INDEX_SIZE: Final = 1 << 16
SAMPLES: Final = 8
"""Of the difference that count."""
MOST_IN_DOUBT: Final = 2
"""Frames that QEMU reads of one queue at most and the guest does not get."""


class Sample:
    """An index that was asked for: it held at some time from ``before`` to ``after``, nanoseconds since the epoch."""

    def __init__(self, before: int, after: int, index: int) -> None:
        self.before, self.after, self.index = before, after, index
        self.first: int | None = None
        """Frames that had reached the tap at ``before``."""


class Received:
    """One tap with one queue. Frames and samples may come from different threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[Sample] = []
        self._exact: deque[int] = deque(maxlen=SAMPLES)
        self._rough: deque[int] = deque(maxlen=SAMPLES)
        self._base: int | None = None
        self._doubtful = 0
        """Frames since the last sample that the card may have filtered out."""

    def seen(self, number: int, time: int, *, certain: bool = True) -> None:
        """Frame ``number`` reached the tap at ``time``, nanoseconds since the epoch; each frame of the tap, in order.

        ``certain``: no card filters it out; it is for the guest's own MAC, or for all.
        """
        if self._pending or not certain:
            with self._lock:
                self._settle(number, time)
                self._doubtful += not certain

    def sample(self, before: int, after: int, index: int) -> None:
        """Note the queue's index while the guest runs."""
        with self._lock:
            self._pending.append(Sample(before, after, index))

    def last(self, index: int, counted: int, read: int) -> int | None:
        """Return the number of the last frame that the guest got, now that it has stopped; None where that is not known.

        ``counted``: frames that have reached the tap. ``read``: how many QEMU has read, by the tap's counter.
        """
        with self._lock:
            self._settle(counted + 1, 1 << 63)
            differences = self._exact or self._rough
            if not differences or self._base is None:
                return None
            # Where the last frames may have been filtered out, they count as got: better one lost than one doubled.
            missing = _signed(read - index - self._base - min(differences) - self._doubtful)
            # Another count than QEMU's code allows is a miscount, and says nothing.
            return read - missing if 0 <= missing <= MOST_IN_DOUBT else None

    def _settle(self, number: int, time: int) -> None:
        waiting = []
        for row in self._pending:
            if row.first is None and time > row.before:
                row.first = number - 1
            if row.first is None or time <= row.after:
                waiting.append(row)
                continue
            last = number - 1
            if self._base is None:
                self._base = last - row.index
            if self._doubtful:
                self._exact.clear()
                self._rough.clear()
                self._doubtful = 0
            (self._exact if last == row.first else self._rough).append(_signed(last - row.index - self._base))
        self._pending = waiting


def _signed(difference: int) -> int:
    """Return a difference of two counts of which one is known modulo `INDEX_SIZE`, as the nearest to 0."""
    half = INDEX_SIZE // 2
    return (difference + half) % INDEX_SIZE - half
