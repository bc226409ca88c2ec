"""A limit on how often something is done. No clock of its own."""

from __future__ import annotations


class TokenBucket:
    """``rate`` times a second in the long run (more than 0), ``burst`` at once (1 at least). ``now`` never goes back."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._filled: float | None = None

    def take(self, now: float, times: int = 1) -> bool:
        """Whether it may be done ``times`` (0 at least) more, all or none; ``now`` in seconds of a steady clock."""
        if self._filled is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if self._tokens < times:
            return False
        self._tokens -= times
        return True

    def charge(self, times: float) -> None:
        """Count ``times`` that were done without being asked: the next ones wait for that, half a burst's time at most."""
        self._tokens = max(-self._burst / 2, self._tokens - times)

    def seconds_to_next(self, times: int = 1) -> float:
        """Return how long after the last `take` one of so many ``times`` (the burst at most) will be granted."""
        return max(0.0, (times - self._tokens) / self._rate)
