"""Connections whose handshake does not finish: their time-out and their log."""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

HANDSHAKE_SECONDS: Final = 30.0
"""For hello, features and ports together."""


class Handshakes:
    """Times in seconds of a steady clock. A connection that is over is forgotten by itself."""

    def __init__(self) -> None:
        self._begun: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    def began(self, connection: Any, now: float) -> None:
        """Note a new connection whose datapath id is still unknown."""
        self._begun[connection] = now

    def ended(self, connection: Any) -> None:
        """Forget a connection that is a switch now, or gone."""
        self._begun.pop(connection, None)

    def overdue(self, now: float) -> list[Any]:
        """Return connections that take too long, each of them once."""
        late = [connection for connection, begun in self._begun.items() if now - begun >= HANDSHAKE_SECONDS]
        for connection in late:
            self.ended(connection)
        return late
