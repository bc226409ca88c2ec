"""Whose turn it is. Green threads share one processor, and each keeps it until it waits for something: a hundred requests that
came together would all be worked off before anybody else's answer, or a sign of life to a switch, goes out.

Who is about to do a piece of work that may wait takes a turn first. Within one round of the hub only a few milliseconds of such
work are begun; who comes too late waits for the next round, and in between everybody else has been served.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from ryu.lib import hub

SLICE: Final = 0.005
"""Seconds of work that may begin in one round."""


class Turns:
    """``sleep`` lets everybody else work for one round; ``clock`` in seconds."""

    def __init__(self, clock: Callable[[], float], sleep: Callable[[], None], slice_: float = SLICE) -> None:
        self._clock = clock
        self._sleep = sleep
        self._slice = slice_
        self._round = 0
        self._began = -slice_

    def take(self) -> None:
        """Return when there is time for a piece of work: at once, or after others had theirs; first come, first served."""
        while self._clock() - self._began >= self._slice:
            last = self._round
            self._sleep()
            if self._round == last:  # the first one awake begins the new round
                self._round += 1
                self._began = self._clock()
                return


TURNS: Final = Turns(time.monotonic, lambda: hub.sleep(0))
"""One for the process, as the hub is."""
