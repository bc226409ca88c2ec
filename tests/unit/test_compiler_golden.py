"""The whole pipeline of a small network, written out, so that a change of it is seen as what it is.

Its servers are of all kinds: srv-a1 and srv-b1 (a LAG) tag per interface, srv-a2 not at all, srv-c1 per CUG. Three VMs of one
CUG share the cable of srv-a1.

`VMMOB_GOLDEN=write .venv/bin/python -m pytest tests/unit/test_compiler_golden.py` writes the files again.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ryu_vmmob.flows.compiler import full
from ryu_vmmob.flows.owner import EVERY_SWITCH
from ryu_vmmob.model.commands import Activate, Command, StartMigration
from tests.support.commands import cug, nic, start, vm
from tests.support.fabrics import EXAMPLE

GOLDEN = Path(__file__).with_name("golden")
PER_CUG = replace(EXAMPLE.servers["srv-c1"], l2_domain="rack-c", vlan_ids=())
FABRIC = replace(EXAMPLE, servers={**EXAMPLE.servers, "srv-c1": PER_CUG})
NETWORK: tuple[Command, ...] = (
    cug("web", 1, pins={"rack-c": 510}),
    cug("db", 2, v6=False),
    vm("web1", "srv-a1", nic(11, ips=["10.1.0.11", "2001:db8:1::b"])),
    vm("web2", "srv-b1", nic(12)),
    vm("both", "srv-a2", nic(13), nic(13, "db", 2)),
    vm("db1", "srv-a1", nic(11, "db", 2)),
    vm("web3", "srv-a1", nic(14)),
    vm("web4", "srv-a1", nic(15)),
)
PREPARED = (*NETWORK, StartMigration("m1", "web1", "srv-c1"))
STATES = {"rest": NETWORK, "prepared": PREPARED, "activated": (*PREPARED, Activate("m1"))}


def dump(commands: tuple[Command, ...]) -> str:
    """Every switch's flows and groups, in the order of the tables; what all switches have alike stands once, in front."""
    state = start(FABRIC, *commands)
    compiled = full(state)
    lines = [
        f"# CUG {name}: key {row.key}, VLAN-IDs " + (", ".join(f"{d} {n}" for d, n in sorted(state.vlan_ids(name).items())))
        for name, row in sorted(state.cugs.items())
    ]
    lines += [f"# switch {name}: key {key}" for name, key in sorted(state.switch_keys.items())]
    tables = {
        switch: sorted(compiled.flows(switch), key=lambda row: (row.table.id, -row.priority, str(row)))
        for switch in sorted(FABRIC.switches)
    }
    alike, *others = ([str(row) for row in rows if row.owner == EVERY_SWITCH] for rows in tables.values())
    assert all(rows == alike for rows in others)
    lines += ["", f"== every switch: {len(alike)} flows", *alike]
    for switch, rows in tables.items():
        flows = [row for row in rows if row.owner != EVERY_SWITCH]
        groups = sorted(compiled.groups(switch), key=lambda row: row.id)
        lines += ["", f"== {switch}: {len(flows)} flows of its own, {len(groups)} groups"]
        lines += [f"{group}  # {group.owner}" for group in groups]
        lines += [f"{flow}  # {flow.owner}" for flow in flows]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", STATES)
def test_the_pipeline_is_as_written(name: str) -> None:
    path = GOLDEN / f"example-{name}.txt"
    now = dump(STATES[name])
    if os.environ.get("VMMOB_GOLDEN") == "write":
        path.write_text(now)
    assert now.splitlines() == path.read_text().splitlines(), f"if this is meant, write it again: see {Path(__file__).name}"
