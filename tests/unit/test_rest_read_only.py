"""What REST gives can be put back: read-only keys are accepted where they say what is so, and refused where they do not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.support.rest_service import WEB, Service, problem, vm

POLICY = {"action": "allow", "from": {"vm": "web1"}, "to": {"cug": "web"}, "protocol": "tcp", "ports": ["80"]}
URLS = ("/v1/cugs/web", "/v1/vms/web1", "/v1/vms/moving", "/v1/policies/http", "/v1/policies/idle")


@pytest.fixture
def service() -> Service:
    """A CUG, a VM with a pinned and a free interface, one that moves, a policy, and one that dangles."""
    service = Service()
    service.put("/v1/cugs/web", WEB | {"routing_domain": "red", "vlan_ids": {"rack-a": 110}})
    service.put("/v1/cugs/db", {"subnets": ["10.2.0.0/24"]})
    body = vm()
    body["interfaces"].append({"cug": "db", "mac": "02:00:00:00:02:0b", "ips": ["10.2.0.11"], "vlan_id": 77})
    service.put("/v1/vms/web1", body)
    service.put("/v1/vms/gone", vm(number=30))
    service.put("/v1/policies/http", POLICY)
    service.put("/v1/policies/idle", POLICY | {"from": {"vm": "gone"}})
    service.ask("DELETE", "/v1/vms/gone")
    service.put("/v1/vms/moving", vm("srv-b1", 20))
    service.ask("POST", "/v1/migrations", {"vm": "moving", "to": "srv-c1"})
    return service


@pytest.mark.parametrize("url", URLS)
def test_what_get_gives_put_takes_and_nothing_changes(service: Service, url: str) -> None:
    before, body = service.engine.state, service.get(url)
    answer = service.ask("PUT", url, body)
    assert (answer.status_int, answer.json) == (200, body)
    assert service.engine.state is before


def test_what_lists_give_bulk_takes(service: Service) -> None:
    before = service.engine.state
    lists = {kind: service.get(f"/v1/{kind}") for kind in ("cugs", "vms", "policies")}
    every = [row for rows in lists.values() for row in rows["items"]]
    for body in (lists, {"items": every}, {kind: {row["name"]: row for row in rows["items"]} for kind, rows in lists.items()}):
        answer = service.ask("POST", "/v1/bulk", body)
        assert answer.status_int == 200, answer.text
        assert {kind: len(names) for kind, names in answer.json["unchanged"].items()} == {"cugs": 2, "vms": 2, "policies": 2}
        assert service.engine.state is before


def test_an_edit_of_what_get_gave(service: Service) -> None:
    body = service.get("/v1/vms/web1")
    body["interfaces"][0]["ips"] = ["10.1.0.99"]
    after = service.put("/v1/vms/web1", body)
    assert [row["vlan_id_pinned"] for row in after["interfaces"]] == [False, True]
    assert after["interfaces"][0]["vlan_id"] == body["interfaces"][0]["vlan_id"]
    # It is of the revision before now: who has not seen the edit does not undo it.
    assert "revision: is read-only and 10 now, not 3" in problem(service.ask("PUT", "/v1/vms/web1", body), 409, "revision")


def test_a_number_is_pinned_when_the_body_says_so(service: Service) -> None:
    body = service.get("/v1/vms/web1")
    del body["revision"]
    body["interfaces"][0]["vlan_id_pinned"] = True
    assert [row["vlan_id_pinned"] for row in service.put("/v1/vms/web1", body)["interfaces"]] == [True, True]
    del body["interfaces"][1]["vlan_id_pinned"]
    assert [row["vlan_id_pinned"] for row in service.put("/v1/vms/web1", body)["interfaces"]] == [True, True]


def _changed(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    found = target = copy.deepcopy(body)
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return found


@pytest.mark.parametrize(
    ("url", "path", "value", "status", "fault"),
    [
        ("/v1/cugs/web", ("name",), "other", 422, "name"),
        ("/v1/cugs/web", ("revision",), 2, 409, "revision"),
        ("/v1/cugs/web", ("segment_key",), 9, 409, "segment_key"),
        ("/v1/cugs/web", ("presence", "edges"), ["tor-a"], 409, "presence.edges"),
        ("/v1/cugs/web", ("presence", "l2_domains"), {}, 409, "presence.l2_domains.core-1"),
        ("/v1/cugs/web", ("presence", "servers", "srv-a1", "interfaces"), 2, 409, "presence.servers.srv-a1.interfaces"),
        ("/v1/vms/web1", ("name",), "web2", 422, "name"),
        ("/v1/vms/web1", ("revision",), 1, 409, "revision"),
        ("/v1/vms/web1", ("migration",), "m-1", 409, "migration"),
        ("/v1/vms/moving", ("migration",), None, 409, "migration"),
        ("/v1/vms/web1", ("interfaces", 0, "vlan_id"), 9, 409, "interfaces[0].vlan_id"),
        ("/v1/vms/web1", ("interfaces", 0, "vlan_id"), None, 409, "interfaces[0].vlan_id"),
        ("/v1/policies/http", ("name",), "x", 422, "name"),
        ("/v1/policies/http", ("revision",), 1, 409, "revision"),
    ],
)
def test_what_contradicts_is_refused_and_named(
    service: Service, url: str, path: tuple[Any, ...], value: Any, status: int, fault: str
) -> None:
    before, body = service.engine.state, _changed(service.get(url), path, value)
    assert fault in problem(service.ask("PUT", url, body), status, fault)
    _, _, kind, name = url.split("/")
    answer = service.ask("POST", "/v1/bulk", {kind: {name: body}})
    assert f"{kind}.{name}" in problem(answer, status, f"{kind}.{name}.{fault}")
    assert service.engine.state is before


def test_dangling_ends_are_accepted_when_the_body_knows_them(service: Service) -> None:
    idle = service.get("/v1/policies/idle")
    assert idle["dangling"] == ["from.vm"]
    problem(service.ask("PUT", "/v1/policies/idle", _changed(idle, ("dangling",), [])), 422, "from.vm")
    assert service.ask("PUT", "/v1/policies/again", {**idle, "name": "again"}).status_int == 201
    service.put("/v1/vms/gone", vm(number=30))
    assert "dangling: from.vm" in problem(service.ask("PUT", "/v1/policies/idle", idle), 409)


def test_an_object_that_is_not_there_has_nothing_to_contradict(service: Service) -> None:
    there = {kind: service.get(f"/v1/{kind}") for kind in ("cugs", "vms", "policies")}
    empty = Service()
    answer = empty.ask("POST", "/v1/bulk", there)
    assert answer.status_int == 200, answer.text
    assert {kind: len(names) for kind, names in answer.json["created"].items()} == {"cugs": 2, "vms": 2, "policies": 2}


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({"items": {}}, ["items"]),
        ({"items": [1]}, ["items[0]"]),
        ({"items": [{"name": "a", "colour": 1}]}, ["items[0]"]),
        ({"items": [{"subnets": ["10.7.0.0/24"]}]}, ["items[0].name"]),
        ({"cugs": {"items": [{"subnets": ["10.7.0.0/24"]}]}}, ["cugs.items[0].name"]),
        ({"cugs": {"items": [{"name": "a", "subnets": ["10.7.0.1/24"]}]}}, ["cugs.items[0].subnets[0]"]),
        ({"cugs": {"a": WEB}, "items": [{"name": "a", **WEB}]}, ["items[0]"]),
        ({"items": [{"name": "a", **WEB}, {"name": "a", **WEB}]}, ["items[1]"]),
        ({"cugs": {"items": {}}}, ["cugs.items.subnets"]),
    ],
)
def test_lists_that_are_refused(service: Service, body: Any, paths: list[str]) -> None:
    problem(service.ask("POST", "/v1/bulk", body), 422, *paths)
