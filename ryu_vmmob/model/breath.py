"""Long work in pieces: a command for thousands of VMs takes seconds, and others may want something meanwhile.

What is worked out meanwhile is nobody's yet, so nobody sees it half done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

ENOUGH: Final = 256
"""Pieces after which there is a pause. A single move has fewer, so it is never interrupted."""


def no_pause() -> None:
    """For those who have nothing else to do."""


class Breath:
    """``pause`` is called after every so many pieces of work."""

    def __init__(self, pause: Callable[[], None] = no_pause, enough: int = ENOUGH) -> None:
        self._pause = pause
        self._enough = enough
        self._done = 0

    def worked(self, pieces: int = 1) -> None:
        """Another piece is done, or several."""
        self._done += pieces
        if self._done >= self._enough:
            self._done = 0
            self._pause()
