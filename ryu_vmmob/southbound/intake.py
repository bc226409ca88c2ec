"""The rate limit on unsolicited messages of a switch. The excess is dropped unread, and the switch is read more slowly.

Ryu parses whatever comes, and hands it to handlers that all switches share. A switch that floods would take the others' time,
so each has a measure of its own. What the controller waits for is never dropped, and neither is a change of a port: a switch
that tells too many of those is only read more slowly. Packets are measured by the flow that handed them up: one guest's noise
does not hide another's first frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from ryu_vmmob.rate_limit import TokenBucket

UNASKED_A_SECOND: Final = 1000
"""Unsolicited messages of one switch: errors, replies without a request, packets of unknown flows."""
PACKETS_A_SECOND: Final = 500
"""Packets that one flow hands up."""
PORTS_A_SECOND: Final = 100
DROPS_A_PAUSE: Final = 64
PAUSE: Final = 0.01
"""Seconds. With the number before: 6400 messages a second are read of a switch that floods, and no more."""
_MAX_FLOWS: Final = 4096
_PACKET_IN, _PORT_STATUS = 10, 12
_REPLIES: Final = frozenset({4, 8, 19, 21})  # experimenter, configuration, multipart, barrier
_ERROR: Final = 1
_ECHO_REQUEST: Final = 2


class Speaker(Protocol):
    """The part of a session that this needs."""

    def expects(self, xid: int) -> bool:
        """Whether a message with this transaction id is an answer that is waited for."""

    def has_flow(self, cookie: int) -> bool:
        """Whether a desired flow of the switch bears this cookie."""


class Intake:
    """The measure of one connection. ``pause`` puts the reading green thread to sleep; times in seconds of a steady clock."""

    def __init__(self, clock: Callable[[], float], pause: Callable[[float], Any]) -> None:
        self._clock = clock
        self._pause = pause
        self._unasked = TokenBucket(UNASKED_A_SECOND, UNASKED_A_SECOND)
        self._ports = TokenBucket(PORTS_A_SECOND, PORTS_A_SECOND)
        self._flows: dict[int, TokenBucket] = {}
        self.dropped = 0
        """Messages dropped unread."""

    def unwanted(self, speaker: Speaker | None, kind: int, xid: int, data: bytes | bytearray) -> bool:
        """Whether a message is to be dropped. May sleep. ``speaker`` None: the connection has not identified itself."""
        if kind == _PORT_STATUS:
            if not self._ports.take(self._clock()):
                self._pause(PAUSE)
            return False
        if kind == _PACKET_IN:
            bucket = self._bucket(speaker, int.from_bytes(data[16:24], "big"))
        elif kind in (_ERROR, _ECHO_REQUEST) or kind in _REPLIES:
            if kind != _ECHO_REQUEST and speaker is not None and speaker.expects(xid):
                return False
            bucket = self._unasked
        else:
            return False
        if bucket.take(self._clock()):
            return False
        self.dropped += 1
        if self.dropped % DROPS_A_PAUSE == 0:
            self._pause(PAUSE)
        return True

    def _bucket(self, speaker: Speaker | None, cookie: int) -> TokenBucket:
        if speaker is None or not speaker.has_flow(cookie):
            return self._unasked
        if len(self._flows) >= _MAX_FLOWS and cookie not in self._flows:
            self._flows.clear()
        return self._flows.setdefault(cookie, TokenBucket(PACKETS_A_SECOND, PACKETS_A_SECOND))
