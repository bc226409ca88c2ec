"""``GET /v1/events``: pages, filters, who may open a WebSocket; and every kind of event is documented."""

from __future__ import annotations

import ast
import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest
from webob import Request

from ryu_vmmob.engine.event_kinds import FAMILIES, GAP, KINDS, kind_of, particulars, sentence
from ryu_vmmob.engine.events import MAX_LISTENERS, Cursor
from ryu_vmmob.model.news import Event
from ryu_vmmob.model.objects import Phase
from ryu_vmmob.rest.events import WEBSOCKET
from ryu_vmmob.rest.origins import Origins
from ryu_vmmob.rest.problems import Problem
from tests.support.rest_service import TOKEN, WEB, Service, problem, vm
from tests.unit.documented_events import ROOT, documented, documented_rows
from tools.import_graph import LAYERS, modules

BORN = 1_700_000_000_250_000
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13", "Sec_WebSocket_Key": "x"}


@pytest.fixture
def service() -> Service:
    return Service().with_web()


def test_a_page_of_the_newest(service: Service) -> None:
    page = service.get("/v1/events")
    assert [row["event"] for row in page["items"]] == ["cug.created", "vm.created", "presence.extended", "vlan_id.allocated"]
    assert page["items"][1] == {
        "id": BORN + 1, "time": "2023-11-14T22:13:20.250000Z", "event": "vm.created", "vm": "web1", "server": "srv-a1",
        "level": "info", "text": "VM web1 was created, at srv-a1",
    }  # fmt: skip
    assert page["last"] == BORN + 3
    assert [row["id"] for row in service.get("/v1/events?limit=2")["items"]] == [BORN + 2, BORN + 3]


def test_page_after_page(service: Service) -> None:
    found = []
    since = BORN
    while rows := service.get(f"/v1/events?since={since}&limit=1")["items"]:
        found.append(rows[0]["event"])
        since = rows[-1]["id"]
    assert found == ["vm.created", "presence.extended", "vlan_id.allocated"]


def test_types_are_families_and_kinds(service: Service) -> None:
    page = service.get("/v1/events?types=cug,vlan_id.allocated")
    assert [row["event"] for row in page["items"]] == ["cug.created", "vlan_id.allocated"]


def texts(service: Service, query: str) -> list[str]:
    return [row["event"] for row in service.get(f"/v1/events?{query}")["items"]]


def test_a_history_of_an_object_and_of_nothing_else(service: Service) -> None:
    service.put("/v1/vms/web2", vm("srv-b1", 12))
    service.put("/v1/vms/web1x", vm("srv-b1", 13))
    assert texts(service, "about=vm/web1") == ["vm.created", "vlan_id.allocated"]
    assert texts(service, "about=cug/web")[0] == "cug.created"
    assert set(texts(service, "about=server/srv-b1")) == {"vm.created", "vlan_id.allocated"}
    assert "presence.extended" in texts(service, "about=switch/tor-b"), "where a particular is a list"
    assert texts(service, "about=vm/srv-a1") == []
    assert texts(service, "about=vm/web1&types=vm") == ["vm.created"]


def test_a_move_is_in_the_history_of_both_its_servers(service: Service) -> None:
    service.connect()
    assert service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1"}).status_int == 201
    for name in ("srv-a1", "srv-c1"):
        assert "migration.preparing" in texts(service, f"about=server/{name}")
    (move,) = service.get("/v1/migrations")["items"]
    assert set(texts(service, f"about=migration/{move['id']}")) >= {"migration.preparing"}


def test_events_are_searched(service: Service) -> None:
    assert texts(service, "text=VM+WEB1+was") == ["vm.created"]
    assert texts(service, "text=presence.ext") == ["presence.extended"]
    assert texts(service, "text=nothing+of+the+kind") == []
    service.time += 100
    service.put("/v1/vms/web2", vm("srv-a1", 12))
    when = "2023-11-14T22:14:00%2B00:00"
    assert texts(service, f"before={when}") == ["cug.created", "vm.created", "presence.extended", "vlan_id.allocated"]
    assert texts(service, f"after={when}&types=vm") == ["vm.created"]
    # The newest of those that are meant; or, after an id, the first.
    assert [row["vm"] for row in service.get("/v1/events?text=vm&types=vm&limit=1")["items"]] == ["web2"]
    assert [row["vm"] for row in service.get(f"/v1/events?since={BORN}&text=vm&types=vm&limit=1")["items"]] == ["web1"]


@pytest.mark.parametrize(
    "query", ["about=web1", "about=thing/web1", "about=vm/", "after=yesterday", "before=2023-11-14T22:14:00"]
)
def test_what_events_cannot_be_asked_for(service: Service, query: str) -> None:
    problem(service.ask("GET", f"/v1/events?{query}"), 400, f"?{query.partition('=')[0]}")


