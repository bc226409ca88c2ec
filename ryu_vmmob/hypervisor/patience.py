"""Retry intervals: exponential back-off with jitter, so that many hypervisors do not retry at once."""

from __future__ import annotations

import random
from collections.abc import Iterator


def pauses(first: float, longest: float) -> Iterator[float]:
    """Seconds before each further attempt, without end: twice as long each time up to ``longest``, of which half is chance."""
    seconds = first
    while True:
        yield seconds * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        seconds = min(2 * seconds, longest)
