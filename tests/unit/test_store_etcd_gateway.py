"""Answers of members: errors as 3.4, 3.5 and 3.6 write them, and answers of servers that are not etcd."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ryu_vmmob.store.etcd.address import NO_ACCESS, Place
from ryu_vmmob.store.etcd.gateway import Gateway, RefusedError, UnavailableError

GOOD = 200, json.dumps({"header": {"cluster_id": "7", "revision": "3"}, "kvs": [{"key": "YQ==", "value": "Yg=="}]})


class Member(ThreadingHTTPServer):
    """Answers with one answer after the other; the last one again and again."""

    daemon_threads = True

    def __init__(self, *answers: tuple[int, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.asked = 0
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Member

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        status, text = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def members() -> Iterator[list[Member]]:
    started: list[Member] = []
    yield started
    for member in started:
        member.shutdown()
        member.server_close()


def gateway(members: list[Member], *answers: tuple[tuple[int, str], ...]) -> Gateway:
    members += [Member(*row) for row in answers]
    return Gateway(Place(tuple(("127.0.0.1", row.server_port) for row in members), "/x", tls=False), NO_ACCESS)


def until(seconds: float) -> float:
    return time.monotonic() + seconds


def error(code: int, said: str, version: str) -> str:
    """An error as the versions write it."""
    if version == "3.6":
        return json.dumps({"code": code, "message": said, "details": []})
    if version == "stream":
        return json.dumps({"error": {"grpc_code": code, "http_code": 500, "message": said, "http_status": "x"}})
    return json.dumps({"error": said, "message": said, "code": code})


@pytest.mark.parametrize("version", ["3.4", "3.6", "stream"])
def test_what_etcd_refuses_is_told_at_once(members: list[Member], version: str) -> None:
    asked = gateway(members, ((400, error(3, "etcdserver: request is too large", version)),), (GOOD,))
    with pytest.raises(RefusedError, match=r"^etcd refuses kv/range: etcdserver: request is too large$") as refused:
        asked.range("a", None, until(60))
    assert refused.value.code == 3
    assert [row.asked for row in members] == [1, 0]


@pytest.mark.parametrize("version", ["3.4", "3.6", "stream"])
def test_an_etcd_that_is_full_names_the_page(members: list[Member], version: str) -> None:
    asked = gateway(members, ((429, error(8, "etcdserver: mvcc: database space exceeded", version)),))
    with pytest.raises(RefusedError, match=r"database space exceeded; its quota is used up: docs/etcd\.md"):
        asked.range("a", None, until(60))


@pytest.mark.parametrize(
    "answer",
    [
        (503, error(14, "etcdserver: no leader", "3.4")),
        (503, error(14, "etcdserver: leader changed", "3.6")),
        (504, error(4, "context deadline exceeded", "3.6")),
        (500, error(2, "unknown", "3.4")),
        (502, "<html>a proxy</html>"),
        (200, "[]"),
        (400, "Client sent an HTTP request to an HTTPS server.\n"),
    ],
)
def test_what_another_member_may_do_goes_to_that_one(members: list[Member], answer: tuple[int, str]) -> None:
    asked = gateway(members, (answer,), (GOOD,))
    (pair,) = asked.range("a", None, until(60))
    assert pair == ("a", b"b")
    asked.range("a", None, until(60))
    assert [row.asked for row in members] == [1, 2], "the one that answered is asked first from then on"
    assert asked.revision == 3


def test_a_member_of_another_cluster_is_not_believed(members: list[Member]) -> None:
    other = 200, json.dumps({"header": {"cluster_id": "8"}, "kvs": []})
    asked = gateway(members, (GOOD, other))
    asked.range("a", None, until(60))
    with pytest.raises(UnavailableError, match=r"no majority .*it is of another cluster than before"):
        asked.range("a", None, until(0.3))


def test_each_member_is_named_with_what_it_said(members: list[Member]) -> None:
    asked = gateway(members, ((503, error(14, "no leader", "3.4")),), ((400, "no etcd\n"),))
    one, two = (row.server_port for row in members)
    said = rf"\(127\.0\.0\.1:{one}: no leader; 127\.0\.0\.1:{two}: it answers 400 and no JSON: no etcd\)"
    with pytest.raises(UnavailableError, match=said):
        asked.range("a", None, until(0.3))
