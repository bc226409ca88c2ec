"""Kinds of flows and groups, and the probes that ask a switch for them without being met by any packet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ryu_vmmob.fabric.model import Dialect
from ryu_vmmob.flows.ability import Ability, Lack, from_document
from ryu_vmmob.flows.flow import Flow, Group, match
from ryu_vmmob.flows.kinds import (
    PROBES,
    deed_kind,
    deed_probe,
    ends,
    group_kind,
    group_probe,
    kinds,
    match_kind,
    match_probe,
    narrower,
    probe_group_id,
    representatives,
)
from ryu_vmmob.flows.pipeline import Priority, Table, group_parts
from ryu_vmmob.whitebox.sample import ROLES, told
from tests.support.engine_site import Site
from tests.support.punted_packets import plain
from tests.support.routed_networks import CUGS, DB, HEARD, WEB, two_borders

SAMPLE = told(Dialect.OPENFLOW13)
FLOWS = [flow for role in ROLES for flow in SAMPLE[role].flows]
GROUPS = [group for role in ROLES for group in SAMPLE[role].groups]
PORT, INNER = 3, probe_group_id(1)


def test_values_make_no_kind_and_masks_do() -> None:
    rows = {"eth_type": 0x800, "ip_proto": 6}
    one, other = (Flow.undeclared(Table.POLICY_OUT, 10, match(**rows, tcp_dst=port)) for port in (80, 81))
    masked = Flow.undeclared(Table.POLICY_OUT, 10, match(**rows, tcp_dst=(80, 0xFFFE)))
    assert match_kind(one) == match_kind(other) == "policy_out matches eth_type,ip_proto,tcp_dst"
    assert match_kind(masked) == "policy_out matches eth_type,ip_proto,tcp_dst/"
    narrow, wide = (Flow.undeclared(Table.BRIDGE, 10, match(metadata=(1, mask))) for mask in (0xFF, 0xFFFF))
    assert match_kind(narrow) != match_kind(wide)
    assert kinds(one) == (match_kind(one), deed_kind(one))


def test_a_probe_of_a_match_does_what_the_end_of_its_table_does() -> None:
    last = ends(SAMPLE["tor"].flows)
    assert last.keys() == set(Table)
    for flow in FLOWS:
        probe = match_probe(flow, last[flow.table])
        assert probe.match == flow.match
        assert (probe.actions, probe.metadata, probe.goto) == ((), None, last[flow.table])
        assert Priority.MISS < probe.priority < min(row.priority for row in FLOWS if row.priority != Priority.MISS)


def written(flow: Flow) -> Iterator[int]:
    if flow.metadata is not None:
        yield flow.metadata[1]


def test_a_probe_of_deeds_is_met_by_nothing() -> None:
    """Its metadata has bits that no flow writes; in ingress, where there is none, its source is a group address."""
    bits = 0
    for flow in FLOWS:
        for mask in written(flow):
            bits |= mask
    for number, flow in enumerate(FLOWS, start=1):
        probe = deed_probe(flow, number, PORT, INNER)
        assert probe is not None
        assert deed_kind(probe) == deed_kind(flow)
        fields = {name: (value, mask) for name, value, mask in probe.match}
        value, care = fields["eth_src" if flow.table is Table.INGRESS else "metadata"]
        assert care is None
        assert value >> 40 & 1 if flow.table is Table.INGRESS else value & ~bits


def test_a_probe_of_deeds_names_no_port_and_no_group_that_is_not_there() -> None:
    for number, flow in enumerate(FLOWS, start=1):
        probe = deed_probe(flow, number, PORT, INNER)
        assert probe is not None
        assert f"{probe}".count("output:") == f"{probe}".count(f"output:{PORT}") + f"{probe}".count("output:in_port")
    needs = next(flow for flow in FLOWS if "group" in deed_kind(flow))
    assert deed_probe(needs, 1, PORT, None) is None


def test_a_probe_of_a_group_is_of_its_kind_and_of_no_segment() -> None:
    used = {group.id for group in GROUPS}
    for number, group in enumerate(GROUPS, start=3):
        probe = group_probe(group, number, PORT, INNER)
        assert probe is not None
        assert group_kind(probe) == group_kind(group)
        assert probe.id not in used
        assert group_parts(probe.id) is not None, "what is left of it goes with the next comparison"


def test_a_refused_match_is_narrowed_down_mask_first() -> None:
    rows = match(eth_type=0x800, ip_proto=6, ipv4_src=(0x0A000000, 0xFF000000), tcp_dst=80)
    found = list(narrower(rows))
    assert [what for what, _ in found] == ["ipv4_src under a mask", "ipv4_src", "tcp_dst"]
    assert match(eth_type=0x800, ip_proto=6, ipv4_src=0x0A000000, tcp_dst=80) == found[0][1]


def test_the_sample_has_the_kinds_of_a_network_with_everything() -> None:
    """What it lacks is asked for when it is sent first: here only what a tagged external network needs."""
    site = Site(plain(two_borders()), *CUGS, WEB, DB, *HEARD, connected=False)
    edge = [SAMPLE[role] for role in ("tor", "border")]
    entries: list[Flow | Group] = [entry for row in edge for entry in row.flows]
    known = set(representatives([*entries, *(entry for row in edge for entry in row.groups)]))
    for name, switch in site.state.fabric.switches.items():
        tables = site.engine.desired.tables[name]
        rest = set(representatives([*tables.flows.values(), *tables.groups.values()])) - known
        assert {kind for kind in rest if "push_vlan,set:vlan_vid,output" not in kind} == set(), switch.name


def test_an_ability_says_what_it_lacks_and_of_what_nothing_is_known() -> None:
    flow, other = FLOWS[0], next(row for row in FLOWS if kinds(row) != kinds(FLOWS[0]))
    why = {match_kind(flow): "cannot match eth_src", deed_kind(flow): ""}
    ability = Ability("a switch", why, {"bridge": 100}, 1)
    assert ability.lacking(flow) == Lack("cannot match eth_src", flow.table.label)
    assert str(ability.lacking(flow)) == f"cannot match eth_src in table {flow.table.label}"
    assert ability.lacking(other) is None
    assert ability.unknown([flow, other]) == [other]
    assert ability.lacks == (Lack("cannot match eth_src", flow.table.label),)
    assert from_document(ability.document()) == ability


@pytest.mark.parametrize(
    "changed",
    [
        {"pipeline": "ingress,other"},
        {"answers": {"x": 1}},
        {"sizes": {"nowhere": 1}},
        {"sizes": {"bridge": "1"}},
        {"probed": None},
    ],
)
def test_a_capability_stored_by_another_version_is_not_used(changed: dict[str, object]) -> None:
    good = Ability("a switch", {"x": ""}, {"bridge": 1}).document()
    assert from_document(good) is not None
    assert from_document({**good, **changed}) is None
    assert from_document(None) is None


def test_the_priorities_of_probes_are_nobodys() -> None:
    assert not {row.priority for row in FLOWS} & set(PROBES)
    assert isinstance(GROUPS[0], Group)
