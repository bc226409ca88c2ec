"""Waiting for switches to confirm, for whoever asked to (`?wait=SECONDS`)."""

from __future__ import annotations

from typing import Any

from ryu.lib import hub

from ryu_vmmob.engine.engine import Engine, Ticket


class Waiting:
    """Green threads asleep until the engine has news."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sleepers: set[Any] = set()
        engine.on_progress = self._news

    def _news(self) -> None:
        for sleeper in self._sleepers:
            sleeper.set()

    def wait(self, ticket: Ticket, seconds: float) -> None:
        """Return when every connected switch that ``ticket`` concerns has confirmed, or the time is over."""
        sleeper = hub.Event()
        self._sleepers.add(sleeper)
        timer = hub.Timeout(seconds)
        fleet = self._engine.fleet
        try:
            while any(fleet.is_connected(name) and not fleet.has(name, ticket.revision) for name in ticket.switches):
                sleeper.wait()
                sleeper.clear()
        except hub.Timeout as over:
            if over is not timer:
                raise
        finally:
            timer.cancel()
            self._sleepers.discard(sleeper)
