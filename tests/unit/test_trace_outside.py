"""Traces out to external networks and in from them: which way out, who may come in, and what the edge itself answers."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from ryu_vmmob.flows.compiler import full
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.routing_domains import ExternalsChanged, NeighbourHeard
from ryu_vmmob.model.state import State
from ryu_vmmob.sim.trace import vlan_id
from ryu_vmmob.trace import ExternalSource, Opinion, Question, Trace, trace
from tests.support.commands import nic, start, vm
from tests.support.routed_networks import CUGS, HEARD, HOP_1, HOP_2, PARTNER, allow, deny, routed, two_borders

ALL = allow("all", "any", "any")


def out(state: State, ip: str, vm_name: str = "web1", **more: Any) -> Trace:
    return trace(state, full(state).tables, Question(vm_name, ip=ip_address(ip), **more))


def into(state: State, ip: str, external: str = "inet-1", **more: Any) -> Trace:
    return trace(state, full(state).tables, Question(external=external, ip=ip_address(ip), **more))


def way(found: Trace) -> list[str]:
    return [hop.visit.switch for hop in found.hops]


# Out


@pytest.mark.parametrize(
    ("vm_name", "target", "external", "tag", "on_the_way"),
    [
        ("web1", "8.8.8.8", "inet-1", None, ["tor-a", "border-1"]),
        ("db1", "8.8.8.8", "inet-2", 7, ["tor-b", "border-2"]),
        ("web1", "203.0.113.5", "inet-2", 7, ["tor-a", "border-1", "border-2"]),
        ("web1", "2001:db8:99::1", "inet-2", 7, ["tor-a", "border-1", "border-2"]),
    ],
)
def test_by_the_nearest_that_has_the_longest_prefix(
    vm_name: str, target: str, external: str, tag: int | None, on_the_way: list[str]
) -> None:
    found = out(routed(ALL), target, vm_name)
    assert way(found) == on_the_way
    (arrival,) = found.arrivals
    assert (arrival.external, arrival.vms, vlan_id(arrival.packet), arrival.packet["nw_ttl"]) == (external, (), tag, 62)
    where = "untagged" if tag is None else f"VLAN-ID {tag}"
    assert found.verdict == (
        "delivered",
        f"it reaches external network {external} ({arrival.port}), {where}; routed by {on_the_way[0]}, then {on_the_way[-1]}; "
        "allowed by policy all",
    )
    assert found.hops[-1].routed == ("routed:red", (f"external:{external}",))
    assert found.policy == Opinion("all", None, allowed=True)


def test_the_router_at_the_border_has_its_address_outside() -> None:
    found = out(routed(ALL), "8.8.8.8")
    assert [(row.switch, str(row.address)) for row in found.routers] == [("tor-a", "10.1.0.1"), ("border-1", "192.0.2.1")]


@pytest.mark.parametrize("lost", [ExternalsChanged(frozenset({"inet-1"})), NeighbourHeard("inet-1", HOP_1, None)])
def test_another_network_takes_over(lost: Any) -> None:
    """When the cable of the nearest is down, or nobody answers there."""
    found = out(routed(ALL, lost), "8.8.8.8")
    assert [row.external for row in found.arrivals] == ["inet-2"]
    assert way(found) == ["tor-a", "border-1", "border-2"]


def test_no_network_is_left() -> None:
    found = out(routed(ALL, ExternalsChanged(frozenset({"inet-1"})), NeighbourHeard("inet-2", HOP_2, None)), "8.8.8.8")
    assert found.verdict == (
        "unreachable",
        "tor-a, table route: external network inet-1 leads there, and its cable (border-1:10) is down; external network inet-2 "
        "leads there, and no next hop of it answers (198.51.100.254); 10.1.0.1 tells the sender so",
    )


def test_out_only_where_a_policy_allows() -> None:
    found = out(routed(allow("web", "cug:web", "0.0.0.0/0", protocol=6)), "8.8.8.8", protocol=17, port=53)
    assert found.verdict.kind == "denied"
    assert "no policy allows udp to port 53 from 10.1.0.11 (VM web1, CUG web) to 8.8.8.8 (outside)" in found.verdict.reason


def test_a_host_on_the_wire_is_asked_for() -> None:
    found = out(routed(ALL), "172.16.0.2")
    assert found.verdict == (
        "controller",
        "tor-a, table route: 172.16.0.2 is on the wire of external network partner and not known yet: the controller asks "
        "for it; once it has answered, packets get through",
    )
    known = out(routed(ALL, NeighbourHeard("partner", PARTNER, 0x02CC00000001)), "172.16.0.2")
    assert known.verdict.kind == "delivered"
    assert known.arrivals[0].packet["eth_dst"] == 0x02CC00000001
    nobody = out(routed(ALL), "172.16.0.3")
    text = "172.16.0.3 can be no host's on external network partner; no router informs the sender"
    assert nobody.verdict == ("dropped", f"tor-a, table route: {text}")


def test_the_edge_s_own_address_answers_members() -> None:
    assert out(routed(ALL), "192.0.2.1", protocol="icmp").verdict.reason.endswith("the controller answers as 192.0.2.1")


# In


def test_in_to_a_member() -> None:
    state = routed(ALL)
    found = into(state, "10.1.0.11", protocol=6, port=80)
    assert isinstance(found.source, ExternalSource)
    assert (str(found.source), str(found.source.port)) == ("external network inet-1", "border-1:10")
    assert "ipv4_src=192.0.2.254," in str(found.packet)
    assert way(found) == ["border-1", "tor-a"]
    assert [(hop.segment, hop.routed) for hop in found.hops] == [
        ("external:inet-1", ("external:inet-1", ("routed:red",))), ("routed:red", ("routed:red", ("web",))),
    ]  # fmt: skip
    assert [(row.vms, vlan_id(row.packet)) for row in found.arrivals] == [(("web1",), state.vlan_id("web", "rack-a"))]
    assert found.policy == Opinion("all", "all", allowed=True)
    assert [str(row.address) for row in found.routers] == ["192.0.2.1", "10.1.0.1"]


def test_in_by_a_tagged_port_in_the_other_family() -> None:
    found = into(routed(ALL), "2001:db8:1::11", "inet-2")
    assert found.packet.vlans == (7,)
    assert f"ipv6_src={HEARD[2].address}," in str(found.packet)
    assert (way(found), found.verdict.kind) == (["border-2", "border-1", "tor-a"], "delivered")


def test_in_only_where_a_policy_allows() -> None:
    found = into(routed(), "10.1.0.11", protocol=6, port=443)
    assert found.verdict == (
        "denied",
        "border-1, table policy_out: no policy allows tcp to port 443 from 192.0.2.254 (outside) to 10.1.0.11 (VM web1, CUG "
        "web); put one that does",
    )
    blocked = routed(ALL, deny("not-them", "203.0.113.0/24", "vm:web1", priority=200))
    found = into(blocked, "10.1.0.11", claimed_ip=ip_address("203.0.113.9"))
    assert (found.verdict.kind, found.policy) == ("denied", Opinion("not-them", None, allowed=False))
    assert into(blocked, "10.1.0.11").verdict.kind == "delivered"


@pytest.mark.parametrize(
    ("question", "kind", "reason"),
    [
        (
            {"ip": "10.1.0.99"}, "unreachable",
            "border-1, table route: no member of CUG web has 10.1.0.99; 192.0.2.1 tells the sender so",
        ),
        (
            {"ip": "203.0.113.5"}, "unreachable",
            "border-1, table route: 203.0.113.5 is outside as well, and nothing passes from outside to outside; "
            "192.0.2.1 tells the sender so",
        ),
        (
            {"ip": "10.1.0.11", "ttl": 1}, "time_exceeded",
            "border-1, table gateway: its TTL is used up; 192.0.2.1 tells the sender so",
        ),
        (
            {"ip": "10.1.0.11", "claimed_ip": ip_address("10.2.0.5")}, "dropped",
            "border-1, table admit: 10.2.0.5 is an address of CUG db, and no host outside may have one (RFC 2827)",
        ),
        (
            {"ip": "192.0.2.9", "protocol": "arp"}, "dropped",
            "border-1, table admit: beside IP it takes from outside only ARP and neighbour discovery of that network's hosts "
            "for its own addresses",
        ),
    ],
)  # fmt: skip
def test_packets_from_outside_that_are_dropped_say_why(question: dict[str, Any], kind: str, reason: str) -> None:
    assert into(routed(ALL), **question).verdict == (kind, reason)


@pytest.mark.parametrize("nobody", ["127.0.0.1", "224.0.0.1"])
def test_an_address_that_no_host_can_have(nobody: str) -> None:
    found = into(routed(ALL), "10.1.0.11", claimed_ip=ip_address(nobody))
    assert found.verdict == ("dropped", f"border-1, table admit: no host out there can have the address {nobody}")


def test_a_link_local_address_is_not_routed() -> None:
    found = into(routed(ALL), "2001:db8:1::11", "inet-2", claimed_ip=ip_address("fe80::1"))
    text = "no router forwards such a packet (eth_type=0x86dd,ipv6_src=fe80::/ffc0::)"
    assert found.verdict == ("dropped", f"border-2, table route: {text}")


def test_a_routing_domain_that_is_not_there_yet() -> None:
    found = into(start(two_borders()), "10.1.0.11")
    text = "no CUG is in routing domain red, so external network inet-1 leads nowhere"
    assert found.verdict == ("dropped", f"border-1, table ingress: {text}")
    found = into(start(two_borders(), *CUGS, ALL), "10.1.0.11", "partner")
    text = "no VM is in routing domain red, so nothing is routed in it"
    assert found.verdict == ("dropped", f"tor-a, table policy_out: {text}; policy all, which allows it, is not in force here")
    lab = vm("lab1", "a1", nic(11, "lab", mac=0x020000030011))
    found = into(start(two_borders(), *CUGS, lab, ALL), "10.1.0.11", "partner")
    assert found.verdict == ("dropped", f"tor-a, table bridge: the segment has no such destination here; {text}")
    assert "ipv4_src=172.16.0.2," in str(found.packet)  # no next hop is there: a host on the wire


def test_a_wrong_vlan_id_is_not_known() -> None:
    state = routed(ALL)
    tables = full(state).tables
    port = replace(state.fabric.externals["inet-1"], vlan_id=99)
    other = replace(state, fabric=replace(state.fabric, externals={**state.fabric.externals, "inet-1": port}))
    found = trace(other, tables, Question(external="inet-1", ip=ip_address("10.1.0.11")))
    assert found.verdict.reason == (
        "border-1, table ingress: no segment is known for this port with this VLAN-ID and source MAC"
    )


def test_routers_are_not_asked_for_from_outside() -> None:
    assert into(routed(), "ff02::2", "inet-2", protocol="rs").verdict.kind == "dropped"


def test_a_mac_that_is_not_the_edges() -> None:
    found = into(routed(ALL), "10.1.0.11", mac=0x020000000077)
    assert found.verdict.kind == "dropped"
    assert found.verdict.reason.startswith("border-1, table admit: from outside it takes only packets to its own MAC, 02:")


@pytest.mark.parametrize("protocol", ["arp", "icmp"])
def test_the_edge_answers_the_outside(protocol: str) -> None:
    found = into(routed(), "192.0.2.1", protocol=protocol)
    assert found.verdict == ("answered", "border-1 answers as the router on external network inet-1")
    assert [row.external for row in found.arrivals] == ["inet-1"]


def test_nothing_comes_in_by_a_cable_that_is_down() -> None:
    found = into(routed(ALL, ExternalsChanged(frozenset({"inet-1"}))), "10.1.0.11")
    assert found.verdict == ("dropped", "the cable of external network inet-1 (border-1:10) is down")
    assert found.journey is None


@pytest.mark.parametrize(
    ("question", "path"),
    [
        ({"external": "nowhere"}, "from.external"),
        ({"ip": "2001:db8:1::11"}, "to.ip"),
        ({"claimed_ip": ip_address("2001:db8::1")}, "from.ip"),
    ],
)
def test_what_is_refused(question: dict[str, Any], path: str) -> None:
    with pytest.raises(Refusal) as caught:
        into(routed(), **{"ip": "10.1.0.11", **question})
    assert [fault.path for fault in caught.value.faults] == [path]
