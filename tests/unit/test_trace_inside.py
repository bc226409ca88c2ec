"""A packet to a neighbour behind the sender's own wire: no switch of the fabric sees it, and the trace says so."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from ryu_vmmob.flows.compiler import full
from ryu_vmmob.model.commands import StartMigration
from ryu_vmmob.model.state import State
from ryu_vmmob.trace import Question, Trace, trace
from tests.support.commands import cug, nic, start, vm
from tests.support.fabrics import two_racks
from tests.support.rest_service import Service
from tests.support.rest_service import vm as rest_vm


def site(server: str, *more: Any, per_interface: bool = False) -> State:
    """web1, web2 and web3 on one server, db1 in another CUG there, web9 elsewhere."""
    fabric = two_racks()
    if per_interface:
        row = replace(fabric.servers[server], l2_domain=None, vlan_ids=tuple(range(2, 100)))
        fabric = replace(fabric, servers={**fabric.servers, server: row})
    rows = [vm(f"web{number}", server, nic(10 + number)) for number in (1, 2, 3)]
    return start(
        fabric, cug(), cug("db", 2), *rows, vm("db1", server, nic(11, "db", 2)), vm("web9", "b1", nic(19)), *more
    )  # fmt: skip


def ask(state: State, ip: str | None = "10.1.0.12", **more: Any) -> Trace:
    return trace(state, full(state).tables, Question("web1", ip=None if ip is None else ip_address(ip), **more))


@pytest.mark.parametrize("server", ["a1", "a3", "b3"])
def test_a_packet_for_a_neighbour(server: str) -> None:
    found = ask(site(server), protocol=6, port=80)
    assert found.verdict == (
        "local_switching",
        f"inside {server} its own switch decides: VM web2 is on the same wire, and the ToR never sees the frame",
    )
    assert (found.journey, found.hops, found.neighbours) == (None, (), ("web2",))


def test_a_question_for_a_neighbour_goes_to_the_others_too() -> None:
    found = ask(site("a1"), protocol="arp")
    assert found.verdict.kind == "delivered"
    assert found.verdict.reason.endswith("; inside a1 its own switch decides whether VMs web2, web3 hear it")
    assert found.neighbours == ("web2", "web3")


def test_a_broadcast_that_nobody_else_hears() -> None:
    state = start(two_racks(), cug(), vm(), vm("web2", "a1", nic(12)))
    found = ask(state, protocol="arp")
    assert found.verdict == (
        "local_switching", "inside a1 its own switch decides: VM web2 is on the same wire, and the ToR never sees the frame",
    )  # fmt: skip


def test_on_an_untagged_server_any_mac_there_is_a_neighbours() -> None:
    state = site("a3")
    other = state.vms["db1"].interfaces[0].mac
    assert ask(state, None, mac=other).neighbours == ("db1",)
    assert ask(site("a1"), None, mac=other).neighbours == ()


@pytest.mark.parametrize("ip", ["10.1.0.12", "10.1.0.19"])
def test_per_interface_the_tor_decides(ip: str) -> None:
    found = ask(site("a1", per_interface=True), ip, protocol=6, port=80)
    assert (found.verdict.kind, found.neighbours) == ("delivered", ())
    assert found.hops[0].visit.switch == "tor-a"
    (arrival,) = found.arrivals
    assert arrival.vms == ("web2" if ip == "10.1.0.12" else "web9",)


def test_who_is_elsewhere_or_not_there_yet_is_no_neighbour() -> None:
    state = site("a1", StartMigration("m1", "web9", "a1"))
    assert ask(state, "10.1.0.19", protocol=6, port=80).verdict.kind == "delivered"
    assert ask(state, "10.1.0.19", protocol=6, port=80).neighbours == ()


def test_rest_and_its_description() -> None:
    service = Service()
    service.connect()
    service.with_web().put("/v1/vms/a", rest_vm("srv-a2", 21))
    service.put("/v1/vms/b", rest_vm("srv-a2", 22))
    answers = [
        service.ask("POST", "/v1/trace", {"from": {"vm": "a"}, "to": {"ip": ip}}).json for ip in ("10.1.0.22", "10.1.0.11")
    ]
    assert (answers[0]["verdict"], answers[0]["hops"]) == ("local_switching", [])
    assert [row["local_switching"] for row in answers] == [{"server": "srv-a2", "vms": ["b"]}, None]
