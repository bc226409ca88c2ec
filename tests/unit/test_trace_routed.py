"""Traces of routed packets: the way between CUGs, what policies say to it, and who says that it came to nothing.

The sample (`routed_networks`): web1 in CUG web at a1, db1 in CUG db at b1 in the other data centre, both in routing domain red.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from ryu_vmmob.flows.compiler import full
from ryu_vmmob.flows.delta import SwitchTables
from ryu_vmmob.model.commands import LinksChanged, StartMigration
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import State
from ryu_vmmob.sim.trace import vlan_id
from ryu_vmmob.trace import Opinion, Question, Trace, trace
from tests.support.commands import nic, vm
from tests.support.routed_networks import WAN, allow, deny, routed

ALL = allow("all", "any", "any")
DB2, DB3 = vm("db2", "a1", nic(12, "db", 2)), vm("db3", "a2", nic(13, "db", 2))
DB1 = "10.2.0.11"
GATEWAY = 0x02005E000001


def ask(
    state: State, ip: str = DB1, vm_name: str = "web1", tables: dict[str, SwitchTables] | None = None, **more: Any
) -> Trace:
    return trace(state, full(state).tables if tables is None else tables, Question(vm_name, ip=ip_address(ip), **more))


def wires(found: Trace) -> list[tuple[str, int | None, int]]:
    """Switch, VLAN-ID and TTL of everything that came in at a switch, then (where, VLAN-ID, TTL) of what came out."""
    rows = [(hop.visit.switch, vlan_id(hop.visit.packet), hop.visit.packet.get("nw_ttl")) for hop in found.hops]
    return rows + [(str(row.port), vlan_id(row.packet), row.packet.get("nw_ttl")) for row in found.arrivals]


def routers(found: Trace) -> list[tuple[str, str]]:
    return [(row.switch, str(row.address)) for row in found.routers]


# Delivered


def test_between_cugs_on_one_server() -> None:
    state = routed(ALL, DB2)
    found = ask(state, "10.2.0.12")
    web, db = state.vlan_id("web", "rack-a"), state.vlan_id("db", "rack-a")
    assert web != db
    assert wires(found) == [("tor-a", web, 64), ("tor-a:1", db, 63)]
    assert found.verdict == (
        "delivered", f"it reaches db2 at a1 (tor-a:1), VLAN-ID {db}; routed by tor-a; allowed by policy all",
    )  # fmt: skip
    assert [hop.routed for hop in found.hops] == [("web", ("db",))]
    assert routers(found) == [("tor-a", "10.1.0.1")]


def test_at_one_edge_to_an_untagged_server() -> None:
    found = ask(routed(ALL, DB3), "10.2.0.13")
    assert wires(found)[1:] == [("tor-a:2", None, 63)]
    assert found.arrivals[0].vms == ("db3",)


@pytest.mark.parametrize(
    ("target", "asked"),
    [(DB1, ("10.1.0.1", "10.2.0.1")), ("2001:db8:2::11", ("2001:db8:1::1", "2001:db8:2::1"))],
)
def test_to_the_other_data_centre(target: str, asked: tuple[str, str]) -> None:
    """By the routed segment, whose VLAN-ID differs from the CUGs' and from link to link; TTL falls at the two edges alone."""
    state = routed(ALL)
    found = ask(state, target, protocol=6, port=80)
    a, wan, b = (state.vlan_id("routed:red", name) for name in ("rack-a", "wan", "rack-b"))
    assert wires(found) == [
        ("tor-a", state.vlan_id("web", "rack-a"), 64), ("border-1", a, 63), ("border-2", wan, 63), ("tor-b", b, 63),
        ("tor-b:1", state.vlan_id("db", "rack-b"), 62),
    ]  # fmt: skip
    assert [hop.segment for hop in found.hops] == ["web", *["routed:red"] * 3]
    assert [hop.routed for hop in found.hops] == [("web", ("routed:red",)), None, None, ("routed:red", ("db",))]
    assert routers(found) == [("tor-a", asked[0]), ("tor-b", asked[1])]
    assert found.policy == Opinion("all", "all", allowed=True)


