"""``POST /v1/trace``: the answer's form, its faults, and that it changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from ryu_vmmob.flows.pipeline import TABLES
from tests.support.rest_service import Service, problem, vm

TO_WEB2 = {"ip": "10.1.0.12"}


@pytest.fixture
def service() -> Service:
    service = Service()
    service.connect()
    service.with_web().put("/v1/vms/web2", vm("srv-c1", 12))
    service.confirm()
    return service


def trace(service: Service, to: Any = TO_WEB2, start: Any = None, **more: Any) -> Any:
    answer = service.ask("POST", "/v1/trace", {"from": start or {"vm": "web1", "interface": 0}, "to": to, **more})
    assert answer.status_int == 200, answer.text
    return answer.json


def test_the_whole_way(service: Service) -> None:
    found = trace(service, protocol="tcp", port=80)
    assert found["verdict"] == "delivered"
    from_tag, to_tag = (service.get(f"/v1/vms/{name}")["interfaces"][0]["vlan_id"] for name in ("web1", "web2"))
    arrival = {"server": "srv-c1", "external": None, "port": "tor-c:1", "vlan_id": to_tag, "ttl": 64, "vms": ["web2"]}
    assert found["deliveries"] == [arrival]
    assert [(row["switch"], row["vlan_id"]) for row in found["hops"]] == [
        ("tor-a", from_tag), ("border-1", 2000), ("border-2", 3000), ("tor-c", 500),
    ]  # fmt: skip
    outputs = [row for hop in found["hops"] for row in hop["outputs"]]
    assert [(row["to"], row["l2_domain"], row["vlan_id"]) for row in outputs] == [
        ("border-1", "core-1", 2000), ("border-2", "wan", 3000), ("tor-c", "rack-c", 500), ("srv-c1", None, to_tag),
    ]  # fmt: skip
    assert outputs[0]["link"] == "border-1:1=tor-a:49"
    assert outputs[-1]["link"] is None
    assert all(row["dropped"] is None for row in [*outputs, *found["hops"]])
    assert (found["copies_to_controller"], found["not_in_step"]) == (0, [])
    assert found["revision"] == service.engine.state.revision


def test_every_table_is_one_of_the_switches_own_flows(service: Service) -> None:
    labels = [table.label for table in TABLES]
    for hop in trace(service)["hops"]:
        flows = service.get(f"/v1/switches/{hop['switch']}/flows")["items"]
        assert all(row in flows for row in hop["tables"])
        order = [labels.index(row["table"]) for row in hop["tables"]]
        assert order == sorted(set(order))
        assert order[0] == 0


@pytest.mark.parametrize("protocol", ["tcp", "udp", "icmp", 6, 17, 253, 0, 255, None])
def test_protocols(service: Service, protocol: Any) -> None:
    assert trace(service, protocol=protocol)["verdict"] == "delivered"


def test_an_answer_comes_back_to_the_sender(service: Service) -> None:
    found = trace(service, protocol="arp")
    assert found["verdict"] == "answered"
    assert [(row["server"], row["vms"]) for row in found["deliveries"]] == [("srv-a1", ["web1"])]


def test_a_drop(service: Service) -> None:
    found = trace(service, start={"vm": "web1", "mac": "02:00:00:00:00:99"})
    reason = "tor-a, table admit: no flow admits this source (anti-spoofing)"
    assert (found["verdict"], found["reason"], found["deliveries"]) == ("dropped", reason, [])
    (hop,) = found["hops"]
    assert (hop["outputs"], hop["dropped"]) == ([], reason)
    assert [row | {"cookie": None} for row in hop["tables"][-2:]] == [
        {
            "table": "admit", "priority": 0, "match": "", "actions": "goto:refuse", "cookie": None,
            "owner": {"kind": "switch", "name": None, "reason": "every switch has it"},
        },
        {
            "table": "refuse", "priority": 1000, "match": "in_port=1", "cookie": None,
            "actions": "meter:refusals/1,controller:128",
            "owner": {"kind": "server", "name": "srv-a1", "reason": "what server srv-a1 may not send ends here"},
        },
    ]  # fmt: skip


def test_links_that_are_down_are_respected(service: Service) -> None:
    service.engine.network.links_seen(frozenset({"border-1:48=border-2:48"}))
    found = trace(service)
    assert found["verdict"] == "dropped"
    assert "border-1:48=border-2:48" in found["reason"]
    service.engine.network.links_seen(frozenset({"tor-c:1"}))
    service.confirm()
    hop = trace(service)["hops"][-1]
    assert hop["outputs"][0]["dropped"] == "port 1 is down"
    assert hop["dropped"].startswith("tor-c, table deliver: port 1 is down")


def reached(service: Service) -> list[str]:
    """Servers at which a packet for web1 arrives."""
    return sorted(row["server"] for row in trace(service, {"ip": "10.1.0.11"}, {"vm": "web2"})["deliveries"])


def test_a_move_sends_to_one_place_and_from_the_pause_on_to_the_other(service: Service) -> None:
    for step, server in (("", "srv-a1"), ("/deliver", "srv-a2"), ("/abort", "srv-a1")):
        move = "/v1/migrations" + ("/m-000000000001" if step else "")
        body = None if step else {"vm": "web1", "to": "srv-a2"}
        assert service.ask("POST", move + step, body).status_int in (200, 201)
        service.confirm()
        assert reached(service) == [server], step


def test_an_early_move_sends_to_both_places_and_copies_to_the_controller(service: Service) -> None:
    body = {"vm": "web1", "to": "srv-a2", "delivery": "early"}
    assert service.ask("POST", "/v1/migrations", body).status_int == 201
    service.confirm()
    assert reached(service) == ["srv-a1", "srv-a2"]
    found = trace(service, start={"vm": "web1", "at": "srv-a2"})
    assert (found["from"]["server"], found["from"]["vlan_id"], found["copies_to_controller"]) == ("srv-a2", None, 1)


def test_switches_that_have_not_confirmed_are_named(service: Service) -> None:
    service.put("/v1/vms/web3", vm("srv-a2", 13))
    assert trace(service, {"ip": "10.1.0.13"})["not_in_step"] == ["tor-a"]
    service.confirm()
    assert trace(service, {"ip": "10.1.0.13"})["not_in_step"] == []


def test_group_addresses_are_destinations(service: Service) -> None:
    for to in ({"mac": "ff:ff:ff:ff:ff:ff"}, {"ip": "10.1.0.255"}, {"ip": "255.255.255.255"}, {"ip": "ff02::1"}):
        assert [row["vms"] for row in trace(service, to)["deliveries"]] == [["web2"]]


def test_a_trace_changes_nothing(service: Service) -> None:
    before = service.engine.state, service.store.revision
    trace(service)
    trace(service, {"ip": "10.1.0.99"})
    assert (service.engine.state, service.store.revision) == before


WEB1 = {"vm": "web1"}


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({"from": {}, "to": TO_WEB2}, ["from"]),
        ({"from": {"vm": "web1", "external": "internet-1"}, "to": TO_WEB2}, ["from"]),
        ({"from": {"external": "internet-9"}, "to": TO_WEB2}, ["from.external"]),
        ({"from": {"external": "internet-1", "interface": 0}, "to": TO_WEB2}, ["from.interface"]),
        ({"from": {"external": "internet-1", "at": "srv-a1"}, "to": TO_WEB2}, ["from.at"]),
        ({"from": {"external": "internet-1"}, "to": {"mac": "02:00:00:00:00:0c"}}, ["to.ip"]),
        ({"from": {"vm": "nobody"}, "to": TO_WEB2}, ["from.vm"]),
        ({"from": {"vm": "web1", "interface": -1}, "to": TO_WEB2}, ["from.interface"]),
        ({"from": {"vm": "web1", "interface": 7}, "to": TO_WEB2}, ["from.interface"]),
        ({"from": {"vm": "web1", "at": "srv-b1"}, "to": TO_WEB2}, ["from.at"]),
        ({"from": WEB1, "to": {}}, ["to"]),
        ({"from": WEB1, "to": {"ip": "10.1.0"}}, ["to.ip"]),
        ({"from": WEB1, "to": {"ip": "0.0.0.0"}}, ["to.ip"]),
        ({"from": WEB1, "to": {"ip": "fe80::1%eth0"}}, ["to.ip"]),
        ({"from": WEB1, "to": {"mac": "02-00"}}, ["to.mac"]),
        ({"from": WEB1, "to": {"mac": "02:00:00:00:00:1"}}, ["to.mac"]),
        ({"from": WEB1, "to": TO_WEB2, "protocol": "sctp", "port": 65536}, ["protocol", "port"]),
        ({"from": WEB1, "to": TO_WEB2, "protocol": 256}, ["protocol"]),
        ({"from": WEB1, "to": TO_WEB2, "protocol": True}, ["protocol"]),
        ({"from": WEB1, "to": TO_WEB2, "protocol": "icmp", "port": 80}, ["port"]),
        ({"from": WEB1, "to": TO_WEB2, "protocol": "icmp", "source_port": 80}, ["source_port"]),
        ({"from": WEB1, "to": TO_WEB2, "protocol": "udp", "tcp_flags": ["ack"]}, ["tcp_flags"]),
        ({"from": WEB1, "to": TO_WEB2, "protocol": "tcp", "tcp_flags": ["acks"]}, ["tcp_flags[0]"]),
        ({"from": WEB1, "to": TO_WEB2, "protocol": "arp", "ttl": 64}, ["ttl"]),
        ({"from": WEB1, "to": TO_WEB2, "ttl": 256}, ["ttl"]),
        ({"from": WEB1, "to": TO_WEB2, "hops": 3}, ["hops"]),
        ({"from": WEB1}, ["to"]),
        ({"to": TO_WEB2}, ["from"]),
    ],
)
def test_faults_have_their_path(service: Service, body: Any, paths: list[str]) -> None:
    problem(service.ask("POST", "/v1/trace", body), 422, *paths)


# Routed, and from outside


@pytest.fixture
def red() -> Service:
    """web1 (srv-a1) in CUG web and db1 (srv-c1) in CUG db, both in routing domain red, and a policy for port 80."""
    service = Service()
    service.connect()
    for number, (cug, server) in enumerate((("web", "srv-a1"), ("db", "srv-c1")), 1):
        subnets = [f"10.{number}.0.0/24", f"2001:db8:{number}::/64"]
        service.put(f"/v1/cugs/{cug}", {"subnets": subnets, "routing_domain": "red"})
        interface = {"cug": cug, "mac": f"02:00:00:00:0{number}:0b", "ips": [f"10.{number}.0.11", f"2001:db8:{number}::11"]}
        service.put(f"/v1/vms/{cug}1", {"server": server, "interfaces": [interface]})
    ends = {"from": {"any": True}, "to": {"cug": "db"}}
    service.put("/v1/policies/http", {"action": "allow", **ends, "protocol": "tcp", "ports": ["80"], "replies": True})
    service.confirm()
    return service


TO_DB1 = {"ip": "10.2.0.11"}


def test_a_routed_packet(red: Service) -> None:
    found = trace(red, TO_DB1, WEB1, protocol="tcp", port=80)
    assert (found["verdict"], found["policy"]) == ("delivered", {"out": "http", "in": "http", "allowed": True})
    assert found["routers"] == [{"switch": "tor-a", "address": "10.1.0.1"}, {"switch": "tor-c", "address": "10.2.0.1"}]
    assert [(row["segment"], row["ttl"]) for row in found["hops"]] == [("web", 64), *[("routed:red", 63)] * 3]
    assert found["hops"][0]["routed"] == {"from": "web", "to": ["routed:red"]}
    assert found["hops"][1]["routed"] is None
    owners = [(row["owner"]["kind"], row["owner"]["name"]) for hop in found["hops"] for row in hop["tables"]]
    assert {("policy", "http"), ("routing_domain", "red"), ("vm", "db1")} <= set(owners)
    assert [(row["vms"], row["ttl"]) for row in found["deliveries"]] == [(["db1"], 62)]


def test_a_reply_and_a_denial(red: Service) -> None:
    back = {"to": {"ip": "10.1.0.11"}, "start": {"vm": "db1"}, "protocol": "tcp", "source_port": 80, "port": 40000}
    assert trace(red, **back, tcp_flags=["ack", "psh"])["verdict"] == "delivered"
    found = trace(red, **back)
    assert (found["verdict"], found["policy"]["allowed"]) == ("denied", False)
    assert (found["hops"][-1]["ended"], found["hops"][-1]["dropped"]) == ("denied", found["reason"])


def test_what_the_controller_would_do(red: Service) -> None:
    found = trace(red, TO_DB1, WEB1, protocol="tcp", port=80, ttl=1)
    assert (found["verdict"], found["copies_to_controller"]) == ("time_exceeded", 1)
    assert found["hops"][-1]["ended"] == "time_exceeded"
    assert trace(red, {"ip": "10.2.0.99"}, WEB1, protocol="tcp", port=80)["verdict"] == "unreachable"
    assert trace(red, {"ip": "ff02::2"}, WEB1, protocol="rs")["verdict"] == "answered"
    assert trace(red, {"ip": "10.1.0.1"}, WEB1, protocol="icmp")["verdict"] == "answered"


def test_from_outside(red: Service) -> None:
    found = trace(red, TO_DB1, {"external": "internet-1"}, protocol="tcp", port=80)
    assert found["verdict"] == "delivered"
    assert found["from"] == {"external": "internet-1", "routing_domain": "red", "port": "border-1:10", "vlan_id": None}
    assert found["hops"][0]["segment"] == "external:internet-1"
    stranger = {"external": "internet-1", "ip": "203.0.113.9", "mac": "02:00:00:00:00:99"}
    assert "ipv4_src=203.0.113.9" in trace(red, TO_DB1, stranger)["packet"]
    liar = {"external": "internet-1", "ip": "10.1.0.11"}
    assert trace(red, TO_DB1, liar, protocol="tcp", port=80)["reason"].endswith("no host outside may have one (RFC 2827)")


def test_to_the_outside(red: Service) -> None:
    red.put("/v1/policies/out", {"action": "allow", "from": {"vm": "web1"}, "to": {"prefix": "0.0.0.0/0"}})
    found = trace(red, {"ip": "8.8.8.8"}, WEB1)
    assert (found["verdict"], found["deliveries"]) == ("unreachable", [])
    assert "no next hop of it answers (192.0.2.254)" in found["reason"]


@pytest.mark.parametrize("fragment", ["first", "tiny", "later"])
def test_a_fragment(service: Service, fragment: str) -> None:
    service.put("/v1/policies/no-ssh", {"action": "deny", "from": {"cug": "web"}, "to": {"cug": "web"}, "protocol": "tcp",
                                        "ports": ["22"]})  # fmt: skip
    found = trace(service, protocol="tcp", port=22, fragment=fragment)
    assert found["verdict"] == ("delivered" if fragment == "later" else "denied"), found["reason"]
    if fragment == "first":
        assert "a first fragment of tcp to port 22" in found["reason"]
    assert "ip_frag=" in found["packet"]


def test_an_icmp_error_finds_its_way_back(red: Service) -> None:
    """To db, whose answers the policy lets out, and to nobody else; and nothing but an error."""
    outside = {"external": "internet-1"}
    needed = trace(red, TO_DB1, outside, protocol="icmp", icmp_type=3, icmp_code=4)
    assert "icmpv4_type=3,icmpv4_code=4" in needed["packet"]
    assert (needed["verdict"], needed["policy"]["in"]) == ("delivered", "http"), needed["reason"]
    assert trace(red, TO_DB1, outside, protocol="icmp")["verdict"] == "denied"
    assert trace(red, {"ip": "10.1.0.11"}, outside, protocol="icmp", icmp_type=3)["verdict"] == "denied"


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"protocol": "tcp", "icmp_type": 3}, "icmp_type"),
        ({"icmp_code": 3}, "icmp_code"),
        ({"protocol": "icmp", "fragment": "tiny"}, "fragment"),
        ({"protocol": "arp", "fragment": "first"}, "fragment"),
        ({"protocol": "tcp", "fragment": "second"}, "fragment"),
        ({"protocol": "icmp", "icmp_type": 256}, "icmp_type"),
    ],
)
def test_faults_of_fragments_and_icmp(service: Service, more: dict[str, Any], path: str) -> None:
    problem(service.ask("POST", "/v1/trace", {"from": {"vm": "web1"}, "to": TO_WEB2, **more}), 422, path)
