"""Work that event handlers defer: changes of the state, done in order by a green thread of its own.

All replies of all switches come through the one queue of the application that Ryu keeps. A handler that waited there until a
long command has ended would leave barriers and counters of every switch unread, and sessions would give their switches up.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from ryu.lib import hub

MOST: Final = 4096
"""Chores that wait at most; what is left out comes again, as frames and links do."""


class Chores:
    """First come, first served; what is noted again while it waits is done once, as it was noted last."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._waiting: OrderedDict[Hashable, Callable[[], None]] = OrderedDict()
        self._news = hub.Event()
        self.left_out = 0

    def note(self, key: Hashable, call: Callable[[], None]) -> None:
        """Have something done soon; returns at once."""
        if key not in self._waiting and len(self._waiting) >= self._most:
            self.left_out += 1
            return
        self._waiting[key] = call
        self._news.set()

    def run(self) -> None:
        """Do what is noted, until the thread is ended. Raises what a chore raises."""
        while True:
            self._news.wait()
            self._news.clear()
            while self._waiting:
                _, call = self._waiting.popitem(last=False)
                call()
