"""Precedence: urgent commands overtake long ones that are not committed yet.

The work before a commit is pure, so it can be thrown away. A long command that an urgent one waits for is abandoned, and begins
again on the state that the urgent one leaves.

It ends at last. Each attempt may be overtaken only after it has taken a share of the time of all attempts before it, so the
attempts grow. In the worst case, with an endless series of urgent commands, a command takes 1 / `SHARE` times as long as alone,
and an urgent one waits for that share of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Final, Protocol, TypeVar

from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.commands import Abort, Activate, Command, LinksChanged
from ryu_vmmob.model.migrations import Deliver
from ryu_vmmob.model.routing_domains import ExternalsChanged, NeighbourHeard

_Done = TypeVar("_Done")

URGENT: Final = (Abort, Activate, Deliver, ExternalsChanged, LinksChanged, NeighbourHeard)
"""The traffic of VMs waits for these, and they are short."""
SHARE: Final = 1 / 8


class OvertakenError(Exception):
    """A command is thrown away in the middle and begun again: an urgent one waits."""


def is_urgent(commands: Iterable[Command]) -> bool:
    """Whether all of these are urgent."""
    return all(isinstance(command, URGENT) for command in commands)


class Exclusion(Protocol):
    """Mutual exclusion of the engine's callers: a context manager that holds one caller at a time.

    The one that is inside may enter again.
    """

    @property
    def is_wanted(self) -> bool:
        """Whether an urgent caller waits."""

    @property
    def is_mine(self) -> bool:
        """Whether the caller is inside."""

    def __enter__(self) -> object: ...

    def __exit__(self, *_: object) -> None: ...

    def urgently(self) -> AbstractContextManager[object]:
        """Enter in a hurry: `is_wanted` holds until the caller is inside."""

    def pause(self) -> None:
        """Let others work. Called now and then by long work of which nothing stands yet, inside or not."""


class Unshared:
    """The `Exclusion` of an engine that one thread uses: there are no others."""

    is_wanted = False
    is_mine = False

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def urgently(self) -> AbstractContextManager[object]:
        """Enter at once."""
        return self

    def pause(self) -> None:
        """Go on at once."""


class Attempts:
    """The attempts at one command. ``clock`` in seconds that passed."""

    def __init__(self, exclusion: Exclusion, clock: Callable[[], float]) -> None:
        self._exclusion, self._clock = exclusion, clock
        self._spent = 0.0
        self._began = 0.0

    def begin(self) -> Breath:
        """Return the pauses of the next attempt; one of them may raise OvertakenError."""
        self._began = self._clock()
        return Breath(self._paused)

    def overtaken(self) -> None:
        """Note that the attempt has come to nothing."""
        self._spent += self._clock() - self._began

    def _paused(self) -> None:
        self._exclusion.pause()
        if self._exclusion.is_wanted and self._clock() - self._began >= self._spent * SHARE:
            raise OvertakenError


def finished(work: Callable[[Breath], _Done], exclusion: Exclusion, clock: Callable[[], float]) -> _Done:
    """Work something out and finish it, alone; begun again whenever an urgent command has overtaken it.

    What is part of something that is alone already is not overtaken: that holds the others up until it has ended.
    """
    attempts = Attempts(exclusion, clock)
    nested = exclusion.is_mine
    abandoned = list[OvertakenError]()
    while True:
        with exclusion:
            # Its traceback holds what the attempt has made. To free that takes long, so the urgent command goes first.
            abandoned.clear()
            try:
                return work(Breath(exclusion.pause) if nested else attempts.begin())
            except OvertakenError as error:
                attempts.overtaken()
                abandoned.append(error)