@pytest.mark.parametrize(
    "query", ["limit=1", "about=vm/web1", "text=x", "after=2023-11-14T22:14:00Z", "before=2023-11-14T22:14:00Z"]
)
def test_a_socket_takes_no_search(service: Service, query: str) -> None:
    problem(service.ask("GET", f"/v1/events?{query}", **UPGRADE), 400, f"?{query.partition('=')[0]}")


def test_an_id_of_an_earlier_life(service: Service) -> None:
    items = service.get("/v1/events?since=12&types=cug")["items"]
    assert items[0] == {
        "id": BORN - 1, "time": "2023-11-14T22:13:20.250000Z", "event": "gap", "missed": None,
        "level": "warning", "text": "events were lost: unknown",
    }  # fmt: skip
    assert [row["event"] for row in items[1:]] == ["cug.created"]


@pytest.mark.parametrize(
    "query",
    ["types=", "types=migrations", "types=vm,", "since=-1", "since=x", "since=1.5", "since=%D9%A3", "since=" + "9" * 17,
     "heartbeat=0", "limit=0", "limit=10001", "limit=x", "limit=", "other=1"],
)  # fmt: skip
def test_a_wrong_query_is_told(service: Service, query: str) -> None:
    problem(service.ask("GET", f"/v1/events?{query}"), 400, f"?{query.partition('=')[0]}")


def test_only_get_and_only_with_a_token(service: Service) -> None:
    problem(service.ask("POST", "/v1/events", {}), 405)
    problem(service.ask("GET", "/v1/events", Authorization="Bearer wrong"), 401)


def upgraded(service: Service, query: str = "", token: str | None = TOKEN, can: bool = True, **headers: str) -> Any:
    """The answer to a request for a WebSocket, and the cursors that the server was given."""
    cursors: list[Cursor] = []
    request = Request.blank(f"/v1/events{query}", environ={WEBSOCKET: cursors.append} if can else {})
    request.headers.update({key.replace("_", "-"): value for key, value in {**UPGRADE, **headers}.items()})
    if token is not None:
        request.headers["Authorization"] = f"Bearer {token}"
    return request.get_response(service.app), cursors


def test_a_websocket_is_the_servers_matter(service: Service) -> None:
    answer, cursors = upgraded(service, f"?types=vm&since={BORN - 1}")
    assert answer.status_int == 101
    assert [row.event.kind for row in cursors[0].take(10)] == ["vm.created"]
    answer, cursors = upgraded(service)
    assert cursors[0].take(10) == []


def test_websockets_that_cannot_be(service: Service) -> None:
    problem(upgraded(service, can=False)[0], 501)
    answer, cursors = upgraded(service, Sec_WebSocket_Version="8")
    problem(answer, 426)
    assert answer.headers["Sec-WebSocket-Version"] == "13"
    problem(upgraded(service, "?limit=5")[0], 400, "?limit")
    for beat in ("0", "61", "x", ""):
        problem(upgraded(service, f"?heartbeat={beat}")[0], 400, "?heartbeat")
    for number in range(MAX_LISTENERS):
        service.engine.events.listen(lambda number=number: None)  # type: ignore[misc]
    problem(upgraded(service)[0], 503)
    assert not cursors


def offered(token: str) -> str:
    return "bearer." + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


def test_a_token_may_come_as_a_subprotocol_of_a_websocket_only(service: Service) -> None:
    right = f"vmmob.events, {offered(TOKEN)}"
    assert upgraded(service, token=None, Sec_WebSocket_Protocol=right)[0].status_int == 101
    for wrong in ("vmmob.events", f"vmmob.events, {offered('no')}", "bearer.", "bearer.%%%", "bearer.gICA", "bearer.A"):
        problem(upgraded(service, token=None, Sec_WebSocket_Protocol=wrong)[0], 401)
    request = Request.blank("/v1/events", headers={"Sec-WebSocket-Protocol": right})
    problem(request.get_response(service.app), 401)
    # A header, where given, decides.
    problem(upgraded(service, token="no", Sec_WebSocket_Protocol=right)[0], 401)


