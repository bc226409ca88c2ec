"""Evacuations by REST."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.rest_service import Service, problem, vm


def crowd(number: int = 3) -> Service:
    """VMs web1, web2, ... on srv-a1, switches in step."""
    service = Service().with_web()
    for row in range(2, number + 1):
        service.put(f"/v1/vms/web{row}", vm(number=10 + row))
    service.connect()
    service.confirm()
    return service


def evacuate(service: Service, body: Any = None, path: str = "servers/srv-a1", query: str = "") -> Any:
    answer = service.ask("POST", f"/v1/{path}/evacuate{query}", body)
    assert answer.status_int == (200 if query else 202), answer.text
    return answer.json


def test_a_batch_from_begin_to_end() -> None:
    service = crowd()
    answer = service.ask("POST", "/v1/servers/srv-a1/evacuate", {"parallel": 2, "activate_on": "request", "timeout": 60})
    assert answer.status_int == 202
    body = answer.json
    assert answer.headers["Location"] == f"http://localhost/v1/batches/{body['id']}"
    assert answer.headers["ETag"] == f'"{body["revision"]}"'
    assert (body["state"], body["total"], body["counts"]) == ("running", 3, {"preparing": 2, "waiting": 1})
    assert (body["to"], body["parallel"], body["activate_on"], body["timeout"]) == (None, 2, "request", 60)
    assert [row["to"] for row in body["vms"]] == ["srv-a2"] * 3
    assert [row["migration"] for row in body["vms"]] == [f"{body['id']}-0", f"{body['id']}-1", None]
    for row in (0, 1, 2):
        service.confirm()
        id_ = service.get(f"/v1/batches/{body['id']}")["vms"][row]["migration"]
        migration = service.get(f"/v1/migrations/{id_}")
        assert (migration["state"], migration["batch"], migration["activate_on"]) == ("prepared", body["id"], "request")
        assert service.ask("POST", f"/v1/migrations/{id_}/activate").status_int == 200
    service.confirm()
    done = service.get(f"/v1/batches/{body['id']}")
    assert (done["state"], done["counts"]) == ("finished", {"committed": 3})
    assert done["ended"] == "2023-11-14T22:13:20.250000Z"
    assert {row["server"] for row in service.get("/v1/vms")["items"]} == {"srv-a2"}


def test_a_dry_run_shows_the_plan_and_changes_nothing() -> None:
    service = crowd()
    before = service.engine.state
    plan = evacuate(service, {"to": ["srv-c1", "srv-b1"]}, query="?dry_run=true")
    assert service.engine.state is before
    assert plan["dry_run"] is True
    assert not {"id", "revision"} & plan.keys()
    assert [(row["vm"], row["to"], row["state"]) for row in plan["vms"]] == [
        ("web1", "srv-b1", "waiting"), ("web2", "srv-c1", "waiting"), ("web3", "srv-b1", "waiting"),
    ]  # fmt: skip


def test_a_whole_switch() -> None:
    service = crowd()
    service.put("/v1/vms/web4", vm("srv-a2", 14))
    body = evacuate(service, path="switches/tor-a")
    assert (body["servers"], body["switch"]) == (["srv-a1", "srv-a2"], "tor-a")
    assert {row["vm"]: row["to"] for row in body["vms"]} == dict.fromkeys(["web1", "web2", "web3", "web4"], "srv-b1")


def test_the_list_and_its_filter() -> None:
    service = crowd()
    first = evacuate(service, path="servers/srv-c1")
    service.time += 1
    second = evacuate(service)
    listed = service.get("/v1/batches")["items"]
    assert [row["id"] for row in listed] == [first["id"], second["id"]]
    assert all("vms" not in row for row in listed)
    assert [row["id"] for row in service.get("/v1/batches?state=running")["items"]] == [second["id"]]
    assert [row["id"] for row in service.get("/v1/batches?state=finished")["items"]] == [first["id"]]
    problem(service.ask("GET", "/v1/batches?state=done"), 400, "?state")


def test_an_abort() -> None:
    service = crowd()
    id_ = evacuate(service, {"parallel": 1})["id"]
    url = f"/v1/batches/{id_}/abort"
    problem(service.ask("POST", url, If_Match='"1"'), 412)
    service.while_waiting = service.confirm
    body = service.ask("POST", f"{url}?wait=5", {"reason": "enough"}).json
    assert (body["state"], body["reason"], body["counts"]) == ("aborted", "enough", {"aborted": 1, "skipped": 2})
    assert body["switches"]["pending"] == []
    assert service.ask("POST", url).json["reason"] == "enough"
    done = evacuate(service, path="servers/srv-c1")
    assert "is finished" in problem(service.ask("POST", f"/v1/batches/{done['id']}/abort"), 409)


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({"parallel": 0}, ["parallel"]),
        ({"parallel": 1001}, ["parallel"]),
        ({"parallel": True}, ["parallel"]),
        ({"to": []}, ["to"]),
        ({"to": ["srv-b1", "srv-b1"]}, ["to"]),
        ({"to": ["srv-b1", "-"]}, ["to[1]"]),
        ({"to": ["srv-x", "srv-a1"]}, ["to[0]", "to[1]"]),
        ({"mode": "warm", "timeout": 0, "vm": "web1"}, ["mode", "timeout", "vm"]),
    ],
)
def test_wrong_bodies(body: dict[str, Any], paths: list[str]) -> None:
    service = crowd(1)
    before = service.engine.state
    problem(service.ask("POST", "/v1/servers/srv-a1/evacuate", body), 422, *paths)
    assert service.engine.state is before


def test_what_is_not_there() -> None:
    service = crowd(1)
    for url in ("/v1/servers/srv-x/evacuate", "/v1/switches/tor-x/evacuate", "/v1/batches/b-1/abort"):
        problem(service.ask("POST", url), 404)
    problem(service.ask("GET", "/v1/batches/b-1"), 404)


def test_a_server_that_is_being_evacuated() -> None:
    service = crowd()
    id_ = evacuate(service)["id"]
    assert id_ in problem(service.ask("POST", "/v1/servers/srv-a1/evacuate"), 409)
    assert id_ in problem(service.ask("POST", "/v1/servers/srv-c1/evacuate", {"to": ["srv-a1"]}), 409)
