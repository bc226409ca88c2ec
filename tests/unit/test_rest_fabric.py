"""Bulk, fabric and switches by REST, and what faults of bodies read like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ryu_vmmob.engine.fleet import SwitchFault
from ryu_vmmob.fabric import loads
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.rest.fabric import fabric_view
from tests.support.fabric_examples import complete
from tests.support.rest_service import WEB, Service, per_cug, problem, vm


@pytest.fixture
def service() -> Service:
    return Service()


def bulk(vms: int = 3) -> dict[str, Any]:
    return {"cugs": {"web": WEB}, "vms": {f"web{n}": vm(["srv-a1", "srv-b1"][n % 2], 10 + n) for n in range(vms)}}


def test_bulk_is_one_revision(service: Service) -> None:
    answer = service.ask("POST", "/v1/bulk?wait=1", bulk())
    assert answer.status_int == 200
    assert answer.json == {
        "revision": 1,
        "created": {"cugs": ["web"], "vms": ["web0", "web1", "web2"], "policies": []},
        "replaced": {"cugs": [], "vms": [], "policies": []},
        "deleted": {"cugs": [], "vms": [], "policies": []},
        "unchanged": {"cugs": [], "vms": [], "policies": []},
        "switches": {"acknowledged": [], "pending": ["border-1", "tor-a", "tor-b"]},
    }
    assert {item["revision"] for item in service.get("/v1/vms")["items"]} == {1}
    body = bulk(4)
    body["vms"]["web0"]["interfaces"][0]["ips"] = ["10.1.0.99"]
    answer = service.ask("POST", "/v1/bulk", body)
    assert answer.json == {
        "revision": 2,
        "created": {"cugs": [], "vms": ["web3"], "policies": []},
        "replaced": {"cugs": [], "vms": ["web0"], "policies": []},
        "deleted": {"cugs": [], "vms": [], "policies": []},
        "unchanged": {"cugs": ["web"], "vms": ["web1", "web2"], "policies": []},
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


def crowd() -> dict[str, Any]:
    """102 CUGs, c000 to c101, each with a VM on srv-b1, and a second one of c050 later on."""
    names = [f"c{number:03}" for number in range(102)]
    body: dict[str, Any] = {
        "cugs": {name: {"subnets": [f"10.{number}.0.0/24"]} for number, name in enumerate(names)},
        "vms": {
            f"v{number:03}": {
                "server": "srv-b1",
                "interfaces": [{"cug": name, "mac": f"02:00:00:00:00:{number:02x}", "ips": [f"10.{number}.0.11"]}],
            }
            for number, name in enumerate(names)
        },
    }
    last = {"cug": "c050", "mac": "02:00:00:00:01:00", "ips": ["10.50.0.12"]}
    body["vms"]["v999"] = {"server": "srv-b1", "interfaces": [last]}
    return body


def test_bulk_names_the_object_with_which_a_cable_is_full() -> None:
    """srv-b1 may give out 102 VLAN-IDs on its cable, and there are 103 interfaces."""
    service = Service(fabric=loads(complete("servers: {srv-b1: {vlan_ids: '1000-1101'}}")))
    body = crowd()
    detail = problem(service.ask("POST", "/v1/bulk", body), 409)
    assert detail.startswith("vms.v999: R28: server 'srv-b1' has no free VLAN-ID for VM 'v999' in CUG 'c050'")
    del body["vms"]["v101"]
    assert service.ask("POST", "/v1/bulk", body).status_int == 200
    tags = {row["interfaces"][0]["vlan_id"] for row in service.get("/v1/vms")["items"]}
    assert tags == set(range(1000, 1102))


def test_bulk_names_the_object_with_which_a_domain_is_full(tmp_path: Path) -> None:
    """rack-b has 101 VLAN-IDs."""
    service = Service(fabric=per_cug(tmp_path))
    body = crowd()
    detail = problem(service.ask("POST", "/v1/bulk", body), 409)
    assert detail.startswith("vms.v101: R28: L2 domain 'rack-b' has no free VLAN-ID for CUG 'c101'")
    del body["vms"]["v101"]
    assert service.ask("POST", "/v1/bulk", body).status_int == 200


def test_every_fault_of_a_bulk_at_once(service: Service) -> None:
    body = {"cugs": {"web": {"subnets": ["x"]}, "a b": WEB}, "vms": {"v": {"server": 1}}, "servers": {}}
    paths = ["cugs.web.subnets[0]", 'cugs."a b"', "vms.v.server", "vms.v.interfaces", "servers"]
    problem(service.ask("POST", "/v1/bulk", body), 422, *paths)


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
        "description": "",
    }
    servers = {row["name"]: row for row in fabric["servers"]}
    assert servers["srv-b1"]["attach"] == ["tor-b:1", "tor-b:2"]
    keys = ("l2_domain", "tagging", "vlan_ids", "local_switching")
    assert [servers["srv-a1"][key] for key in keys] == [None, "per_interface", "2-4094", None]
    assert [servers["srv-a2"][key] for key in keys] == [None, "untagged", None, None]
    assert fabric["externals"][0]["next_hops"] == ["192.0.2.254", "2001:db8:ffff::fe"]
    assert {row["name"]: row["dpid"] for row in fabric["switches"]}["border-2"] == "0x0000000000000012"
    service.engine.network.links_seen(frozenset({"border-1:48=border-2:48"}))
    assert [row["up"] for row in service.get("/v1/fabric")["links"]] == [True, True, False, True]


def test_the_fabric_shows_what_switches_can_do_and_domains_may_do(service: Service) -> None:
    def shown() -> tuple[dict[str, Any], dict[str, Any]]:
        answer = fabric_view(service.engine.state)
        domain = next(row for row in answer["l2_domains"] if row["name"] == "rack-c")
        return domain, next(row for row in answer["switches"] if row["name"] == "tor-c")

    domain, switch = shown()
    assert domain["translate_guest_tags"] is False
    assert (switch["dialect"], switch["max_flows"], switch["extender_ports"]) == ("openvswitch", None, None)
    keys = "ports: 54, dialect: openflow13, max_flows: 4000, extender_ports: '2001-2048,1001-1048,99'"
    text = complete(f"l2_domains: {{rack-c: {{translate_guest_tags: true}}}}\nswitches: {{tor-c: {{{keys}}}}}")
    service.engine.state = replace(service.engine.state, fabric=loads(text))
    domain, switch = shown()
    text = complete("servers: {srv-c1: {tagging: per_cug, local_switching: trusted}, srv-b1: {vlan_ids: '20-29,40'}}")
    servers = {row["name"]: row for row in fabric_view(replace(service.engine.state, fabric=loads(text)))["servers"]}
    assert [servers["srv-c1"][key] for key in ("l2_domain", "tagging", "local_switching")] == ["rack-c", "per_cug", "trusted"]
    assert servers["srv-b1"]["vlan_ids"] == "20-29,40"
    assert domain["translate_guest_tags"] is True
    assert (switch["dialect"], switch["max_flows"], switch["extender_ports"]) == ("openflow13", 4000, "99,1001-1048,2001-2048")


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
    owner = Owner(OwnerKind.VM, "web1", "0")
    service.engine.fleet.confirm("tor-a", service.engine.state.revision, [SwitchFault("OFPET_BAD_ACTION", "a flow", owner)])
    after = service.get("/v1/switches/tor-a")
    assert (after["in_step"], after["standing"]) == (False, "refused")
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
        ("server", "srv-a1"),
        ("server", "srv-a2"),
    }
    assert all(item["owner"]["reason"] for item in items)
    tag = service.get("/v1/vms/web1")["interfaces"][0]["vlan_id"]
    delivery = [item for item in items if item["table"] == "deliver" and item["owner"]["name"] == "web1"]
    assert any("eth_dst=02:00:00:00:00:0b" in item["match"] and f"set_vlan_vid:{tag}" in item["actions"] for item in delivery)
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


def test_what_stands_for_vnics_on_a_cable_says_whose_it_is(service: Service) -> None:
    service.with_web()
    for number in (12, 13):
        service.put(f"/v1/vms/web{number}", vm("srv-a1", number))
    (interface,) = service.get("/v1/vms/web12")["interfaces"]
    tag = interface["vlan_id"]
    found = service.get("/v1/switches/tor-a/flows")
    (entering,) = [row for row in found["items"] if row["table"] == "ingress" and f"vlan_vid={tag}" in row["match"].split(",")]
    said = f"a vNIC of CUG web has VLAN-ID {tag} at server srv-a1"
    assert entering["owner"] == {"kind": "cug", "name": "web", "reason": said}
    owners = {row["name"].partition("/")[0]: row["owner"] for row in found["groups"]}
    assert owners["cable"] == {"kind": "cug", "name": "web", "reason": "CUG web is on the cable of server srv-a1"}
    for kind in ("below", "down", "others"):
        assert owners[kind]["name"] == "web"
        assert owners[kind]["reason"].startswith("broadcasts of CUG web between vNICs at server srv-a1, node ")


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
