"""Dry runs of PUT, DELETE and bulk: the answer that the write gives then, a plan, and nothing changed. Deletions in bulk."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.rest_service import WEB, Service, problem, vm

POLICY = {"action": "allow", "from": {"vm": "web1"}, "to": {"cug": "db"}, "protocol": "tcp", "ports": ["80"]}
DB = {"subnets": ["10.2.0.0/24"], "routing_domain": "red"}


def in_db(number: int, server: str = "srv-b1") -> dict[str, Any]:
    row = {"cug": "db", "mac": f"02:00:00:00:02:{number:02x}", "ips": [f"10.2.0.{number}"]}
    return {"server": server, "interfaces": [row]}


@pytest.fixture
def service() -> Service:
    service = Service()
    service.put("/v1/cugs/web", WEB | {"routing_domain": "red"})
    service.put("/v1/cugs/db", DB)
    service.put("/v1/cugs/idle", {"subnets": ["10.3.0.0/24"]})
    service.put("/v1/vms/web1", vm())
    service.put("/v1/vms/db1", in_db(11))
    service.put("/v1/policies/http", POLICY)
    service.connect()
    return service


EDITED = in_db(11) | {"interfaces": [in_db(11)["interfaces"][0] | {"ips": ["10.2.0.12"]}]}
BULK = {
    "cugs": {"new": {"subnets": ["10.3.0.0/24"]}, "web": WEB | {"routing_domain": "red"}},
    "vms": {"db1": EDITED, "db2": in_db(21, "srv-c1")},
    "delete": {"cugs": ["idle", "gone"], "policies": ["http"], "vms": ["web1"]},
}
WRITES = [
    ("PUT", "/v1/cugs/web", WEB | {"routing_domain": "blue"}, 200),
    ("PUT", "/v1/cugs/more", {"subnets": ["10.4.0.0/24"]}, 201),
    ("PUT", "/v1/vms/web2", vm("srv-c1", 12), 201),
    ("PUT", "/v1/vms/db1", EDITED, 200),
    ("PUT", "/v1/vms/db1", in_db(11), 200),
    ("PUT", "/v1/policies/http", POLICY | {"ports": ["80", "443"]}, 200),
    ("DELETE", "/v1/policies/http", None, 200),
    ("DELETE", "/v1/vms/web1", None, 200),
    ("DELETE", "/v1/cugs/idle", None, 200),
    ("POST", "/v1/bulk", BULK, 200),
    ("POST", "/v1/bulk", {}, 200),
]


@pytest.mark.parametrize(("method", "url", "body", "status"), WRITES)
def test_a_dry_run_answers_as_the_write_does_and_changes_nothing(
    service: Service, method: str, url: str, body: Any, status: int
) -> None:
    before, revision, last = service.engine.state, service.store.revision, service.engine.events.next_id
    tables = {name: dict(row.flows) for name, row in service.engine.desired.tables.items()}
    tried = service.ask(method, f"{url}?dry_run=true&flows=true", body)
    assert tried.status_int == status, tried.text
    answer = tried.json
    plan = answer.pop("plan")
    assert service.engine.state is before
    assert (service.store.revision, service.engine.events.next_id) == (revision, last)
    assert {name: row.flows for name, row in service.engine.desired.tables.items()} == tables
    assert not any(service.engine.fleet.take(name) for name in service.engine.fleet.names)

    done = service.ask(method, url, body)
    assert done.status_int == (204 if method == "DELETE" else status)
    assert answer == (done.json if done.body else {})
    sent = {name: taken[1] for name in service.engine.fleet.names if (taken := service.engine.fleet.take(name)) is not None}
    assert {name: sum(row.values()) for name, row in plan["flow_mods"].items()} == {
        name: len(delta.flows) + len(delta.deleted) + len(delta.groups) + len(delta.groups_changed) + len(delta.groups_gone)
        for name, delta in sent.items()
    }
    assert {name: len(rows) for name, rows in plan["flows"].items()} == {
        name: sum(row.values()) for name, row in plan["flow_mods"].items()
    }


def test_a_plan_names_objects_and_what_becomes_of_their_values(service: Service) -> None:
    plan = service.ask("POST", "/v1/bulk?dry_run=true", BULK).json["plan"]
    assert [(row["sign"], row["kind"], row["name"]) for row in plan["changes"]] == [
        ("-", "policies", "http"), ("-", "vms", "web1"), ("-", "cugs", "idle"),
        ("+", "cugs", "new"), ("~", "vms", "db1"), ("+", "vms", "db2"),
    ]  # fmt: skip
    assert [row["fields"] for row in plan["changes"] if row["fields"]] == [
        [{"path": "interfaces[0].ips", "before": ["10.2.0.11"], "after": ["10.2.0.12"]}]
    ]
    assert "flows" not in plan
    body = {"server": "srv-b1", "interfaces": [*in_db(11)["interfaces"], vm()["interfaces"][0] | {"mac": "02:00:00:00:09:09"}]}
    body["interfaces"][1]["ips"] = ["10.1.0.99"]
    (change,) = service.ask("PUT", "/v1/vms/db1?dry_run=true", body).json["plan"]["changes"]
    assert [(row["path"], row["before"]) for row in change["fields"]] == [("interfaces[1]", None)]
    (change,) = service.ask("PUT", "/v1/cugs/web?dry_run=true", WEB | {"vlan_ids": {"rack-a": 110}}).json["plan"]["changes"]
    assert change["fields"] == [
        {"path": "routing_domain", "before": "red", "after": None},
        {"path": "vlan_ids", "before": None, "after": {"rack-a": 110}},
    ]


def test_a_dry_run_is_refused_as_the_write_is(service: Service) -> None:
    for method, url, body in (
        ("PUT", "/v1/vms/web1", vm("srv-c1")),
        ("PUT", "/v1/vms/web2", vm()),
        ("DELETE", "/v1/cugs/web", None),
        ("POST", "/v1/bulk", {"vms": {"web1": vm("srv-c1")}}),
        ("POST", "/v1/bulk", {"delete": {"cugs": ["web"]}}),
    ):
        tried, done = service.ask(method, f"{url}?dry_run=true", body), service.ask(method, url, body)
        assert (tried.status_int, tried.json) == (done.status_int, done.json)
        assert done.status_int == 409
    problem(service.ask("PUT", "/v1/vms/web1?dry_run=true", vm(number=12), If_Match='"1"'), 412)
    problem(service.ask("DELETE", "/v1/vms/x?dry_run=true"), 404)
    problem(service.ask("DELETE", "/v1/vms/web1?flows=1"), 400, "?flows")
    problem(service.ask("DELETE", "/v1/vms/web1?dry_run=1"), 400, "?dry_run")


def test_a_bulk_reuses_addresses_and_prefixes_that_it_frees(service: Service) -> None:
    """All in one revision: addresses, prefixes, and a CUG that its last member leaves."""
    body = {
        "cugs": {"data": DB},
        "vms": {"web2": vm("srv-c1", 11), "keeper": {"server": "srv-b1", "interfaces": [vm(number=13)["interfaces"][0]]}},
        "delete": {"cugs": ["db"], "vms": ["web1", "db1"]},
    }
    service.put("/v1/vms/keeper", {"server": "srv-b1", "interfaces": [in_db(31)["interfaces"][0]]})
    service.put("/v1/policies/http", POLICY | {"to": {"cug": "web"}})
    # The CUG has a member that leaves it by what is put, so it goes last; and until then it has the prefix.
    assert "overlaps" in problem(service.ask("POST", "/v1/bulk", body), 409)
    body["cugs"] = {}
    answer = service.ask("POST", "/v1/bulk", body).json
    assert answer["deleted"] == {"cugs": ["db"], "vms": ["db1", "web1"], "policies": []}
    assert (answer["created"]["vms"], answer["replaced"]["vms"]) == (["web2"], ["keeper"])
    assert {row["revision"] for row in service.get("/v1/vms")["items"]} == {answer["revision"]}
    assert service.get("/v1/policies/http")["dangling"] == ["from.vm"]
    again = service.ask("POST", "/v1/bulk", body).json
    assert (again["revision"], again["deleted"]) == (answer["revision"], {"cugs": [], "vms": [], "policies": []})


def test_a_cug_that_is_empty_gives_its_prefix_to_another(service: Service) -> None:
    answer = service.ask("POST", "/v1/bulk", {"cugs": {"data": DB}, "delete": {"cugs": ["db"], "vms": ["db1"]}})
    assert answer.json["created"]["cugs"] == ["data"]


def test_deletions_that_are_refused(service: Service) -> None:
    problem(service.ask("POST", "/v1/bulk", {"delete": {"vms": ["web1"]}, "vms": {"web1": vm()}}), 422, "delete.vms[0]")
    problem(service.ask("POST", "/v1/bulk", {"delete": {"vms": "web1"}}), 422, "delete.vms")
    problem(service.ask("POST", "/v1/bulk", {"delete": {"servers": []}}), 422, "delete.servers")
    problem(service.ask("POST", "/v1/bulk", {"delete": {"vms": ["%"]}}), 422, "delete.vms[0]")
    service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1"})
    assert "vms.web1: VM 'web1' is moving" in problem(service.ask("POST", "/v1/bulk", {"delete": {"vms": ["web1"]}}), 409)
