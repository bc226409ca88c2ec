"""A wait for one's turn, in which others do what they were waiting with: what `apps.turns.Alone` does between green threads."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from ryu_vmmob.engine.engine import Engine


class Queue:
    """As `apps.turns.Alone`: whoever enters while others are waiting comes after them."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []
        self._depth = 0

    def __enter__(self) -> None:
        if not self._depth:
            others, self.waiting = self.waiting, []
            for other in others:
                other()
        self._depth += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._depth -= 1


class _Made(Protocol):
    @property
    def engine(self) -> Engine: ...


def crowded(made: _Made) -> Queue:
    """From now on the engine of ``made`` waits in this queue."""
    queue = Queue()
    made.engine.alone = queue
    return queue
