"""What holds for every resource: tokens, methods, formats, limits, queries, conditions, faults."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from webob import Request

from ryu_vmmob.store import StoreError, open_store
from tests.support.rest_service import TOKEN, WEB, Service, packed, problem, vm


@pytest.fixture
def service() -> Service:
    return Service()


# Tokens


@pytest.mark.requirement("R49c")
@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
def test_the_token_opens(service: Service, header: str) -> None:
    assert service.ask("GET", "/v1/cugs", Authorization=header).status_int == 200


@pytest.mark.requirement("R49c")
@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer \xe4"],
)
def test_other_tokens_do_not(service: Service, header: str) -> None:
    answer = service.ask("PUT", "/v1/cugs/web", WEB, Authorization=header)
    problem(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert not service.engine.state.cugs


@pytest.mark.requirement("R49c")
@pytest.mark.parametrize("path", ["/v1/cugs", "/v1/vms/x", "/v1/health", "/nothing", "/v1/cugs/%20"])
def test_without_a_token_nothing_is_told_but_health(service: Service, path: str) -> None:
    problem(Request.blank(path).get_response(service.app), 401)
    assert Request.blank("/healthz").get_response(service.app).json == {"status": "ok"}


@pytest.mark.requirement("R49c")
def test_a_probe_is_told_whether_it_is_ready_and_not_why(service: Service) -> None:
    brief = Request.blank("/readyz").get_response(service.app)
    assert (brief.status_int, brief.json) == (503, {"ready": False, "status": "not_ready"})
    assert service.ask("GET", "/readyz").json["reasons"] != []
    service.connect()
    assert Request.blank("/readyz").get_response(service.app).json == {"ready": True, "status": "ready"}
    # Who shows a token that is not ours learns nothing, and counts as who guesses.
    problem(service.ask("GET", "/readyz", Authorization="Bearer wrong"), 401)
    unguarded = Service(tokens=())
    for host, told in (("localhost:8080", True), ("vmmob.example:8080", False)):
        answer = unguarded.ask("GET", "/readyz", Host=host)
        assert (answer.status_int, "troubles" in answer.json) == (503, told)


def test_with_no_token_configured_everyone_may_ask() -> None:
    assert Service(tokens=()).get("/v1/cugs") == {"items": []}


def test_one_of_several_tokens() -> None:
    service = Service(tokens=("old", "new"))
    assert service.ask("GET", "/v1/cugs", Authorization="Bearer new").status_int == 200
    problem(service.ask("GET", "/v1/cugs", Authorization="Bearer newer"), 401)


# Paths and methods


@pytest.mark.parametrize(
    "path", ["/v", "/v1", "/v1/", "/v1/cug", "/v1/cugs/", "/v1/cugs/web/more", "/v2/cugs", "/v1//cugs", "//v1/cugs"]
)
def test_paths_where_nothing_is(service: Service, path: str) -> None:
    problem(service.ask("GET", f"http://localhost{path}"), 404)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v1/cugs", "GET, HEAD"),
        ("PATCH", "/v1/cugs/web", "DELETE, GET, HEAD, PUT"),
        ("POST", "/v1/policies/p", "DELETE, GET, HEAD, PUT"),
        ("PUT", "/v1/migrations", "GET, HEAD, POST"),
        ("GET", "/v1/migrations/m-1/abort", "POST"),
        ("HEAD", "/v1/trace", "POST"),
        ("DELETE", "/healthz", "GET, HEAD"),
    ],
)
def test_methods_that_are_not_taken(service: Service, method: str, path: str, allow: str) -> None:
    answer = service.ask(method, path)
    assert answer.headers["Allow"] == allow
    if method != "HEAD":
        problem(answer, 405)


def test_head_is_get_without_the_body(service: Service) -> None:
    service.with_web()
    get, head = service.ask("GET", "/v1/vms/web1"), service.ask("HEAD", "/v1/vms/web1")
    assert (head.status_int, head.body) == (200, b"")
    assert head.headers == get.headers
    assert service.ask("HEAD", "/v1/vms/web2").status_int == 404


@pytest.mark.parametrize("name", ["web", "A", "9", "a.b_c-d", "a" * 63, "w%65b"])
def test_names(service: Service, name: str) -> None:
    service.put(f"/v1/cugs/{name}", WEB)
    assert service.get(f"/v1/cugs/{name}")["name"] == name.replace("%65", "e")


@pytest.mark.parametrize("name", ["-a", ".a", "_a", "a" * 64, "a%20b", "%C3%A4", "a%0A", "%00", "a:b", "a%22"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_names_that_are_none(service: Service, method: str, name: str) -> None:
    assert "is no name" in problem(service.ask(method, f"/v1/cugs/{name}", WEB if method == "PUT" else None), 422, "cug")


def test_a_path_that_is_no_text(service: Service) -> None:
    assert "not UTF-8" in problem(service.ask("GET", "/v1/cugs/%FF"), 400)


# Formats


def test_messagepack_both_ways(service: Service) -> None:
    headers = {"Content_Type": "application/msgpack", "Accept": "application/msgpack"}
    answer = service.ask("PUT", "/v1/cugs/web", packed(WEB), **headers)
    assert (answer.status_int, answer.content_type) == (201, "application/msgpack")
    assert msgpack.unpackb(answer.body) == service.get("/v1/cugs/web")


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/msgpack, application/json;q=0.5", "application/msgpack"),
        ("application/msgpack;q=0.5, application/json", "application/json"),
        ("text/html, */*;q=0.1", "application/json"),
        ("application/problem+json, application/json", "application/json"),
    ],
)
def test_what_is_accepted_is_given(service: Service, accept: str, given: str) -> None:
    answer = service.ask("GET", "/v1/cugs", Accept=accept)
    assert (answer.status_int, answer.content_type) == (200, given)
    assert answer.headers["Vary"] == "Accept"


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "application/json;q=0"])
def test_a_write_whose_answer_is_not_acceptable_changes_nothing(service: Service, accept: str) -> None:
    problem(service.ask("PUT", "/v1/cugs/web", WEB, Accept=accept), 406)
    assert not service.engine.state.cugs


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;x"])
def test_parameters_of_the_media_type(service: Service, media_type: str) -> None:
    assert service.ask("PUT", "/v1/cugs/web", WEB, Content_Type=media_type).status_int == 201


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/xml"]
)
def test_other_formats(service: Service, media_type: str) -> None:
    answer = service.ask("PUT", "/v1/cugs/web", WEB, Content_Type=media_type)
    problem(answer, 415)
    assert answer.headers["Accept"] == "application/json, application/msgpack"


def test_encoded_bodies(service: Service) -> None:
    problem(service.ask("PUT", "/v1/cugs/web", WEB, Content_Encoding="gzip"), 415)
    assert service.ask("PUT", "/v1/cugs/web", WEB, Content_Encoding="identity").status_int == 201


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b'{"subnets": ["10.0.0.0/24"],\n "gateways": }', "line 2 column 14"),
        (b"", "line 1 column 1"),
        (b"{}{}", "line 1 column 3: Extra data"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": -Infinity}', "-Infinity is no JSON number"),
        (b'{"subnets": [], "subnets": []}', "key 'subnets' stands twice"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        (b'{"a": ' + b"9" * 5000 + b"}", "JSON"),
        (b"[" * 10_000, "nested deeper than 32"),
        (b"[" * 33 + b"]" * 33, "nested deeper than 32"),
    ],
)
def test_malformed_json(service: Service, text: bytes, fault: str) -> None:
    assert fault in problem(service.ask("PUT", "/v1/cugs/web", text), 400)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x81",
        b"\xc1",
        packed(WEB) + b"\x00",
        packed({1: 2}),
        packed({"a": msgpack.ExtType(5, b"x")}),
        b"\x82\xa1a\x01\xa1a\x02",
        b"\x81\xa1a\xa1\xff",
        b"\x91" * 5000 + b"\x00",
        b"\xdd\xff\xff\xff\xff",
    ],
)
def test_malformed_messagepack(service: Service, data: bytes) -> None:
    problem(service.ask("PUT", "/v1/cugs/web", data, Content_Type="application/msgpack"), 400)
    assert not service.engine.state.cugs


@pytest.mark.parametrize("value", [None, 1, "x", [], [WEB], True])
def test_a_body_that_is_no_object(service: Service, value: Any) -> None:
    assert problem(service.ask("PUT", "/v1/cugs/web", json.dumps(value).encode()), 422, "") == "must be an object"


@pytest.mark.parametrize("value", [b"10.1.0.0/24", msgpack.Timestamp(1)])
def test_messagepack_has_values_that_json_has_not(service: Service, value: Any) -> None:
    body = packed({"subnets": [value]})
    problem(service.ask("PUT", "/v1/cugs/web", body, Content_Type="application/msgpack"), 422, "subnets[0]")


# Size


def test_the_largest_body_is_taken_and_one_byte_more_is_not() -> None:
    service = Service(max_body=200)
    text = json.dumps(WEB).encode()
    assert service.ask("PUT", "/v1/cugs/web", text.ljust(200)).status_int == 201
    assert "200 bytes" in problem(service.ask("PUT", "/v1/cugs/web", text.ljust(201)), 413)


def chunked(service: Service, data: bytes) -> Request:
    """As eventlet hands on a chunked body: no length, and an input that ends by itself."""
    request = Request.blank("/v1/cugs/web", method="PUT", headers={"Content-Type": "application/json"})
    request.headers["Authorization"] = f"Bearer {TOKEN}"
    request.headers["Transfer-Encoding"] = "chunked"
    assert "CONTENT_LENGTH" not in request.environ
    request.environ["wsgi.input"] = io.BytesIO(data)
    return request


def test_a_body_in_chunks_has_the_same_limit() -> None:
    service = Service(max_body=200)
    text = json.dumps(WEB).encode()
    assert chunked(service, text.ljust(200)).get_response(service.app).status_int == 201
    problem(chunked(service, text.ljust(201)).get_response(service.app), 413)


def test_a_body_that_ends_early(service: Service) -> None:
    request = Request.blank("/v1/cugs/web", method="PUT", headers={"Content-Type": "application/json"})
    request.headers["Authorization"] = f"Bearer {TOKEN}"
    request.environ["wsgi.input"] = io.BytesIO(b'{"sub')
    request.environ["CONTENT_LENGTH"] = "60"
    assert "after 5 of 60 bytes" in problem(request.get_response(service.app), 400)


def test_a_length_that_is_none(service: Service) -> None:
    for length in ("-1", "x", "1e3"):
        request = Request.blank("/v1/cugs/web", method="PUT", headers={"Content-Type": "application/json"})
        request.headers["Authorization"] = f"Bearer {TOKEN}"
        request.environ["CONTENT_LENGTH"] = length
        problem(request.get_response(service.app), 400)


# Queries


def test_a_semicolon_in_a_query_is_part_of_a_value(service: Service) -> None:
    assert service.ask("GET", "/v1/vms?server=srv-a1;cug=web").json["items"] == []
    problem(service.ask("GET", "/v1/vms?Server=a;server=b"), 400, "?Server")


@pytest.mark.parametrize(
    ("method", "url", "path"),
    [
        ("GET", "/v1/cugs?wait=1", "?wait"),
        ("PUT", "/v1/cugs/web?dry_run=yes", "?dry_run"),
        ("GET", "/v1/vms?Server=srv-a1", "?Server"),
        ("GET", "/v1/vms?server=srv-a1&server=srv-b1", "?server"),
        ("GET", "/v1/migrations?state=moving", "?state"),
        ("GET", "/v1/switches/tor-a/flows?table=5", "?table"),
        ("PUT", "/v1/cugs/web?wait=", "?wait"),
        ("PUT", "/v1/cugs/web?wait=soon", "?wait"),
        ("PUT", "/v1/cugs/web?wait=1_0", "?wait"),
        ("PUT", "/v1/cugs/web?wait=%D9%A1", "?wait"),
        ("PUT", "/v1/cugs/web?wait=1e999", "?wait"),
        ("PUT", "/v1/cugs/web?wait=-1", "?wait"),
        ("PUT", "/v1/cugs/web?wait=nan", "?wait"),
        ("PUT", "/v1/cugs/web?wait=601", "?wait"),
        ("PUT", "/v1/cugs/web?wait=1&wait=1", "?wait"),
        ("GET", "/healthz?verbose", "?verbose"),
    ],
)
def test_queries_that_are_refused(service: Service, method: str, url: str, path: str) -> None:
    problem(service.ask(method, url, WEB if method == "PUT" else None), 400, path)
    assert not service.engine.state.cugs


def test_a_query_that_is_no_text(service: Service) -> None:
    assert "not UTF-8" in problem(service.ask("GET", "/v1/vms?server=%FF"), 400)


@pytest.mark.parametrize("seconds", ["0", "0.5", "600", "1e1"])
def test_waits_that_are_taken(service: Service, seconds: str) -> None:
    answer = service.ask("PUT", f"/v1/cugs/web?wait={seconds}", WEB)
    assert answer.json["switches"] == {"acknowledged": [], "pending": []}
    assert service.waited == [(1, float(seconds))]


# Conditions


@pytest.mark.parametrize("tag", ['"1"', "*", '"7", "1"', 'W/"1", "1"'])
def test_a_write_to_the_revision_that_was_read(service: Service, tag: str) -> None:
    assert service.ask("PUT", "/v1/cugs/web", WEB).headers["ETag"] == '"1"'
    assert service.ask("GET", "/v1/cugs/web").headers["ETag"] == '"1"'
    answer = service.ask("PUT", "/v1/cugs/web", {"subnets": ["10.2.0.0/24"]}, If_Match=tag)
    assert (answer.status_int, answer.headers["ETag"]) == (200, '"2"')


@pytest.mark.parametrize("tag", ['"2"', '"7", "8"', 'W/"1"', '""'])
def test_a_write_to_another_revision(service: Service, tag: str) -> None:
    service.put("/v1/cugs/web", WEB)
    assert "revision 1" in problem(service.ask("PUT", "/v1/cugs/web", {"subnets": ["10.2.0.0/24"]}, If_Match=tag), 412)
    assert "revision 1" in problem(service.ask("DELETE", "/v1/cugs/web", If_Match=tag), 412)
    assert service.get("/v1/cugs/web")["subnets"] == WEB["subnets"]


def test_a_condition_on_what_is_not_there(service: Service) -> None:
    problem(service.ask("PUT", "/v1/cugs/web", WEB, If_Match="*"), 412)
    assert service.ask("PUT", "/v1/cugs/web", WEB, If_None_Match="*").status_int == 201
    problem(service.ask("PUT", "/v1/cugs/web", WEB, If_None_Match="*"), 412)
    problem(service.ask("PUT", "/v1/cugs/web", WEB, If_None_Match='"1"'), 412)
    assert service.ask("PUT", "/v1/cugs/web", WEB, If_None_Match='"2"').status_int == 200


@pytest.mark.parametrize("tag", ['"a,b", "1"', '"0","1",', ',, "1"', '"\xfc" , "1"'])
def test_a_list_of_tags_as_it_may_be_written(service: Service, tag: str) -> None:
    service.put("/v1/cugs/web", WEB)
    assert service.ask("PUT", "/v1/cugs/web", WEB, If_Match=tag).status_int == 200
    problem(service.ask("PUT", "/v1/cugs/web", WEB, If_None_Match=tag), 412)


@pytest.mark.parametrize("tag", ["1", "", '"1', "1, 2", '"1";', '"1" "2"', '"1",x', ","])
def test_a_condition_that_is_none(service: Service, tag: str) -> None:
    problem(service.ask("PUT", "/v1/cugs/web", WEB, If_Match=tag), 400)


# Faults


def test_a_fault_of_the_controller_is_logged_and_not_told(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("inner secret")

    monkeypatch.setattr(service.engine, "execute", broken)
    with caplog.at_level(logging.ERROR):
        answer = service.ask("PUT", "/v1/cugs/web", WEB)
    problem(answer, 500)
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "PUT /v1/cugs/web failed" in caplog.text
    assert "RuntimeError: inner secret" in caplog.text
    assert service.get("/v1/cugs") == {"items": []}


def test_a_store_that_does_not_take_it(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreError("store /x: the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(service.store, "commit", full)
        assert "the disk is full" in problem(service.ask("PUT", "/v1/cugs/web", WEB), 503)
    assert service.get("/v1/cugs") == {"items": []}
    assert service.put("/v1/cugs/web", WEB)["revision"] == 1


def test_what_the_client_sent_can_be_quoted_whatever_it_is(service: Service) -> None:
    for text in (b'{"\\ud800": 1}', b'{"subnets": ["\\ud800"]}', b'{"\\u0000\xc3\xa4\xf0\x9f\x98\x80": 1}'):
        assert service.ask("PUT", "/v1/cugs/web", text).status_int == 422


def test_every_answer_says_that_it_must_not_be_kept(service: Service) -> None:
    for path in ("/healthz", "/v1/cugs", "/nothing"):
        answer = service.ask("GET", path)
        assert (answer.headers["Cache-Control"], answer.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")


def test_health_and_readiness(service: Service) -> None:
    away = ["border-1", "border-2", "tor-a", "tor-b", "tor-c"]
    answer = service.ask("GET", "/readyz")
    ready = answer.json
    # Nothing is known of any switch yet.
    assert (answer.status_int, ready["ready"]) == (503, False)
    assert ready["troubles"][0] == "no switch has been brought in step since the controller started"
    assert ready["fabric"] == "two-dcs"
    assert ready["switches"] == {"in_step": [], "refused": [], "not_in_step": [], "not_connected": away}
    service.connect("tor-a", "border-1")
    service.with_web()
    answer = service.ask("GET", "/readyz")
    assert answer.status_int == 503
    assert answer.json["ready"] is False
    assert answer.json["switches"]["not_in_step"] == ["tor-a"]
    assert ("switch.settling", True) in {(row["kind"], row["blocks"]) for row in answer.json["reasons"]}
    service.confirm()
    degraded = service.get("/readyz")
    assert (degraded["ready"], degraded["status"]) == (True, "degraded")
    assert degraded["switches"]["in_step"] == ["border-1", "tor-a"]
    assert len(degraded["troubles"]) == 3
    service.break_store("no space")
    answer = service.ask("GET", "/readyz")
    assert (answer.status_int, answer.json["troubles"][0]) == (503, "nothing can be changed: no space")
    assert service.ask("GET", "/healthz").status_int == 200


def test_durable_across_a_restart(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/vmmob.db"
    first = Service(open_store(url)).with_web()
    before = [first.get("/v1/cugs"), first.get("/v1/vms")]
    first.store.close()
    again = Service(open_store(url))
    assert [again.get("/v1/cugs"), again.get("/v1/vms")] == before
    assert again.put("/v1/vms/web1", vm())["revision"] == 2
    again.store.close()