@pytest.mark.parametrize(
    ("origin", "is_ours"),
    [
        ("http://localhost", True), ("http://localhost:80", True), ("http://localhost:81", False),
        ("http://localhost:x", False),
        ("https://localhost", True), ("http://evil.example", False),
        ("null", False), ("", False), ("http://localhost.evil.example", False), ("http://[", False), ("file://", False),
        ("https://cloud.example:8443", True), ("HTTPS://Cloud.Example:8443", True), ("https://cloud.example", False),
    ],
)  # fmt: skip
def test_pages_of_others_may_not_listen(origin: str, is_ours: bool) -> None:
    request = Request.blank("/v1/events", headers={"Host": "localhost", "Origin": origin})
    origins = Origins(["https://cloud.example:8443/"], guarded=True)
    if is_ours:
        origins.check(request)
    else:
        with pytest.raises(Problem) as caught:
            origins.check(request)
        assert caught.value.status == 403


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [("localhost:8080", True), ("127.0.0.1:8080", True), ("[::1]:8080", True), ("evil.example:80", False), ("10.0.0.1", False)],
)
def test_without_a_token_a_page_must_be_on_the_loopback_by_name(host: str, is_ours: bool) -> None:
    request = Request.blank("/v1/events", headers={"Host": host, "Origin": f"http://{host}"})
    Origins([], guarded=True).check(request)
    if is_ours:
        Origins([], guarded=False).check(request)
    else:
        with pytest.raises(Problem):
            Origins([], guarded=False).check(request)


def test_a_page_that_may_not_is_refused_by_the_application(service: Service) -> None:
    problem(upgraded(service, Origin="http://evil.example")[0], 403)
    assert upgraded(service, Origin="http://localhost")[0].status_int == 101


# Every kind there is


def _texts(node: ast.expr, function: ast.AST) -> Iterator[str]:
    """What an expression may come to; of an f-string, with ``*`` for what is put in."""
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body, function)
        yield from _texts(node.orelse, function)
    elif isinstance(node, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else "*" for part in node.values)  # type: ignore[misc]
    elif isinstance(node, ast.Name) and node.id == "GAP":
        yield "gap"
    elif isinstance(node, ast.Name):
        values = [
            row.value
            for row in ast.walk(function)
            if isinstance(row, ast.Assign) and any(isinstance(to, ast.Name) and to.id == node.id for to in row.targets)
        ]
        for value in values:
            yield from _texts(value, function)
        for row in ast.walk(function):
            if isinstance(row, ast.For) and node.id in ast.dump(row.target):
                yield from re.findall(r"value='([a-z_]+\.[a-z_]+)'", ast.dump(row.iter))


def emitted() -> set[str]:
    """Kinds of all events that the code makes, by their text there."""
    found: set[str] = set()
    made_of_events = {"model", *(layer for layer, allowed in LAYERS.items() if "model" in allowed)}
    for file in (module.file for module in modules() if module.package in made_of_events):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        for function in functions:
            for node in ast.walk(function):
                if not isinstance(node, ast.Call) or not node.args:
                    continue
                called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                # ``event(kind, …)`` of a draft, ``Event(kind, {…})`` everywhere; not hub.Event().
                if called in ("event", "Event"):
                    texts = [text for text in _texts(node.args[0], function) if text]
                    if not texts and isinstance(node.args[0], ast.Name) and node.args[0].id == "kind":
                        continue  # handed on
                    assert texts, f"{file.name}:{node.lineno}: of what kind is this?"
                    found.update(texts)
    return found


def test_every_kind_is_documented_and_nothing_else() -> None:
    kinds = set(documented())
    made = emitted()
    assert "migration.*" in made
    assert "vlan_id.free" in made
    patterns = {text: re.compile(re.escape(text).replace(r"\*", "[a-z_]+")) for text in made}
    assert {text for text, pattern in patterns.items() if not any(map(pattern.fullmatch, kinds))} == set()
    assert {kind for kind in kinds if not any(pattern.fullmatch(kind) for pattern in patterns.values())} == set()
    assert {f"migration.{phase}" for phase in Phase} - {"migration.failed"} <= kinds


def test_the_table_of_kinds_is_that_of_the_document() -> None:
    assert {kind: level for kind, level, _ in documented_rows()} == {kind: kind_of(kind).level for kind in (*KINDS, GAP)}
    assert set(FAMILIES) == {kind.partition(".")[0] for kind in KINDS}


def test_a_sentence_shows_only_particulars_that_the_event_has() -> None:
    alike = {"move.questioned": "refused.move", "move.dampened": "refused.move"}
    found = documented()
    for kind in (*KINDS, GAP):
        assert particulars(kind) <= found[alike.get(kind, kind)], kind


