"""An export, put into an empty controller, makes the same: the same export, and the same flows and groups in every switch.

Also after a history that gave numbers in another order than a fresh start would: moves, deletions, edits.
"""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.flows.compiler import full
from ryu_vmmob.model.commands import Abort, Activate, Commit, DeleteVm, EndQuarantines, StartMigration
from tests.support.rest_service import Service

SERVERS = ("srv-a1", "srv-b1", "srv-c1")
VMS, CUGS = 2000, 20


def tables(service: Service) -> dict[str, tuple[dict[int, bytes], dict[int, bytes]]]:
    """Flows by cookie and groups by id of every switch, in their wire form."""
    return {
        name: ({key: row.body for key, row in table.flows.items()}, {key: row.body for key, row in table.groups.items()})
        for name, table in service.engine.desired.tables.items()
    }


def interface(cug: int, host: int) -> dict[str, Any]:
    ips = [f"10.{cug}.{host // 250}.{host % 250 + 2}", f"2001:db8:{cug:x}::{host + 2:x}"]
    return {"cug": f"c{cug}", "mac": f"02:00:00:{cug:02x}:{host >> 8:02x}:{host & 255:02x}", "ips": ips}


def site(vms: int, cugs: int, chance: random.Random) -> dict[str, Any]:
    """CUGs of two routing domains and of none, VMs with one or two interfaces, policies of every kind of end."""
    body: dict[str, Any] = {"cugs": {}, "vms": {}, "policies": {}}
    for cug in range(cugs):
        row: dict[str, Any] = {"subnets": [f"10.{cug}.0.0/16", f"2001:db8:{cug:x}::/64"]}
        if cug in (1, 2, 4, 5):
            row["routing_domain"] = ("red", "blue")[cug % 2]
        body["cugs"][f"c{cug}"] = row
    body["cugs"]["c0"] |= {"ipv6_ra_mode": "slaac", "vlan_ids": {"core-1": 2500}}
    for number in range(vms):
        homes = chance.sample(range(cugs), 1 + (number % 5 == 0))
        body["vms"][f"v{number}"] = {
            "server": chance.choice(SERVERS), "interfaces": [interface(cug, number) for cug in homes],
        }  # fmt: skip
    body["vms"]["v1"]["interfaces"][0]["guest_vlan_id"] = 4000
    body["vms"]["v2"]["interfaces"][0]["vlan_id"] = 4001
    body["vms"]["v3"]["interfaces"][0]["ethertypes"] = "any"
    for number in range(0, cugs, 2):
        ends = {"from": {"cug": f"c{number}"}, "to": {"vm": f"v{number}"}}
        body["policies"][f"p{number}"] = {"action": "allow", **ends, "protocol": "tcp", "ports": ["80", "443"], "replies": True}
    body["policies"]["no"] = {"action": "deny", "from": {"prefix": "10.0.0.0/8"}, "to": {"any": True}, "priority": 7}
    return body


def with_history(service: Service, body: dict[str, Any], chance: random.Random) -> None:
    """Make the site in another order than its names, with moves there and back, deletions, and a policy left dangling."""
    engine: Engine = service.engine
    vms = list(body["vms"].items())
    chance.shuffle(vms)
    cugs = list(body["cugs"].items())
    chance.shuffle(cugs)
    for name, row in cugs:
        service.put(f"/v1/cugs/{name}", row)
    half = len(vms) // 2
    assert service.ask("POST", "/v1/bulk", {"vms": dict(vms[:half])}).status_int == 200
    gone = [name for name, _ in vms[:50] if name not in ("v1", "v2", "v3")]
    engine.execute(*(DeleteVm(name) for name in gone))
    moved = [name for name, _ in vms[50:100] if name not in ("v1", "v2")]
    for number, name in enumerate(moved):
        goal = next(server for server in SERVERS if server != engine.state.vms[name].server)
        id_ = f"m-{number}"
        engine.execute(StartMigration(id_, name, goal, activate_on="request", commit="request"))
        service.confirm()
        if number % 7 == 0:
            engine.execute(Abort(id_, "for the test"))
        else:
            engine.execute(Activate(id_, "for the test"))
            service.confirm()
            engine.execute(Commit(id_))
        service.confirm()
    # What rested is free for others, who come in another order.
    service.time += 1e6
    engine.execute(EndQuarantines(60.0, dict.fromkeys(engine.fleet.names, engine.state.revision)))
    rest = {name: row for name, row in vms if name not in engine.state.vms}
    assert service.ask("POST", "/v1/bulk", {"vms": rest, "policies": body["policies"]}).status_int == 200
    assert service.ask("DELETE", "/v1/vms/v4").status_int == 204  # an end of policy p4
    service.confirm()


@pytest.mark.requirement("R45")
def test_two_thousand_vms_come_back_as_they_were() -> None:
    chance = random.Random(15)
    first = Service(max_body=2**24)
    first.connect()
    with_history(first, site(VMS, CUGS, chance), chance)
    exported = first.get("/v1/bulk")
    assert (len(exported["vms"]), len(exported["cugs"]), exported["policies"]["p4"]["dangling"]) == (VMS - 1, CUGS, ["to.vm"])

    second = Service(max_body=2**24)
    second.connect()
    answer = second.ask("POST", "/v1/bulk", exported)
    assert answer.status_int == 200, answer.text
    assert second.get("/v1/bulk") == exported
    assert tables(second) == tables(first)
    assert all(len(flows) > VMS for flows, _ in tables(second).values() if flows)
    # Once more changes nothing, here as there.
    for service in (first, second):
        before = service.engine.state
        assert service.ask("POST", "/v1/bulk", exported).json["revision"] == before.revision
        assert service.engine.state is before


