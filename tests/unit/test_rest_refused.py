"""Refused is not acknowledged: what a switch refused, or confirmed and does not keep, is told wherever somebody asks."""

from __future__ import annotations

from typing import Any

import pytest

from ryu_vmmob.engine.fleet import NOT_KEPT, SwitchFault
from ryu_vmmob.flows.flow import Flow
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import Table
from tests.support.rest_service import Service, vm

NOSQL = {
    "priority": 100, "action": "deny", "from": {"cug": "web"}, "to": {"cug": "web"}, "protocol": "tcp", "ports": ["5432"],
}  # fmt: skip
WORDS = "OFPET_BAD_MATCH OFPBMC_BAD_FIELD"


@pytest.fixture
def service() -> Service:
    made = Service()
    made.connect()
    made.with_web()
    made.put("/v1/vms/web2", vm("srv-b1", 12))
    made.confirm()
    return made


def refusing(service: Service, switch: str, kind: str) -> None:
    """All switches confirm what they are told; this one refuses the flows of owners of a kind."""
    fleet = service.engine.fleet
    for name in fleet.names:
        while (taken := fleet.take(name)) is not None:
            revision, delta = taken
            mine = [flow for flow in delta.flows if name == switch and flow.owner[0] == kind]
            faults = [SwitchFault(WORDS, str(flow), flow.owner, flow.cookie) for flow in mine]
            fleet.confirm(name, revision, faults, delta.named)
    service.engine.progress()


def put_refused(service: Service) -> Any:
    service.while_waiting = lambda: refusing(service, "tor-b", "policy")
    return service.ask("PUT", "/v1/policies/nosql?wait=5", NOSQL)


def test_a_write_that_a_switch_refused_is_not_acknowledged_by_it(service: Service) -> None:
    answer = put_refused(service)
    assert answer.status_int == 201, "it is stored, and told again"
    found = answer.json["switches"]
    assert (found["acknowledged"], found["pending"]) == (["tor-a"], [])
    assert {(row["switch"], row["error"], row["owner"]["name"]) for row in found["refused"]} == {("tor-b", WORDS, "nosql")}
    assert {row["cause"].split()[0] for row in found["refused"]} == {"table=policy_out", "table=policy_in"}
    again = service.ask("PUT", "/v1/policies/nosql?wait=5", NOSQL)
    assert again.json["switches"]["refused"] == found["refused"], "nor when it is repeated"


def test_what_others_do_is_acknowledged_all_the_same(service: Service) -> None:
    """One flow refused holds up nobody else: another write at the same switch says nothing of it."""
    put_refused(service)
    service.while_waiting = service.confirm
    answer = service.ask("PUT", "/v1/vms/web3?wait=5", vm("srv-b1", 13)).json
    assert answer["switches"] == {"acknowledged": ["border-1", "tor-a", "tor-b"], "pending": []}
    assert service.engine.switch_status("tor-b").place.value == "refused"


def test_one_refused_flow_is_degraded_and_not_unready(service: Service) -> None:
    for name in ("border-1", "border-2", "tor-c"):
        assert service.engine.switch_status(name).in_step
    put_refused(service)
    answer = service.ask("GET", "/readyz")
    assert answer.status_int == 200
    body = answer.json
    assert (body["ready"], body["status"], body["switches"]["refused"]) == (True, "degraded", ["tor-b"])
    assert body["switches"]["not_in_step"] == []
    assert {(row["switch"], row["owner"]["name"]) for row in body["refused"]} == {("tor-b", "nosql")}
    service.ask("PUT", "/v1/vms/web4", vm("srv-c1", 14))
    late = service.ask("GET", "/readyz")
    assert (late.status_int, late.json["status"], late.json["ready"]) == (503, "not_ready", False)
    service.confirm()
    assert service.ask("DELETE", "/v1/policies/nosql").status_int == 204
    refusing(service, "nobody", "policy")
    assert service.get("/readyz")["status"] == "ready"


def test_the_refused_are_told_up_to_a_bound(service: Service) -> None:
    faults = [SwitchFault("OFPFMFC_TABLE_FULL", f"flow {number}", Owner(OwnerKind.SWITCH), number) for number in range(250)]
    service.engine.fleet.confirm("tor-b", service.engine.state.revision, faults)
    assert len(service.get("/readyz")["refused"]) == 100
    assert len(service.get("/v1/switches/tor-b")["faults"]) == 250


