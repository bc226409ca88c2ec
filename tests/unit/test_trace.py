"""The way of a packet through the desired flows: which packet it is, where it comes out, and why it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.flows.compiler import Compiler, full
from ryu_vmmob.flows.delta import SwitchTables
from ryu_vmmob.flows.flow import CONTROLLER, IN_PORT, Flow, Output
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import Priority, Table
from ryu_vmmob.model.commands import Activate, LinksChanged, Prepared, StartMigration
from ryu_vmmob.model.move_options import Delivery
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import State
from ryu_vmmob.sim.trace import ScannedTables, vlan_id
from ryu_vmmob.trace import Question, Trace, VmSource, trace
from tests.support.commands import cug, do, nic, start, vm
from tests.support.fabrics import two_racks

A, B = "02:00:00:01:00:0b", "02:00:00:01:00:0c"
V6 = ["10.1.0.11", "2001:db8:1::11"]


def state_of(*more: Any) -> State:
    """CUG web with web1 (host 11, dual stack) at a1 and web2 (host 12) at b1."""
    pair = (cug(), vm("web1", "a1", nic(11, ips=V6)), vm("web2", "b1", nic(12, ips=["10.1.0.12", "2001:db8:1::12"])))
    return start(two_racks(), *pair, *more)


def ask(state: State, ip: str | None = "10.1.0.12", vm_name: str = "web1", **more: Any) -> Trace:
    target = None if ip is None else ip_address(ip)
    return trace(state, full(state).tables, Question(vm_name, ip=target, **more))


def hops(found: Trace) -> list[str]:
    assert found.journey is not None
    return [visit.switch for visit in found.journey.visits]


def test_the_vlan_id_on_each_link_and_the_delivery() -> None:
    state = state_of()
    found = ask(state, protocol=6, port=80)
    assert found.verdict.kind == "delivered"
    assert found.journey is not None
    wire = [(visit.switch, visit.in_port, vlan_id(visit.packet)) for visit in found.journey.visits]
    core = state.vlan_id("web", "core")
    assert wire == [("tor-a", 1, state.vlan_id("web", "rack-a")), ("spine", 1, core), ("tor-b", 49, core)]
    (arrival,) = found.arrivals
    assert (arrival.server, arrival.vms, vlan_id(arrival.packet)) == ("b1", ("web2",), state.vlan_id("web", "rack-b"))
    assert f"web2 at b1 (tor-b:1), VLAN-ID {state.vlan_id('web', 'rack-b')}" in found.verdict.reason


@pytest.mark.parametrize(
    ("question", "shown"),
    [
        (
            {"ip": "10.1.0.12", "protocol": 6, "port": 80},
            "ip_proto=6,nw_ttl=64,ipv4_src=10.1.0.11,ipv4_dst=10.1.0.12,tcp_src=40000,tcp_dst=80",
        ),
        ({"ip": "10.1.0.12", "protocol": 17}, "udp_src=40000,udp_dst=9"),
        ({"ip": "10.1.0.12"}, "ip_proto=253"),
        ({"ip": "10.1.0.12", "protocol": "icmp"}, "ip_proto=1,nw_ttl=64,ipv4_src=10.1.0.11,ipv4_dst=10.1.0.12,icmpv4_type=8"),
        ({"ip": "2001:db8:1::12", "protocol": "icmp"}, "ipv6_src=2001:db8:1::11,ipv6_dst=2001:db8:1::12,icmpv6_type=128"),
        ({"ip": "2001:db8:1::12", "protocol": 58}, "icmpv6_type=128"),
        ({"ip": "10.1.0.12", "protocol": 58}, "ip_proto=58"),
        ({"ip": "fe80::ff:fe01:c"}, "ipv6_src=fe80::ff:fe01:b"),
        ({"ip": "10.1.0.255"}, "eth_dst=ff:ff:ff:ff:ff:ff"),
        ({"ip": "255.255.255.255"}, "eth_dst=ff:ff:ff:ff:ff:ff"),
        ({"ip": "224.1.2.3"}, "eth_dst=01:00:5e:01:02:03"),
        ({"ip": "ff02::1:2"}, "eth_dst=33:33:00:01:00:02"),
        ({"ip": "10.9.9.9"}, "eth_dst=02:00:5e:00:00:01"),
        ({"ip": "10.1.0.1"}, "eth_dst=02:00:5e:00:00:01"),
        ({"ip": None, "mac": 0x02000001000C}, f"eth_dst={B},eth_src={A},eth_type=0x800"),
        ({"ip": None, "mac": 0x02000001000C}, "ip_proto=253,nw_ttl=64,ipv4_src=10.1.0.11,ipv4_dst=10.1.0.12"),
        ({"ip": None, "mac": 0x02000001000C, "claimed_ip": ip_address("2001:db8:1::9")}, "ipv6_dst=2001:db8:1::12"),
        ({"ip": None, "mac": 0x020000010099}, "ipv4_dst=255.255.255.255"),
        ({"ip": "10.1.0.12", "mac": 0x020000010099}, "eth_dst=02:00:00:01:00:99"),
        ({"ip": "10.1.0.12", "protocol": "arp"}, "arp_op=1,arp_spa=10.1.0.11,arp_tpa=10.1.0.12"),
        ({"ip": "2001:db8:1::12", "protocol": "arp"}, "icmpv6_type=135,icmpv6_code=0,ipv6_nd_target=2001:db8:1::12"),
        ({"ip": "10.1.0.12", "protocol": "arp", "mac": 0x02000001000C}, f"eth_dst={B}"),
        ({"ip": "10.1.0.12", "claimed_mac": 0x020000010099}, "eth_src=02:00:00:01:00:99"),
    ],
)
def test_the_packet_is_the_one_the_guest_would_send(question: dict[str, Any], shown: str) -> None:
    packet = str(ask(state_of(), **question).packet)
    assert shown in packet
    assert packet.startswith("vlan=100,")


def test_an_untagged_sender_and_a_neighbour_at_the_same_switch() -> None:
    found = ask(state_of(vm("web3", "a3", nic(13))), "10.1.0.11", "web3")
    assert found.packet.vlans == ()
    assert (found.verdict.kind, hops(found)) == ("delivered", ["tor-a"])


@pytest.mark.parametrize("target", ["10.1.0.12", "2001:db8:1::12"])
def test_the_switch_answers_for_a_known_member(target: str) -> None:
    found = ask(state_of(), target, protocol="arp")
    assert found.verdict == ("answered", f"tor-a answers in the name of VM web2 ({B})")
    assert hops(found) == ["tor-a"]


def test_nobody_has_the_address() -> None:
    found = ask(state_of(), "10.1.0.99", protocol=6)
    assert found.verdict.kind == "unresolved"
    assert "10.1.0.99" in found.verdict.reason
    assert "arp_tpa=10.1.0.99" in str(found.packet)
    assert [row.vms for row in found.arrivals] == [("web2",)]


def test_a_forger_that_asks_is_dropped_all_the_same() -> None:
    found = ask(state_of(), "10.1.0.99", claimed_ip=ip_address("10.1.0.12"))
    assert found.verdict == ("dropped", "tor-a, table admit: no flow admits this source (anti-spoofing)")


def test_a_broadcast_reaches_every_other_member() -> None:
    found = ask(state_of(vm("web3", "a1", nic(13)), vm("web4", "b2", nic(14))), "10.1.0.255")
    assert found.verdict.kind == "delivered"
    assert {name for row in found.arrivals for name in row.vms} == {"web2", "web4"}


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ({"claimed_mac": 0x020000010099}, "tor-a, table admit: no flow admits this source (anti-spoofing)"),
        ({"claimed_ip": ip_address("10.1.0.12")}, "tor-a, table admit: no flow admits this source (anti-spoofing)"),
        ({"ip": None, "mac": 0x020000010099}, "tor-a, table bridge: the segment has no such destination here"),
        (
            {"ip": "10.9.9.9"},
            "tor-a, table policy_out: CUG web is in no routing domain, so nothing is routed for it; give it one, "
            "and put a policy that allows protocol 253 from 10.1.0.11 (VM web1, CUG web) to 10.9.9.9 (outside)",
        ),
    ],
)
def test_a_drop_names_switch_table_and_rule(question: dict[str, Any], reason: str) -> None:
    assert ask(state_of(), **question).verdict == ("dropped", reason)


def test_on_an_untagged_port_the_source_mac_is_what_is_not_known() -> None:
    found = ask(state_of(vm("web3", "a3", nic(13))), "10.1.0.11", "web3", claimed_mac=0x020000010099)
    assert found.verdict.reason == "tor-a, table ingress: no segment is known for this port with this VLAN-ID and source MAC"


def test_alone_in_the_segment() -> None:
    found = ask(start(two_racks(), cug(), vm()), "10.1.0.255")
    assert found.verdict == ("dropped", "tor-a, table bridge: it leads only back to where it came from")


def cut(state: State, *names: str) -> State:
    return do(state, LinksChanged(frozenset(names)), now=1.0).state


def test_a_link_that_is_down() -> None:
    state = cut(state_of(), "spine:1=tor-a:49")
    found = ask(state)
    reason = "tor-a, table bridge: no link that is up leads on to tor-b; down: spine:1=tor-a:49"
    assert found.verdict == ("dropped", reason)


def test_flows_that_do_not_know_yet_that_a_link_is_down() -> None:
    before = state_of()
    tables = full(before).tables
    found = trace(cut(before, "spine:2=tor-b:49"), tables, Question("web1", ip=ip_address("10.1.0.12")))
    assert found.verdict.kind == "dropped"
    assert found.verdict.reason.startswith("spine, table bridge: ")
    assert "spine:2=tor-b:49" in found.verdict.reason


def test_the_cable_of_the_destination_and_of_the_sender() -> None:
    state = cut(state_of(), "tor-b:1")
    assert ask(state).verdict == ("dropped", "tor-b, table deliver: port 1 is down; down: tor-b:1")
    found = ask(state, "10.1.0.11", "web2")
    assert found.verdict == ("dropped", "every cable of server b1 is down")
    assert found.journey is None


def moving(delivery: Delivery = "early") -> State:
    begin = StartMigration("m-1", "web1", "b2", delivery=delivery, timeout=300.0)
    return do(state_of(), begin).state


def test_both_places_of_a_vm_that_moves() -> None:
    found = ask(moving(), "10.1.0.11", "web2")
    assert found.verdict.kind == "delivered"
    assert sorted((row.server, row.vms) for row in found.arrivals) == [("a1", ("web1",)), ("b2", ("web1",))]


def test_the_place_it_sends_from_can_be_chosen() -> None:
    state = moving()
    source = ask(state).source
    assert isinstance(source, VmSource)
    assert source.seat.server == "a1"
    found = ask(state, at="b2")
    assert (found.verdict.kind, hops(found), found.packet.vlans) == ("delivered", ["tor-b"], ())
    assert found.journey is not None
    assert len(found.journey.controller) == 1  # the VM is awaited there
    with pytest.raises(Refusal, match=r"from\.at: VM 'web1' has no place at 'a2'; it is at a1, b2"):
        ask(state, at="a2")


def test_a_place_that_is_closed_says_so() -> None:
    state = do(moving("on_activation"), Prepared("m-1"), now=1.0).state
    found = ask(state, at="b2")
    assert found.verdict.kind == "dropped"
    assert found.verdict.reason.endswith("at this stage of its migration VM web1 may not send at b2")
    after = do(state, Activate("m-1", "told"), now=2.0).state
    assert ask(after, at="b2").verdict.kind == "delivered"
    assert "may not send at a1" in ask(after, at="a1").verdict.reason


Change = Callable[[Flow], Flow | None]


def altered(state: State, switch: str, change: Change) -> dict[str, SwitchTables]:
    """The desired tables with the flows of one switch altered (None: taken out)."""
    compiler: Compiler = full(state)
    old = compiler.tables[switch]
    new = SwitchTables()
    new.groups = old.groups
    for flow in old.flows.values():
        other = change(flow)
        if other is not None:
            new.flows[other.cookie] = other
    return {**compiler.tables, switch: new}


QUESTION = Question("web1", ip=ip_address("10.1.0.12"))


def test_an_explicit_drop_says_whose_it_is() -> None:
    def drop(flow: Flow) -> Flow:
        if flow.table is Table.BRIDGE and flow.owner == Owner(OwnerKind.VM, "web2", "0"):
            new = Flow.undeclared(flow.table, flow.priority, flow.match)
            new.owner = flow.owner
            return new
        return flow

    state = state_of()
    reason = trace(state, altered(state, "spine", drop), QUESTION).verdict.reason
    assert reason == f"spine, table bridge: a flow of VM web2 drops it (metadata=segment:1,eth_dst={B})"


def test_a_table_without_any_flow_is_a_miss() -> None:
    state = state_of()
    tables = altered(state, "spine", lambda flow: None if flow.table is Table.INGRESS else flow)
    found = trace(state, tables, QUESTION)
    assert found.verdict.reason.startswith("spine, table ingress: no segment is known")
    assert found.journey is not None
    assert found.journey.visits[-1].result.path[-1].flow is None


def test_what_the_controller_gets_is_not_called_dropped() -> None:
    def punt(flow: Flow) -> Flow:
        wanted = flow.table is Table.BRIDGE and flow.owner == Owner(OwnerKind.VM, "web2", "0")
        return Flow.undeclared(flow.table, flow.priority, flow.match, (Output(CONTROLLER, 128),)) if wanted else flow

    state = state_of()
    verdict = trace(state, altered(state, "tor-a", punt), QUESTION).verdict
    assert verdict == (
        "controller",
        "tor-a, table bridge: it is handed to the controller, which decides what becomes of it",
    )


def test_out_of_the_wrong_port() -> None:
    def wrong(flow: Flow) -> Flow:
        wanted = flow.table is Table.BRIDGE and flow.owner == Owner(OwnerKind.VM, "web2", "0")
        return Flow.undeclared(flow.table, flow.priority, flow.match, (Output(2),)) if wanted else flow

    state = state_of()
    found = trace(state, altered(state, "tor-a", wrong), QUESTION)
    assert found.verdict == ("astray", "it came out at a2 (tor-a:2), untagged, where no other interface takes it")
    assert [(row.port, row.vms) for row in found.arrivals] == [(PortRef("tor-a", 2), ())]


def test_two_flows_that_contradict_each_other() -> None:
    state = state_of()
    tables = full(state).tables
    for number in (2, 3):
        flow = Flow.undeclared(Table.BRIDGE, Priority.EXCEPTION, (), (Output(number),))
        tables["tor-a"].flows[flow.cookie] = flow
    found = trace(state, tables, QUESTION)
    assert found.verdict.kind == "undefined"
    assert "output:2" in found.verdict.reason
    assert found.journey is None


def test_a_loop() -> None:
    """The spine sends it back whence it came, and the ToR sends it to the spine again."""

    def back(port: int) -> Change:
        def change(flow: Flow) -> Flow:
            enters = flow.table is Table.INGRESS and ("in_port", port, None) in flow.match
            return Flow.undeclared(flow.table, flow.priority, flow.match, (Output(IN_PORT),)) if enters else flow

        return change

    state = state_of()
    tables = altered(state, "tor-a", back(49)) | {"spine": altered(state, "spine", back(1))["spine"]}
    assert trace(state, tables, QUESTION).verdict.kind == "loop"


def test_no_vlan_id_left_in_the_domain() -> None:
    state = state_of()
    key = state.cugs["web"].key
    starved = replace(state, allocations=state.allocations.set(key, state.vlan_ids("web").delete("rack-a")))
    found = trace(starved, full(state).tables, QUESTION)
    assert found.verdict == ("dropped", "CUG web has no VLAN-ID in L2 domain rack-a, so a1 cannot tag the frame")


@pytest.mark.parametrize(
    ("question", "path"),
    [
        ({"vm_name": "nobody"}, "from.vm"),
        ({"interface": 1}, "from.interface"),
        ({"at": "b1"}, "from.at"),
        ({"claimed_ip": ip_address("2001:db8:1::9")}, "from.ip"),
        ({"ip": None, "mac": 1, "protocol": "arp"}, "to.ip"),
        ({"protocol": "icmp", "port": 80}, "port"),
        ({"port": 80}, "port"),
    ],
)
def test_what_is_refused(question: dict[str, Any], path: str) -> None:
    with pytest.raises(Refusal) as caught:
        ask(state_of(), **question)
    assert caught.value.status == 422
    assert [fault.path for fault in caught.value.faults] == [path]


def test_a_family_that_the_interface_has_not() -> None:
    state = start(two_racks(), cug(), vm("web1", "a1", nic(11)))
    with pytest.raises(Refusal, match=r"to\.ip: interface 0 of VM 'web1' has no IPv6 address"):
        ask(state, "2001:db8:1::12")


def test_only_the_switches_on_the_way_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    state = state_of(vm("web3", "a2", nic(13)))
    wanted = full(state).tables
    built: list[str] = []
    original = ScannedTables.__init__

    def spy(self: ScannedTables, flows: Any, groups: Any = ()) -> None:
        rows = list(flows)
        built.extend(name for name, tables in wanted.items() if rows == list(tables.flows.values()))
        original(self, rows, groups)

    monkeypatch.setattr(ScannedTables, "__init__", spy)
    assert trace(state, wanted, Question("web1", ip=ip_address("10.1.0.13"))).verdict.kind == "delivered"
    assert built == ["tor-a"]
