"""How long the controller lets a switch wait for an echo reply while it is busy with others."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Final

from ryu_vmmob.bench.fake_connection import ECHO_REPLY, ECHO_REQUEST, FakeSwitch
from ryu_vmmob.bench.fake_switch import FakeFleet
from ryu_vmmob.bench.tap import wait_for

INTERVAL: Final = 0.01
"""Seconds between two requests. (Ryu sends 16 replies of one switch in a round of its loop, so a busy one answers few.)"""
STRANGER: Final = 0xEC40
"""A dpid that no fabric file of a benchmark has: the controller keeps such a connection, and does nothing more with it."""


class EchoProbe:
    """A switch that asks for echoes all the time. Use it as a context manager; ``longest`` is in seconds."""

    def __init__(self, port: int, interval: float = INTERVAL) -> None:
        self._interval = interval
        self._switch = FakeSwitch(("127.0.0.1", port), STRANGER, range(1, 2))
        self._switch.on_message = self._heard
        self._fleet = FakeFleet({"echo": self._switch})
        self._asked: dict[int, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.longest = 0.0
        self.answers = 0

    def __enter__(self) -> EchoProbe:
        self._fleet.start()
        self._thread.start()
        wait_for(lambda: self.answers > 0, "no echo is answered")
        self.longest = 0.0
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        wait_for(lambda: len(self._asked) <= 2, "echoes are not answered")
        self._over.set()
        self._thread.join()
        self._fleet.stop()

    def take(self) -> float:
        """Return the longest wait since the last time, in seconds; a request that is still open counts with its age."""
        now = time.monotonic()
        found = max([self.longest, *(now - asked for asked in list(self._asked.values()))])
        self.longest = 0.0
        return found

    def _ask(self) -> None:
        number = 0
        while not self._over.wait(self._interval):
            if not self._switch.connected:
                self._asked.clear()  # of a connection that is gone
            elif self.answers or not self._asked:  # before the first answer there is a handshake
                number += 1
                self._asked[number] = time.monotonic()
                message = bytes((4, ECHO_REQUEST, 0, 8)) + number.to_bytes(4, "big")
                self._fleet.do(lambda message=message: self._switch.say(message))  # type: ignore[misc]

    def _heard(self, message: bytes) -> None:
        if message[1] == ECHO_REPLY:
            asked = self._asked.pop(int.from_bytes(message[4:8], "big"), None)
            if asked is not None:
                self.answers += 1
                self.longest = max(self.longest, time.monotonic() - asked)