@pytest.fixture(scope="module")
def small() -> tuple[Service, dict[str, Any]]:
    """A small site with a history, and its export."""
    chance = random.Random(16)
    service = Service(max_body=2**24)
    service.connect()
    with_history(service, site(200, 6, chance), chance)
    return service, service.get("/v1/bulk")


def test_without_the_numbers_it_is_the_same_site_under_others(small: tuple[Service, dict[str, Any]]) -> None:
    """So that the test above is about the numbers: a fresh start gives others."""
    service, exported = small
    again = Service(max_body=2**24)
    bare = service.get("/v1/bulk?numbers=false")
    assert bare == {key: value for key, value in exported.items() if key != "numbers"}
    assert again.ask("POST", "/v1/bulk", bare).status_int == 200
    assert again.get("/v1/bulk?numbers=false") == bare
    assert again.get("/v1/bulk")["numbers"] != exported["numbers"]
    assert tables(again) != tables(service)


def test_numbers_that_are_taken_are_passed_over(small: tuple[Service, dict[str, Any]]) -> None:
    """They are wishes: whatever is there already keeps what it has, and nothing is refused or left over."""
    _, exported = small
    other = Service(max_body=2**24)
    other.put("/v1/cugs/early", {"subnets": ["172.16.0.0/16"]})
    for number, server in enumerate(SERVERS):
        row = {"cug": "early", "mac": f"02:00:00:ff:00:{number:02x}", "ips": [f"172.16.1.{number + 2}"]}
        taken = next(iter(value for name, found in exported["numbers"]["vms"].items() for value in found.values()
                          if exported["vms"][name]["server"] == server))  # fmt: skip
        other.put(f"/v1/vms/early{number}", {"server": server, "interfaces": [row | {"vlan_id": taken}]})
    assert other.ask("POST", "/v1/bulk", exported).status_int == 200
    now = other.get("/v1/bulk")
    assert {key: now["cugs"][key] for key in exported["cugs"]} == exported["cugs"]
    had, has = exported["numbers"], now["numbers"]
    moved = [name for name, row in had["vms"].items() if has["vms"][name] != row]
    assert 3 <= len(moved) <= 3 + sum(len(row) for row in had["cugs"].values())
    assert not other.engine.state.resting
    fresh = full(other.engine.state).tables
    assert {name: row.flows.keys() for name, row in fresh.items()} == {
        name: row.flows.keys() for name, row in other.engine.desired.tables.items()
    }


def test_numbers_give_way_to_what_bodies_ask_for(small: tuple[Service, dict[str, Any]]) -> None:
    _, exported = small
    body = copy.deepcopy(exported)
    name, (cug, number) = next((name, next(iter(row.items()))) for name, row in exported["numbers"]["vms"].items())
    server = exported["vms"][name]["server"]
    other = next(key for key, row in exported["vms"].items() if row["server"] == server and key not in (name, "v1", "v2"))
    body["vms"][other]["interfaces"][0]["vlan_id"] = number
    body["cugs"]["c1"]["vlan_ids"] = {"core-1": exported["numbers"]["cugs"]["c2"]["vlan_ids"].get("core-1", 2000)}
    service = Service(max_body=2**24)
    answer = service.ask("POST", "/v1/bulk", body)
    assert answer.status_int == 200, answer.text
    assert service.get(f"/v1/vms/{other}")["interfaces"][0]["vlan_id"] == number
    assert service.get("/v1/bulk")["numbers"]["vms"][name][cug] != number


def test_numbers_of_objects_that_do_not_come_are_not_kept(small: tuple[Service, dict[str, Any]]) -> None:
    _, exported = small
    service = Service(max_body=2**24)
    assert service.ask("POST", "/v1/bulk", {"numbers": exported["numbers"]}).json["revision"] == 0
    body = {"cugs": {"c1": exported["cugs"]["c1"]}, "numbers": exported["numbers"]}
    assert service.ask("POST", "/v1/bulk", body).status_int == 200
    assert service.get("/v1/cugs/c1")["segment_key"] == exported["numbers"]["cugs"]["c1"]["segment_key"]
    state = service.engine.state
    assert not state.resting
    # VLAN-IDs of domains where the CUG is not yet rest for it, and for nobody else, as after a move away.
    assert {key for _, key in state.quarantine} <= {row.key for row in (*state.cugs.values(), *state.routing_domains.values())}
    service.time += 1e6
    service.engine.execute(EndQuarantines(60.0, dict.fromkeys(service.engine.fleet.names, 10)))
    assert not service.engine.state.quarantine


@pytest.mark.parametrize(
    ("numbers", "path"),
    [
        ({"cugs": {"a": {"segment_key": 0}}}, "numbers.cugs.a.segment_key"),
        ({"cugs": {"a": {"segment_key": 1, "vlan_ids": {"rack-a": 5000}}}}, "numbers.cugs.a.vlan_ids.rack-a"),
        ({"vms": {"a": {"web": "1"}}}, "numbers.vms.a.web"),
        ({"servers": {}}, "numbers.servers"),
    ],
)
def test_numbers_that_are_refused(numbers: Any, path: str) -> None:
    answer = Service().ask("POST", "/v1/bulk", {"numbers": numbers})
    assert (answer.status_int, [row["path"] for row in answer.json["errors"]]) == (422, [path])
