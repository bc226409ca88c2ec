"""VMs by REST: what is answered, every refusal beside its passing twin, and waiting for switches."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.support.rest_service import WEB, Service, per_cug, problem, vm


@pytest.fixture
def service() -> Service:
    return Service()


def test_the_life_of_a_vm(service: Service) -> None:
    service.put("/v1/cugs/web", WEB)
    answer = service.ask("PUT", "/v1/vms/web1", vm())
    assert answer.status_int == 201
    tag = answer.json["interfaces"][0]["vlan_id"]
    assert 2 <= tag <= 4094
    assert answer.json == {
        "name": "web1",
        "server": "srv-a1",
        "interfaces": [
            {
                "cug": "web",
                "mac": "02:00:00:00:00:0b",
                "ips": ["10.1.0.11", "2001:db8:1::b"],
                "guest_vlan_id": None,
                "vlan_id": tag,
                "vlan_id_pinned": False,
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


@pytest.mark.parametrize(
    ("given", "answered"),
    [(["0x88F7", "0x8892", "0x88f7"], ["0x8892", "0x88f7"]), ("any", "any"), ([], None)],
)
def test_ethernet_types_that_an_interface_may_send(service: Service, given: Any, answered: Any) -> None:
    service.put("/v1/cugs/web", WEB)
    body = vm()
    body["interfaces"][0]["ethertypes"] = given
    assert service.put("/v1/vms/web1", body)["interfaces"][0].get("ethertypes") == answered
    assert service.get("/v1/vms/web1")["interfaces"][0].get("ethertypes") == answered


@pytest.mark.parametrize("given", ["all", [0x88F7], ["88f7"], ["0x88f"], [None], None, {}, True])
def test_what_is_no_list_of_ethernet_types(service: Service, given: Any) -> None:
    service.put("/v1/cugs/web", WEB)
    body = vm()
    body["interfaces"][0]["ethertypes"] = given
    found = service.ask("PUT", "/v1/vms/web1", body)
    assert (found.status_int, [row["path"] for row in found.json["errors"]]) == (422, ["interfaces[0].ethertypes"])
    problem(service.ask("GET", "/v1/vms/web1"), 404)


@pytest.mark.requirement("R8", "R23")
def test_several_interfaces_and_an_untagged_server(tmp_path: Path) -> None:
    service = Service(fabric=per_cug(tmp_path))
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
        ([*_INTERFACE, "guest_vlan_id"], 0, "interfaces[0].guest_vlan_id"),
        ([*_INTERFACE, "vlan_id"], 0, "interfaces[0].vlan_id"),
        ([*_INTERFACE, "vlan_id"], 4095, "interfaces[0].vlan_id"),
        ([*_INTERFACE, "vlan_id"], "100", "interfaces[0].vlan_id"),
        ([*_INTERFACE, "vlan_id"], True, "interfaces[0].vlan_id"),
        ([*_INTERFACE, "tag"], 100, "interfaces[0].tag"),
        (["migration"], 1, "migration"),
        ([*_INTERFACE, "vlan_id_pinned"], True, "interfaces[0]"),
        ([*_INTERFACE, "vlan_id_pinned"], 1, "interfaces[0].vlan_id_pinned"),
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
        ([*_INTERFACE, "guest_vlan_id"], 101),
        ([*_INTERFACE, "vlan_id"], None),
        ([*_INTERFACE, "vlan_id"], 2),
        ([*_INTERFACE, "vlan_id"], 4094),
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


@pytest.mark.requirement("R8", "R28")
def test_each_interface_has_a_number_of_its_own_on_the_cable(service: Service) -> None:
    service.put("/v1/cugs/web", WEB)
    service.put("/v1/cugs/db", {"subnets": ["10.2.0.0/24"]})
    for number in range(11, 31):
        body = vm("srv-a1", number)
        body["interfaces"].append({"cug": "db", "mac": f"02:00:00:00:01:{number:02x}", "ips": [f"10.2.0.{number}"]})
        service.put(f"/v1/vms/vm{number}", body)
    tags = [row["vlan_id"] for item in service.get("/v1/vms")["items"] for row in item["interfaces"]]
    assert len(tags) == len(set(tags)) == 40
    assert all(2 <= tag <= 4094 for tag in tags)


@pytest.mark.requirement("R24", "R27", "R28")
def test_a_guests_tag_on_a_cable_where_another_vnic_has_it(service: Service) -> None:
    tag = service.with_web().get("/v1/vms/web1")["interfaces"][0]["vlan_id"]
    service.put("/v1/cugs/db", {"subnets": ["10.2.0.0/24"]})
    interface = {"cug": "db", "mac": "02:00:00:00:00:21", "ips": ["10.2.0.11"], "guest_vlan_id": tag}
    detail = problem(service.ask("PUT", "/v1/vms/db1", {"server": "srv-a1", "interfaces": [interface]}), 409)
    assert all(word in detail for word in ("R24", "R28", "CUG 'web'", str(tag), "'srv-a1'"))
    service.put("/v1/vms/db1", {"server": "srv-c1", "interfaces": [interface]})
    for query in ("", "?dry_run=true"):
        assert problem(service.ask("POST", f"/v1/migrations{query}", {"vm": "db1", "to": "srv-a1"}), 409) == detail
    rows = {row["server"]: row for row in service.get("/v1/vms/db1/placements")["items"]}
    assert rows["srv-a1"] == {"server": "srv-a1", "possible": False, "reason": detail, "interfaces": []}
    assert rows["srv-b1"]["interfaces"] == [
        {"cug": "db", "from_vlan_id": None, "to_vlan_id": None, "guest_vlan_id": tag, "translated": False}
    ]


@pytest.mark.requirement("R24", "R27", "R28")
def test_a_guests_tag_where_it_collides_names_the_rules_and_the_other_cug(tmp_path: Path) -> None:
    service = Service(fabric=per_cug(tmp_path))
    service.with_web()
    service.put("/v1/cugs/db", {"subnets": ["10.2.0.0/24"]})
    interface = {"cug": "db", "mac": "02:00:00:00:00:21", "ips": ["10.2.0.11"], "guest_vlan_id": 500}
    assert service.put("/v1/vms/db1", {"server": "srv-c1", "interfaces": [interface]})["interfaces"][0]["vlan_id"] is None
    interface = {"cug": "web", "mac": "02:00:00:00:00:22", "ips": ["10.1.0.22"], "guest_vlan_id": 500}
    service.put("/v1/vms/web2", {"server": "srv-a2", "interfaces": [interface]})
    for query in ("", "?dry_run=true"):
        detail = problem(service.ask("POST", f"/v1/migrations{query}", {"vm": "web2", "to": "srv-c1"}), 409)
        assert all(word in detail for word in ("R24", "R27", "R28", "CUG 'web'", "500 is that of CUG 'db'", "'rack-c'"))
    rows = {row["server"]: row for row in service.get("/v1/vms/web2/placements")["items"]}
    assert rows["srv-c1"] == {"server": "srv-c1", "possible": False, "reason": detail, "interfaces": []}
    assert service.get("/v1/migrations") == {"items": []}


@pytest.mark.requirement("R27")
def test_placements_of_a_vm(service: Service) -> None:
    service.with_web()
    rows = service.get("/v1/vms/web1/placements")["items"]
    assert [row["server"] for row in rows] == sorted(row["server"] for row in rows)
    assert [row["server"] for row in rows if not row["possible"]] == ["srv-a1"]
    for row in rows[1:]:
        dry = service.ask("POST", "/v1/migrations?dry_run=true", {"vm": "web1", "to": row["server"]}).json
        plain = [{key: one[key] for key in ("cug", "from_vlan_id", "to_vlan_id")} for one in row["interfaces"]]
        assert plain == dry["interfaces"]
    problem(service.ask("GET", "/v1/vms/nobody/placements"), 404)
    problem(service.ask("POST", "/v1/vms/web1/placements"), 405)
