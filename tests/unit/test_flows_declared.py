"""What a table does not declare cannot be built into a flow, and the declaration itself makes sense."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_vmmob.flows.base import base_flows
from ryu_vmmob.flows.fields import FIELDS
from ryu_vmmob.flows.flow import (
    CONTROLLER,
    IN_PORT,
    Action,
    Copy,
    DecTtl,
    Flow,
    GivePriority,
    KeepPriority,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    ToGroup,
    Undeclared,
    match,
)
from ryu_vmmob.flows.pipeline import (
    ASKED,
    HAIRPIN,
    META,
    ROUTED,
    SCOPE,
    SEGMENT,
    TABLES,
    VIA,
    WIRE,
    GroupKind,
    Meter,
    Priority,
    Table,
    fields_of,
    group_id,
    meter_id,
    show_metadata,
)
from ryu_vmmob.flows.table_spec import TableSpec

BROKEN: dict[str, tuple[Table, dict[str, int | tuple[int, int]], dict[str, object], str]] = {
    "a field": (Table.BRIDGE, {"eth_type": 0x0800}, {}, "it matches eth_type"),
    "a mask": (Table.ROUTE, {"eth_type": (0x0800, 0xFF00)}, {}, "eth_type under a mask"),
    "a value beyond the mask": (Table.BRIDGE, {"eth_dst": (3, 1)}, {}, "bits of eth_dst outside the mask"),
    "bits of the metadata": (Table.BRIDGE, {"metadata": SCOPE.of(1)}, {}, "it matches 0xffff00000000 of the metadata"),
    "all of the metadata": (Table.BRIDGE, {"metadata": 1}, {}, "it matches all of the metadata"),
    "the metadata where none is read": (Table.REFUSE, {"metadata": SEGMENT.of(1)}, {}, "0xffff of the metadata"),
    "a field set": (Table.BRIDGE, {}, {"actions": (SetField("eth_dst", 1),)}, "the effects eth_dst"),
    "a field moved": (Table.ROUTE, {}, {"actions": (Move("arp_sha", "arp_tha"),)}, "the effects arp_tha"),
    "a tag pushed": (Table.ADMIT, {}, {"actions": (PushVlan(),)}, "the effects vlan"),
    "a tag popped": (Table.GATEWAY, {}, {"actions": (PopVlan(),)}, "the effects vlan"),
    "a priority kept": (Table.DELIVER, {}, {"actions": (KeepPriority(),)}, "the effects keep_pcp"),
    "a priority given": (Table.INGRESS, {}, {"actions": (GivePriority(),)}, "the effects give_pcp"),
    "a TTL counted": (Table.BRIDGE, {}, {"actions": (DecTtl(),)}, "the effects ttl"),
    "a port": (Table.ADMIT, {}, {"actions": (Output(1),)}, "the effects port"),
    "the port it came from": (Table.ROUTE, {}, {"actions": (Output(IN_PORT),)}, "the effects in_port"),
    "the controller": (Table.BRIDGE, {}, {"actions": (Output(CONTROLLER, 128),)}, "the effects controller"),
    "a copy for the controller": (Table.POLICY_IN, {}, {"actions": (Copy(128, 3),)}, "the effects controller"),
    "a group": (Table.DELIVER, {}, {"actions": (ToGroup(group_id(GroupKind.FLOOD, 1, 0)),)}, "the effects group:flood"),
    "a foreign group": (Table.BRIDGE, {}, {"actions": (ToGroup(7),)}, "the effects group:7"),
    "a write to the metadata": (Table.BRIDGE, {}, {"metadata": SEGMENT.of(2)}, "it writes 0x2/0xffff to the metadata"),
    "a write outside its mask": (Table.ROUTE, {}, {"metadata": (3 << 16, 1 << 16)}, "it writes"),
    "a table behind": (Table.BRIDGE, {}, {"goto": Table.DELIVER}, "it leads to deliver"),
    "a table before": (Table.BRIDGE, {}, {"goto": Table.INGRESS}, "it leads to ingress"),
    "itself": (Table.BRIDGE, {}, {"goto": Table.BRIDGE}, "it leads to bridge"),
    "a meter": (Table.PUNT, {}, {"meter": meter_id(Meter.REFUSALS, 1)}, "it names a meter for refusals"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_flow_that_breaks_the_declaration_cannot_be_built(name: str) -> None:
    table, fields, rest, words = BROKEN[name]
    for _ in range(2):  # what was refused is no more admitted the second time
        with pytest.raises(Undeclared, match=re.escape(words)) as caught:
            Flow(table, 1, match(**fields), **rest)  # type: ignore[arg-type]
    assert f"declaration of table {table.label}: " in str(caught.value)
    assert Flow.undeclared(table, 1, match(**fields), **rest).table is table  # type: ignore[arg-type]


def test_a_declared_flow_is_the_same_as_an_unchecked_one() -> None:
    parts = (Table.ROUTE, 700, match(metadata=SCOPE.of(1), eth_type=0x0800, ipv4_dst=7), (DecTtl(),), Table.POLICY_IN)
    assert Flow(*parts, ROUTED.of(1)) == Flow.undeclared(*parts, ROUTED.of(1))


def test_packets_go_down_the_pipeline_and_come_to_every_table() -> None:
    met = {Table.INGRESS}
    for table in TABLES:
        assert all(later.id > table.id for later in table.leads_to), table
        assert table in met
        met.update(table.leads_to)
    assert met == set(TABLES)


def test_a_bit_that_is_read_has_been_written_on_the_way() -> None:
    """Of a table's bits in every match, each is written by a table before it (PCP by an action, and read by one)."""
    written = 0
    for table in TABLES:
        assert table.spec.reads & ~written == 0, (table, fields_of(table.spec.reads & ~written))
        written |= table.spec.writes
    assert written == sum(meta.mask for name, meta in META.items() if name != "pcp")


