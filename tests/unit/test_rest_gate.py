"""What stands before every resource: rates, strangers' web pages, headers; and what clients send to break something."""

from __future__ import annotations

from typing import Any

import pytest
from webob import Request

from ryu_vmmob.rest import rates
from ryu_vmmob.rest.problems import Problem
from ryu_vmmob.rest.rates import Rates
from tests.support.rest_service import TOKEN, WEB, Service, packed, problem

READER = "cmVhZGVyLW9mLW1ldHJpY3M"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limited(clock: Clock, *tokens: str, rate: float = 2.0) -> Service:
    return Service(tokens=tokens, rates=Rates(rate, clock))


def count_until_429(service: Service, **headers: str) -> int:
    for number in range(1000):
        answer = service.ask("GET", "/v1/cugs", **headers)
        if answer.status_int != 200:
            assert answer.headers["Retry-After"] == "1"
            problem(answer, 429)
            return number
    raise AssertionError("there is no limit")


# Rates


def test_a_client_that_asks_too_often_has_to_wait(clock: Clock) -> None:
    service = limited(clock, TOKEN)
    assert count_until_429(service) == 8, "four seconds' worth at once"
    clock.now += 1.0
    assert count_until_429(service) == 2
    clock.now += 1000.0
    assert count_until_429(service) == 8


def test_what_is_refused_is_not_done(clock: Clock) -> None:
    service = limited(clock, TOKEN)
    count_until_429(service)
    problem(service.ask("PUT", "/v1/cugs/web", WEB), 429)
    assert not service.engine.state.cugs


def test_one_clients_haste_is_not_anothers(clock: Clock) -> None:
    service = limited(clock, f"operator {TOKEN} cloud", f"reader {READER} prometheus")
    assert count_until_429(service, Authorization=f"Bearer {TOKEN}") == 8
    assert count_until_429(service, Authorization=f"Bearer {READER}") == 8


def test_without_tokens_it_is_the_address_that_counts(clock: Clock) -> None:
    service = limited(clock)
    for address in ("192.0.2.1", "192.0.2.2"):
        answers = [Request.blank("/v1/cugs", {"REMOTE_ADDR": address}).get_response(service.app) for _ in range(9)]
        assert [row.status_int for row in answers] == [200] * 8 + [429]


def test_health_is_told_within_reason(clock: Clock) -> None:
    service = limited(clock, TOKEN)
    answers = [Request.blank("/healthz", {"REMOTE_ADDR": "192.0.2.1"}).get_response(service.app) for _ in range(9)]
    assert [row.status_int for row in answers] == [200] * 8 + [429]
    assert service.ask("GET", "/v1/cugs").status_int == 200


def test_no_limit(clock: Clock) -> None:
    service = limited(clock, TOKEN, rate=0.0)
    assert all(service.ask("GET", "/healthz").status_int == 200 for _ in range(500))


def test_guesses_are_told_and_logged_a_few_times_only(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    service = limited(clock, TOKEN, rate=0.0)
    answers = [service.ask("GET", "/v1/cugs", Authorization=f"Bearer guess{number}") for number in range(50)]
    assert [row.status_int for row in answers] == [401] * 20 + [429] * 30
    assert len([row for row in caplog.messages if "not valid" in row]) == 20
    assert service.ask("GET", "/v1/cugs").status_int == 200, "a good token behind the same address is not locked out"


def test_clients_that_are_long_gone_are_forgotten(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MAX_CLIENTS", 3)
    limit = Rates(0.25, clock)
    for name in ("a", "b", "c"):
        limit.request(name)
    with pytest.raises(Problem):
        limit.request("a")
    limit.request("d")
    for name in ("a", "d"):
        with pytest.raises(Problem):
            limit.request(name)
    limit.request("b")


# Web pages, while no token is asked for


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080"])
def test_without_a_token_this_machine_may_ask(host: str) -> None:
    assert Service(tokens=()).ask("GET", "/v1/cugs", Host=host).status_int == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "192.0.2.1", "localhost.evil.example", "[::2]", "[", ""])
def test_a_name_that_was_made_to_lead_here(host: str) -> None:
    service = Service(tokens=())
    problem(service.ask("GET", "/v1/cugs", Host=host), 403)
    problem(service.ask("PUT", "/v1/cugs/web", WEB, Host=host), 403)
    assert not service.engine.state.cugs
    assert service.ask("GET", "/healthz", Host=host).status_int == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999", "http://localhost.evil.example"])
def test_a_page_of_a_stranger_changes_nothing(origin: str) -> None:
    service = Service(tokens=()).with_web()
    answer = service.ask("POST", "/v1/servers/srv-a1/evacuate", Host="localhost:8080", Origin=origin)
    problem(answer, 403)
    assert not service.get("/v1/batches")["items"]
    read = service.ask("GET", "/v1/cugs", Host="localhost:8080", Origin=origin)
    assert "Access-Control-Allow-Origin" not in read.headers, "the browser does not show it to the page"


