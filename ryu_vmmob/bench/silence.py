"""How long the controller is silent while it is busy: the longest wait for an answer of ``/healthz`` and for an echo reply.

A process of its own asks, so that nothing of what keeps the controller busy keeps the one who asks.
"""

from __future__ import annotations

import http.client
import multiprocessing
import time
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from ryu_vmmob.bench.echo import EchoProbe

INTERVAL: Final = 0.05
"""Seconds between two questions."""
_SECONDS: Final = 120.0


class Silence(NamedTuple):
    """Longest waits in seconds, and how many answers there were."""

    healthz: float
    echo: float
    answers: int


class SilenceProbe:
    """Asks all the time. Use it as a context manager; `take` says what there was since the last time."""

    def __init__(self, rest: str, openflow: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._questions, self._answers = context.SimpleQueue(), context.SimpleQueue()
        asked = rest, openflow, self._questions, self._answers
        self._process = context.Process(target=_ask, args=asked, daemon=True)

    def __enter__(self) -> SilenceProbe:
        self._process.start()
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self._questions.put(None)
        self._process.join()

    def take(self) -> Silence:
        """Return what there was since the last time. Raises RuntimeError when the controller does not answer any more."""
        self._questions.put("take")
        found: Silence | None = self._answers.get()
        if found is None:
            raise RuntimeError("the controller does not answer")
        return found


def _ask(rest: str, openflow: int, questions: Any, answers: Any) -> None:
    where = urlsplit(rest)
    client = http.client.HTTPConnection(where.hostname or "", where.port, timeout=_SECONDS)
    try:
        with EchoProbe(openflow, INTERVAL) as echo:
            longest, count = 0.0, 0
            while True:
                began = time.monotonic()
                client.request("GET", "/healthz")
                client.getresponse().read()
                longest, count = max(longest, time.monotonic() - began), count + 1
                time.sleep(INTERVAL)
                if not questions.empty():
                    if questions.get() is None:
                        return
                    answers.put(Silence(longest, echo.take(), count))
                    longest, count = 0.0, 0
    except Exception:
        answers.put(None)
        raise
