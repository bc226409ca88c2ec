"""Events as the client library and `vmmob watch` see them, from a server that really listens."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from itertools import islice
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from ryu_vmmob.cli import watch
from ryu_vmmob.client import Client, ClientError, RefusedError, followed
from ryu_vmmob.engine.event_kinds import Level
from tests.support.rest_service import TOKEN, WEB
from tests.unit.event_server import SECONDS, EventServer
from tests.unit.event_support import emit, is_clean, listeners, listening, told, until
from tests.unit.event_support import no_proxy as no_proxy
from tests.unit.event_support import server as server


def client(server: EventServer, token: str | None = TOKEN) -> Client:
    return Client(server.url, token)


def test_the_client_library(server: EventServer) -> None:
    born = server.service.engine.events.born
    rows = client(server).events(["cug", "presence"], since=born - 1)
    assert [row["event"] for row in islice(rows, 2)] == ["cug.created", "presence.extended"]
    rows.close()
    assert is_clean(server)
    with pytest.raises(RefusedError, match=r"unauthorized \(401\): the token is not valid"):
        next(client(server, "wrong").events())
    with pytest.raises(ClientError, match="cannot be reached: Connection refused"):
        next(Client("http://127.0.0.1:1").events())
    with pytest.raises(ClientError, match="cannot be asked"):
        next(Client("ftp://127.0.0.1").events())


def test_watching_goes_on_after_the_last_event(server: EventServer) -> None:
    said: list[str] = []
    pauses: list[float] = []
    born = server.service.engine.events.born

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        emit(server, 1, "link.up", link="while away")

    class Breaking(Client):
        """Its connection breaks after two events, and cannot be made for a while."""

        attempts = 0

        def events(self, *args: Any, **options: Any) -> Any:
            self.attempts += 1
            if self.attempts in (2, 3):
                raise RefusedError(503, "128 listen already")
            yield from islice(super().events(*args, **options), 2)
            raise ClientError("the connection is lost")

    rows = followed(Breaking(server.url, TOKEN), [], born - 1, said.append, pause)
    found = list(islice(rows, 6))
    assert [row["event"] for row in found] == [
        "cug.created", "vm.created", "presence.extended", "vlan_id.allocated", "link.up", "link.up",
    ]  # fmt: skip
    assert [row["id"] for row in found] == list(range(born, born + 6))
    assert pauses == [0.5, 1.0, 2.0, 0.5]
    assert said[:2] == ["the connection is lost; retry in 0.5 s", "128 listen already; retry in 1 s"]


def test_watching_without_since_begins_now(server: EventServer) -> None:
    rows = followed(client(server), ["link"], None, lambda text: None)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(next(rows)), daemon=True)
    thread.start()
    until(lambda: listeners(server) == 1)
    emit(server, 1, "link.down", link="x")
    thread.join(SECONDS)
    assert [(row["event"], row["link"]) for row in found] == [("link.down", "x")]


def test_watching_ends_when_the_controller_says_no(server: EventServer) -> None:
    with pytest.raises(RefusedError) as caught:
        next(followed(client(server, "wrong"), [], 5, lambda text: None))
    assert caught.value.status == 401


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        ({"event": "gap", "missed": 7, "text": "events were lost: 7"}, "gap                   events were lost: 7"),
        (
            {"event": "migration.aborted", "migration": "m", "vm": "web1", "level": "warning", "text": "web1: no (m)"},
            "migration.aborted     web1: no (m)",
        ),
        ({"event": "presence.pruned", "cug": "w", "edges": ["x", "y"], "vms": []}, "presence.pruned       cug=w edges=x,y"),
        ({"event": "brand.new"}, "brand.new"),
    ],
)
def test_lines_for_people(event: dict[str, Any], shown: str) -> None:
    """The controller's sentence; of an older controller, which sends none, names and values."""
    text = watch.line({"id": 1, "time": "2023-11-14T22:13:20.250000Z", **event})
    when, _, rest = text.partition("  ")
    assert when.startswith("2023-11-1")
    assert ".250" in when
    assert rest == shown


@pytest.mark.parametrize("level", list(Level))
def test_a_line_is_red_when_somebody_should_look(level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("typer.echo", shown.append)
    watch.print_line({"time": "2023-11-14T22:13:20.250000Z", "event": "link.up", "level": level.value, "text": "x"})
    assert ("\x1b[31m" in shown[0]) is level.is_bad


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_until_control_c(server: EventServer, as_json: bool, tmp_path: Any) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    words = ["watch", "--types", "link", "--url", server.url, "--token-file", str(token), *(["--json"] if as_json else [])]
    with subprocess.Popen(
        [sys.executable, "-m", "ryu_vmmob.cli.main", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        until(lambda: listeners(server) == 1)
        emit(server, 2, "link.down", link="x")
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    if as_json:
        assert [json.loads(line)["link"] for line in lines] == ["x", "x"]
    else:
        assert lines[0].endswith("link.down             link x is down\n")
    assert is_clean(server)


def test_the_command_ends_when_its_reader_does(server: EventServer, tmp_path: Any) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    words = ["watch", "--since", "0", "--url", server.url, "--token-file", str(token)]
    with subprocess.Popen(
        [sys.executable, "-m", "ryu_vmmob.cli.main", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        until(lambda: not emit(server, 1, "link.down", link="x") and process.poll() is not None)  # type: ignore[func-returns-value]
        assert process.returncode == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_connection_that_the_server_ends_is_an_error_of_the_client(server: EventServer) -> None:
    with listening(server) as connection:
        connection.send("hello")
        with pytest.raises(ConnectionClosed) as caught:
            connection.recv(timeout=SECONDS)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1003


def test_changes_are_told_after_the_answer_would_be_good(server: EventServer) -> None:
    """What is told is on the disk: a reader that asks at once finds it."""
    with listening(server, "?types=cug") as connection:
        server.do(lambda: server.service.put("/v1/cugs/shop", {**WEB, "subnets": ["10.9.0.0/24"]}))
        [row] = told(connection, 1)
        assert client(server).get(f"/v1/cugs/{row['cug']}")["name"] == "shop"
