"""Events over real WebSockets: through Ryu's server and our mount, with clients that behave and clients that do not."""

from __future__ import annotations

import base64
import json
import socket
import struct
import threading
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from ryu_vmmob.apps import event_socket
from ryu_vmmob.apps.event_socket import MAX_MESSAGE, EventSocket, Pace
from ryu_vmmob.engine.events import MAX_LISTENERS
from tests.support.rest_service import TOKEN, Service, vm
from tests.unit.event_server import SECONDS, EventServer, serving_events
from tests.unit.event_support import emit, is_clean, listeners, listening, told, until
from tests.unit.event_support import no_proxy as no_proxy
from tests.unit.event_support import server as server


def test_what_was_asked_for_and_then_what_happens(server: EventServer) -> None:
    with listening(server, "?since=0&types=cug,vm") as connection:
        assert [row["event"] for row in told(connection, 3)] == ["gap", "cug.created", "vm.created"]
        server.do(lambda: server.service.put("/v1/vms/web2", vm(number=12)))
        [row] = told(connection, 1)
        assert (row["event"], row["vm"], row["server"]) == ("vm.created", "web2", "srv-a1")
        assert row["time"].endswith("Z")
        assert listeners(server) == 1
    assert is_clean(server)


def test_fifty_listeners_hear_the_same_while_two_hundred_commands_run(server: EventServer) -> None:
    heard: dict[int, list[Any]] = {}

    def listen(number: int) -> None:
        with listening(server, "?types=vm") as connection:
            ready.release()
            heard[number] = told(connection, 200)

    ready = threading.Semaphore(0)
    threads = [threading.Thread(target=listen, args=(number,), daemon=True) for number in range(50)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert ready.acquire(timeout=SECONDS)
    until(lambda: listeners(server) == 50)
    for number in range(200):
        name = f"v{number}"
        body = {"server": "srv-a1", "interfaces": [
            {"cug": "web", "mac": f"02:00:00:01:00:{number:02x}", "ips": [f"10.1.0.{number + 20}"]},
        ]}  # fmt: skip
        server.do(lambda name=name, body=body: server.service.put(f"/v1/vms/{name}", body))  # type: ignore[misc]
    for thread in threads:
        thread.join(SECONDS)
    assert len(heard) == 50
    first = heard[0]
    assert [row["vm"] for row in first] == [f"v{number}" for number in range(200)]
    assert all(rows == first for rows in heard.values())
    assert [row["id"] for row in first] == sorted(row["id"] for row in first)
    assert is_clean(server)


def refused(server: EventServer, *args: Any, **options: Any) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as caught, listening(server, *args, **options):
        pass
    answer = caught.value.response
    problem = json.loads(answer.body or b"")
    assert problem["status"] == answer.status_code
    return answer.status_code, problem["detail"]


def test_who_may_not_listen_is_told_why(server: EventServer) -> None:
    assert refused(server, token=None)[0] == 401
    assert refused(server, token="wrong")[0] == 401
    assert refused(server, origin="http://evil.example")[0] == 403
    assert refused(server, "?types=nothing")[0] == 400
    with listening(server, origin=f"http://127.0.0.1:{server.port}"):
        assert listeners(server) == 1
    assert is_clean(server)


def test_a_web_page_gives_its_token_as_a_subprotocol(server: EventServer) -> None:
    secret = "bearer." + base64.urlsafe_b64encode(TOKEN.encode()).decode().rstrip("=")
    protocols = [Subprotocol("vmmob.events"), Subprotocol(secret)]
    with listening(server, token=None, subprotocols=protocols) as connection:
        assert connection.subprotocol == "vmmob.events"
        assert secret not in str(connection.response)
    assert is_clean(server)
    assert secret not in server.log.getvalue()


def test_no_more_than_so_many_listen(server: EventServer) -> None:
    stream = server.service.engine.events
    wakes = [lambda number=number: None for number in range(MAX_LISTENERS)]
    for wake in wakes:
        server.do(lambda wake=wake: stream.listen(wake))  # type: ignore[misc]
    assert refused(server) == (503, f"{MAX_LISTENERS} listen already")
    server.do(lambda: stream.leave(wakes[0]))
    with listening(server):
        assert refused(server)[0] == 503


def test_compression_is_not_agreed_on(server: EventServer) -> None:
    with listening(server, compression="deflate") as connection:
        assert connection.response is not None
        assert "Sec-WebSocket-Extensions" not in connection.response.headers


# Clients that break the rules: frames by hand (RFC 6455, 5.2)


class Raw:
    """A WebSocket with nothing around it."""

    def __init__(self, server: EventServer, query: str = "", receive_buffer: int | None = None, key: str | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(SECONDS)
        self.socket.connect(("127.0.0.1", server.port))
        key = base64.b64encode(bytes(16)).decode() if key is None else key
        self.socket.sendall(
            f"GET /v1/events{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nUpgrade: websocket\r\n"
            f"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self._file = self.socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        while self._file.readline() not in (b"\r\n", b""):
            pass

    def send(self, first: int, payload: bytes = b"", masked: bool = True, length: int | None = None) -> None:
        """One frame; ``first`` is its first byte, ``length`` what it says about itself if that is not so."""
        size = len(payload) if length is None else length
        bit = 0x80 if masked else 0
        head = bytes([first, bit | size]) if size < 126 else bytes([first, bit | 127]) + struct.pack("!Q", size)
        self.socket.sendall(head + (bytes(4) if masked else b"") + payload)

    def frame(self) -> tuple[int, bytes] | None:
        """The next frame that comes; None at the end."""
        head = self._file.read(2)
        if len(head) < 2:
            return None
        size = head[1]
        if size == 126:
            (size,) = struct.unpack("!H", self._file.read(2))
        return head[0] & 15, self._file.read(size)

    def closed_with(self) -> int | None:
        """The code with which the server closes, after which nothing comes any more."""
        while (found := self.frame()) is not None:
            if found[0] == 8:
                assert self.frame() is None
                return int.from_bytes(found[1][:2], "big")
        return None

    def close(self) -> None:
        self._file.close()
        self.socket.close()


TEXT, BINARY, CONTINUED, CLOSE, PING = 0x81, 0x82, 0x80, 0x88, 0x89


@pytest.mark.parametrize(
    ("code", "frame"),
    [
        (1003, {"first": TEXT, "payload": b"hello"}),
        (1003, {"first": TEXT, "payload": b"\xff\xfe"}),
        (1003, {"first": BINARY, "payload": b"\x00"}),
        (1003, {"first": TEXT & 0x7F, "payload": b"first of many"}),
        (1002, {"first": CONTINUED, "payload": b"of nothing"}),
        (1002, {"first": TEXT, "payload": b"hello", "masked": False}),
        (1002, {"first": TEXT | 0x40, "payload": b"reserved bit"}),
        (1002, {"first": 0x83, "payload": b"unknown opcode"}),
        (1002, {"first": PING & 0x7F, "payload": b"a piece of a ping"}),
        (1002, {"first": PING, "payload": bytes(126)}),
        (1002, {"first": CLOSE, "payload": b"\x03"}),
        (1002, {"first": CLOSE, "payload": b"\x00\x01"}),
        (1007, {"first": CLOSE, "payload": b"\x03\xe8\xff\xfe"}),
        (1009, {"first": TEXT, "length": MAX_MESSAGE + 1}),
        (1009, {"first": BINARY, "length": 2**62}),
        (1000, {"first": CLOSE, "payload": b"\x03\xe8"}),
        (1005, {"first": CLOSE}),
    ],
)
def test_frames_that_end_a_connection(server: EventServer, code: int, frame: dict[str, Any]) -> None:
    raw = Raw(server)
    raw.send(**frame)
    found = raw.closed_with()
    assert (found or 1005) == code
    raw.close()
    assert is_clean(server)


def test_pings_are_answered(server: EventServer) -> None:
    raw = Raw(server)
    for number in range(50):
        raw.send(PING, bytes([number]))
    assert [raw.frame() for _ in range(50)] == [(10, bytes([number])) for number in range(50)]
    raw.close()
    assert is_clean(server)


@pytest.mark.parametrize("key", ["", "short", "not base64!", "AAAA"])
def test_a_handshake_that_is_none(server: EventServer, key: str) -> None:
    raw = Raw(server, key=key)
    assert raw.status == 400
    raw.close()
    assert is_clean(server)


@pytest.mark.parametrize("linger", [False, True])
def test_clients_that_are_killed(server: EventServer, linger: bool) -> None:
    raws = [Raw(server) for _ in range(10)]
    for raw in raws:
        if linger:  # the connection is reset instead of ended
            raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
    emit(server, 10)
    assert is_clean(server)


def test_a_client_that_reads_slowly_holds_up_nobody_and_is_told_what_it_missed() -> None:
    with serving_events(Service(), send_buffer=4096) as server:
        slow = Raw(server, receive_buffer=4096)
        with listening(server) as quick:
            for _ in range(30):
                emit(server, 1000, padding="x" * 100)
                rows = told(quick, 1000)
                assert [row["number"] for row in rows] == list(range(1000))
        ids: list[int] = []
        missed = 0
        last = server.do(lambda: server.service.engine.events.next_id) - 1
        while not ids or ids[-1] != last:
            found = slow.frame()
            assert found is not None
            if found[0] != 1:
                continue
            row = json.loads(found[1])
            if row["event"] == "gap":
                missed += row["missed"]
            else:
                ids.append(row["id"])
        assert missed >= 15_000
        assert len(ids) + missed == 30_000
        assert ids == sorted(set(ids))
        slow.close()
        assert is_clean(server)


# Time is short for clients that fall silent


def brief(monkeypatch: pytest.MonkeyPatch, **pace: float) -> None:
    monkeypatch.setattr(event_socket.EventSocket.__init__, "__defaults__", (Pace(**pace),))


def test_a_client_that_answers_no_ping_is_let_go(server: EventServer, monkeypatch: pytest.MonkeyPatch) -> None:
    brief(monkeypatch, ping=0.1)
    raw = Raw(server)
    assert raw.frame() == (9, b"")
    assert raw.closed_with() == 1011
    raw.close()
    assert is_clean(server)


def test_a_client_that_answers_stays(server: EventServer, monkeypatch: pytest.MonkeyPatch) -> None:
    brief(monkeypatch, ping=0.05)
    raw = Raw(server)
    for _ in range(10):
        assert raw.frame() == (9, b"")
        raw.send(0x8A)
    emit(server, 1)
    found = raw.frame()
    while found == (9, b""):
        raw.send(0x8A)
        found = raw.frame()
    assert found is not None
    assert found[0] == 1
    raw.close()
    assert is_clean(server)


def test_a_client_that_takes_nothing_at_all_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    brief(monkeypatch, take=0.2)
    with serving_events(Service(), send_buffer=4096) as server:
        raw = Raw(server, receive_buffer=4096)
        emit(server, 2000, padding="x" * 1000)
        assert is_clean(server)
        raw.close()


def flood(raw: Raw) -> None:
    for _ in range(1_000_000):
        raw.send(PING, bytes(125))


def test_a_client_that_floods_pings_and_reads_nothing_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    brief(monkeypatch, take=0.2)
    with serving_events(Service(), send_buffer=4096) as server:
        raw = Raw(server, receive_buffer=4096)
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            flood(raw)
        assert is_clean(server)
        raw.close()


def test_every_pace_is_a_default() -> None:
    assert EventSocket.__init__.__defaults__ == (Pace(20.0, 30.0, 5.0),)


# The client library and the command


def test_who_asks_for_a_heartbeat_is_told_that_nothing_happens(server: EventServer) -> None:
    """It has the id of the last event looked at, also of one that was not wanted: who goes on there misses nothing."""
    with listening(server, "?types=vm&heartbeat=1") as connection:
        first, second = told(connection, 2)
        assert (first["event"], second["event"]) == ("heartbeat", "heartbeat")
        assert first.keys() == {"event", "id", "time"}
        assert first["id"] == second["id"] == server.do(lambda: server.service.engine.events.next_id - 1)
        emit(server, 3, "cug.changed", cug="web")
        until(lambda: told(connection, 1)[0]["id"] == first["id"] + 3)
    assert is_clean(server)