def test_a_trace_says_that_a_switch_does_not_have_the_flow(service: Service) -> None:
    ask = {"from": {"vm": "web2"}, "to": {"ip": "10.1.0.11"}, "protocol": "tcp", "port": 5432}
    service.put("/v1/policies/nosql", NOSQL)
    service.confirm()
    fine = service.ask("POST", "/v1/trace", ask).json
    assert (fine["verdict"], fine["refused"]) == ("denied", [])
    service.ask("DELETE", "/v1/policies/nosql")
    service.confirm()
    put_refused(service)
    found = service.ask("POST", "/v1/trace", ask).json
    assert [(row["switch"], row["owner"]["name"]) for row in found["refused"]] == [("tor-b", "nosql")]
    assert found["reason"].endswith(f"; but switch tor-b does not have a flow on this way: {WORDS}")
    other = service.ask("POST", "/v1/trace", {**ask, "port": 80}).json
    assert other["refused"] == [], "this packet does not meet it"


def test_a_trace_knows_of_groups_too(service: Service) -> None:
    group = next(row for row in service.engine.desired.groups("tor-a") if row.owner[0] == "hop" and row.owner[2] == "tor-b")
    service.engine.fleet.confirm(
        "tor-a", service.engine.state.revision, [SwitchFault("OFPGMFC_OUT_OF_GROUPS", str(group), group.owner, group.id)]
    )
    found = service.ask("POST", "/v1/trace", {"from": {"vm": "web1"}, "to": {"ip": "10.1.0.12"}, "protocol": "icmp"}).json
    assert [(row["switch"], row["error"]) for row in found["refused"]] == [("tor-a", "OFPGMFC_OUT_OF_GROUPS")]


def test_a_move_says_what_its_switches_do_not_keep(service: Service) -> None:
    """An audit finds it: the flow was confirmed, so the move is prepared; the switch is no longer among those that have it."""
    made = service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-b1", "activate_on": "request"}).json
    service.confirm()
    assert service.get(f"/v1/migrations/{made['id']}")["state"] == "prepared"
    flow = next(row for row in service.engine.desired.flows("tor-b") if is_delivery(row))
    fault = SwitchFault(NOT_KEPT, str(flow), flow.owner, flow.cookie)
    service.engine.fleet.looked("tor-b", [fault])
    found = service.get(f"/v1/migrations/{made['id']}")["switches"]
    assert "tor-b" not in found["acknowledged"]
    assert [(row["switch"], row["error"], row["cause"]) for row in found["refused"]] == [("tor-b", NOT_KEPT, str(flow))]
    faults = [row for row in service.get("/v1/events?types=switch.fault")["items"] if row["switch"] == "tor-b"]
    assert [(row["error"], row["owner"]) for row in faults] == [(NOT_KEPT, "vm web1 0")]
    told = service.get("/v1/events?types=migration.refused")["items"]
    assert [(row["migration"], row["state"], row["switch"], row["error"], row["cause"]) for row in told] == [
        (made["id"], "prepared", "tor-b", NOT_KEPT, str(flow))
    ]


def test_a_delivery_to_a_place_without_its_flows_is_not_confirmed(service: Service) -> None:
    """The target's switch refuses a flow of the VM at the delivery: it is delivered, for the VM has paused, and it is said that
    the switch has not confirmed it; neither a gap nor a confirmation is reported of it.
    """
    made = service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-b1", "activate_on": "request"}).json
    service.confirm()
    service.while_waiting = lambda: refusing(service, "tor-b", "vm")
    found = service.ask("POST", f"/v1/migrations/{made['id']}/deliver?wait=5").json
    assert (found["state"], found["delivered"]) == ("prepared", True)
    assert "tor-b" not in found["switches"]["acknowledged"]
    assert {row["switch"] for row in found["switches"]["refused"]} == {"tor-b"}
    last = found["timeline"][-1]
    assert (last["acknowledged"]["tor-b"], last["complete"]) == (None, None)
    told = service.get("/v1/events?types=migration.refused,migration.confirmed")["items"]
    assert ("migration.refused", "prepared") in {(row["event"], row["state"]) for row in told}
    assert ("migration.confirmed", "delivered") not in {(row["event"], row["state"]) for row in told}
    activated = service.ask("POST", f"/v1/migrations/{made['id']}/activate?wait=5").json
    assert activated["settled"] is None
    assert {row["switch"] for row in activated["switches"]["refused"]} == {"tor-b"}


def is_delivery(flow: Flow) -> bool:
    return flow.owner == Owner(OwnerKind.VM, "web1", "0") and flow.table is Table.ADMIT


def test_numbers_tell_those_who_refused(service: Service) -> None:
    put_refused(service)
    text = service.ask("GET", "/metrics").text
    assert 'vmmob_switch_refused{switch="tor-b"} 1.0' in text
    assert 'vmmob_switch_refused{switch="tor-a"} 0.0' in text
