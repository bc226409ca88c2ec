"""Policies by REST: what is answered, and every refusal beside its passing twin."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.rest_service import Service, problem

URL = "/v1/policies/http"
HTTP = {
    "action": "allow",
    "from": {"prefix": "192.0.2.0/24"},
    "to": {"cug": "web"},
    "protocol": "tcp",
    "ports": ["8000-8099", "80"],
    "replies": True,
}
BARE = {"action": "deny", "from": {"any": True}, "to": {"any": True}}


@pytest.fixture
def service() -> Service:
    """web1 in CUG web, at revision 2."""
    return Service().with_web()


def test_the_life_of_a_policy(service: Service) -> None:
    answer = service.ask("PUT", URL, HTTP)
    assert answer.status_int == 201
    assert answer.json == {
        "name": "http",
        "priority": 100,
        "action": "allow",
        "from": {"prefix": "192.0.2.0/24"},
        "to": {"cug": "web"},
        "protocol": "tcp",
        "ports": ["80", "8000-8099"],
        "replies": True,
        "dangling": [],
        "revision": 3,
    }
    assert service.get(URL) == answer.json
    assert service.get("/v1/policies") == {"items": [answer.json]}
    replaced = service.ask("PUT", URL, BARE)
    assert (replaced.status_int, replaced.json["revision"], replaced.json["from"]) == (200, 4, {"any": True})
    assert (replaced.json["protocol"], replaced.json["ports"], replaced.json["replies"]) == (None, [], False)
    gone = service.ask("DELETE", URL)
    assert (gone.status_int, gone.body) == (204, b"")
    assert service.get("/v1/policies") == {"items": []}
    assert "policy 'http'" in problem(service.ask("GET", URL), 404)
    problem(service.ask("DELETE", URL), 404)


def test_policies_are_sorted_by_name(service: Service) -> None:
    for name in ("b", "C", "a"):
        service.put(f"/v1/policies/{name}", BARE)
    assert [item["name"] for item in service.get("/v1/policies")["items"]] == ["C", "a", "b"]


@pytest.mark.parametrize(
    "again",
    [
        HTTP,
        {**HTTP, "priority": 100},
        {**HTTP, "protocol": 6},
        {**HTTP, "ports": ["80", "8000-8050", "8051-8099", "8090"]},
    ],
)
def test_a_repeated_put_changes_nothing(service: Service, again: dict[str, Any]) -> None:
    first = service.put(URL, HTTP)
    second = service.ask("PUT", URL, again)
    assert (second.status_int, second.json) == (200, first)
    assert (service.engine.state.revision, service.store.revision) == (3, 3)


@pytest.mark.parametrize(
    ("protocol", "answered"),
    [("tcp", "tcp"), (6, "tcp"), (17, "udp"), ("icmp", "icmp"), (1, 1), (58, 58), (0, 0), (255, 255), (None, None)],
)
def test_protocols_as_they_are_answered(service: Service, protocol: object, answered: object) -> None:
    assert service.put(URL, {**BARE, "protocol": protocol})["protocol"] == answered


@pytest.mark.parametrize(
    "selector", [{"cug": "web"}, {"vm": "web1"}, {"prefix": "10.1.0.11/32"}, {"prefix": "::/0"}, {"any": True}]
)
@pytest.mark.parametrize("end", ["from", "to"])
def test_selectors_come_back_as_given(service: Service, end: str, selector: dict[str, object]) -> None:
    assert service.put(URL, {**BARE, end: selector})[end] == selector


@pytest.mark.parametrize(
    ("change", "paths"),
    [
        ({"action": "reject"}, ["action"]),
        ({"action": None}, ["action"]),
        ({"priority": -1}, ["priority"]),
        ({"priority": 10001}, ["priority"]),
        ({"priority": "100"}, ["priority"]),
        ({"priority": True}, ["priority"]),
        ({"priority": None}, ["priority"]),
        ({"from": None}, ["from"]),
        ({"from": "web"}, ["from"]),
        ({"from": {}}, ["from"]),
        ({"from": {"cug": "web", "any": True}}, ["from"]),
        ({"from": {"cug": None}}, ["from.cug"]),
        ({"from": {"cug": "two words"}}, ["from.cug"]),
        ({"from": {"cug": "db"}}, ["from.cug"]),
        ({"from": {"cug": "web", "colour": 1}}, ["from.colour"]),
        ({"from": {"colour": 1}}, ["from"]),
        ({"from": {"any": False}}, ["from.any"]),
        ({"from": {"any": 1}}, ["from.any"]),
        ({"to": {"vm": "web"}}, ["to.vm"]),
        ({"to": {"vm": 1}}, ["to.vm"]),
        ({"from": {"cug": "db"}, "to": {"vm": "db1"}}, ["from.cug", "to.vm"]),
        ({"to": {"prefix": "10.1.0.1/24"}}, ["to.prefix"]),
        ({"to": {"prefix": "10.1.0.0"}}, ["to.prefix"]),
        ({"to": {"prefix": "10.1.0.0/255.255.255.0"}}, ["to.prefix"]),
        ({"to": {"prefix": "10.1.0.0/33"}}, ["to.prefix"]),
        ({"to": {"prefix": "fe80::%eth0/64"}}, ["to.prefix"]),
        ({"protocol": "sctp"}, ["protocol"]),
        ({"protocol": "6"}, ["protocol"]),
        ({"protocol": "arp"}, ["protocol"]),
        ({"protocol": 256}, ["protocol"]),
        ({"protocol": -1}, ["protocol"]),
        ({"protocol": True}, ["protocol"]),
        ({"protocol": 6.0}, ["protocol"]),
        ({"ports": "80"}, ["ports"]),
        ({"ports": [80]}, ["ports[0]"]),
        ({"ports": ["80", "0"]}, ["ports[1]"]),
        ({"ports": ["0-80"]}, ["ports[0]"]),
        ({"ports": ["65536"]}, ["ports[0]"]),
        ({"ports": ["1-65536"]}, ["ports[0]"]),
        ({"ports": ["81-80"]}, ["ports[0]"]),
        ({"ports": ["80-"]}, ["ports[0]"]),
        ({"ports": ["-80"]}, ["ports[0]"]),
        ({"ports": [" 80"]}, ["ports[0]"]),
        ({"ports": ["٨٠"]}, ["ports[0]"]),
        ({"ports": ["80,81"]}, ["ports[0]"]),
        ({"ports": [""]}, ["ports[0]"]),
        ({"ports": ["9" * 5000]}, ["ports[0]"]),
        ({"protocol": None}, ["ports", "replies"]),
        ({"protocol": "icmp", "replies": False}, ["ports"]),
        ({"protocol": 47, "replies": False}, ["ports"]),
        ({"protocol": 47, "ports": []}, ["replies"]),
        ({"action": "deny"}, ["replies"]),
        ({"replies": 1}, ["replies"]),
        ({"replies": None}, ["replies"]),
        ({"name": "other"}, ["name"]),
        ({"dangling": ["to"]}, ["dangling[0]"]),
        ({"action": "x", "protocol": "x", "ports": ["x"], "to": {}}, ["action", "protocol", "ports[0]", "to"]),
    ],
)
def test_policies_that_are_refused(service: Service, change: dict[str, Any], paths: list[str]) -> None:
    problem(service.ask("PUT", URL, {**HTTP, **change}), 422, *paths)
    assert service.get("/v1/policies") == {"items": []}


@pytest.mark.parametrize("key", ["action", "from", "to"])
def test_what_is_required(service: Service, key: str) -> None:
    problem(service.ask("PUT", URL, {name: value for name, value in BARE.items() if name != key}), 422, key)


@pytest.mark.parametrize(
    "change",
    [
        {"priority": 0},
        {"priority": 10000},
        {"ports": ["1-65535"]},
        {"ports": []},
        {"protocol": "udp", "replies": False},
        {"protocol": "udp"},
        {"protocol": "icmp", "ports": []},
        {"protocol": None, "ports": [], "replies": False},
        {"protocol": "icmp", "ports": [], "replies": False},
        {"action": "deny", "replies": False},
        {"from": {"vm": "web1"}, "to": {"vm": "web1"}},
    ],
)
def test_policies_that_are_taken(service: Service, change: dict[str, Any]) -> None:
    assert service.ask("PUT", URL, {**HTTP, **change}).status_int == 201


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({**BARE, "from": {}}, "from: must have exactly one of cug, vm, prefix, labels, any"),
        ({**BARE, "from": {"any": False}}, "from.any: must be true"),
        ({**BARE, "from": {"cug": "db"}}, "from.cug: there is no CUG 'db'"),
        ({**BARE, "protocol": "x"}, "protocol: must be one of tcp, udp, icmp, a number from 0 to 255, or null"),
        ({**HTTP, "protocol": 47, "ports": []}, "replies: only with protocol tcp, udp or icmp and action allow"),
        ({**BARE, "ports": ["80"]}, "ports: only with protocol tcp or udp"),
        ({**HTTP, "ports": ["x"]}, 'ports[0]: "x" is no port or range: write "80" or "8000-8099"'),
        ({**HTTP, "ports": ["9-8"]}, 'ports[0]: range "9-8" runs backwards: write 8-9'),
        ({**HTTP, "ports": ["0"]}, 'ports[0]: "0": outside 1 to 65535'),
        ({**HTTP, "replies": 1}, "replies: must be true or false"),
    ],
)
def test_faults_in_plain_words(service: Service, body: dict[str, Any], message: str) -> None:
    assert problem(service.ask("PUT", URL, body), 422, message.partition(": ")[0]) == message


def test_what_was_deleted_dangles(service: Service) -> None:
    service.put(URL, {**HTTP, "from": {"vm": "web1"}})
    service.ask("DELETE", "/v1/vms/web1")
    service.ask("DELETE", "/v1/cugs/web")
    found = service.get(URL)
    assert (found["dangling"], found["from"], found["revision"]) == (["from.vm", "to.cug"], {"vm": "web1"}, 3)
    problem(service.ask("PUT", URL, {**HTTP, "from": {"vm": "web1"}}), 422, "from.vm", "to.cug")
    service.with_web()
    assert service.get(URL)["dangling"] == []


def test_conditional_writes(service: Service) -> None:
    answer = service.ask("PUT", URL, BARE, If_None_Match="*")
    assert (answer.status_int, answer.headers["ETag"]) == (201, '"3"')
    assert service.ask("GET", URL).headers["ETag"] == '"3"'
    for method in ("PUT", "DELETE"):
        problem(service.ask(method, URL, HTTP if method == "PUT" else None, If_Match='"2"'), 412)
    problem(service.ask("PUT", "/v1/policies/other", BARE, If_Match="*"), 412)
    assert service.ask("PUT", URL, HTTP, If_Match='"3"').status_int == 200
    assert service.ask("DELETE", URL, If_Match='"4"').status_int == 204


def test_waiting(service: Service) -> None:
    service.connect()
    service.while_waiting = service.confirm
    assert service.ask("PUT", f"{URL}?wait=5", HTTP).json["switches"]["pending"] == []
    gone = service.ask("DELETE", f"{URL}?wait=5")
    assert (gone.status_int, gone.json["switches"]["pending"]) == (200, [])
    assert service.waited == [(3, 5.0), (4, 5.0)]
    problem(service.ask("PUT", f"{URL}?wait=x", HTTP), 400, "?wait")


def test_policies_survive_a_restart(service: Service) -> None:
    service.put(URL, HTTP)
    service.put("/v1/policies/all", BARE)
    again = Service(store=service.store)
    assert again.get("/v1/policies") == service.get("/v1/policies")


# In bulk


def test_policies_come_last_in_bulk(service: Service) -> None:
    body: dict[str, Any] = {
        "policies": {"a": {**HTTP, "from": {"cug": "db"}}, "b": BARE},
        "cugs": {"db": {"subnets": ["10.2.0.0/24"]}},
    }
    assert service.ask("POST", "/v1/bulk", body).json == {
        "revision": 3,
        "created": {"cugs": ["db"], "vms": [], "policies": ["a", "b"]},
        "replaced": {"cugs": [], "vms": [], "policies": []},
        "deleted": {"cugs": [], "vms": [], "policies": []},
        "unchanged": {"cugs": [], "vms": [], "policies": []},
    }
    body["policies"]["b"] = HTTP
    outcome = service.ask("POST", "/v1/bulk", body).json
    assert (outcome["revision"], outcome["replaced"]["policies"], outcome["unchanged"]["policies"]) == (4, ["b"], ["a"])


def test_a_policy_that_is_refused_in_bulk_is_named(service: Service) -> None:
    body: dict[str, Any] = {
        "cugs": {"db": {"subnets": ["10.2.0.0/24"]}},
        "policies": {"a": BARE, "b": {**BARE, "to": {"vm": "nobody"}}, "c": {**BARE, "to": {"vm": "nobody"}}},
    }
    detail = problem(service.ask("POST", "/v1/bulk", body), 422, "policies.b.to.vm")
    assert detail == "policies.b: to.vm: there is no VM 'nobody'"
    assert service.engine.state.revision == 2
    body["policies"]["b"] = {**BARE, "ports": ["0"]}
    problem(service.ask("POST", "/v1/bulk", body), 422, "policies.b.ports[0]")
