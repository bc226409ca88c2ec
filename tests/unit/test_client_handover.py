"""What the client class says while a VM pauses: `deliver`, and the frames that still reached the source."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from typer.testing import CliRunner

from ryu_vmmob.cli.main import app
from ryu_vmmob.client import Client, RefusedError
from tests.unit.cli_support import serving

Answer = tuple[str, dict[str, str], Any]


@contextmanager
def recorded(answer: Callable[[str], Answer]) -> Iterator[tuple[str, list[tuple[str, str, bytes]]]]:
    """An address that notes (path with query, content type, body) of each request, and answers as told."""
    asked: list[tuple[str, str, bytes]] = []

    def application(environ: Any, start: Any) -> Any:
        size = int(environ.get("CONTENT_LENGTH") or 0)
        path = environ["PATH_INFO"] + ("?" + environ["QUERY_STRING"] if environ["QUERY_STRING"] else "")
        asked.append((path, environ.get("CONTENT_TYPE", ""), environ["wsgi.input"].read(size)))
        status, headers, body = answer(path)
        start(status, [("Content-Type", "application/json"), *headers.items()])
        return [json.dumps(body).encode()]

    with serving(application) as url:
        yield url, asked


def test_deliver_and_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with recorded(lambda path: ("200 OK", {}, {"delivered": True, "sent": 2})) as (url, asked):
        client = Client(url)
        assert client.migrations.deliver("m-1", wait=3)["delivered"] is True
        assert client.migrations.frames("m-1", 1, (b"\x00" * 14, b"\xff" * 60)) == 2
    assert asked[0][0] == "/v1/migrations/m-1/deliver?wait=3"
    path, kind, body = asked[1]
    assert (path, kind) == ("/v1/migrations/m-1/frames", "application/msgpack")
    assert msgpack.unpackb(body) == {"interface": 1, "frames": [b"\x00" * 14, b"\xff" * 60]}


def test_frames_are_never_sent_twice_and_deliver_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    away: Answer = ("503 Service Unavailable", {"Retry-After": "2"}, {"detail": "later", "title": "away"})
    with recorded(lambda path: away) as (url, asked):
        client = Client(url, pause=lambda seconds: None)
        with pytest.raises(RefusedError, match="503") as caught:
            client.migrations.frames("m-1", 0, [b"\x00" * 14])
        assert (len(asked), caught.value.retry_after) == (1, 2.0)
        with pytest.raises(RefusedError, match="503"):
            client.migrations.deliver("m-1")
        assert len(asked) == 4


def test_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    move: dict[str, Any] = {
        "id": "m-1", "vm": "web1", "from": "srv-a1", "to": "srv-c1", "state": "prepared", "reason": None,
        "switches": {"acknowledged": ["tor-c"], "pending": []}, "interfaces": [],
    }  # fmt: skip
    with recorded(lambda path: ("200 OK", {}, move)) as (url, asked):
        done = CliRunner().invoke(app, ["migration", "deliver", "m-1", "--wait", "2", "--url", url])
        assert done.exit_code == 0, done.output
    assert "prepared" in done.output
    assert asked[0][0] == "/v1/migrations/m-1/deliver?wait=2.0"
