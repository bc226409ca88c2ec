"""What a packet-in means is decided in `flows.packet_ins` alone: every flow that hands packets up has a meaning there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ryu_vmmob.flows import packet_ins
from ryu_vmmob.flows.compiler import full
from ryu_vmmob.flows.flow import Flow, tells_controller
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.packet_ins import Meaning, asking_table, is_seen, meaning
from ryu_vmmob.flows.pipeline import ASKED, TABLES, Table
from ryu_vmmob.model.commands import StartMigration
from tests.support.punted_packets import dcs

ROOT = Path(__file__).parents[2]
STATE = dcs(StartMigration("m1", "web1", "srv-c1"))


def handing_up() -> Iterator[tuple[str, Flow]]:
    """Every flow of a network, with a VM on its way, that sends to the controller or to the meters before it."""
    compiler = full(STATE)
    for switch in STATE.fabric.switches:
        for flow in compiler.flows(switch):
            if any(map(tells_controller, flow.actions)) or flow.goto is Table.PUNT:
                yield switch, flow


def test_every_flow_that_hands_up_has_a_meaning() -> None:
    found = {meaning(flow.table, flow.owner) for _, flow in handing_up() if flow.table is not Table.PUNT}
    assert found == set(Meaning)


def test_behind_the_meters_the_packet_says_which_table_asks() -> None:
    punting = next(flow for _, flow in handing_up() if flow.table is Table.PUNT)
    for number, table in enumerate(TABLES):
        assert asking_table(punting, ASKED.of(number)[0]) is table
    assert asking_table(punting, ASKED.mask) is None, "a switch may say anything"


def test_a_vm_is_seen_by_a_flow_that_asks_for_a_copy_only() -> None:
    seen = [flow for _, flow in handing_up() if is_seen(flow)]
    assert {flow.owner.name for flow in seen} == {"web1"}
    others = [flow for flow in full(STATE).flows("tor-a") if flow.table is Table.ADMIT and flow.owner.kind is OwnerKind.VM]
    assert any(not is_seen(flow) for flow in others)


@pytest.mark.parametrize("table", TABLES)
def test_the_table_in_the_docstring(table: Table) -> None:
    rows = re.findall(r"^``(\w+)``\s+.*``([A-Z]+)``", packet_ins.__doc__ or "", re.MULTILINE)
    wanted = {Meaning[word] for label, word in rows if label == table.label}
    owners = (Owner(OwnerKind.VM, "x", "0"), Owner(OwnerKind.EXTERNAL, "x"))
    assert {meaning(table, owner) for owner in owners} - {None} == wanted


def test_only_packet_ins_decides_by_the_table_of_a_packet_in() -> None:
    for name in ("ryu_vmmob/southbound/packets.py", "ryu_vmmob/punt/answer.py"):
        assert "Table." not in (ROOT / name).read_text(encoding="utf-8"), name
