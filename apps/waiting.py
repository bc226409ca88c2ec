"""Waiting for switches to confirm, for requests with `?wait=SECONDS`."""

from __future__ import annotations

from typing import Any

from ryu.lib import hub

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.tickets import Ticket


class _Sleeper:
    """A waiter, and a switch that has not confirmed: until it does, the others need not be looked at."""

    __slots__ = ("late", "ready", "ticket")

    def __init__(self, ticket: Ticket, late: str) -> None:
        self.ready: Any = hub.Event()
        self.ticket = ticket
        self.late = late


class Waiting:
    """Green threads asleep until their switches have confirmed. A thousand may wait, and there is news all the time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sleepers: set[_Sleeper] = set()
        engine.on_progress.add(self._news)

    def _news(self) -> None:
        for sleeper in self._sleepers:
            if not self._is_late(sleeper.late, sleeper.ticket):
                late = self._find_late(sleeper.ticket)
                if late is None:
                    sleeper.ready.set()
                else:
                    sleeper.late = late

    def _is_late(self, name: str, ticket: Ticket) -> bool:
        fleet = self._engine.fleet
        return fleet.is_connected(name) and not fleet.has(name, ticket.revision)

    def _find_late(self, ticket: Ticket) -> str | None:
        return next((name for name in ticket.switches if self._is_late(name, ticket)), None)

    def wait(self, ticket: Ticket, seconds: float) -> None:
        """Return when every connected switch that ``ticket`` concerns has confirmed, or the time is over."""
        late = self._find_late(ticket)
        if late is None:
            return
        sleeper = _Sleeper(ticket, late)
        self._sleepers.add(sleeper)
        timer = hub.Timeout(seconds)
        try:
            sleeper.ready.wait()
        except hub.Timeout as over:
            if over is not timer:
                raise
        finally:
            timer.cancel()
            self._sleepers.discard(sleeper)
