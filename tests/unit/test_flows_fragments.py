"""Fragments at switches that drop them or cannot tell them apart: flows, refusals, and what a trace says."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from ryu_vmmob.fabric.model import Dialect, Fragments
from ryu_vmmob.flows.flow import Flow
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.trace import Question, trace
from tests.support.engine_site import Site
from tests.support.routed_networks import CUGS, DB, HEARD, WEB, allow, deny, two_borders

UDP = 17
DNS: dict[str, Any] = {"protocol": UDP, "ports": ((53, 53),)}


def site(dialect: Dialect, fragments: Fragments | None = None) -> Site:
    """The network of two borders, whose switches are all of this dialect; web1 at a1, db1 at b1."""
    fabric = two_borders()
    switches = {name: replace(row, dialect=dialect, fragments=fragments) for name, row in fabric.switches.items()}
    found = Site(replace(fabric, switches=switches), connected=False)
    found.engine.execute(*CUGS, WEB, DB, *HEARD)
    return found


def matched(found: Site, field: str) -> list[Flow]:
    tables = found.engine.desired.tables.values()
    return [flow for row in tables for flow in row.flows.values() if field in (name for name, _, _ in flow.match)]


def test_plain_switches_are_told_nothing_of_fragments() -> None:
    found = site(Dialect.OPENFLOW13)
    found.engine.execute(allow("dns", "cug:web", "cug:db", **DNS, replies=True), deny("no-dns", "cug:web", "cug:web", **DNS))
    assert matched(found, "ip_frag") == []
    assert [flow for flow in matched(found, "udp_dst") if flow.owner == Owner(OwnerKind.POLICY, "dns")]


def test_a_plain_switch_that_passes_fragments_cannot_deny_ports() -> None:
    found = site(Dialect.OPENFLOW13, Fragments.PASS)
    found.engine.execute(allow("dns", "cug:web", "cug:db", **DNS))
    found.engine.execute(deny("no-udp", "cug:web", "cug:web", protocol=UDP))
    assert matched(found, "ip_frag") == []
    with pytest.raises(Refusal, match=r"R45: switch .* cannot match ip_frag, which policy no-dns needs there"):
        found.engine.execute(deny("no-dns", "cug:web", "cug:web", **DNS))
    assert "no-dns" not in found.engine.state.policies


def test_flows_of_fragments_are_few() -> None:
    """For each pair of ends one beside those of whole packets, whatever the ports are."""
    counts = []
    for ports in (((53, 53),), ((53, 53), (5000, 5999), (7000, 7001))):
        found = site(Dialect.OPENVSWITCH)
        found.engine.execute(allow("dns", "cug:web", "cug:db", protocol=UDP, ports=ports))
        counts.append(len([flow for flow in matched(found, "ip_frag") if flow.table is Table.POLICY_OUT]))
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize(
    ("dialect", "fragments", "passed"),
    [
        (Dialect.OPENVSWITCH, None, True),
        (Dialect.OPENVSWITCH, Fragments.DROP, False),
        (Dialect.OPENFLOW13, None, False),
    ],
)
def test_a_trace_says_where_fragments_are_dropped(dialect: Dialect, fragments: Fragments | None, passed: bool) -> None:
    found = site(dialect, fragments)
    found.engine.execute(allow("dns", "cug:web", "cug:db", **DNS))
    state, tables = found.engine.state, found.engine.desired.tables
    db1 = next(ip for ip in state.vms["db1"].interfaces[0].ips if ip.version == 4)
    for piece in ("first", "later"):
        told = trace(state, tables, Question("web1", ip=ip_address(str(db1)), protocol=UDP, port=53, fragment=piece))
        assert (told.verdict.kind == "delivered") is passed, told.verdict
        assert passed or "drops fragments" in told.verdict.reason
    whole = trace(state, tables, Question("web1", ip=ip_address(str(db1)), protocol=UDP, port=53))
    assert whole.verdict.kind == "delivered"
