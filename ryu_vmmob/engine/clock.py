"""The controller's clock: monotonic, and shown as wall-clock time.

Deadlines must not depend on a clock that may be set (RFC 5905 steps it, too). So all times in the state and in the store are on
a line of the controller's own: it begins as the wall reads, and is moved on by a monotonic clock alone. When the wall is set,
the line goes on as before, and `told` adds the difference. Over a restart it goes on by what the wall says has passed, never
back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from ryu_vmmob.store.base import Record, Write
from ryu_vmmob.store.codec import encode

STEP: Final = 1.0
"""Seconds by which the wall must be off the line to have been set: less is the two clocks' own drift."""
_KIND, _NAME = "meta", "clock_ahead"


def ahead_of(records: Iterable[Record]) -> float:
    """Seconds that the wall was ahead of the line, as a store tells; 0.0 when it was never set."""
    found = (row.body.get("value") for row in records if (row.kind, row.name) == (_KIND, _NAME))
    return next((float(value) for value in found if isinstance(value, (int, float))), 0.0)


def ahead_write(seconds: float) -> Write:
    """Return the write by which a store tells it."""
    return Write(_KIND, _NAME, encode(seconds))


class Clock:
    """Calling it gives seconds since the epoch on the controller's own line.

    ``wall`` reads seconds since the epoch; ``passed`` seconds of a monotonic clock with a start of its own.
    """

    def __init__(self, wall: Callable[[], float], passed: Callable[[], float]) -> None:
        self._wall = wall
        self._passed = passed
        self._from = wall() - passed()
        self.ahead = 0.0
        """Seconds that the wall is ahead of the line."""

    def __call__(self) -> float:
        """Now, in seconds since the epoch on the line."""
        return self._passed() + self._from

    def go_on(self, newest: float, ahead: float) -> None:
        """Go on with a line on which ``newest`` was the last time noted, and which the wall was ``ahead`` of."""
        self.ahead = 0.0
        started = self._wall()
        line = max(started - ahead, newest)
        if abs(started - line) >= STEP:
            self._from = line - self._passed()
            self.ahead = started - line

    def look(self) -> float:
        """To be called now and then: by how many seconds the wall was set since the last look; 0.0 when it was not."""
        ahead = self._wall() - self()
        step = ahead - self.ahead
        if abs(step) < STEP:
            return 0.0
        self.ahead = ahead
        return step

    def told(self, moment: float) -> float:
        """Return a moment of the line, or of the time before the last start, as the wall would have read it then."""
        return moment + self.ahead
