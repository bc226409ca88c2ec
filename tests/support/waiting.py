"""An exclusion in which others do what they were waiting with: what `apps.turns.Alone` does between green threads."""

from __future__ import annotations

from collections.abc import Callable

from ryu_vmmob.engine.precedence import Unshared


class Queue(Unshared):
    """As `apps.turns.Alone`: a thread that enters comes after those that wait. ``paused`` is called at each pause."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []
        self.paused: Callable[[], object] = lambda: None
        self._depth = 0

    def pause(self) -> None:
        self.paused()

    def __enter__(self) -> None:
        if not self._depth:
            others, self.waiting = self.waiting, []
            for other in others:
                other()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
