"""What a trace says of a packet that is handed to the controller is what the controller does with that very packet."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import ICMPv6ND_RA, IPv6

from ryu_vmmob.flows.compiler import full
from ryu_vmmob.flows.pipeline import ASKED, TABLES, Table
from ryu_vmmob.model.commands import Command
from ryu_vmmob.model.routing_domains import ExternalsChanged, NeighbourHeard
from ryu_vmmob.punt.answer import answer
from ryu_vmmob.punt.values import Ask, Outcome, Punted
from ryu_vmmob.trace import Hop, Question, Trace, trace
from tests.support.frames import to_bytes
from tests.support.punted_packets import DCS, dcs, plain, sent
from tests.support.routed_networks import allow

ALL = allow("all", "any", "any")
DB1, DB1_V6, FAR, FAR_V6 = "10.2.0.11", "2001:db8:2::11", "203.0.113.9", "2001:db8:9::9"
LOST = (
    ExternalsChanged(frozenset({"internet-1"})),
    NeighbourHeard("internet-2", ip_address("198.51.100.254"), None),
    NeighbourHeard("internet-2", ip_address("2001:db8:fffe::fe"), None),
)


def handed(hop: Hop) -> Punted:
    """The packet as that switch hands it over, by what the simulator says of it."""
    ((_, packet),) = hop.visit.result.controller
    metadata = 0
    for step in hop.visit.result.path:
        if step.flow is not None and step.flow.metadata is not None:
            value, mask = step.flow.metadata
            metadata = metadata & ~mask | value & mask
    last = hop.visit.result.path[-1]
    assert last.flow is not None
    table = TABLES[ASKED.read(metadata)] if last.table is Table.PUNT else last.table
    frame = to_bytes(packet.with_vlans())
    return Punted(hop.visit.switch, hop.visit.in_port, metadata, table, last.flow.owner, frame)


def tried(question: dict[str, Any], *commands: Command) -> tuple[Trace, list[Outcome]]:
    state = dcs(ALL, *commands)
    sender = {} if "external" in question else {"vm": "web1"}
    found = trace(state, full(state).tables, Question(**{**sender, **question, "ip": ip_address(question["ip"])}))
    (hop,) = (row for row in found.hops if row.ending is not None)
    return found, answer(state, handed(hop))


def speaks(frame: Any) -> str:
    return str(frame[IPv6].src if IPv6 in frame else frame[IP].src)


@pytest.mark.parametrize("commands", [(), LOST], ids=["all up", "no way out"])
@pytest.mark.parametrize(
    "question",
    [
        *({"ip": ip, "ttl": ttl} for ip in (DB1, DB1_V6, FAR, FAR_V6) for ttl in (0, 1)),
        *({"ip": ip, "ttl": 2} for ip in (DB1, DB1_V6)),
        {"ip": "10.2.0.99"},
        {"ip": "2001:db8:2::99", "protocol": "icmp"},
        {"ip": "10.2.0.1", "protocol": 6, "port": 22},
        {"ip": "10.1.0.1"},
        {"ip": "192.0.2.1", "protocol": 17},
        {"ip": "10.1.0.99", "external": "internet-2"},
        {"ip": "2001:db8:1::11", "external": "internet-2", "ttl": 1},
        {"ip": DB1, "external": "internet-2", "ttl": 2},
        {"ip": "192.0.2.9", "external": "internet-2"},
    ],
    ids=lambda row: " ".join(map(str, row.values())),
)  # fmt: skip
def test_who_tells_the_sender(question: dict[str, Any], commands: tuple[Command, ...]) -> None:
    found, outcomes = tried(question, *commands)
    assert found.verdict.kind in ("time_exceeded", "unreachable")
    named = re.search(r"(\S+) tells the sender so$", found.verdict.reason)
    if named is None:
        assert (found.verdict.reason.endswith("no router informs the sender"), outcomes) == (True, [])
        return
    where, frame = sent(outcomes)
    assert (where.split("/")[0], speaks(frame)) == (str(found.source.port), named[1])


@pytest.mark.parametrize("target", [FAR, FAR_V6])
def test_the_border_tells_the_sender_of_a_packet_that_dies_there(target: str) -> None:
    found, outcomes = tried({"ip": target, "ttl": 2})
    assert found.verdict.kind == "time_exceeded"
    assert found.verdict.reason.startswith("border-1, table gateway: ")
    assert f"{speaks(sent(outcomes)[1])} tells the sender so" in found.verdict.reason


def test_who_answers_a_ping_to_a_border() -> None:
    found, outcomes = tried({"ip": "192.0.2.1", "protocol": "icmp"})
    assert found.verdict == ("answered", "border-1, table route: the controller answers as 192.0.2.1")
    assert speaks(sent(outcomes)[1]) == "192.0.2.1"


def test_who_is_asked_for() -> None:
    found, outcomes = tried({"ip": "192.0.2.77"})
    assert found.verdict.kind == "controller"
    assert outcomes == [Ask("internet-1", ip_address("192.0.2.77"))]
    found, outcomes = tried({"ip": "192.0.2.255"})
    assert (found.verdict.kind, outcomes) == ("dropped", [])


def test_who_advertises_itself() -> None:
    found, outcomes = tried({"ip": "ff02::2", "protocol": "rs"})
    assert found.verdict.kind == "answered"
    assert "router advertisement of the gateway of CUG web" in found.verdict.reason
    assert ICMPv6ND_RA in sent(outcomes)[1]


def test_switches_without_field_moves_have_their_questions_answered() -> None:
    state = dcs(fabric=plain(DCS))
    found = trace(state, full(state).tables, Question("web1", ip=ip_address("10.1.0.1"), protocol="arp"))
    assert found.verdict == ("answered", "tor-a, table answer: the controller answers for this switch")


@pytest.mark.parametrize(("ttl", "where", "speaker"), [(1, "tor-a", "10.1.0.1"), (2, "tor-b", "10.2.0.1")])
def test_switches_that_cannot_match_a_ttl_count_it_down_in_vain(ttl: int, where: str, speaker: str) -> None:
    state = dcs(ALL, fabric=plain(DCS))
    found = trace(state, full(state).tables, Question("web1", ip=ip_address(DB1), ttl=ttl))
    assert found.verdict == ("time_exceeded", f"{where}, table route: its TTL is used up; {speaker} tells the sender so")
    assert found.hops[-1].routed is None


def test_to_another_edge_of_the_same_data_centre() -> None:
    """db1 hangs on a LAG of tor-b, next to tor-a."""
    state = dcs(ALL)
    found = trace(state, full(state).tables, Question("web1", ip=ip_address(DB1)))
    assert [hop.visit.switch for hop in found.hops] == ["tor-a", "border-1", "tor-b"]
    assert [hop.visit.packet.vlans for hop in found.hops[1:]] == [(state.vlan_id("routed:red", "core-1"),)] * 2
    assert [hop.visit.packet["nw_ttl"] for hop in found.hops] == [64, 63, 63]
    assert [(row.server, row.vms, row.packet["nw_ttl"]) for row in found.arrivals] == [("srv-b1", ("db1",), 62)]