def test_events_have_the_particulars_that_are_documented(service: Service) -> None:
    service.connect()
    service.engine.look()
    service.put("/v1/policies/p", {"action": "deny", "from": {"cug": "web"}, "to": {"any": True}})
    service.put("/v1/policies/p", {"action": "allow", "from": {"cug": "web"}, "to": {"any": True}})
    service.put("/v1/cugs/web", {**WEB, "routing_domain": "red"})
    for to in ("srv-c1", "srv-a1"):
        service.ask("POST", "/v1/migrations", {"vm": "web1", "to": to})
        service.confirm()
        assert service.ask("POST", f"/v1/migrations/m-{service.ids:012x}/deliver").status_int == 200
        service.ask("POST", f"/v1/migrations/m-{service.ids:012x}/activate")
        service.confirm()
        service.passes()
    service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-b1"})
    service.ask("POST", f"/v1/migrations/m-{service.ids:012x}/abort")
    service.confirm()
    service.put("/v1/vms/web1", vm(number=12))
    service.put("/v1/vms/web2", vm(number=13))
    for _ in range(2):
        batch = service.ask("POST", "/v1/servers/srv-a1/evacuate", {"parallel": 1}).json["id"]
        assert service.ask("POST", f"/v1/batches/{batch}/abort").status_int == 200
        service.confirm()
    service.engine.network.links_seen(frozenset({service.engine.state.fabric.links[0].name}))
    service.engine.network.links_seen(frozenset())
    service.engine.network.externals_seen(frozenset({"internet-1"}))
    service.engine.network.externals_seen(frozenset())
    for name in ("web1", "web2"):
        service.ask("DELETE", f"/v1/vms/{name}")
    service.confirm()
    service.time += 100
    service.confirm()
    service.engine.emit(Event("switch.connected", {"switch": "tor-a"}))
    for path in ("/v1/policies/p", "/v1/cugs/web"):
        assert service.ask("DELETE", path).status_int == 204
    rows = service.get("/v1/events?since=0&limit=10000")["items"]
    written = documented()
    for row in rows:
        # What is not there, is left out: so is half of "a CUG or a routing domain".
        assert row.keys() - {"id", "time", "event", "level", "text"} <= written[row["event"]], row
    seen = {row["event"] for row in rows}
    assert len(seen) >= 26, seen
    assert {"batch.started", "batch.aborting", "batch.aborted", "migration.delivered", "vlan_id.free"} <= seen


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("gap", {"missed": None}, "events were lost: unknown"),
        ("migration.aborted", {"vm": "web1", "reason": "no", "migration": "m"}, "web1: the move was aborted: no (m)"),
        ("migration.aborted", {"vm": "web1", "reason": None, "migration": "m"}, "web1: the move was aborted (m)"),
        ("batch.started", {"servers": ["a", "b"], "vms": 2, "refused": 0, "batch": "b-1"},
         "evacuation of a, b begins: 2 VMs (b-1)"),
        ("batch.started", {"servers": ["a"], "vms": 0, "refused": 3, "batch": "b-1"},
         "evacuation of a begins: 0 VMs, 3 of them without a target (b-1)"),
        ("presence.extended", {"routing_domain": "red", "edges": ["tor-a"], "l2_domains": [], "data_centers": ["dc1"]},
         "red was extended to dc1, tor-a"),
        ("vlan_id.allocated", {"vm": "web1", "cug": "web", "server": "srv", "vlan_id": 7},
         "web1 in web has VLAN-ID 7 on the cable of srv"),
        ("vlan_id.allocated", {"cug": "web", "l2_domain": "rack", "vlan_id": 7}, "web has VLAN-ID 7 in rack"),
        ("migration.conflict",
         {"vm": "v", "source": "a", "switch": "tor", "port": 3, "undone": False, "more": 0, "migration": "m"},
         "v still speaks at a (tor:3) (m)"),
        ("migration.conflict",
         {"vm": "v", "source": "a", "switch": "tor", "port": 3, "undone": True, "more": 4, "migration": "m"},
         "v still speaks at a (tor:3): its activation is undone; 4 more since the last report (m)"),
        ("policy.created", {"policy": "{vm}[x]"}, "policy {vm}[x] was created"),
    ],
)  # fmt: skip
def test_sentences(kind: str, data: dict[str, Any], text: str) -> None:
    assert sentence(kind, data) == text


def test_a_kind_without_a_row_is_a_bug() -> None:
    with pytest.raises(KeyError):
        sentence("brand.new", {})


def test_the_dashboard_knows_no_kind_of_its_own() -> None:
    """It once had a level and a sentence for each, and eight differed; and one kind that no controller tells of."""
    source = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "ryu_vmmob/rest/dashboard").glob("*.js"))
    for named in re.findall(r'"([a-z_]+\.[a-z_]+)"', source):
        family = named.partition(".")[0]
        assert family not in FAMILIES or named in KINDS, named
    assert not re.search(r"note\(\{", source)
