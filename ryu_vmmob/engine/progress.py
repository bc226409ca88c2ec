"""Progress: follow-ups that are found by looking at the state, and carried out.

A look finds the migrations whose switches have all confirmed, time-outs, quarantines that end and turns of batches. It is never
remembered apart from the state, so after a crash the same look finds the same work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ryu_vmmob.engine.arrivals import Arrivals
from ryu_vmmob.engine.batches import give_turns
from ryu_vmmob.engine.clock import Clock
from ryu_vmmob.engine.fleet import Fleet
from ryu_vmmob.engine.follow import FOLLOWS_AGAIN, FollowUps, in_one_write
from ryu_vmmob.engine.overdue import Overdue
from ryu_vmmob.engine.precedence import Exclusion
from ryu_vmmob.model.commands import Command
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import State
from ryu_vmmob.store.base import StoreError


class Execute(Protocol):
    """Carry out commands that follow by themselves; ``sync`` is whether the commit waits for the disk."""

    def __call__(self, commands: list[Command], *, sync: bool) -> object:
        """Raise Refusal or StoreError; the state is then what it was."""


class Host(Protocol):
    """The part of the engine that this needs."""

    @property
    def alone(self) -> Exclusion:
        """The exclusion that is held while a command is carried out."""
        ...

    @property
    def clock(self) -> Clock:
        """The controller's clock."""
        ...

    @property
    def state(self) -> State:
        """The present state."""
        ...

    @property
    def fleet(self) -> Fleet:
        """Return what each switch has confirmed."""
        ...

    @property
    def under_way(self) -> frozenset[str]:
        """Ids of the migrations that are not finished."""
        ...

    @property
    def overdue(self) -> Overdue:
        """Moves whose time is over."""
        ...

    @property
    def arrivals(self) -> Arrivals:
        """VMs that spoke where they were not expected."""
        ...

    def execute(self, *commands: Command) -> Any:
        """Carry out; raises Refusal and StoreError."""
        ...


class Progress:
    """The follow-ups of an engine. ``execute`` is called with the engine's exclusion held."""

    def __init__(self, engine: Host, follow_ups: FollowUps, execute: Execute, look_at_store: Callable[[], object]) -> None:
        self._engine, self._follow_ups = engine, follow_ups
        self._execute, self._look_at_store = execute, look_at_store
        self._is_running = False
        self._look_again = False

    def look(self, *, everything: bool = True) -> bool:
        """Find what has to follow by itself, and do it: of all there is, or of what changed since the last look.

        A call from within a look makes that look once more, and returns False.
        """
        self._look_again = True
        if self._is_running:
            return False
        self._is_running = True
        engine = self._engine
        try:
            self._look_at_store()
            while self._look_again:
                self._look_again = False
                due = self._follow_ups.due(engine.state, engine.fleet, engine.clock(), everything=everything)
                for commands in in_one_write(due):
                    if not self._follow(*commands) and len(commands) > 1:
                        for command in commands:
                            self._follow(command)
                all_, everything = everything, False
                for id_ in sorted(self._follow_ups.batches):
                    self._give_turns(id_)
                engine.overdue.look(engine.under_way if all_ else engine.overdue.open, engine.clock())
                engine.arrivals.look(engine.clock())
        finally:
            self._is_running = False
        return True

    def _follow(self, *commands: Command) -> bool:
        """Whether it could be done."""
        engine = self._engine
        try:
            with engine.alone:
                # Others were served while this waited for its turn: what they did may have overtaken it.
                found = self._follow_ups.still_due(commands, engine.state, engine.fleet, engine.clock())
                if found:
                    self._execute(found, sync=not all(isinstance(row, FOLLOWS_AGAIN) for row in found))
                if len(found) < len(commands):
                    self._follow_ups.failed()
        except (Refusal, StoreError):
            # Refused: the next look sees the state as it is. Not stored: nothing was adopted, and the next look, a moment
            # later, tries again; the switches go on as they are.
            self._look_again = False
            self._follow_ups.failed()
            return False
        return True

    def _give_turns(self, batch: str) -> None:
        engine = self._engine
        try:
            give_turns(lambda: engine.state, engine.execute, batch, engine.alone)
        except StoreError:
            self._look_again = False  # as above
