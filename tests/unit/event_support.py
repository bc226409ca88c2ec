"""What the tests of the event stream share: a server, listeners, and short ways to tell and to hear."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from ryu_vmmob.model.news import Event
from tests.support.rest_service import TOKEN, Service
from tests.unit.event_server import SECONDS, EventServer, serving_events


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def server() -> Iterator[EventServer]:
    with serving_events(Service().with_web()) as running:
        yield running


def until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def listeners(server: EventServer) -> int:
    return server.do(lambda: server.service.engine.events.listeners)


def emit(server: EventServer, count: int, kind: str = "vm.changed", **data: Any) -> None:
    def run() -> None:
        for number in range(count):
            server.service.engine.emit(Event(kind, {"number": number, **data}))

    server.do(run)


def listening(server: EventServer, query: str = "", token: str | None = TOKEN, **options: Any) -> ClientConnection:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    url = f"ws://127.0.0.1:{server.port}/v1/events{query}"
    made: ClientConnection = connect(url, additional_headers=headers, open_timeout=SECONDS, **options)
    return made


def told(connection: ClientConnection, count: int) -> list[Any]:
    return [json.loads(connection.recv(timeout=SECONDS)) for _ in range(count)]


def is_clean(server: EventServer) -> bool:
    """Nobody listens any more, and nothing went wrong on the server's side."""
    until(lambda: listeners(server) == 0)
    assert "Traceback" not in server.log.getvalue()
    return True
