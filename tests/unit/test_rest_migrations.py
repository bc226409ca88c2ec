"""Migrations by REST: every step, and every refusal beside its passing twin."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.support.rest_service import Service, per_cug, problem, vm


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.mark.requirement("R26")
def test_the_life_of_a_migration(service: Service) -> None:
    service.connect()
    service.with_web()
    tag = service.get("/v1/vms/web1")["interfaces"][0]["vlan_id"]
    service.confirm()
    answer = service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1", "commit": "request"})
    assert answer.status_int == 201
    assert answer.headers["Location"].endswith("/v1/migrations/m-000000000001")
    one = answer.json
    flow_mods = one["timeline"][0].pop("flow_mods")
    assert set(flow_mods) == {"tor-a", "border-1", "border-2", "tor-c"}
    assert one["timeline"][0].pop("acknowledged") == dict.fromkeys(flow_mods)
    assert all(count > 0 for count in flow_mods.values())
    assert one == {
        "id": "m-000000000001",
        "vm": "web1",
        "from": "srv-a1",
        "to": "srv-c1",
        "mode": "hot",
        "delivery": "at_pause",
        "activate_on": "announcement",
        "commit": "request",
        "timeout": 7200.0,
        "state": "preparing",
        "delivered": False,
        "returning": False,
        "reason": None,
        "batch": None,
        "interfaces": [{"cug": "web", "from_vlan_id": tag, "to_vlan_id": tag}],
        "switches": {"acknowledged": [], "pending": ["border-1", "border-2", "tor-a", "tor-c"]},
        "timeline": [{"state": "preparing", "time": "2023-11-14T22:13:20.250000Z", "frames": 0, "complete": None}],
        "settled": None,
        "revision": 3,
    }
    assert service.get("/v1/vms/web1")["migration"] == "m-000000000001"
    assert service.get("/v1/cugs/web")["presence"]["edges"] == ["tor-a", "tor-c"]
    problem(service.ask("POST", "/v1/migrations/m-000000000001/commit"), 409)
    service.confirm("tor-a", "tor-c")
    one = service.get("/v1/migrations/m-000000000001")
    assert (one["state"], one["switches"]["pending"]) == ("preparing", ["border-1", "border-2"])
    service.confirm()
    one = service.get("/v1/migrations/m-000000000001")
    assert (one["state"], one["switches"]["pending"]) == ("prepared", [])
    service.time += 1
    one = service.ask("POST", "/v1/migrations/m-000000000001/activate").json
    assert (one["state"], one["reason"]) == ("activated", "requested")
    assert service.get("/v1/vms/web1")["server"] == "srv-c1"
    assert service.get("/v1/vms/web1")["interfaces"][0]["vlan_id"] == tag
    service.confirm()
    again = service.ask("POST", "/v1/migrations/m-000000000001/activate")
    assert (again.status_int, again.json["revision"]) == (200, one["revision"])
    one = service.ask("POST", "/v1/migrations/m-000000000001/commit").json
    assert one["state"] == "committed"
    assert [row["state"] for row in one["timeline"]] == ["preparing", "prepared", "activated", "committed"]
    assert one["timeline"][2]["time"] == "2023-11-14T22:13:21.250000Z"
    assert service.ask("POST", "/v1/migrations/m-000000000001/commit", {}).status_int == 200
    assert service.get("/v1/vms/web1")["migration"] is None
    presence = service.get("/v1/cugs/web")["presence"]
    assert (presence["l2_domains"], presence["servers"]) == ({}, {"srv-c1": {"interfaces": 1}})


def test_an_abort_after_the_activation_takes_the_vm_back(service: Service) -> None:
    service.connect()
    service.with_web()
    service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1", "commit": "request"})
    service.confirm()
    service.ask("POST", "/v1/migrations/m-000000000001/activate")
    service.confirm()
    one = service.ask("POST", "/v1/migrations/m-000000000001/abort", {"reason": "it does not run"}).json
    assert (one["state"], one["returning"], one["reason"]) == ("activated", True, "it does not run")
    assert service.get("/v1/vms/web1")["server"] == "srv-a1"
    assert service.ask("POST", "/v1/migrations/m-000000000001/abort").json == one
    answer = service.ask("POST", "/v1/migrations/m-000000000001/commit")
    problem(answer, 409)
    assert "returning" in answer.json["detail"]
    service.confirm()
    one = service.get("/v1/migrations/m-000000000001")
    assert (one["state"], one["returning"], one["reason"]) == ("aborted", False, "it does not run")
    assert [row["state"] for row in one["timeline"]] == ["preparing", "prepared", "activated", "activated", "aborted"]


def test_an_abort_says_why(service: Service) -> None:
    service.with_web()
    for number, (body, reason) in enumerate([(None, "requested"), ({"reason": "no memory there"}, "no memory there")], 1):
        service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-b1"})
        url = f"/v1/migrations/m-{number:012x}/abort"
        answer = service.ask("POST", url, body)
        assert (answer.status_int, answer.json["state"], answer.json["reason"]) == (200, "aborted", reason)
        assert service.ask("POST", url, {"reason": "again"}).json == answer.json
        problem(service.ask("POST", f"/v1/migrations/m-{number:012x}/activate"), 409)
    assert service.get("/v1/vms/web1")["server"] == "srv-a1"


def test_waiting_for_a_migration_shows_where_it_came_to(service: Service) -> None:
    service.connect()
    service.with_web()
    service.confirm()
    service.while_waiting = service.confirm
    answer = service.ask("POST", "/v1/migrations?wait=5", {"vm": "web1", "to": "srv-b1"})
    assert (answer.status_int, answer.json["state"], answer.json["switches"]["pending"]) == (201, "prepared", [])
    answer = service.ask("POST", "/v1/migrations/m-000000000001/activate?wait=5")
    assert (answer.status_int, answer.json["state"]) == (200, "committed")


@pytest.mark.requirement("R21")
def test_between_servers_with_a_vlan_id_for_each_cug_the_number_changes(tmp_path: Path) -> None:
    service = Service(fabric=per_cug(tmp_path))
    service.connect()
    service.with_web()
    service.confirm()
    legs = [{"cug": "web", "from_vlan_id": 100, "to_vlan_id": 500}]
    for query in ("?dry_run=true", ""):
        answer = service.ask("POST", f"/v1/migrations{query}", {"vm": "web1", "to": "srv-c1", "commit": "request"})
        assert answer.json["interfaces"] == legs
    service.confirm()
    service.ask("POST", "/v1/migrations/m-000000000002/activate")
    service.confirm()
    assert service.get("/v1/vms/web1")["interfaces"][0]["vlan_id"] == 500
    assert service.ask("POST", "/v1/migrations/m-000000000002/commit").json["interfaces"] == legs
    assert service.get("/v1/cugs/web")["presence"]["l2_domains"] == {"rack-c": {"vlan_id": 500, "interfaces": 1}}


def test_a_dry_run_changes_nothing(service: Service) -> None:
    service.with_web()
    before = service.engine.state
    answer = service.ask("POST", "/v1/migrations?dry_run=true", {"vm": "web1", "to": "srv-c1"})
    assert answer.status_int == 200
    assert answer.json["dry_run"] is True
    tag = service.get("/v1/vms/web1")["interfaces"][0]["vlan_id"]
    assert answer.json["interfaces"] == [{"cug": "web", "from_vlan_id": tag, "to_vlan_id": tag}]
    assert answer.json["switches"] == {"acknowledged": [], "pending": ["border-1", "border-2", "tor-a", "tor-c"]}
    assert not {"id", "revision"} & set(answer.json)
    assert "Location" not in answer.headers
    assert service.engine.state is before
    assert "Location" in service.ask("POST", "/v1/migrations?dry_run=false", {"vm": "web1", "to": "srv-c1"}).headers
    problem(service.ask("POST", "/v1/migrations?dry_run=true", {"vm": "web1", "to": "srv-b1"}), 409)
    problem(service.ask("POST", "/v1/migrations?dry_run=yes", {"vm": "web1", "to": "srv-b1"}), 400, "?dry_run")


@pytest.mark.parametrize(
    ("change", "status", "paths"),
    [
        ({"vm": "nobody"}, 422, ["vm"]),
        ({"to": "srv-x"}, 422, ["to"]),
        ({"to": "srv-a1"}, 409, []),
        ({"vm": None}, 422, ["vm"]),
        ({"mode": "warm"}, 422, ["mode"]),
        ({"delivery": "late"}, 422, ["delivery"]),
        ({"activate_on": "sight"}, 422, ["activate_on"]),
        ({"commit": "never"}, 422, ["commit"]),
        ({"timeout": 0}, 422, ["timeout"]),
        ({"timeout": -1}, 422, ["timeout"]),
        ({"timeout": "300"}, 422, ["timeout"]),
        ({"timeout": 86401}, 422, ["timeout"]),
        ({"timeout": True}, 422, ["timeout"]),
        ({"from": "srv-a1"}, 422, ["from"]),
    ],
)
def test_migrations_that_are_refused(service: Service, change: dict[str, Any], status: int, paths: list[str]) -> None:
    service.with_web()
    for url in ("/v1/migrations", "/v1/migrations?dry_run=true"):
        problem(service.ask("POST", url, {"vm": "web1", "to": "srv-b1", **change}), status, *paths)
    assert service.get("/v1/migrations") == {"items": []}


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "cold"},
        {"delivery": "on_activation"},
        {"delivery": "early"},
        {"delivery": "at_pause"},
        {"activate_on": "request", "commit": "request"},
        {"timeout": 0.5},
        {"timeout": 86400},
    ],
)
def test_migrations_that_are_taken(service: Service, change: dict[str, Any]) -> None:
    service.with_web()
    answer = service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-b1", **change})
    assert answer.status_int == 201
    assert {key: answer.json[key] for key in change} == change


def test_an_infinite_timeout(service: Service) -> None:
    text = b'{"vm": "web1", "to": "srv-b1", "timeout": 1e999}'
    problem(service.with_web().ask("POST", "/v1/migrations", text), 422, "timeout")


def test_a_vm_moves_once_at_a_time_and_stays_as_it_is(service: Service) -> None:
    service.with_web()
    service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-b1"})
    assert "m-000000000001" in problem(service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1"}), 409)
    problem(service.ask("DELETE", "/v1/vms/web1"), 409)
    problem(service.ask("PUT", "/v1/vms/web1", vm(number=12)), 409)
    assert service.ask("PUT", "/v1/vms/web1", vm()).status_int == 200
    service.ask("POST", "/v1/migrations/m-000000000001/abort")
    assert service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1"}).status_int == 201


@pytest.mark.parametrize("step", ["activate", "commit", "abort"])
def test_steps_of_a_migration(service: Service, step: str) -> None:
    problem(service.ask("POST", f"/v1/migrations/m-1/{step}"), 404)
    service.with_web()
    service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-b1"})
    url = f"/v1/migrations/m-000000000001/{step}"
    problem(service.ask("POST", url, {"why": "x"}), 422, "why")
    problem(service.ask("POST", url, b"x"), 400)
    problem(service.ask("POST", url, If_Match='"2"'), 412)
    assert service.ask("POST", url, If_Match='"3"').status_int == (409 if step == "commit" else 200)


def test_the_reason_of_an_abort_is_text(service: Service) -> None:
    service.with_web()
    service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-b1"})
    for reason in ("", "x" * 501, 5):
        problem(service.ask("POST", "/v1/migrations/m-000000000001/abort", {"reason": reason}), 422, "reason")
    assert service.ask("POST", "/v1/migrations/m-000000000001/abort", {"reason": "x" * 500}).status_int == 200


def test_filters_of_migrations(service: Service) -> None:
    service.with_web()
    service.put("/v1/vms/web2", vm("srv-a1", 12))
    for name in ("web1", "web2"):
        service.time += 1
        service.ask("POST", "/v1/migrations", {"vm": name, "to": "srv-b1"})
    service.ask("POST", "/v1/migrations/m-000000000001/abort")

    def ids(query: str) -> list[int]:
        return [int(item["id"][2:], 16) for item in service.get(f"/v1/migrations{query}")["items"]]

    assert ids("") == [1, 2]
    assert ids("?state=aborted") == ids("?vm=web1") == ids("?vm=web1&state=aborted") == [1]
    assert ids("?state=preparing") == [2]
    assert ids("?state=committed") == ids("?vm=nobody") == []
    problem(service.ask("GET", "/v1/migrations/m-9"), 404)


def test_an_old_migration_of_a_switch_that_is_no_longer_in_the_fabric(service: Service) -> None:
    service.with_web()
    service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-b1"})
    service.ask("POST", "/v1/migrations/m-000000000001/abort")
    state = service.engine.state
    row = dataclasses.replace(state.migrations["m-000000000001"], switches=("gone", "tor-a"))
    service.engine.state = dataclasses.replace(state, migrations=state.migrations.set(row.id, row))
    assert service.get(f"/v1/migrations/{row.id}")["switches"] == {"acknowledged": [], "pending": ["tor-a"]}
