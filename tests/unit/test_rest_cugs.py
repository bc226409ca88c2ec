"""CUGs by REST: what is answered, and every refusal beside its passing twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.rest_service import WEB, Service, per_cug, problem, vm


@pytest.fixture
def service() -> Service:
    return Service()


def test_the_life_of_a_cug(service: Service) -> None:
    answer = service.ask("PUT", "/v1/cugs/web", {**WEB, "routing_domain": "red", "vlan_ids": {"rack-a": 110}})
    assert answer.status_int == 201
    assert answer.json == {
        "name": "web",
        "subnets": ["10.1.0.0/24", "2001:db8:1::/64"],
        "gateways": ["10.1.0.1", "2001:db8:1::1"],
        "routing_domain": "red",
        "vlan_ids": {"rack-a": 110},
        "segment_key": 1,
        "presence": {"data_centers": [], "edges": [], "l2_domains": {}, "servers": {}},
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


@pytest.mark.requirement("R18", "R19")
def test_presence_follows_the_members(tmp_path: Path) -> None:
    service = Service(fabric=per_cug(tmp_path))
    service.put("/v1/cugs/web", {**WEB, "vlan_ids": {"rack-a": 110}})
    service.put("/v1/vms/web1", vm("srv-a1", 11))
    service.put("/v1/vms/web2", vm("srv-a1", 12))
    assert service.get("/v1/cugs/web")["presence"] == {
        "data_centers": ["dc1"],
        "edges": ["tor-a"],
        "l2_domains": {"rack-a": {"vlan_id": 110, "interfaces": 2}},
        "servers": {},
    }
    service.put("/v1/vms/web3", vm("srv-c1", 13))
    presence = service.get("/v1/cugs/web")["presence"]
    assert (presence["data_centers"], presence["edges"]) == (["dc1", "dc2"], ["tor-a", "tor-c"])
    domains = presence["l2_domains"]
    assert {name: row["interfaces"] for name, row in domains.items()} == {"rack-a": 2, "core-1": 0, "wan": 0, "rack-c": 1}
    assert domains["rack-c"]["vlan_id"] == 500
    service.ask("DELETE", "/v1/vms/web3")
    assert service.get("/v1/cugs/web")["presence"]["l2_domains"] == {"rack-a": {"vlan_id": 110, "interfaces": 2}}


@pytest.mark.requirement("R12", "R18")
@pytest.mark.parametrize("server", ["srv-a1", "srv-a2"])
def test_a_server_that_is_a_domain_of_its_own_makes_presence_by_itself(service: Service, server: str) -> None:
    """With tagging per interface, or untagged."""
    service.put("/v1/cugs/web", WEB)
    for number in (11, 12, 13):
        service.put(f"/v1/vms/web{number}", vm(server, number))
    presence = service.get("/v1/cugs/web")["presence"]
    servers = {server: {"interfaces": 3}}
    assert presence == {"data_centers": ["dc1"], "edges": ["tor-a"], "l2_domains": {}, "servers": servers}
    assert service.get("/v1/cugs")["items"][0]["presence"] == presence
    service.connect()
    service.ask("POST", "/v1/migrations", {"vm": "web11", "to": "srv-c1", "activate_on": "request"})
    presence = service.get("/v1/cugs/web")["presence"]
    assert presence["servers"] == servers | {"srv-c1": {"interfaces": 1}}, "where it is about to be, too"
    assert {row["interfaces"] for row in presence["l2_domains"].values()} == {0}, "domains on the way only pass it on"
    service.confirm()
    service.ask("POST", "/v1/migrations/m-000000000001/activate")
    service.confirm()
    assert service.get("/v1/cugs/web")["presence"]["servers"] == {server: {"interfaces": 2}, "srv-c1": {"interfaces": 1}}
    for number in (11, 12, 13):
        service.ask("DELETE", f"/v1/vms/web{number}")
    assert service.get("/v1/cugs/web")["presence"] == {"data_centers": [], "edges": [], "l2_domains": {}, "servers": {}}


@pytest.mark.requirement("R12", "R18")
def test_each_interface_counts_where_it_is(tmp_path: Path) -> None:
    service = Service(fabric=per_cug(tmp_path))
    service.put("/v1/cugs/web", WEB)
    for number, server in enumerate(("srv-a1", "srv-a2", "srv-a2", "srv-c1"), 11):
        service.put(f"/v1/vms/web{number}", vm(server, number))
    presence = service.get("/v1/cugs/web")["presence"]
    assert presence["servers"] == {"srv-a2": {"interfaces": 2}}
    assert {name: row["interfaces"] for name, row in presence["l2_domains"].items() if row["interfaces"]} == {
        "rack-a": 1, "rack-c": 1,
    }  # fmt: skip


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
        ({"name": "other"}, ["name"]),
        ({"presence": {"edges": []}}, ["presence.data_centers", "presence.l2_domains", "presence.servers"]),
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


@pytest.mark.requirement("R28")
def test_a_pin_that_another_cug_has_names_the_rule(service: Service) -> None:
    service.put("/v1/cugs/web", {**WEB, "vlan_ids": {"rack-a": 110}})
    assert "R28" in problem(service.ask("PUT", "/v1/cugs/db", {**WEB, "vlan_ids": {"rack-a": 110}}), 409)
    service.put("/v1/cugs/db", {**WEB, "vlan_ids": {"rack-a": 111, "rack-b": 110}})


def test_a_cug_with_members_stays(service: Service) -> None:
    service.with_web()
    assert "web1" in problem(service.ask("DELETE", "/v1/cugs/web"), 409)
    assert service.ask("DELETE", "/v1/vms/web1").status_int == 204
    assert service.ask("DELETE", "/v1/cugs/web").status_int == 204


def test_the_mode_of_router_advertisements_is_kept_and_checked(service: Service) -> None:
    body = {"subnets": ["10.1.0.0/24", "2001:db8:1::/64"], "ipv6_ra_mode": "dhcpv6_stateless"}
    assert service.put("/v1/cugs/web", body)["ipv6_ra_mode"] == "dhcpv6_stateless"
    assert service.get("/v1/cugs/web")["ipv6_ra_mode"] == "dhcpv6_stateless"
    assert "ipv6_ra_mode" not in service.put("/v1/cugs/web", {**body, "ipv6_ra_mode": None})
    found = service.ask("PUT", "/v1/cugs/web", {**body, "ipv6_ra_mode": "auto"})
    assert (found.status_int, [row["path"] for row in found.json["errors"]]) == (422, ["ipv6_ra_mode"])
