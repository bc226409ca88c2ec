"""A schedule of periodic work over all switches, with jitter. No clock of its own."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

_JITTER = 0.1


class Schedule:
    """Every ``interval`` seconds, a little more or less by the switch's name; first soon after it connected."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._next: dict[str, float] = {}

    def due(self, present: Iterable[str], now: float) -> list[str]:
        """Return the switches whose turn it is, of those that are there; ``now`` in seconds of a steady clock."""
        there = set(present)
        self._next = {name: time for name, time in self._next.items() if name in there}
        found = []
        for name in sorted(there):
            if name not in self._next:
                self._next[name] = now + self._interval * _JITTER * _share(name)
            if now >= self._next[name]:
                found.append(name)
                self._next[name] = now + self._interval * (1 - _JITTER + 2 * _JITTER * _share(name))
        return found


def _share(name: str) -> float:
    """Return a number from 0 to 1, always the same for a name."""
    return int.from_bytes(blake2b(name.encode(), digest_size=2).digest(), "big") / 0xFFFF
