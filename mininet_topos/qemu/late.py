"""Frames for a guest that reached its source and that it never got: which they are, and sending them on.

Time stamps tell most of them: what was put into the tap's queue after QEMU stopped the guest. A few may have come just before,
and QEMU had not brought them to the guest yet; up to two of those it has even read, and keeps. They are told by counting: the
index of the receive queue's used ring is the number of frames that the guest got; all others that were captured it did not.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from mininet_topos.qemu.capture import Capture, Frame
from mininet_topos.switchover import Network

KEEP_NS = 2_000_000_000  # frames this long before the pause are of no interest
UNREAD_NS = 250_000_000  # what would have waited longer before the stop is no fact but a miscount
INDEX_SIZE = 1 << 16  # of a used ring's index
SAMPLES = 20  # of the difference; frames that the card filters out are captured and never got, so old samples mean nothing


class Tap:
    """One tap device of the source: what is captured there, and how much of it the guest got.

    ``got``: the index of the used ring of the card's receive queue now.
    """

    def __init__(self, device: str, got: Callable[[], int]) -> None:
        self._capture = Capture(device)
        self._got = got
        self._index = got()
        self._under_way = 0
        """Frames that were captured and not got, but for a constant: what happened before the first call."""
        self._samples: deque[int] = deque(maxlen=SAMPLES)
        self._frames: list[Frame] = []
        self._told = False

    def look(self) -> None:
        """Take what was captured; the guest still runs, as far as is known."""
        self._count()
        self._samples.append(self._under_way)
        oldest = time.time_ns() - KEEP_NS
        self._frames = [frame for frame in self._frames if frame.time > oldest]

    def missed(self, stopped: int) -> list[Frame]:
        """Frames, not given before, that the guest did not get although they came here; it stopped at ``stopped``, in ns."""
        self._count()
        frames, self._frames = self._frames, []
        if self._told:
            return frames
        self._told = True
        return missed(frames, self._under_way - min(self._samples, default=self._under_way), stopped)

    def dropped(self) -> int:
        """Frames that could not be captured since the last call."""
        return self._capture.dropped()

    def close(self) -> None:
        """Stop capturing."""
        self._capture.close()

    def _count(self) -> None:
        index = self._got()  # first: what comes meanwhile then looks as if it were under way, and nothing looks got too early
        found = self._capture.read()
        self._under_way += len(found) - (index - self._index) % INDEX_SIZE
        self._index = index
        self._frames += found


def missed(frames: Sequence[Frame], under_way: int, stopped: int) -> list[Frame]:
    """Those of ``frames``, in the order of arrival, that a guest stopped at ``stopped`` did not get.

    ``under_way``: how many the guest had not got when it was stopped, or that came since.
    """
    after = sum(frame.time > stopped for frame in frames)
    count = max(after, under_way)
    if count > len(frames) or (count and stopped - frames[-count].time > UNREAD_NS):
        count = after
    return list(frames[len(frames) - count :])


class Late:
    """All interfaces of a guest on the move."""

    def __init__(self, taps: Sequence[Tap], macs: Sequence[str], network: Network | None) -> None:
        self._taps = taps
        self._macs = [bytes.fromhex(mac.replace(":", "")) for mac in macs]
        self._network = network
        self.seen = 0
        self.before = 0
        self.sent = 0

    def look(self) -> None:
        """Keep count; to be called now and then while the guest runs."""
        for tap in self._taps:
            tap.look()

    def send_on(self, stopped: int) -> None:
        """Give the network what the guest did not get. To groups no frame is sent on: who sent it repeats it."""
        for index, (tap, mac) in enumerate(zip(self._taps, self._macs, strict=True)):
            frames = [frame for frame in tap.missed(stopped) if frame.data[:6] == mac]
            self.seen += len(frames)
            self.before += sum(frame.time <= stopped for frame in frames)
            if frames and self._network is not None:
                self.sent += self._network.send_on(index, [frame.data for frame in frames])