def test_to_both_places_of_a_vm_that_moves() -> None:
    found = ask(routed(ALL, StartMigration("m-1", "db1", "a1", delivery="early", timeout=300.0)))
    assert found.verdict.kind == "delivered"
    assert [(row.server, row.packet["nw_ttl"]) for row in found.arrivals] == [("a1", 63), ("b1", 62)]
    assert found.hops[0].routed == ("web", ("routed:red", "db"))


def test_a_link_that_is_down() -> None:
    found = ask(routed(ALL, LinksChanged(frozenset({WAN}))))
    assert found.verdict == ("dropped", f"tor-a, table route: no link that is up leads on to tor-b; down: {WAN}")


# Policies


def test_without_a_policy_nothing_passes_between_cugs() -> None:
    found = ask(routed(), protocol=6, port=443)
    assert found.verdict == (
        "denied",
        "tor-a, table policy_out: no policy allows tcp to port 443 from 10.1.0.11 (VM web1, CUG web) to 10.2.0.11 "
        "(VM db1, CUG db); put one that does",
    )
    assert found.policy == Opinion(None, None, allowed=False)


def test_a_policy_that_denies_is_named_at_the_senders_edge() -> None:
    found = ask(routed(ALL, deny("no-db", "cug:web", "cug:db", priority=200)), protocol="icmp")
    assert found.verdict == (
        "denied",
        "tor-a, table policy_out: policy no-db (priority 200) denies icmp from 10.1.0.11 (VM web1, CUG web) to 10.2.0.11 "
        "(VM db1, CUG db); to allow it, change that policy or overrule it",
    )
    assert found.policy == Opinion("no-db", None, allowed=False)


def test_a_policy_that_denies_is_named_at_the_receivers_edge() -> None:
    """Only there while the sender's edge does not know of it: both judge alike."""
    state = routed(ALL, deny("no-db", "cug:web", "cug:db", priority=200))
    tables = full(state).tables | {"tor-a": full(routed(ALL)).tables["tor-a"]}
    found = ask(state, tables=tables, protocol=17, port=53)
    assert found.verdict.kind == "denied"
    assert found.verdict.reason.startswith("tor-b, table policy_in: policy no-db (priority 200) denies udp to port 53 from")
    assert found.policy == Opinion("all", "no-db", allowed=False)


def test_inside_a_cug_a_policy_can_deny_too() -> None:
    state = routed(vm("web2", "b1", nic(12)), deny("apart", "vm:web1", "vm:web2"))
    found = ask(state, "10.1.0.12")
    assert found.verdict.kind == "denied"
    assert "policy apart (priority 100) denies" in found.verdict.reason
    assert ask(state, "10.1.0.12", protocol="arp").verdict.kind == "answered"


def test_the_decision_may_hang_on_ports_and_flags() -> None:
    state = routed(allow("http", "vm:web1", "cug:db", protocol=6, ports=((80, 80),), replies=True))
    assert ask(state, protocol=6, port=80).verdict.kind == "delivered"
    assert ask(state, protocol=6, port=81).verdict.kind == "denied"
    back: dict[str, Any] = {"ip": "10.1.0.11", "vm_name": "db1", "protocol": 6, "source_port": 80, "port": 40000}
    answer = ask(state, **back, tcp_flags=0x12)
    assert (answer.verdict.kind, answer.policy) == ("delivered", Opinion("http", "http", allowed=True))
    assert ask(state, **back).verdict.kind == "denied"


def test_a_bridged_frame_may_carry_any_destination_address() -> None:
    found = ask(routed(vm("web2", "b1", nic(12))), "8.8.8.8", mac=0x02000001000C)
    assert found.verdict.kind == "delivered"
    assert "fault" not in found.verdict.reason


