"""Turns: fair sharing of the processor between green threads.

Green threads share one processor, and each keeps it until it waits. A hundred requests that arrive together would all run
before any other answer, or an echo to a switch, is sent.

So a thread takes a turn before a piece of work that can wait. Within one iteration of the hub only a few milliseconds of such
work begin. The queue is FIFO: later threads wait for the next iteration, and in between all other threads run.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from ryu.lib import hub

SLICE: Final = 0.005
"""Seconds of work that may begin in one round."""


class Turns:
    """``sleep`` lets all other threads work for one round; ``clock`` in seconds."""

    def __init__(self, clock: Callable[[], float], sleep: Callable[[], None], slice_: float = SLICE) -> None:
        self._clock = clock
        self._sleep = sleep
        self._slice = slice_
        self._began = -slice_
        self._waiting: deque[Any] = deque()
        """Who is first waits for the next round, all others for their being first."""

    def take(self) -> None:
        """Return when there is time for a piece of work: at once, or after others had theirs; first come, first served."""
        if not self._waiting and not self._is_over():
            return
        me = hub.Event()
        self._waiting.append(me)
        try:
            while self._waiting[0] is not me:
                me.wait()
            if self._is_over():
                self._sleep()
                self._began = self._clock()
        finally:
            self._waiting.remove(me)
            if self._waiting:
                self._waiting[0].set()

    def _is_over(self) -> bool:
        return self._clock() - self._began >= self._slice


TURNS: Final = Turns(time.monotonic, lambda: hub.sleep(0))
"""One for the process, as the hub is."""


class Alone:
    """One green thread at a time; the one that is inside may enter again (a context manager)."""

    def __init__(self) -> None:
        self._free = hub.Semaphore(1)
        self._owner: Any = None
        self._depth = 0
        self._urgent = 0

    @property
    def is_taken(self) -> bool:
        """Whether another thread is inside."""
        return self._owner is not None and self._owner is not hub.getcurrent()

    @property
    def is_mine(self) -> bool:
        """Whether the caller is inside."""
        return self._owner is hub.getcurrent()

    @property
    def is_wanted(self) -> bool:
        """Whether an urgent caller waits."""
        return self._urgent > 0

    @contextmanager
    def urgently(self) -> Iterator[None]:
        """Enter in a hurry: who is inside is asked to come out if nothing is lost by that (`engine/precedence.py`)."""
        self._urgent += 1
        try:
            self.__enter__()
        finally:
            self._urgent -= 1
        try:
            yield
        finally:
            self.__exit__()

    def __enter__(self) -> None:
        me = hub.getcurrent()
        if self._owner is not me:
            self._free.acquire()
            self._owner = me
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
            self._free.release()

    def pause(self) -> None:
        """Let others work, if the one inside has worked long enough."""
        TURNS.take()

    def turn(self, urgent: bool = False) -> None:  # noqa: FBT001, FBT002  (a callback)
        """Take a turn at a time when no thread is inside, so that a look and the act after it see the same state."""
        TURNS.take()
        while self.is_taken:
            with self.urgently() if urgent else self:
                pass
            TURNS.take()
