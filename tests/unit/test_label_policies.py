"""Policies whose ends are selectors of labels: the VMs that they pick, now and later, and no more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ryu_vmmob.flows.compiler import full
from ryu_vmmob.model.commands import Command
from ryu_vmmob.model.decision import Traffic, decide, member
from ryu_vmmob.model.policies import DeletePolicy, PutPolicy
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.model.policy_index import MOST_PAIRS
from ryu_vmmob.model.state import State
from tests.support.commands import apply, cug, nic, start, vm
from tests.support.fabrics import two_racks
from tests.support.rest_service import Service, problem

DB = Selector("labels", "role=db")
SQL = PutPolicy("sql", True, Selector("cug", "web"), DB, protocol=6, ports=((5432, 5432),), replies=True)


def labelled(name: str, server: str, host: int, number: int = 2, **labels: str) -> Command:
    name_of_cug = {1: "web", 2: "db"}[number]
    return replace(vm(name, server, nic(host, name_of_cug, number)), labels=labels)


def site(*more: Command) -> State:
    return start(
        two_racks(), cug("web", 1, routing_domain="red"), cug("db", 2, routing_domain="red"), labelled("web1", "a1", 11, 1),
        labelled("db1", "b1", 11, role="db"), labelled("db2", "b2", 12, role="db", env="test"), labelled("log", "b1", 13),
        *more,
    )  # fmt: skip


def allowed(state: State, source: str, target: str, port: int = 5432) -> bool:
    rows = [state.vms[name].interfaces[0] for name in (source, target)]
    one, other = (member(state, row.cug, row.ips[0]) for row in rows)
    return decide(state, one, other, Traffic(6, 40000, port)).allowed


def picked(state: State) -> set[str]:
    return {name for name in ("db1", "db2", "log") if name in state.vms and allowed(state, "web1", name)}


def test_it_stands_for_the_vms_that_it_picks() -> None:
    state = site(SQL)
    assert picked(state) == {"db1", "db2"}
    assert not allowed(state, "web1", "db1", 80)
    assert set(state.selections["role=db"]) == {"db1", "db2"}
    assert picked(site(replace(SQL, target=Selector("labels", "env!=test,role=db")))) == {"db1"}
    assert picked(site(replace(SQL, target=Selector("labels", "!role")))) == {"log"}
    assert picked(site(replace(SQL, target=Selector("labels", "role=none")))) == set()


def test_labels_come_and_go() -> None:
    state = site(SQL)
    steps: list[tuple[Command, set[str]]] = [
        (labelled("log", "b1", 13, role="db"), {"db1", "db2", "log"}),
        (labelled("db1", "b1", 11), {"db2", "log"}),
        (labelled("db2", "b2", 12, env="test"), {"log"}),
        (labelled("log", "b1", 14, role="db"), {"log"}),
        (DeletePolicy("sql"), set()),
        (SQL, {"log"}),
    ]
    for command, expected in steps:
        state = apply(state, command).state
        assert picked(state) == expected
    gone = apply(state, DeletePolicy("sql")).state
    assert not gone.policies_of
    assert not gone.selections


def test_a_vm_that_is_named_and_picked_keeps_its_policy_when_it_is_picked_no_more() -> None:
    both = PutPolicy("both", False, Selector("vm", "db1"), DB)
    state = apply(site(both), labelled("db1", "b1", 11)).state
    assert "both" in state.policies_of["vm", "db1"]
    assert "both" not in apply(state, labelled("db2", "b2", 12)).state.policies_of.get(("vm", "db2"), {})


def flows(service: Service) -> dict[str, set[int]]:
    return {
        name: {row.cookie for row in table.flows.values() if row.table.label.startswith("policy")}
        for name, table in service.engine.desired.tables.items()
    }


@pytest.fixture
def service() -> Service:
    service = Service()
    service.put("/v1/cugs/web", {"subnets": ["10.1.0.0/24"], "routing_domain": "red"})
    service.put("/v1/cugs/db", {"subnets": ["10.2.0.0/24"], "routing_domain": "red"})
    for number, (name, server, where) in enumerate(
        [("web1", "srv-a1", 1), ("db1", "srv-b1", 2), ("db2", "srv-c1", 2)], start=11
    ):
        service.put(f"/v1/vms/{name}", body(server, where, number, {"role": "db"} if where == 2 else {}))
    service.connect()
    return service


def body(server: str, cug: int, host: int, labels: dict[str, str]) -> dict[str, Any]:
    row = {"cug": ("", "web", "db")[cug], "mac": f"02:00:00:00:0{cug}:{host:02x}", "ips": [f"10.{cug}.0.{host}"]}
    return {"server": server, "interfaces": [row], "labels": labels}


POLICY = {
    "action": "allow",
    "from": {"cug": "web"},
    "to": {"labels": "role=db"},
    "protocol": "tcp",
    "ports": ["5432"],
    "replies": True,
}


def test_they_are_put_shown_exported_and_listed(service: Service) -> None:
    answer = service.put("/v1/policies/sql", POLICY | {"to": {"labels": "x!=1,role==db"}})
    assert (answer["to"], answer["dangling"]) == ({"labels": "role=db,x!=1"}, [])
    assert service.get("/v1/bulk")["policies"]["sql"]["to"] == {"labels": "role=db,x!=1"}
    state = service.engine.state
    assert service.put("/v1/policies/sql", answer) == answer
    assert service.engine.state is state
    for wrong in ("", "a b", "a,,b", "=x", 1, None, ["role=db"], {"role": "db"}):
        problem(service.ask("PUT", "/v1/policies/x", POLICY | {"to": {"labels": wrong}}), 422, "to.labels")


def test_only_the_flows_of_the_vm_that_joins_or_leaves_change(service: Service) -> None:
    """So a permission that an edit leaves alone is never interrupted (invariant 13)."""
    service.put("/v1/policies/sql", POLICY)
    service.confirm()
    first = flows(service)
    service.put("/v1/vms/db3", body("srv-b1", 2, 14, {}))
    service.confirm()
    assert flows(service) == first
    service.put("/v1/vms/db3", body("srv-b1", 2, 14, {"role": "db"}))
    more = flows(service)
    assert all(first[name] <= more[name] for name in first)
    assert more != first
    for name in service.engine.fleet.names:
        taken = service.engine.fleet.take(name)
        assert taken is None or not taken[1].gone, "nothing goes, and nothing is overwritten"
        if taken is not None:
            service.engine.fleet.confirm(name, taken[0])
    service.put("/v1/vms/db3", body("srv-b1", 2, 14, {"role": "other"}))
    assert flows(service) == first
    for name, table in full(service.engine.state).tables.items():
        assert table.flows.keys() == service.engine.desired.tables[name].flows.keys()


def test_a_move_takes_its_policies_along(service: Service) -> None:
    """The judge's question, at the tables: the new edge lets in what the old one did, before the port opens (R45, R46)."""
    service.put("/v1/policies/sql", POLICY)
    service.confirm()
    trace = {"from": {"vm": "web1"}, "to": {"ip": "10.2.0.12"}, "protocol": "tcp", "port": 5432}
    assert service.ask("POST", "/v1/trace", trace).json["policy"] == {"out": "sql", "in": "sql", "allowed": True}
    service.ask("POST", "/v1/migrations", {"vm": "db1", "to": "srv-c1", "activate_on": "request"})
    service.confirm()
    for step in ("deliver", "activate"):
        assert service.ask("POST", f"/v1/migrations/m-000000000001/{step}").status_int == 200
        service.confirm()
        assert service.ask("POST", "/v1/trace", trace).json["policy"]["allowed"] is True
    assert service.get("/v1/vms/db1")["server"] == "srv-c1"
    service.put("/v1/vms/db1", body("srv-c1", 2, 12, {}))
    service.confirm()
    assert service.ask("POST", "/v1/trace", trace).json["verdict"] == "denied"


