"""Every resource over the real engine: what it answers, and every refusal beside its passing twin."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest

from ryu_vmmob.engine.fleet import Fault
from tests.unit.rest_support import WEB, Service, problem, vm


@pytest.fixture
def service() -> Service:
    return Service()


# CUGs


def test_the_life_of_a_cug(service: Service) -> None:
    answer = service.ask("PUT", "/v1/cugs/web", {**WEB, "routing_domain": "red", "vlan_ids": {"rack-a": 110}})
    assert answer.status_int == 201
    assert answer.json == {
        "name": "web",
        "subnets": ["10.1.0.0/24", "2001:db8:1::/64"],
        "gateways": ["10.1.0.1", "2001:db8:1::1"],
        "routing_domain": "red",
        "vlan_ids": {"rack-a": 110},
        "presence": {"data_centers": [], "edges": [], "l2_domains": {}},
        "revision": 1,
    }
    assert service.get("/v1/cugs/web") == answer.json
    assert service.get("/v1/cugs") == {"items": [answer.json]}
    replaced = service.ask("PUT", "/v1/cugs/web", {**WEB, "gateways": ["10.1.0.254", "2001:db8:1::1"]})
    assert (replaced.status_int, replaced.json["gateways"][0]) == (200, "10.1.0.254")
    assert (replaced.json["routing_domain"], replaced.json["vlan_ids"], replaced.json["revision"]) == (None, {}, 2)
    gone = service.ask("DELETE", "/v1/cugs/web")
    assert (gone.status_int, gone.body) == (204, b"")
    assert "Content-Type" not in gone.headers
    problem(service.ask("GET", "/v1/cugs/web"), 404)
    problem(service.ask("DELETE", "/v1/cugs/web"), 404)


def test_a_repeated_put_changes_nothing(service: Service) -> None:
    first = service.put("/v1/cugs/web", WEB)
    second = service.ask("PUT", "/v1/cugs/web", {**WEB, "gateways": ["10.1.0.1", "2001:db8:1::1"], "vlan_ids": {}})
    assert (second.status_int, second.json) == (200, first)
    assert (service.engine.state.revision, service.store.revision) == (1, 1)


def test_collections_are_sorted_by_name(service: Service) -> None:
    for name in ("b", "a", "C"):
        service.put(f"/v1/cugs/{name}", WEB)
    assert [item["name"] for item in service.get("/v1/cugs")["items"]] == ["C", "a", "b"]


def test_presence_follows_the_members(service: Service) -> None:
    service.put("/v1/cugs/web", {**WEB, "vlan_ids": {"rack-a": 110}})
    service.put("/v1/vms/web1", vm("srv-a1", 11))
    service.put("/v1/vms/web2", vm("srv-a1", 12))
    assert service.get("/v1/cugs/web")["presence"] == {
        "data_centers": ["dc1"],
        "edges": ["tor-a"],
        "l2_domains": {"rack-a": {"vlan_id": 110, "interfaces": 2}},
    }
    service.put("/v1/vms/web3", vm("srv-c1", 13))
    presence = service.get("/v1/cugs/web")["presence"]
    assert (presence["data_centers"], presence["edges"]) == (["dc1", "dc2"], ["tor-a", "tor-c"])
    domains = presence["l2_domains"]
    assert {name: row["interfaces"] for name, row in domains.items()} == {"rack-a": 2, "core-1": 0, "wan": 0, "rack-c": 1}
    assert domains["rack-c"]["vlan_id"] == 500
    service.ask("DELETE", "/v1/vms/web3")
    assert service.get("/v1/cugs/web")["presence"]["l2_domains"] == {"rack-a": {"vlan_id": 110, "interfaces": 2}}


def test_an_untagged_server_makes_presence_without_a_domain(service: Service) -> None:
    service.put("/v1/cugs/web", WEB)
    service.put("/v1/vms/web1", vm("srv-a2"))
    presence = service.get("/v1/cugs/web")["presence"]
    assert presence == {"data_centers": ["dc1"], "edges": ["tor-a"], "l2_domains": {}}


@pytest.mark.parametrize(
    ("change", "paths"),
    [
        ({"subnets": None}, ["subnets"]),
        ({"subnets": []}, ["subnets"]),
        ({"subnets": "10.1.0.0/24"}, ["subnets"]),
        ({"subnets": ["10.1.0.1/24"]}, ["subnets[0]"]),
        ({"subnets": ["10.1.0.0/33"]}, ["subnets[0]"]),
        ({"subnets": ["10.1.0.0"]}, ["subnets[0]"]),
        ({"subnets": ["10.1.0.0/255.255.255.0"]}, ["subnets[0]"]),
        ({"subnets": ["224.0.0.0/24"]}, ["subnets[0]"]),
        ({"subnets": ["127.0.0.0/8"]}, ["subnets[0]"]),
        ({"subnets": ["fe80::/64"]}, ["subnets[0]"]),
        ({"subnets": ["10.1.0.4/31"]}, ["subnets[0]"]),
        ({"subnets": ["10.1.0.4/32"]}, ["subnets[0]"]),
        ({"subnets": ["2001:db8::/127"]}, ["subnets[0]"]),
        ({"subnets": ["2001:db8::/128"]}, ["subnets[0]"]),
        ({"subnets": [1, "10.1.0.0/24"]}, ["subnets[0]"]),
        ({"subnets": ["10.1.0.0/24", "10.2.0.0/24"]}, ["subnets"]),
        ({"gateways": ["10.1.0.1", "10.1.0.2"]}, ["gateways"]),
        ({"gateways": ["10.2.0.1"]}, ["gateways[0]"]),
        ({"gateways": ["10.1.0.1/24"]}, ["gateways[0]"]),
        ({"gateways": ["224.0.0.1"]}, ["gateways[0]"]),
        ({"routing_domain": "two words"}, ["routing_domain"]),
        ({"vlan_ids": {"rack-a": 0}}, ["vlan_ids.rack-a"]),
        ({"vlan_ids": {"rack-a": 4095}}, ["vlan_ids.rack-a"]),
        ({"vlan_ids": {"rack-a": "110"}}, ["vlan_ids.rack-a"]),
        ({"vlan_ids": {"rack-a": 110.0}}, ["vlan_ids.rack-a"]),
        ({"vlan_ids": {"rack-a": True}}, ["vlan_ids.rack-a"]),
        ({"vlan_ids": {"rack-a": 99}}, ["vlan_ids.rack-a"]),
        ({"vlan_ids": {"rack-x": 110}}, ["vlan_ids.rack-x"]),
        ({"vlan_ids": {"a b": 110}}, ['vlan_ids."a b"']),
        ({"vlan_ids": [110]}, ["vlan_ids"]),
        ({"name": "web"}, ["name"]),
        ({"subnet": ["10.1.0.0/24"], "subnets": ["x"], "vlan_ids": {"rack-a": 0}}, ["subnet", "subnets[0]", "vlan_ids.rack-a"]),
    ],
)
def test_cugs_that_are_refused(service: Service, change: dict[str, Any], paths: list[str]) -> None:
    problem(service.ask("PUT", "/v1/cugs/web", {**WEB, **change}), 422, *paths)
    assert service.get("/v1/cugs") == {"items": []}


@pytest.mark.parametrize(
    "change",
    [
        {"subnets": ["10.1.0.0/24"]},
        {"subnets": ["2001:db8::/64"]},
        {"subnets": ["10.1.0.0/30"]},
        {"subnets": ["2001:DB8::/32", "10.0.0.0/8"]},
        {"gateways": ["10.1.0.254"]},
        {"gateways": ["2001:db8:1::ff", "10.1.0.254"]},
        {"routing_domain": "red"},
        {"routing_domain": None},
        {"vlan_ids": {"rack-a": 100, "rack-b": 300, "core-1": 2999}},
    ],
)
def test_cugs_that_are_taken(service: Service, change: dict[str, Any]) -> None:
    assert service.ask("PUT", "/v1/cugs/web", {**WEB, **change}).status_int == 201


def test_a_pin_that_another_cug_has_names_the_rule(service: Service) -> None:
    service.put("/v1/cugs/web", {**WEB, "vlan_ids": {"rack-a": 110}})
    assert "R28" in problem(service.ask("PUT", "/v1/cugs/db", {**WEB, "vlan_ids": {"rack-a": 110}}), 409)
    service.put("/v1/cugs/db", {**WEB, "vlan_ids": {"rack-a": 111, "rack-b": 110}})


def test_a_cug_with_members_stays(service: Service) -> None:
    service.with_web()
    assert "web1" in problem(service.ask("DELETE", "/v1/cugs/web"), 409)
    assert service.ask("DELETE", "/v1/vms/web1").status_int == 204
    assert service.ask("DELETE", "/v1/cugs/web").status_int == 204


# VMs


def test_the_life_of_a_vm(service: Service) -> None:
    service.put("/v1/cugs/web", WEB)
    answer = service.ask("PUT", "/v1/vms/web1", vm())
    assert answer.status_int == 201
    assert answer.json == {
        "name": "web1",
        "server": "srv-a1",
        "interfaces": [
            {
                "cug": "web",
                "mac": "02:00:00:00:00:0b",
                "ips": ["10.1.0.11", "2001:db8:1::b"],
                "guest_vlan_id": None,
                "vlan_id": 100,
            }
        ],
        "migration": None,
        "revision": 2,
    }
    assert service.get("/v1/vms/web1") == answer.json
    assert service.get("/v1/vms") == {"items": [answer.json]}
    again = service.ask("PUT", "/v1/vms/web1", vm())
    assert (again.status_int, again.json) == (200, answer.json)
    changed = service.ask("PUT", "/v1/vms/web1", vm(number=12))
    assert (changed.status_int, changed.json["interfaces"][0]["mac"], changed.json["revision"]) == (200, "02:00:00:00:00:0c", 3)
    assert service.ask("DELETE", "/v1/vms/web1").status_int == 204
    problem(service.ask("GET", "/v1/vms/web1"), 404)
    problem(service.ask("DELETE", "/v1/vms/web1"), 404)


def test_several_interfaces_and_an_untagged_server(service: Service) -> None:
    service.put("/v1/cugs/web", WEB)
    service.put("/v1/cugs/db", {"subnets": ["10.2.0.0/24"]})
    body = vm("srv-a1")
    body["interfaces"].append({"cug": "db", "mac": "02-00-00-00-01-0B", "ips": ["10.2.0.11"]})
    rows = service.put("/v1/vms/both", body)["interfaces"]
    assert [(row["cug"], row["mac"], row["vlan_id"]) for row in rows] == [
        ("web", "02:00:00:00:00:0b", 101),
        ("db", "02:00:00:00:01:0b", 100),
    ]
    assert service.put("/v1/vms/alone", vm("srv-a2", 20))["interfaces"][0]["vlan_id"] is None


def changed(path: list[Any], value: Any) -> dict[str, Any]:
    body = copy.deepcopy(vm())
    target: Any = body
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return body


_INTERFACE = ["interfaces", 0]


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (["server"], None, "server"),
        (["server"], "srv-x", "server"),
        (["server"], "", "server"),
        (["interfaces"], [], "interfaces"),
        (["interfaces"], {}, "interfaces"),
        (["interfaces"], [1], "interfaces[0]"),
        ([*_INTERFACE, "cug"], "nowhere", "interfaces[0].cug"),
        ([*_INTERFACE, "mac"], "02:00:00:00:00", "interfaces[0].mac"),
        ([*_INTERFACE, "mac"], "02:00:00:00:00:0g", "interfaces[0].mac"),
        ([*_INTERFACE, "mac"], "03:00:00:00:00:01", "interfaces[0].mac"),
        ([*_INTERFACE, "mac"], "ff:ff:ff:ff:ff:ff", "interfaces[0].mac"),
        ([*_INTERFACE, "mac"], "00:00:00:00:00:00", "interfaces[0].mac"),
        ([*_INTERFACE, "mac"], "02:00:5e:00:00:01", "interfaces[0].mac"),
        ([*_INTERFACE, "mac"], 2, "interfaces[0].mac"),
        ([*_INTERFACE, "ips"], [], "interfaces[0].ips"),
        ([*_INTERFACE, "ips"], ["10.1.0.11", "10.1.0.11"], "interfaces[0].ips"),
        ([*_INTERFACE, "ips"], ["10.2.0.11"], "interfaces[0].ips[0]"),
        ([*_INTERFACE, "ips"], ["10.1.0.11", "10.1.0.1"], "interfaces[0].ips[1]"),
        ([*_INTERFACE, "ips"], ["10.1.0.255"], "interfaces[0].ips[0]"),
        ([*_INTERFACE, "ips"], ["10.1.0.011"], "interfaces[0].ips[0]"),
        ([*_INTERFACE, "ips"], ["2001:db8:1::b%eth0"], "interfaces[0].ips[0]"),
        ([*_INTERFACE, "ips"], ["10.1.0.11/24"], "interfaces[0].ips[0]"),
        ([*_INTERFACE, "guest_vlan_id"], 4095, "interfaces[0].guest_vlan_id"),
        ([*_INTERFACE, "guest_vlan_id"], 5, "interfaces[0].guest_vlan_id"),
        ([*_INTERFACE, "vlan_id"], 100, "interfaces[0].vlan_id"),
        (["migration"], None, "migration"),
    ],
)
def test_vms_that_are_refused(service: Service, path: list[Any], value: Any, fault: str) -> None:
    service.put("/v1/cugs/web", WEB)
    problem(service.ask("PUT", "/v1/vms/web1", changed(path, value)), 422, fault)
    assert service.get("/v1/vms") == {"items": []}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["server"], "srv-b1"),
        ([*_INTERFACE, "mac"], "02:00:00:00:00:FF"),
        ([*_INTERFACE, "mac"], "00:1b:21:00:00:01"),
        ([*_INTERFACE, "ips"], ["10.1.0.2"]),
        ([*_INTERFACE, "ips"], ["2001:db8:1::b", "fe80::b"]),
        ([*_INTERFACE, "guest_vlan_id"], None),
    ],
)
def test_vms_that_are_taken(service: Service, path: list[Any], value: Any) -> None:
    service.put("/v1/cugs/web", WEB)
    assert service.ask("PUT", "/v1/vms/web1", changed(path, value)).status_int == 201


def test_every_fault_of_a_vm_at_once(service: Service) -> None:
    body = {"interfaces": [{"cug": "web", "mac": "x", "ips": ["10.1.0.11", "y"], "tag": 1}, {"mac": "02:00:00:00:00:01"}]}
    problem(
        service.ask("PUT", "/v1/vms/web1", body),
        422,
        "server",
        "interfaces[0].mac",
        "interfaces[0].ips[1]",
        "interfaces[0].tag",
        "interfaces[1].cug",
        "interfaces[1].ips",
    )


def test_an_address_that_another_vm_has(service: Service) -> None:
    service.with_web()
    assert "web1" in problem(service.ask("PUT", "/v1/vms/web2", vm("srv-b1")), 409)
    service.put("/v1/vms/web2", vm("srv-b1", 12))


def test_a_put_moves_no_vm(service: Service) -> None:
    service.with_web()
    assert "migration" in problem(service.ask("PUT", "/v1/vms/web1", vm("srv-b1")), 409)
    assert service.get("/v1/vms/web1")["server"] == "srv-a1"


def test_conditional_writes_of_vms(service: Service) -> None:
    service.with_web()
    service.put("/v1/cugs/db", {"subnets": ["10.2.0.0/24"]})
    assert service.ask("GET", "/v1/vms/web1").headers["ETag"] == '"2"'
    for method in ("PUT", "DELETE"):
        problem(service.ask(method, "/v1/vms/web1", vm(number=12), If_Match='"3"'), 412)
    assert service.ask("PUT", "/v1/vms/web1", vm(number=12), If_Match='"2"').headers["ETag"] == '"4"'
    assert service.ask("DELETE", "/v1/vms/web1", If_Match='"4"').status_int == 204
    problem(service.ask("PUT", "/v1/vms/web1", vm(), If_Match="*"), 412)


def test_filters_of_vms(service: Service) -> None:
    service.with_web()
    service.put("/v1/cugs/db", WEB)
    service.put("/v1/vms/db1", vm("srv-a1", 21, "db"))
    service.put("/v1/vms/db2", vm("srv-b1", 22, "db"))

    def names(query: str) -> list[str]:
        return [item["name"] for item in service.get(f"/v1/vms{query}")["items"]]

    assert names("") == ["db1", "db2", "web1"]
    assert names("?server=srv-a1") == ["db1", "web1"]
    assert names("?cug=db") == ["db1", "db2"]
    assert names("?cug=db&server=srv-a1") == ["db1"]
    assert names("?server=srv-c1") == names("?cug=none") == []
    service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-b1"})
    assert names("?server=srv-b1") == ["db2"], "a VM that is expected is not placed there yet"
    service.ask("POST", "/v1/migrations/m-000000000001/activate")
    assert names("?server=srv-b1") == ["db2", "web1"]
    assert names("?server=srv-a1") == ["db1"], "a VM that has left is not placed there any more"


# Waiting


def test_waiting_tells_which_switches_have_confirmed(service: Service) -> None:
    service.connect("tor-a", "border-1")
    service.put("/v1/cugs/web", WEB)
    service.put("/v1/vms/web1", vm("srv-b1"))
    service.while_waiting = lambda: service.confirm("tor-a")
    answer = service.ask("PUT", "/v1/vms/web2?wait=2.5", vm("srv-a1", 12))
    assert answer.status_int == 201
    assert answer.json["switches"] == {"acknowledged": ["tor-a"], "pending": ["border-1", "tor-b"]}
    assert service.waited == [(3, 2.5)]
    service.while_waiting = service.confirm
    gone = service.ask("DELETE", "/v1/vms/web2?wait=1")
    assert (gone.status_int, gone.json) == (200, {"switches": {"acknowledged": ["border-1", "tor-a"], "pending": ["tor-b"]}})
    gone = service.ask("DELETE", "/v1/vms/web1?wait=1")
    assert gone.json["switches"]["pending"] == ["tor-b"]
    assert service.ask("DELETE", "/v1/cugs/web?wait=1").json == {"switches": {"acknowledged": [], "pending": []}}


def test_without_waiting_nothing_is_said_of_switches(service: Service) -> None:
    assert "switches" not in service.put("/v1/cugs/web", WEB)
    assert service.waited == []


# Migrations


def test_the_life_of_a_migration(service: Service) -> None:
    service.connect()
    service.with_web()
    service.confirm()
    answer = service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1", "commit": "request"})
    assert answer.status_int == 201
    assert answer.headers["Location"].endswith("/v1/migrations/m-000000000001")
    one = answer.json
    flow_mods = one["timeline"][0].pop("flow_mods")
    assert set(flow_mods) == {"tor-a", "border-1", "border-2", "tor-c"}
    assert all(count > 0 for count in flow_mods.values())
    assert one == {
        "id": "m-000000000001",
        "vm": "web1",
        "from": "srv-a1",
        "to": "srv-c1",
        "mode": "hot",
        "delivery": "early",
        "activate_on": "announcement",
        "commit": "request",
        "timeout": 300.0,
        "state": "preparing",
        "reason": None,
        "interfaces": [{"cug": "web", "from_vlan_id": 100, "to_vlan_id": 500}],
        "switches": {"acknowledged": [], "pending": ["border-1", "border-2", "tor-a", "tor-c"]},
        "timeline": [{"state": "preparing", "time": "2023-11-14T22:13:20.250000Z"}],
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
    assert service.get("/v1/vms/web1")["interfaces"][0]["vlan_id"] == 500
    service.confirm()
    again = service.ask("POST", "/v1/migrations/m-000000000001/activate")
    assert (again.status_int, again.json["revision"]) == (200, one["revision"])
    problem(service.ask("POST", "/v1/migrations/m-000000000001/abort"), 409)
    one = service.ask("POST", "/v1/migrations/m-000000000001/commit").json
    assert one["state"] == "committed"
    assert [row["state"] for row in one["timeline"]] == ["preparing", "prepared", "activated", "committed"]
    assert one["timeline"][2]["time"] == "2023-11-14T22:13:21.250000Z"
    assert service.ask("POST", "/v1/migrations/m-000000000001/commit", {}).status_int == 200
    assert service.get("/v1/vms/web1")["migration"] is None
    assert service.get("/v1/cugs/web")["presence"]["l2_domains"] == {"rack-c": {"vlan_id": 500, "interfaces": 1}}


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


def test_a_dry_run_changes_nothing(service: Service) -> None:
    service.with_web()
    before = service.engine.state
    answer = service.ask("POST", "/v1/migrations?dry_run=true", {"vm": "web1", "to": "srv-c1"})
    assert answer.status_int == 200
    assert answer.json["dry_run"] is True
    assert answer.json["interfaces"] == [{"cug": "web", "from_vlan_id": 100, "to_vlan_id": 500}]
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


@pytest.mark.parametrize(
    ("method", "url", "body", "message"),
    [
        ("PUT", "/v1/cugs/web", {}, "subnets: is required"),
        ("PUT", "/v1/cugs/web", {"subnets": []}, "subnets: must have at least 1"),
        ("PUT", "/v1/cugs/web", {**WEB, "vlan_ids": {"rack-a": 0}}, "vlan_ids.rack-a: must be at least 1"),
        ("PUT", "/v1/cugs/web", {**WEB, "vlan_ids": {"rack-a": 5000}}, "vlan_ids.rack-a: must be at most 4094"),
        ("PUT", "/v1/cugs/web", {**WEB, "vlan_ids": {"rack-a": "x"}}, "vlan_ids.rack-a: must be a whole number"),
        ("PUT", "/v1/vms/web1", {"server": 1, "interfaces": 1}, "server: must be text; interfaces: must be a list"),
        ("POST", "/v1/migrations", {"vm": "v", "to": "s", "mode": "x"}, "mode: must be 'hot' or 'cold'"),
        ("POST", "/v1/migrations", {"vm": "v", "to": "s", "timeout": 0}, "timeout: must be more than 0"),
        ("POST", "/v1/migrations", {"vm": "v", "to": "s", "timeout": 86401}, "timeout: must be at most 86400"),
        ("POST", "/v1/migrations", {"vm": "v", "to": "s", "timeout": "x"}, "timeout: must be a number"),
        ("POST", "/v1/migrations/m/abort", {"reason": ""}, "reason: must not be empty"),
        ("POST", "/v1/migrations/m/abort", {"reason": "x" * 501}, "reason: must have at most 500 characters"),
        ("POST", "/v1/migrations/m/abort", {"reason": 1}, "reason: must be text"),
        ("POST", "/v1/bulk", {"cugs": []}, "cugs: must be an object"),
    ],
)
def test_faults_in_plain_words(service: Service, method: str, url: str, body: Any, message: str) -> None:
    assert service.ask(method, url, body).json["detail"] == message


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


# Bulk


def bulk(vms: int = 3) -> dict[str, Any]:
    return {"cugs": {"web": WEB}, "vms": {f"web{n}": vm(["srv-a1", "srv-b1"][n % 2], 10 + n) for n in range(vms)}}


def test_bulk_is_one_revision(service: Service) -> None:
    answer = service.ask("POST", "/v1/bulk?wait=1", bulk())
    assert answer.status_int == 200
    assert answer.json == {
        "revision": 1,
        "created": {"cugs": ["web"], "vms": ["web0", "web1", "web2"]},
        "replaced": {"cugs": [], "vms": []},
        "unchanged": {"cugs": [], "vms": []},
        "switches": {"acknowledged": [], "pending": ["border-1", "tor-a", "tor-b"]},
    }
    assert {item["revision"] for item in service.get("/v1/vms")["items"]} == {1}
    body = bulk(4)
    body["vms"]["web0"]["interfaces"][0]["ips"] = ["10.1.0.99"]
    answer = service.ask("POST", "/v1/bulk", body)
    assert answer.json == {
        "revision": 2,
        "created": {"cugs": [], "vms": ["web3"]},
        "replaced": {"cugs": [], "vms": ["web0"]},
        "unchanged": {"cugs": ["web"], "vms": ["web1", "web2"]},
    }
    assert service.ask("POST", "/v1/bulk", {}).json["revision"] == 2


def test_bulk_is_all_or_nothing_and_names_the_object(service: Service) -> None:
    body = bulk(40)
    body["vms"]["web7"]["server"] = "srv-x"
    assert "vms.web7: " in problem(service.ask("POST", "/v1/bulk", body), 422, "vms.web7.server")
    body = bulk(40)
    body["vms"]["web7"] = vm("srv-a1", 12)
    # web2 has these addresses; of two that clash the later in order of name meets the refusal.
    assert "vms.web7: " in problem(service.ask("POST", "/v1/bulk", body), 409)
    body = bulk(2)
    body["cugs"]["web"] = {"subnets": ["10.1.0.0/24"], "gateways": ["10.9.0.1"]}
    problem(service.ask("POST", "/v1/bulk", body), 422, "cugs.web.gateways[0]")
    assert service.get("/v1/cugs") == service.get("/v1/vms") == {"items": []}
    assert service.engine.state.revision == 0


def test_every_fault_of_a_bulk_at_once(service: Service) -> None:
    body = {"cugs": {"web": {"subnets": ["x"]}, "a b": WEB}, "vms": {"v": {"server": 1}}, "servers": {}}
    paths = ["cugs.web.subnets[0]", 'cugs."a b"', "vms.v.server", "vms.v.interfaces", "servers"]
    problem(service.ask("POST", "/v1/bulk", body), 422, *paths)


# Fabric and switches


def test_the_fabric(service: Service) -> None:
    fabric = service.get("/v1/fabric")
    assert (fabric["fabric"], fabric["gateway_mac"]) == ("two-dcs", "02:00:5e:00:00:01")
    assert [row["name"] for row in fabric["data_centers"]] == ["dc1", "dc2"]
    assert {row["name"]: row["vlan_ids"] for row in fabric["l2_domains"]}["rack-b"] == "100-199,300"
    assert fabric["links"][2] == {
        "name": "border-1:48=border-2:48",
        "a": "border-1:48",
        "b": "border-2:48",
        "l2_domain": "wan",
        "up": True,
    }
    servers = {row["name"]: row for row in fabric["servers"]}
    assert servers["srv-b1"]["attach"] == ["tor-b:1", "tor-b:2"]
    assert (servers["srv-a1"]["l2_domain"], servers["srv-a1"]["tagging"]) == ("rack-a", "tagged")
    assert (servers["srv-a2"]["l2_domain"], servers["srv-a2"]["tagging"]) == (None, "untagged")
    assert fabric["externals"][0]["next_hops"] == ["192.0.2.254", "2001:db8:ffff::fe"]
    assert {row["name"]: row["dpid"] for row in fabric["switches"]}["border-2"] == "0x0000000000000012"
    service.engine.links_seen(frozenset({"border-1:48=border-2:48"}))
    assert [row["up"] for row in service.get("/v1/fabric")["links"]] == [True, True, False, True]


def test_switches(service: Service) -> None:
    items = service.get("/v1/switches")["items"]
    assert [item["name"] for item in items] == ["border-1", "border-2", "tor-a", "tor-b", "tor-c"]
    assert not any(item["connected"] or item["in_step"] for item in items)
    service.connect("tor-a")
    before = service.get("/v1/switches/tor-a")
    assert (before["connected"], before["in_step"], before["behind"]) == (True, True, 0)
    assert before["connected_since"] == "2023-11-14T22:13:20.250000Z"
    service.with_web()
    after = service.get("/v1/switches/tor-a")
    assert (after["in_step"], after["behind"]) == (False, 1), "the CUG alone concerned no switch"
    assert list(after["flows"]) == list(before["flows"])
    assert after["flows"]["deliver"] > before["flows"]["deliver"]
    assert sum(after["flows"].values()) == len(service.get("/v1/switches/tor-a/flows")["items"])
    service.confirm()
    assert service.get("/v1/switches/tor-a")["in_step"] is True
    owner = ("vm", "web1", "0")
    service.engine.fleet.confirm("tor-a", service.engine.state.revision, [Fault("OFPET_BAD_ACTION", "a flow", owner)])
    after = service.get("/v1/switches/tor-a")
    assert after["in_step"] is False
    assert [(row["error"], row["cause"], row["owner"]["name"]) for row in after["faults"]] == [
        ("OFPET_BAD_ACTION", "a flow", "web1")
    ]
    problem(service.ask("GET", "/v1/switches/tor-x"), 404)


def test_flows_say_whose_they_are(service: Service) -> None:
    service.with_web()
    service.put("/v1/vms/web2", vm("srv-b1", 12))
    found = service.get("/v1/switches/tor-a/flows")
    items = found["items"]
    assert {(item["owner"]["kind"], item["owner"]["name"]) for item in items} == {
        ("switch", None),
        ("cug", "web"),
        ("vm", "web1"),
        ("vm", "web2"),
    }
    assert all(item["owner"]["reason"] for item in items)
    delivery = [item for item in items if item["table"] == "deliver" and item["owner"]["name"] == "web1"]
    assert any("eth_dst=02:00:00:00:00:0b" in item["match"] and "set_vlan_vid:100" in item["actions"] for item in delivery)
    cookies = {f"0x{flow.cookie:016x}" for flow in service.engine.desired.flows("tor-a")}
    assert {item["cookie"] for item in items} == cookies
    tables = [item["table"] for item in items]
    assert tables == sorted(tables, key=list(service.get("/v1/switches/tor-a")["flows"]).index)
    only = service.get("/v1/switches/tor-a/flows?table=admit")["items"]
    assert only == [item for item in items if item["table"] == "admit"]
    hop = next(row for row in found["groups"] if row["name"].startswith("next_hop/"))
    assert hop["owner"] == {"kind": "cug", "name": "web", "reason": "the way of CUG web to its members at tor-b"}
    assert any("push_vlan" in bucket for bucket in hop["buckets"])
    problem(service.ask("GET", "/v1/switches/tor-x/flows"), 404)
