"""Frames for a guest that reached its old place and that it never got: which they are, and sending them on.

Time stamps tell most of them: what was put into the tap's queue after QEMU stopped the guest. A few came just before, and
QEMU had not read them yet. They are told by counting: the kernel counts a tap's packets as sent when they are read, so what was
captured and not read is in the queue. After it has stopped, QEMU reads one more and keeps it (``net/queue.c`` appends, since
the guest does not run, and the tap is not polled again); that one the guest does not get either.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from mininet_topos.qemu.capture import Capture, Frame
from mininet_topos.switchover import Network

KEEP_NS = 2_000_000_000  # frames this long before the pause are of no interest
UNREAD_NS = 250_000_000  # what would have waited longer before the stop is no fact but a miscount
DEVICES = Path("/proc/thread-self/net/dev")
SENT_PACKETS = 9  # column after the name


class Tap:
    """One tap device of the old place: what is captured there, and how much of it QEMU has read."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._capture = Capture(device)
        self._read_before = packets_read(device)
        self._captured = 0
        self._least: int | None = None
        self._frames: list[Frame] = []
        self._told = False

    def look(self) -> None:
        """Take what was captured; the guest still runs, as far as is known."""
        read = packets_read(self._device) - self._read_before  # first: then what comes meanwhile looks unread, and never less
        self._take()
        unread = self._captured - read
        self._least = unread if self._least is None else min(self._least, unread)
        oldest = time.time_ns() - KEEP_NS
        self._frames = [frame for frame in self._frames if frame.time > oldest]

    def missed(self, stopped: int) -> list[Frame]:
        """Frames, not given before, that the guest did not get although they came here; it stopped at ``stopped``, in ns."""
        read = packets_read(self._device) - self._read_before
        self._take()
        frames, self._frames = self._frames, []
        if self._told:
            return frames
        self._told = True
        unread = self._captured - read - (self._least or 0)
        return missed(frames, unread, stopped)

    def dropped(self) -> int:
        """Frames that could not be captured since the last call."""
        return self._capture.dropped()

    def close(self) -> None:
        """Stop capturing."""
        self._capture.close()

    def _take(self) -> None:
        found = self._capture.read()
        self._captured += len(found)
        self._frames += found


def missed(frames: Sequence[Frame], unread: int, stopped: int) -> list[Frame]:
    """Those of ``frames``, in the order of arrival, that a guest stopped at ``stopped`` did not get.

    ``unread``: how many the tap's queue still holds. QEMU has read one more, if there was any.
    """
    after = sum(frame.time > stopped for frame in frames)
    count = max(after, unread + 1 if unread > 0 else 0)
    oldest = frames[-count] if 0 < count <= len(frames) else None
    if oldest is None or stopped - oldest.time > UNREAD_NS:
        count = after
    return list(frames[len(frames) - count :])


def packets_read(device: str) -> int:
    """Packets of a tap device that the process behind it has read, by the kernel's count. Raises LookupError."""
    for line in DEVICES.read_text().splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == device:
            return int(numbers.split()[SENT_PACKETS])
    raise LookupError(f"no network device {device}")


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