def test_one_policy_stands_for_so_many_pairs_at_most(monkeypatch: pytest.MonkeyPatch, service: Service) -> None:
    assert MOST_PAIRS == 10_000
    monkeypatch.setattr("ryu_vmmob.model.policy_index.MOST_PAIRS", 4)
    both = POLICY | {"from": {"labels": "role"}, "to": {"labels": "role=db"}}
    service.put("/v1/policies/all", both)
    before = service.engine.state
    for url, row in (
        ("/v1/vms/db3", body("srv-b1", 2, 14, {"role": "db"})),
        ("/v1/vms/web1", body("srv-a1", 1, 11, {"role": "web"})),
        ("/v1/policies/more", both | {"from": {"labels": "!x"}}),
    ):
        assert "pairs of VMs" in problem(service.ask("PUT", url, row), 409)
        assert service.engine.state is before
    service.put("/v1/policies/one", both | {"from": {"cug": "web"}})


def test_a_label_that_would_separate_vms_behind_one_wire_is_refused() -> None:
    """R45: the server's own switch decides what neighbours on it send to each other."""
    deny = PutPolicy("apart", False, DB, DB)
    state = site(labelled("peer", "b1", 15), deny)  # b1 is tagged for each CUG
    with pytest.raises(Exception, match="R45"):
        apply(state, labelled("peer", "b1", 15, role="db"))
    assert apply(state, labelled("peer", "b1", 15, role="web")).state.vms["peer"].labels == {"role": "web"}
