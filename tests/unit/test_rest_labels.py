"""Labels and descriptions: stored and shown, picked by selectors, and nothing in the network changes for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ryu_vmmob.model.labels import Requirement, parse, selects
from ryu_vmmob.store import open_store
from tests.support.rest_service import WEB, Service, problem, vm

POLICY = {"action": "allow", "from": {"any": True}, "to": {"cug": "web"}}
LABELS = {"role": "db", "example.org/team": "a.b-c_d", "empty": ""}
OBJECTS = [("/v1/cugs/web", WEB), ("/v1/vms/web1", vm()), ("/v1/policies/p", POLICY)]


@pytest.fixture
def service() -> Service:
    service = Service()
    service.put("/v1/cugs/web", WEB)
    service.put("/v1/vms/web1", vm())
    service.put("/v1/policies/p", POLICY)
    service.connect()
    return service


@pytest.mark.parametrize(("url", "body"), OBJECTS)
def test_labels_and_descriptions_are_kept_and_shown(service: Service, url: str, body: dict[str, Any], tmp_path: Path) -> None:
    assert not {"labels", "description"} & service.get(url).keys()
    said = {"labels": LABELS, "description": "Größe: 3 × „groß“"}
    before = service.engine.state
    answer = service.put(url, body | said)
    assert {key: answer[key] for key in said} == said
    assert answer["revision"] == before.revision + 1
    assert list(answer["labels"]) == sorted(LABELS)
    assert service.get(url) == answer
    assert not any(service.engine.fleet.take(name) for name in service.engine.fleet.names), "no switch is told"
    state = service.engine.state
    assert service.put(url, body | said) == answer
    assert service.engine.state is state, "a repetition costs nothing"
    _, _, kind, name = url.split("/")
    assert {key: service.get("/v1/bulk")[kind][name][key] for key in said} == said
    assert not {"labels", "description"} & service.put(url, body).keys()


def test_they_survive_a_restart_and_a_move(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'vmmob.db'}"
    service = Service(store=open_store(url))
    for where, body in OBJECTS:
        service.put(where, body | {"labels": LABELS, "description": "x"})
    service.connect()
    service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1", "activate_on": "request"})
    service.confirm()
    # A description changes whatever is under way.
    assert service.put("/v1/vms/web1", vm() | {"labels": LABELS, "description": "moving"})["migration"] == "m-000000000001"
    service.ask("POST", "/v1/migrations/m-000000000001/activate")
    service.confirm()
    moved = service.get("/v1/vms/web1")
    assert (moved["server"], moved["labels"], moved["description"]) == ("srv-c1", dict(sorted(LABELS.items())), "moving")
    body = vm("srv-c1", 12) | {"labels": LABELS}
    assert service.put("/v1/vms/web1", body)["labels"] == dict(sorted(LABELS.items()))
    service.engine.close()
    again = Service(store=open_store(url))
    assert [again.get(where)["labels"] for where, _ in OBJECTS] == [dict(sorted(LABELS.items()))] * 3
    again.engine.close()


@pytest.mark.parametrize("url", ["/v1/cugs/web", "/v1/vms/web1", "/v1/policies/p"])
@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"labels": {"": "x"}}, 'labels.""'),
        ({"labels": {"-a": "x"}}, "labels.\"-a\""),
        ({"labels": {"a/b/c": "x"}}, 'labels."a/b/c"'),
        ({"labels": {"A.B/c": "x"}}, 'labels."A.B/c"'),
        ({"labels": {"a" * 64: "x"}}, f'labels."{"a" * 55}..."'),
        ({"labels": {"a": "x" * 64}}, "labels.a"),
        ({"labels": {"a": "b c"}}, "labels.a"),
        ({"labels": {"a": 1}}, "labels.a"),
        ({"labels": {"a": None}}, "labels.a"),
        ({"labels": []}, "labels"),
        ({"labels": {f"k{number}": "" for number in range(65)}}, "labels"),
        ({"description": "x" * 1001}, "description"),
        ({"description": "two\nlines"}, "description"),
        ({"description": "\x1b[31m"}, "description"),
        ({"description": "\ud800"}, "description"),
        ({"description": None}, "description"),
    ],
)  # fmt: skip
def test_what_is_refused(service: Service, url: str, change: dict[str, Any], path: str) -> None:
    before = service.engine.state
    answer = service.ask("PUT", url, dict(OBJECTS)[url] | change)
    assert answer.status_int == 422, answer.text
    found = {row["path"].rstrip("0123456789") for row in answer.json["errors"]}
    assert path in {row["path"] for row in answer.json["errors"]} or len(found) == 1, answer.text
    assert service.engine.state is before


def test_selectors_pick_from_lists(service: Service) -> None:
    rows = {
        "db1": {"role": "db", "env": "prod"}, "db2": {"role": "db", "env": "test"}, "web9": {"role": "web"}, "bare": {},
    }  # fmt: skip
    service.ask("DELETE", "/v1/vms/web1")
    for number, (name, labels) in enumerate(rows.items()):
        service.put(f"/v1/vms/{name}", vm("srv-c1" if number else "srv-a1", 20 + number) | {"labels": labels})
        service.put(f"/v1/policies/{name}", POLICY | {"labels": labels})
        service.put(f"/v1/cugs/{name}", {"subnets": [f"10.9{number}.0.0/24"], "labels": labels})
    for text, expected in (
        ("role=db", ["db1", "db2"]), ("role==db,env!=test", ["db1"]), ("env!=test", ["bare", "db1", "web9"]),
        ("env", ["db1", "db2"]),
        ("!role", ["bare"]), ("role,!env", ["web9"]), ("role=", []), (" role = db ", None), ("role=db , env=prod", ["db1"]),
    ):  # fmt: skip
        for kind in ("vms", "cugs", "policies"):
            answer = service.ask("GET", f"/v1/{kind}?selector={text.replace(' ', '%20')}")
            if expected is None:
                problem(answer, 400, "?selector")
            else:
                others = {"web", "p"} if expected and "bare" in expected else set()
                assert [row["name"] for row in answer.json["items"] if row["name"] not in others] == expected, text
    assert [row["name"] for row in service.get("/v1/vms?selector=role&server=srv-c1")["items"]] == ["db2", "web9"]


@pytest.mark.parametrize(
    "text", ["", ",", "a=b,", "a=b c", "=b", "!a=b", "a!", "a=-", "a in (b)", ",".join(f"k{n}" for n in range(33))]
)
def test_what_is_no_selector(service: Service, text: str) -> None:
    problem(service.ask("GET", f"/v1/vms?selector={text}"), 400, "?selector")


def test_requirements() -> None:
    found = parse("b!=c,a,!d,e==f,a")
    assert found == (
        Requirement("d", None, meets=False),
        Requirement("a", None),
        Requirement("b", "c", meets=False),
        Requirement("e", "f"),
    )
    assert ",".join(map(str, found)) == "!d,a,b!=c,e=f"
    assert parse(",".join(map(str, found))) == found
    assert selects(found, {"a": "1", "e": "f"})
    assert not selects(found, {"a": "1", "e": "f", "b": "c"})
    assert not selects(found, {"a": "1", "e": "f", "d": ""})
    assert selects((), {})