def test_flows_that_do_otherwise_than_the_policies_say_are_called_a_fault() -> None:
    state = routed(ALL)
    found = ask(state, tables=full(state).tables | {"tor-b": full(routed()).tables["tor-b"]})
    assert found.verdict.kind == "denied"
    fault = "that is a fault of the controller: report it"
    assert found.verdict.reason.endswith(f"yet by the policies it is allowed (policy all decides): {fault}")
    found = ask(routed(), tables=full(state).tables)
    assert found.verdict.kind == "delivered"
    assert found.verdict.reason.endswith(f"yet by the policies it is denied (no policy decides): {fault}")


# Nowhere to go


@pytest.mark.parametrize(
    ("commands", "question", "verdict"),
    [
        (
            (), {"ip": "10.2.0.99"},
            ("unreachable", "tor-a, table route: no member of CUG db has 10.2.0.99; 10.1.0.1 tells the sender so"),
        ),
        (
            (), {"ip": "2001:db8:2::99"},
            ("unreachable", "tor-a, table route: no member of CUG db has 2001:db8:2::99; 2001:db8:1::1 tells the sender so"),
        ),
        ((), {"ttl": 1}, ("time_exceeded", "tor-a, table gateway: its TTL is used up; 10.1.0.1 tells the sender so")),
        ((), {"ttl": 0}, ("time_exceeded", "tor-a, table gateway: its TTL is used up; 10.1.0.1 tells the sender so")),
        ((), {"ttl": 2}, ("time_exceeded", "tor-b, table gateway: its TTL is used up; 10.2.0.1 tells the sender so")),
        (
            (vm("lab1", "a1", nic(11, "lab", mac=0x020000030011)),), {"vm_name": "lab1"},
            (
                "unreachable",
                "tor-a, table route: no external network of routing domain blue leads to 10.2.0.11; CUG db has it, but is in "
                "routing domain red, and nothing is routed between routing domains; 10.1.0.1 tells the sender so",
            ),
        ),
        (
            (vm("lone1", "a1", nic(11, "lone", 4)),), {"vm_name": "lone1"},
            ("dropped", "tor-a, table route: CUG lone is in no routing domain, so nothing is routed for it; give it one"),
        ),
    ],
)  # fmt: skip
def test_what_is_not_routed_says_why(commands: tuple[Any, ...], question: dict[str, Any], verdict: tuple[str, str]) -> None:
    found = ask(routed(ALL, *commands), **question)
    assert found.verdict == verdict
    assert found.arrivals == ()
    assert found.hops[-1].ending == verdict


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (
            {"ip": "10.1.0.99", "protocol": "arp", "mac": GATEWAY},
            "the segment has no such destination here; the gateway takes IP, and ARP and neighbour discovery for its own "
            "addresses, and nothing else",
        ),
        (
            {"ip": "10.1.0.99", "mac": 0x02000002000B},
            "the segment has no such destination here; 02:00:00:02:00:0b is VM db1's in CUG db, and a MAC reaches only "
            "inside its CUG",
        ),
        (
            {"ip": "224.0.0.5", "mac": GATEWAY},
            "no router forwards such a packet (eth_type=0x800,ipv4_dst=224.0.0.0/224.0.0.0)",
        ),
    ],
)
def test_what_no_neighbour_takes(question: dict[str, Any], reason: str) -> None:
    verdict = ask(routed(ALL), **question).verdict
    assert (verdict.kind, verdict.reason.partition(": ")[2]) == ("dropped", reason)


def test_a_mac_alone_means_its_owner() -> None:
    state = routed(ALL)
    found = trace(state, full(state).tables, Question("web1", mac=GATEWAY))
    assert "ipv4_dst=10.1.0.1" in str(found.packet)


def test_a_packet_routed_here_for_an_unknown_address_is_dropped() -> None:
    """While this edge does not know yet that the VM is here."""
    state = routed(ALL, vm("db2", "b1", nic(12, "db", 2)))
    found = ask(state, "10.2.0.12", tables=full(state).tables | {"tor-b": full(routed(ALL)).tables["tor-b"]})
    text = "for 10.2.0.12 another edge routed it here, where no host has it; a packet from the routed segment goes no further"
    assert found.verdict == ("dropped", f"tor-b, table route: {text}")


