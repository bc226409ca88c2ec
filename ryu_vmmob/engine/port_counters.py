"""Counters of switch ports (OpenFlow 1.3.5, 7.3.5.6), and their rates.

A switch is asked for it only while it is looked at: `look` says so, and between two questions to one switch there are at least
`INTERVAL` seconds, however many look. What is not looked at costs nothing. Pure: the clock is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

INTERVAL: Final = 5.0
"""Seconds between two questions to one switch at least."""
MOST: Final = 60.0
"""Seconds: what was counted longer ago says nothing of how fast it grows now."""
UNKNOWN: Final = (1 << 64) - 1
"""What a switch says of a number that it does not count (7.3.5.6)."""


class Counts(NamedTuple):
    """The counters of a port since it came up. None: the switch does not count it."""

    rx_packets: int | None
    tx_packets: int | None
    rx_bytes: int | None
    tx_bytes: int | None
    rx_dropped: int | None
    tx_dropped: int | None
    rx_errors: int | None
    tx_errors: int | None


class Sample(NamedTuple):
    """One reading of a switch's ports, by number, and its time in seconds of the controller's clock (`engine.clock`)."""

    at: float
    ports: Mapping[int, Counts]


class PortCounters:
    """The last two samples of each switch that was looked at. ``clock`` gives seconds; ``wake`` lets a switch's session look
    whether it is to ask (`take`).
    """

    def __init__(self, clock: Callable[[], float], wake: Callable[[str], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._samples: dict[str, tuple[Sample | None, Sample]] = {}
        self._wanted: set[str] = set()
        self._asked: dict[str, float] = {}

    def look(self, switch: str) -> None:
        """Ask a connected switch soon, because a client looks at it, unless that was done just now."""
        now = self._clock()
        if now - self._asked.get(switch, -INTERVAL) >= INTERVAL:
            self._asked[switch] = now
            self._wanted.add(switch)
            self._wake(switch)

    def take(self, switch: str) -> bool:
        """Whether a switch is to be asked now; the answer goes to `counted`."""
        if switch not in self._wanted:
            return False
        self._wanted.discard(switch)
        return True

    def counted(self, switch: str, ports: Mapping[int, Counts]) -> None:
        """Take what a switch said of its ports."""
        sample = Sample(self._clock(), ports)
        known = self._samples.get(switch)
        last = known[1] if known is not None and sample.at - known[1].at <= MOST else None
        self._samples[switch] = last, sample

    def sample(self, switch: str) -> Sample | None:
        """Return the last sample; None: there is none yet."""
        known = self._samples.get(switch)
        return None if known is None else known[1]

    def seconds(self, switch: str) -> float | None:
        """Return the time between the last two samples, over which `growth` is taken; None: there is one at most."""
        known = self._samples.get(switch)
        return None if known is None or known[0] is None or known[1].at <= known[0].at else known[1].at - known[0].at

    def growth(self, switch: str, port: int) -> Counts | None:
        """Return how much a port has counted between the last two samples; None where that cannot be said: there is one sample
        at most, the port is new, or it has begun to count again.
        """
        before, now = self._samples.get(switch, (None, None))
        if before is None or now is None or port not in before.ports or port not in now.ports:
            return None
        rows = [
            None if new is None or old is None else new - old
            for new, old in zip(now.ports[port], before.ports[port], strict=True)
        ]
        return None if any(row is not None and row < 0 for row in rows) else Counts(*rows)
