"""Pauses in long work: a command for thousands of VMs takes seconds, and other requests are served meanwhile.

The result is private until it is adopted, so no reader sees a partial one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

_T = TypeVar("_T")

ENOUGH: Final = 256
"""Pieces after which there is a pause. A single move has fewer, so it is never interrupted."""

THEN: Final = 64
"""Pieces between the pauses after the first. What has paused is long work, and what arrives waits for several of its turns."""

LIGHT: Final = 8
"""Small things, a turn of a loop over what is made already, that count as a piece."""


def no_pause() -> None:
    """For those who have nothing else to do."""


class Breath:
    """``pause`` is called after so many pieces of work, and then more often (`THEN`)."""

    def __init__(self, pause: Callable[[], None] = no_pause, enough: int = ENOUGH) -> None:
        self._pause = pause
        self._enough = enough
        self._done = 0
        self._small = 0

    def light(self, number: int = 1) -> None:
        """Something small is done, or several, of which `LIGHT` take as long as a piece."""
        self._small += number
        if self._small >= LIGHT:
            self._small = 0
            self.worked()

    def through(self, rows: Iterable[_T]) -> Iterator[_T]:
        """Yield the same, each something small (`light`)."""
        for row in rows:
            self.light()
            yield row

    def worked(self, pieces: int = 1) -> None:
        """Another piece is done, or several."""
        self._done += pieces
        if self._done >= self._enough:
            self._done = 0
            self._enough = min(self._enough, THEN)
            self._pause()