def test_no_vlan_id_left_where_the_receiver_is() -> None:
    state = routed(ALL)
    key = state.cugs["db"].key
    starved = replace(state, allocations=state.allocations.set(key, state.vlan_ids("db").delete("rack-b")))
    reason = ask(starved).verdict.reason
    assert "CUG db has no VLAN-ID in L2 domain rack-b, so VM db1 cannot be reached there" in reason


def test_what_stands_in_the_way_is_said_with_the_policy_that_does() -> None:
    found = ask(routed(), "10.2.0.99")
    assert found.verdict.reason.endswith("put one that does; besides, no member of CUG db has 10.2.0.99")


# The gateway


@pytest.mark.parametrize("target", ["10.1.0.1", "2001:db8:1::1", "fe80::5eff:fe00:1"])
@pytest.mark.parametrize("protocol", ["arp", "icmp"])
def test_the_edge_answers_for_the_gateway(target: str, protocol: str) -> None:
    found = ask(routed(), target, protocol=protocol)
    assert found.verdict == ("answered", "tor-a answers as the gateway of CUG web")
    assert [row.vms for row in found.arrivals] == [("web1",)]
    assert found.policy is None


def test_the_gateway_of_another_cug_is_as_near() -> None:
    found = ask(routed(), "10.2.0.1", protocol="icmp")
    assert found.verdict == ("answered", "tor-a answers as the gateway of CUG db")
    assert len(found.hops) == 1


def test_a_gateway_listens_on_no_port() -> None:
    assert ask(routed(), "10.1.0.1", protocol=6, port=22).verdict == (
        "dropped",
        "tor-a, table policy_out: 10.1.0.1 is the gateway of CUG web, which answers pings and listens to nothing else",
    )
    found = ask(routed(ALL), "10.2.0.1", protocol=6, port=22)
    text = "10.2.0.1 is the router's own, which listens on no port; 10.2.0.1 tells the sender so"
    assert found.verdict == ("unreachable", f"tor-a, table route: {text}")


def test_a_gateway_advertises_itself() -> None:
    found = ask(routed(), "ff02::2", protocol="rs")
    text = "tor-a, table answer: the controller answers with a router advertisement of the gateway of CUG web"
    assert (found.verdict, found.hops[0].ending) == (("answered", text), ("answered", text))
    lone = ask(routed(vm("lone1", "a1", nic(11, "lone", 4, ips=["2001:db8:4::11"]))), "ff02::2", "lone1", protocol="rs")
    assert lone.verdict.reason.endswith("which leads nowhere and says so: the CUG is in no routing domain")


def test_to_the_gateways_mac_goes_nothing_for_the_own_cug() -> None:
    found = ask(routed(), "10.1.0.99", mac=GATEWAY)
    assert found.verdict == (
        "dropped",
        "tor-a, table policy_out: 10.1.0.99 is in the sender's own CUG web: a packet for it goes to its own MAC, and not to "
        "the gateway's",
    )


def test_a_forger_is_not_routed() -> None:
    found = ask(routed(ALL), claimed_ip=ip_address("10.1.0.99"))
    assert found.verdict == ("dropped", "tor-a, table admit: no flow admits this source (anti-spoofing)")
    assert found.hops[0].visit.result.controller  # counted, and shown now and then; for its sender it is dropped


@pytest.mark.parametrize(
    ("question", "path"),
    [
        ({"ip": "ff02::1", "protocol": "rs"}, "to.ip"),
        ({"ip": "ff02::2", "protocol": "rs", "ttl": 255}, "ttl"),
        ({"ip": "10.1.0.1", "protocol": "arp", "tcp_flags": 2}, "tcp_flags"),
    ],
)
def test_what_is_refused(question: dict[str, Any], path: str) -> None:
    with pytest.raises(Refusal) as caught:
        ask(routed(), **question)
    assert [fault.path for fault in caught.value.faults] == [path]