def test_a_page_of_ours_may() -> None:
    service = Service(tokens=())
    answer = service.ask("PUT", "/v1/cugs/web", WEB, Host="localhost:8080", Origin="http://localhost:8080")
    assert answer.status_int == 201


def test_with_a_token_any_host_will_do() -> None:
    answer = Service().ask("PUT", "/v1/cugs/web", WEB, Host="vmmob.example", Origin="https://elsewhere.example")
    assert answer.status_int == 201


# Headers of answers


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/cugs"), ("GET", "/no"), ("PUT", "/v1/cugs/-"), ("GET", "/healthz")])
def test_a_browser_runs_nothing_of_an_answer(method: str, path: str) -> None:
    headers = Service().ask(method, path, {} if method == "PUT" else None).headers
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "Server" not in headers


# What is sent to break something


@pytest.mark.parametrize(
    "path",
    ["/v1/cugs/../../etc/passwd", "/v1/cugs/..%2F..%2Fetc%2Fpasswd", "/v1/cugs/%2e%2e", "/../etc/passwd",
     "/v1/cugs/..%5C..%5Cx", "/v1/cugs/web%00.json", "//etc/passwd", "/v1/vms/..;/cugs", "/%2e%2e/%2e%2e/etc/passwd"],
)  # fmt: skip
def test_paths_that_climb(path: str) -> None:
    service = Service().with_web()
    answer = service.ask("GET", f"http://localhost{path}")
    assert answer.status_int in (404, 422), answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize("name", ["a%0D%0ASet-Cookie:%20x=1", "a%0AX:1", "%0D%0A%0D%0Abody", "a%E2%80%A8b", "a%C4%8D%C4%8Ab"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_lines_in_names_come_into_no_header(method: str, name: str) -> None:
    answer = Service().ask(method, f"/v1/cugs/{name}", WEB if method == "PUT" else None)
    problem(answer, 422, "cug")
    assert not any("\r" in value or "\n" in value for value in answer.headers.values())
    assert "Set-Cookie" not in answer.headers
    assert answer.body.isascii()


BOMBS: dict[str, bytes] = {
    "an array of 4 thousand million": b"\xdd\xff\xff\xff\xff",
    "a map of 4 thousand million": b"\xdf\xff\xff\xff\xff",
    "text of 4 thousand million bytes": b"\xdb\xff\xff\xff\xff",
    "bytes of 4 thousand million": b"\xc6\xff\xff\xff\xff",
    "an extension of 4 thousand million bytes": b"\xc9\xff\xff\xff\xff\x01",
    "arrays in arrays": b"\x91" * 100_000 + b"\x90",
    "maps in maps": b"\x81\xa1a" * 100_000 + b"\x80",
    "huge arrays in huge arrays": b"\xdd\x00\xff\xff\xff" * 1000,
    "keys that are no text": b"\x81\x01\x01",
    "a key twice": b"\x82\xa1a\x01\xa1a\x02",
    "an array as a key": b"\x81\x90\x01",
    "more after the end": packed({}) + b"\x00",
    "a byte that means nothing": b"\xc1",
}


@pytest.mark.parametrize("name", BOMBS)
def test_messagepack_bombs(name: str) -> None:
    service = Service()
    problem(service.ask("PUT", "/v1/cugs/web", BOMBS[name], Content_Type="application/msgpack"), 400)
    assert not service.engine.state.cugs


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 10_000,
        b'{"a":' * 10_000,
        b"[" * 5_000 + b"]" * 5_000,
        b'{"subnets": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"subnets": ' + b"9" * 5_000 + b"}",
        b'{"subnets": [], "subnets": []}',
        b'{"vlan_ids": {"rack-a": 1, "rack-a": 2}}',
        b'\xef\xbb\xbf{"subnets": []}',
        b'{"subnets": ["\x00"]}',
    ],
    ids=["lists", "objects", "closed lists", "a little too deep", "a long number", "key twice", "twice inside", "BOM", "NUL"],
)
def test_json_bombs(body: bytes) -> None:
    service = Service()
    problem(service.ask("PUT", "/v1/cugs/web", body), 400)
    assert not service.engine.state.cugs


@pytest.mark.parametrize(("path", "most"), [("/v1/cugs/web", 2**20), ("/v1/trace", 2**20), ("/v1/bulk", 2**21)])
def test_only_bulk_takes_much(path: str, most: int) -> None:
    """A byte of MessagePack can become a list of 56 bytes in memory."""
    service = Service(max_body=2**21)
    method = "PUT" if "cugs" in path else "POST"
    answers = [service.ask(method, path, b" " * size, Content_Type="application/json") for size in (most, most + 1)]
    assert [row.status_int for row in answers] == [400, 413]
    assert f"{most} bytes" in answers[1].json["detail"]


def test_numbers_that_are_no_sane_ones() -> None:
    values: list[Any] = [1e308, -1, 2**63, 10**300, True, 1.5]
    for value in values:
        answer = Service().ask("PUT", "/v1/cugs/web", {"subnets": ["10.1.0.0/24"], "vlan_ids": {"rack-a": value}})
        problem(answer, 422, "vlan_ids.rack-a")
