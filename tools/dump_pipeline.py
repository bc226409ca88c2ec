#!/usr/bin/env python3
"""Rewrites the marked blocks of docs/{pipeline,architecture,fabric}.md from the code, so that they cannot go stale.

    .venv/bin/python tools/dump_pipeline.py            rewrite
    .venv/bin/python tools/dump_pipeline.py --check    say what is stale; exit status 1 if anything is

A block stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``. The samples are those of
tools/pipeline_sample.py, the tables of numbers those of tools/pipeline_tables.py, the keys of the
fabric file those of tools/fabric_keys.py, the layers those of tools/import_graph.py.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_network
from pathlib import Path

from fabric_keys import rows as fabric_rows
from import_graph import modules
from import_graph import table as layers
from pipeline_sample import BORDER, LAG_SHOWN, OUTSIDE_NAME, ROOT, SHOWN, STEPS, Sample, interface
from pipeline_tables import (
    Row,
    code,
    cookie,
    group_example,
    group_ids,
    head,
    metadata,
    meters,
    priorities,
    rows,
    tables,
)

from ryu_vmmob.fabric.loader import load
from ryu_vmmob.flows.compiler import Compiler
from ryu_vmmob.flows.delta import Delta
from ryu_vmmob.flows.flow import Flow, Group
from ryu_vmmob.flows.listing import show_delta
from ryu_vmmob.flows.owner import EVERY_SWITCH, Owner, OwnerKind
from ryu_vmmob.flows.pipeline import SEGMENT, TABLES, Table
from ryu_vmmob.model.commands import (
    Command,
    LinksChanged,
    PutCug,
    PutVm,
    SettleTrees,
    apply,
)
from ryu_vmmob.model.objects import routed_segment
from ryu_vmmob.model.state import with_fabric

LINK_FABRIC = ROOT / "etc" / "two-dcs.yaml"
LINK = "border-1:48=border-3:48"


def dump(entries: Iterable[Flow | Group]) -> str:
    """One line each, with its owner."""
    return code(f"{entry}  # {entry.owner}" for entry in entries)


def sizes(sample: Sample) -> str:
    """How many flows each switch has in each phase."""
    switches = list(sample.sizes["before"])
    body = ((phase, *(str(count[name]) for name in switches), str(count.total())) for phase, count in sample.sizes.items())
    return rows(("flows in the switch", *switches, "all"), body)


def messages(sample: Sample) -> str:
    """How many flow-mods and group-mods each step costs."""
    switches = list(sample.sizes["before"])

    def count(delta: Delta | None) -> str:
        return str(delta.messages) if delta is not None else "0"

    body = ((phase, *(count(plan.deltas.get(name)) for name in switches)) for phase, plan in sample.plans.items())
    return rows(("messages sent for", *switches), body)


_COUNTED = (Table.ADMIT, Table.ANSWER, Table.ADVERTISE)
"""Tables of which the list of changes gives a number only: one address makes several flows in them."""


def changes(phase: str) -> Callable[[Sample], str]:
    """Return what a step changes in each switch."""

    def block(sample: Sample) -> str:
        lines: list[str] = []
        for name, delta in sorted(sample.plans[phase].deltas.items()):
            lines.append(f"{name}:")
            lines.extend(f"  {line}" for line in show_delta(delta, sample.seen[name], counted=_COUNTED))
        return code(lines or ["nothing"])

    return block


def of_table(table: Table) -> Callable[[Sample], str]:
    """Return what one table is for and may do, as a block."""
    return lambda _: head(table)


def in_table(table: Table, switch: str = SHOWN) -> Callable[[Sample], str]:
    """Return the flows of one table of one switch."""
    return lambda sample: dump(flow for flow in sample.prepared[switch][0] if flow.table is table)


def routed_in(*tables: Table, switch: str = SHOWN) -> Callable[[Sample], str]:
    """Return the flows of some tables of one switch of the network with routing."""
    return lambda sample: dump(sample.routed.flows(switch, *tables))


def routed_answers(sample: Sample) -> str:
    """Return what a gateway answers at one edge."""
    flows = sample.routed.flows(SHOWN, Table.ANSWER)
    return dump(flow for flow in flows if flow.owner.kind in (OwnerKind.CUG, OwnerKind.GATEWAY))


def of_segment(sample: Sample) -> str:
    """How packets come in over the routed segment, and the ways on."""
    segment = routed_segment("red")
    key = SEGMENT.of(sample.routed.state.routing_domains["red"].key)[0]
    entering = (
        flow
        for flow in sample.routed.flows(SHOWN, Table.INGRESS)
        if flow.metadata is not None and flow.metadata[0] & SEGMENT.mask == key
    )
    flows = sample.routed.flows(SHOWN, Table.BRIDGE)
    rest = [*flows, *sample.routed.groups(SHOWN)]
    return dump([*entering, *(entry for entry in rest if entry.owner.whole == Owner(OwnerKind.HOP, segment))])


def of_transit(sample: Sample) -> str:
    """All that a switch has of a routed segment on which it is no edge."""
    flows = sample.routed.flows("border-2", *TABLES)
    return dump(flow for flow in flows if flow.owner != EVERY_SWITCH and "red" in str(flow.owner))


def of_external(sample: Sample) -> str:
    """Everything an external network adds to its edge."""
    return dump(flow for flow in sample.routed.flows(BORDER, *TABLES) if flow.owner == Owner(OwnerKind.EXTERNAL, OUTSIDE_NAME))


def of_cable(sample: Sample) -> str:
    """All that tells the vNICs of a CUG on one cable apart."""
    flows = sample.cable.flows(SHOWN, Table.INGRESS, Table.BRIDGE, Table.DELIVER)
    vnics, cug = (OwnerKind.VM, OwnerKind.CABLE), Owner(OwnerKind.CUG, "app")
    mine = [flow for flow in flows if flow.owner.kind in vnics or flow.owner == cug]
    return dump([*mine, *sample.cable.groups(SHOWN)])


def of_lag(sample: Sample) -> str:
    """Bridging, delivery and groups of the switch with the LAG."""
    flows, groups = sample.prepared[LAG_SHOWN]
    return dump([*(flow for flow in flows if flow.table in (Table.BRIDGE, Table.DELIVER)), *groups])


def link_failure(_: Sample) -> str:
    """Return what the loss of a link between data centres costs on etc/two-dcs.yaml, with few VMs and with many."""
    body: list[Row] = []
    switches: list[str] = []
    for count in (3, 30):
        state = with_fabric(None, load(LINK_FABRIC))
        switches = sorted(state.fabric.switches)
        compiler = Compiler()
        places = [("srv-a1", "srv-b1", "srv-c1")[number % 3] for number in range(count)]
        vms = [PutVm(f"vm{n}", place, (interface("web", n + 1, f"10.1.0.{n + 11}"),)) for n, place in enumerate(places)]
        down = LinksChanged(frozenset({LINK}))
        steps: tuple[tuple[str, list[Command]], ...] = (
            ("", [PutCug("web", (ip_network("10.1.0.0/24"),)), *vms]), ("first", [down]), ("second", [SettleTrees()]),
        )  # fmt: skip
        for step, commands in steps:
            change = apply(state, *commands, now=0.0)
            plan = compiler.plan(change)
            compiler.adopt(plan)
            state = change.state
            if step:
                cells = (str(plan.deltas[name].messages if name in plan.deltas else 0) for name in switches)
                body.append((f"{count} VMs, {step} step", *cells))
    return rows(("messages sent for", *switches), body)


_ROUTED = (Table.POLICY_OUT, Table.GATEWAY, Table.ROUTE, Table.POLICY_IN)
"""Tables whose dumps are those of the network with routing."""

Blocks = Mapping[str, Callable[[Sample], str]]


def fabric_keys(_: Sample) -> str:
    """Return the keys of the fabric file."""
    return rows(("object", "key", "required", "default", "value"), fabric_rows())


FILES: Mapping[str, Blocks] = {
    "docs/fabric.md": {"keys": fabric_keys},
    "docs/pipeline.md": {
        "tables": lambda _: tables(),
        "metadata": lambda _: metadata(),
        "priorities": lambda _: priorities(),
        "cookie": cookie,
        "groups": lambda _: group_ids() + "\n\n" + group_example(),
        **{f"head-{table.label}": of_table(table) for table in TABLES},
        **{f"dump-{table.label}": routed_in(table) if table in _ROUTED else in_table(table) for table in TABLES},
        "meters": lambda _: meters(),
        "routed-answers": routed_answers,
        "routed-segment": of_segment,
        "routed-transit": of_transit,
        "routed-external": of_external,
        "dump-groups": lambda sample: dump(sample.prepared[SHOWN][1]),
        "dump-lag": of_lag,
        "dump-cable": of_cable,
    },
    "docs/architecture.md": {
        "layers": lambda _: layers(modules()),
        "sizes": sizes,
        "messages": messages,
        "link-failure": link_failure,
        **{f"step-{phase}": changes(phase) for phase, _ in STEPS if phase != "prepared"},
    },
}


def rewritten(text: str, blocks: Blocks, sample: Sample) -> str:
    """``text`` with every block made again. Raises ValueError when a block is missing, unknown or there twice."""
    found = re.findall(r"<!-- begin ([\w-]+) -->", text)
    if sorted(found) != sorted(blocks):
        raise ValueError(f"blocks in the file: {sorted(found)}; blocks to write: {sorted(blocks)}")
    for name, make in blocks.items():
        between = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        place = between.search(text)
        if place is None:
            raise ValueError(f"block {name} has no end")
        text = f"{text[: place.start()]}{place[1]}\n{make(sample)}\n\n{place[2]}{text[place.end() :]}"
    return text


def main() -> int:
    """Rewrite, or with --check say what is stale."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit status 1 when a file is stale")
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder that has docs/ (default: this checkout)")
    arguments = parser.parse_args()
    sample = Sample()
    stale = False
    for name, blocks in FILES.items():
        path = arguments.root / name
        before = path.read_text(encoding="utf-8")
        try:
            after = rewritten(before, blocks, sample)
        except ValueError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
        if before == after:
            continue
        stale = True
        if arguments.check:
            sys.stdout.writelines(
                difflib.unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True), name, f"{name} (now)")
            )
        else:
            path.write_text(after, encoding="utf-8")
            print(f"{name}: rewritten")
    if stale and arguments.check:
        print("stale; tools/dump_pipeline.py rewrites them", file=sys.stderr)
    return int(stale and arguments.check)


if __name__ == "__main__":
    sys.exit(main())
