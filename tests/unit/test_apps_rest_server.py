"""The server below REST with clients that are slow, greedy or malformed. It runs in a thread with a hub of its own."""

from __future__ import annotations

import errno
import gc
import logging
import queue
import resource
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import eventlet
import pytest

from ryu_vmmob.apps.rest_server import LEFT_OVER, Door, Pace, RestServer
from ryu_vmmob.compat import connections
from tests.support.rest_service import TOKEN, Service

SECONDS = 60.0
"""How long anything may take before a test gives up."""
DRIP_SECONDS = 0.02
QUICK = Pace(handshake=0.3, idle=0.3, head=0.3, body=0.3, silent=20.0, left_over=0.3)
"""Of a client that never pauses for long, and would never end."""
GET = b"GET /v1/cugs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n"


@contextmanager
def serving(application: Callable[..., Any], pace: Pace = Pace(), connections: int = 64) -> Iterator[int]:  # noqa: B008
    """The port of a server; it ends with the test."""
    ports: queue.SimpleQueue[int] = queue.SimpleQueue()
    over = threading.Event()

    def run() -> None:
        server = RestServer(("127.0.0.1", 0), application, Door(connections, None, pace))
        ports.put(server.server.getsockname()[1])
        green = eventlet.spawn(server)
        while not over.is_set():
            eventlet.sleep(0.01)
        green.kill()
        server.server.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield ports.get(timeout=SECONDS)
    finally:
        over.set()
        thread.join(SECONDS)


@pytest.fixture
def application() -> Callable[..., Any]:
    return Service().app


def connect(port: int, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), SECONDS, (source, 0))


def talk(port: int, request: bytes, source: str = "127.0.0.1") -> bytes:
    """All that is said to a request, to the end of the connection."""
    with connect(port, source) as client:
        client.sendall(request)
        return read_to_end(client)


def read_to_end(client: socket.socket) -> bytes:
    said = b""
    with suppress(ConnectionResetError):
        while part := client.recv(65536):
            said += part
    return said


def ask(port: int, source: str = "127.0.0.1") -> bytes:
    return talk(port, GET + b"Connection: close\r\n\r\n", source)


def drip(client: socket.socket, byte: bytes) -> bytes:
    """Send a byte again and again until the other side has had enough; what it said."""
    until = time.monotonic() + SECONDS
    client.settimeout(DRIP_SECONDS)
    said = b""
    while time.monotonic() < until:
        try:
            client.sendall(byte)
            part = client.recv(65536)
            said += part
            if not part:
                return said
        except TimeoutError:
            pass
        except (ConnectionResetError, BrokenPipeError):
            return said
    raise AssertionError("it listens for ever")


def test_an_ordinary_client(application: Callable[..., Any]) -> None:
    with serving(application) as port, connect(port) as client:
        for _ in range(3):
            client.sendall(GET + b"\r\n")
            answer = client.recv(65536)
            while not answer.endswith(b'{"items": []}'):
                answer += client.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        head = answer.lower()
        assert b"\r\nx-content-type-options: nosniff\r\n" in head
        assert b"\r\nserver:" not in head


def test_a_request_that_was_answered_is_freed_without_the_collector() -> None:
    """What is in a cycle when the `Freezer` freezes would stay for ever, and some request is always under way."""
    inputs: list[weakref.ref[Any]] = []

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        inputs.append(weakref.ref(environ["eventlet.input"]))
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    with serving(application) as port, connect(port) as client:
        gc.disable()
        try:
            for count in range(1, 6):
                client.sendall(GET + b"Content-Length: 3\r\n\r\nabc")
                answer = b""
                while not answer.endswith(b"ok"):
                    answer += client.recv(4096)
                assert len(inputs) == count
            assert [row() for row in inputs[:-1]] == [None] * 4, "the last may not be over yet"
        finally:
            gc.enable()


@pytest.mark.parametrize(
    ("start", "byte"),
    [(b"GET /", b"a"), (GET + b"X: ", b"a"), (GET, b"X: a\r\n")],
    ids=["first line", "one header", "headers without end"],
)
def test_who_never_ends_its_request_is_shown_out(application: Callable[..., Any], start: bytes, byte: bytes) -> None:
    with serving(application, QUICK) as port, connect(port) as client:
        client.sendall(start)
        others = ask(port)
        drip(client, byte)
        assert others.startswith(b"HTTP/1.1 200")


def test_who_never_begins_is_shown_out(application: Callable[..., Any]) -> None:
    with serving(application, QUICK) as port, connect(port) as client:
        assert read_to_end(client) == b""


def test_who_never_ends_its_body_is_told(application: Callable[..., Any]) -> None:
    put = GET.replace(b"GET /v1/cugs", b"PUT /v1/cugs/web") + b"Content-Type: application/json\r\n"
    with serving(application, QUICK) as port:
        for length in (b"Content-Length: 100000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n10000\r\n"):
            with connect(port) as client:
                client.sendall(put + length)
                assert ask(port).startswith(b"HTTP/1.1 200")
                said = drip(client, b" ")
                assert said.startswith(b"HTTP/1.1 408 "), said
                assert b"too slowly" in said


def test_a_body_without_end_that_nobody_wants(application: Callable[..., Any]) -> None:
    """Who has no token cannot make the controller read for ever."""
    with serving(application) as port, connect(port) as client:
        client.sendall(b"PUT /v1/cugs/web HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n\r\n")
        sent, chunk = 0, b" " * 65536
        with suppress(ConnectionResetError, BrokenPipeError):
            while sent < 1000 * LEFT_OVER:
                client.sendall(chunk)
                sent += len(chunk)
        # What the kernel holds on both sides comes on top.
        assert sent < 64 * LEFT_OVER