def test_names_in_the_declaration_are_names_of_something() -> None:
    sends = {"port", "in_port", "controller", *(kind.name.lower() for kind in GroupKind)}
    other = {"vlan", "ttl", "keep_pcp", "give_pcp"}
    for table in TABLES:
        spec = table.spec
        assert spec.matches <= FIELDS.keys()
        assert spec.sets - other <= FIELDS.keys()
        assert spec.sends <= sends
        assert spec.meters <= {meter.name.lower() for meter in Meter}


def test_every_table_ends_with_the_miss_it_declares() -> None:
    misses = {flow.table: flow.goto for flow in base_flows(7) if flow.priority == Priority.MISS}
    assert misses == {table: table.miss for table in TABLES}
    drops = {table.label for table in TABLES if table.miss is None}
    assert drops == {"ingress", "advertise", "route", "bridge", "deliver", "refuse", "punt"}


def test_a_miss_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="a miss leads to elsewhere"):
        TableSpec("a table", matches="", leads_to="here", miss="elsewhere")


@pytest.mark.parametrize(
    ("value", "mask", "text"),
    [
        (SEGMENT.of(3)[0] | ROUTED.mask, SEGMENT.mask | ROUTED.mask | VIA.mask, "segment:3+routed-via"),
        (0, VIA.mask, "-via"),
        (HAIRPIN.mask, HAIRPIN.mask, "hairpin"),
        (*ASKED.of(Table.ROUTE.id), "asked:route"),
        (*ASKED.of(15), "asked:15"),
        (*WIRE.of(0), "wire:0"),
        (1, 0xFF, "0x1/0xff"),
        (1 << 63 | 2, 1 << 63 | SEGMENT.mask, "segment:2+0x8000000000000000/0x8000000000000000"),
        (0, 0, "0x0/0x0"),
    ],
)
def test_metadata_is_shown_by_name(value: int, mask: int, text: str) -> None:
    assert show_metadata(value, mask) == text


words = st.integers(0, 2**64 - 1)
masks = st.one_of(words, st.sets(st.sampled_from(sorted(META))).map(lambda names: sum(META[name].mask for name in names)))


@given(words, masks, words, masks)
def test_different_metadata_is_shown_differently(value: int, mask: int, other: int, its_mask: int) -> None:
    """Also next to each other: what differs in one bit of the value or of the mask."""
    for one in ((other, its_mask), (value ^ (other & -other), mask), (value, mask ^ (other & -other))):
        assert (show_metadata(value, mask) == show_metadata(*one)) == ((value, mask) == one)


def test_a_flow_says_its_metadata_by_name() -> None:
    actions: tuple[Action, ...] = (DecTtl(),)
    flow = Flow(Table.ROUTE, 600, match(metadata=SCOPE.of(2), eth_type=0x0800), actions, Table.POLICY_IN, SEGMENT.of(4))
    assert str(flow) == (
        "table=route priority=600 metadata=scope:2,eth_type=0x800 actions=dec_ttl,metadata:segment:4,goto:policy_in"
    )