def test_a_small_body_that_nobody_wants_costs_no_connection(application: Callable[..., Any]) -> None:
    with serving(application) as port:
        first = b"PUT /v1/cugs/web HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n" + b" " * 5000
        said = talk(port, first + GET + b"Connection: close\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 401 ")
        assert b"HTTP/1.1 200 OK" in said


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (GET + b"X: " + b"a" * 9000 + b"\r\n\r\n", b"400"),
        (GET + b"X: aaaaaaaaaaaaaaaaaaaa\r\n" * 4000 + b"\r\n", b"431"),
        (GET + b"Content-Length: -1\r\n\r\n", b"400"),
        (GET + b"Content-Length: x\r\n\r\n", b"400"),
        (GET + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (GET + b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}" + GET + b"\r\n", b"400"),
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"GET /v1/cugs HTTP/9.9\r\n\r\n", b"505"),
    ],
    ids=["long line", "long header", "many headers", "negative", "no number", "two kinds", "two lengths", "garbage", "version"],
)
def test_malformed_heads(application: Callable[..., Any], request_: bytes, status: bytes) -> None:
    with serving(application) as port:
        said = talk(port, request_)
        assert status in said.splitlines()[0], said
        for told in (b"Traceback", b"Python", b"GARBAGE", b"<"):
            assert told not in said
        assert ask(port).startswith(b"HTTP/1.1 200")


def test_one_address_cannot_have_all_connections(application: Callable[..., Any]) -> None:
    with ExitStack() as stack, serving(application, connections=4) as port:
        held = [stack.enter_context(connect(port)) for _ in range(2)]
        for client in held:
            client.sendall(GET + b"\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        refused = ask(port)
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 5" in refused
        assert ask(port, "127.0.0.2").startswith(b"HTTP/1.1 200"), "another one gets in"
        held[0].close()
        until = time.monotonic() + SECONDS
        while not ask(port).startswith(b"HTTP/1.1 200"):
            assert time.monotonic() < until, "a place that was left stays taken"


FAILURES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED, errno.ECONNRESET)


@pytest.mark.parametrize("error", FAILURES)
def test_an_accept_that_fails_does_not_end_the_server(
    application: Callable[..., Any], error: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Descriptors that are used up once must not take REST away for good (eventlet's server ends with the first failure)."""
    failures = [error] * 3

    class Failing:
        def __init__(self, sock: Any) -> None:
            self._sock = sock

        def accept(self) -> Any:
            if failures:
                raise OSError(failures.pop(), "as if")
            return self._sock.accept()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._sock, name)

    init = RestServer.__init__

    def failing(self: Any, *arguments: Any) -> None:
        init(self, *arguments)
        self.server = Failing(self.server)

    monkeypatch.setattr(RestServer, "__init__", failing)
    with serving(application) as port:
        assert ask(port).startswith(b"HTTP/1.1 200")
    assert not failures
    assert "no connection to REST can be accepted" in caplog.text


def test_files_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft in (16, 64, 256, 1024, 65_536):
        monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))  # noqa: B023
        rest, openflow = connections.most_rest_connections(), connections.most_connections()
        assert rest >= 2
        assert rest + openflow < soft, "the controller itself needs some"
    assert (rest, openflow) == (65_536 // 4 - 64, 49_152)


def test_a_stranger_cannot_fill_the_log(application: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ryu_vmmob.rest.access")
    with serving(application) as port, connect(port) as client:
        for _ in range(250):
            client.sendall(b"GET /v1/cugs HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(65536).startswith((b"HTTP/1.1 401", b"HTTP/1.1 429"))
        assert ask(port).startswith(b"HTTP/1.1 200")
    lines = [row.getMessage() for row in caplog.records if row.name == "ryu_vmmob.rest.access"]
    assert len([line for line in lines if '" 401 ' in line or '" 429 ' in line]) <= 200
    assert len([line for line in lines if '" 200 ' in line]) == 1


def test_faults_of_ours_are_not_shown() -> None:
    def faulty(environ: dict[str, Any], start_response: Any) -> Any:
        raise RuntimeError("inner secret")

    with serving(faulty) as port:
        said = ask(port)
    assert said.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in said
    assert b"Traceback" not in said


def test_the_log_has_no_token_of_a_url_and_one_line_a_request(
    application: Callable[..., Any], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, logger="ryu_vmmob.rest.access")
    with serving(application) as port:
        talk(port, b"GET /v1/cugs?token=c2VjcmV0&access_Token=aGlkZGVu HTTP/1.1\r\nConnection: close\r\n\r\n")
        talk(port, b"GET /v1/cugs token=c2VjcmV0 HTTP/1.1\r\n\r\n")
        talk(port, b"GET /\x1b[2J\x85\xe2\x80\xa8 HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n")
    assert capfd.readouterr() == ("", "")
    text = "\n".join(row.getMessage() for row in caplog.records if row.name == "ryu_vmmob.rest.access")
    assert "token=...&access_Token=..." in text
    assert "\\x1b[2J" in text
    for hidden in ("c2VjcmV0", "aGlkZGVu", "\x1b", "\x85", "192.0.2.1"):
        assert hidden not in text
    assert len([line for line in text.splitlines() if "/v1/cugs?" in line]) == 1
