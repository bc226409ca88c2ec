#!/usr/bin/env python3
"""Rewrites the marked blocks of docs/{pipeline,architecture,fabric}.md from the code, so that they cannot go stale.

    .venv/bin/python tools/dump_pipeline.py            rewrite
    .venv/bin/python tools/dump_pipeline.py --check    say what is stale; exit status 1 if anything is

A block stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``. The samples are those of
tools/pipeline_sample.py, the keys of the fabric file those of tools/fabric_keys.py, the layers those of
tools/import_graph.py.
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
from pipeline_sample import BORDER, LAG_SHOWN, OUTSIDE_NAME, ROOT, SHOWN, STEPS, Sample, in_order, interface

from ryu_vmmob.fabric.loader import load
from ryu_vmmob.flows.base import base_flows
from ryu_vmmob.flows.compiler import Compiler
from ryu_vmmob.flows.delta import Delta
from ryu_vmmob.flows.flow import Flow, Group, group_name, show_instructions
from ryu_vmmob.flows.pipeline import (
    ASKED,
    CLAIMED,
    COOKIE_MARK,
    COOKIE_MARK_MASK,
    HAIRPIN,
    MAX_GROUP_INDEX,
    METER_RATES,
    OUTSIDE,
    PCP,
    PORT_KINDS,
    ROUTED,
    SCOPE,
    SEGMENT,
    TABLES,
    VIA,
    WIRE,
    GroupKind,
    Meta,
    Meter,
    Priority,
    Table,
    group_id,
    policy_priority,
    route_priority,
)
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
from ryu_vmmob.net.keys import MAX_POLICY_PRIORITY, MAX_SEGMENT_KEY

LINK_FABRIC = ROOT / "etc" / "two-dcs.yaml"
LINK = "border-1:48=border-3:48"

Row = tuple[str, ...]


def rows(header: Row, body: Iterable[Row]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def code(lines: Iterable[str]) -> str:
    """A fenced block."""
    return "\n".join(("```text", *lines, "```"))


def names(fields: Iterable[str]) -> str:
    """Field names as a cell."""
    return " ".join(f"`{name}`" for name in sorted(fields)) or "nothing"


def miss(table: Table) -> str:
    """What becomes of a frame that no flow of ``table`` wants, as `base_flows` has it."""
    (flow,) = [flow for flow in base_flows(0) if flow.table is table and flow.priority == Priority.MISS]
    return show_instructions(flow)


def tables() -> str:
    """All tables, in order."""
    body = ((str(table.id), f"`{table.label}`", table.purpose, f"`{miss(table)}`") for table in TABLES)
    return rows(("id", "table", "finds out", "miss"), body)


def head(table: Table) -> str:
    """What one table is for and may do."""
    spec = table
    return rows(
        ("", ""),
        (
            ("table", f"{table.id} `{table.label}`"),
            ("purpose", spec.purpose),
            ("may match", names(spec.matches)),
            ("may set", names(spec.sets)),
            ("miss", f"`{miss(table)}`"),
        ),
    )


def bits(meta: Meta) -> str:
    """The bits of a field, as people count them."""
    last = meta.shift + meta.width - 1
    return str(last) if meta.width == 1 else f"{meta.shift}-{last}"


def metadata() -> str:
    """The fields of the metadata."""
    body: tuple[tuple[str, Meta, str], ...] = (
        (
            "`SEGMENT`",
            SEGMENT,
            f"the segment's key, 1 to {MAX_SEGMENT_KEY}, and 0 for what comes from outside; written at `ingress`, and at "
            "`route` where a packet changes over to another CUG",
        ),
        (
            "`HAIRPIN`",
            HAIRPIN,
            "it may leave by the port it came from: an answer, set at `answer`, or a routed packet, set at `route`; read at "
            "`deliver`",
        ),
        ("`ROUTED`", ROUTED, "it comes from another CUG or from outside; set at `route`, read at `policy_in` and `deliver`"),
        ("`VIA`", VIA, "it came over a routed segment, so another edge has routed it already; set at `ingress`"),
        ("`OUTSIDE`", OUTSIDE, "it came from an external network; set at `ingress`"),
        (
            "`CLAIMED`",
            CLAIMED,
            "its IPv6 source is a link-local address that the guest has chosen itself; set at `admit`, read at `answer`, where "
            "it is refused if the address is another's",
        ),
        (
            "`PCP`",
            PCP,
            "the priority of the tag with which it came in, 0 without one; kept at `ingress`, given to the tag with which it "
            "leaves",
        ),
        (
            "`ASKED`",
            ASKED,
            "the id of the table that hands it to the controller; written there, and read by the controller",
        ),
        (
            "`SCOPE`",
            SCOPE,
            "where its addresses are unique: the key of the routing domain's segment, or the CUG's own where it has none; "
            "written at `ingress`, valid to the end",
        ),
        (
            "`WIRE`",
            WIRE,
            "the tag under which it came in from a server, where the CUG's frames may have several there (each vNIC its own, "
            "or guests that tag); 0: none; written at `ingress`, read at `admit`, `answer`, `bridge` and `deliver`",
        ),
    )
    return rows(
        ("field", "bits", "mask", "means"),
        ((name, bits(meta), f"`{meta.mask:#x}`", text) for name, meta, text in body),
    )


_RUNGS: Mapping[Priority, str] = {
    Priority.MISS: "the end of each table",
    Priority.LAST: "what an interface may send whatever it is (`ethertypes: any`)",
    Priority.FALLBACK: "what holds when nothing more precise does: the flood tree, the defaults of policies",
    Priority.ROUTE: f"routes: the prefix length is added, so that the longest wins; up to {route_priority(128)}",
    Priority.WIDE: "what an interface may say from a link-local address that it has chosen itself",
    Priority.NORMAL: "the ordinary flow",
    Priority.PROBE: "address probes for the address of a member or a gateway, which are answered in another way than questions",
    Priority.BEHIND: "questions for a member from the very wire behind which it is, which it answers itself; what a VM that "
    "moves says to everybody at its other place",
    Priority.SPECIAL: "a rule that goes before the ordinary one",
    Priority.CLAIM: "neighbour discovery from and for such an address",
    Priority.EXCEPTION: "a rule that goes before the special one",
    Priority.OVERRIDING: "a rule that goes before every exception",
    Priority.FRAGMENT: "neighbour discovery in fragments, and IPv6 that hides what it carries",
    Priority.RESERVED: "frames for the group addresses that no bridge forwards (IEEE 802.1Q, 8.6.3)",
    Priority.POLICY: (
        f"policies: twice their own priority (0 to {MAX_POLICY_PRIORITY}) is added, and 1 for a deny; up to "
        f"{policy_priority(MAX_POLICY_PRIORITY, False)}"
    ),
    Priority.EXEMPT: "what is no policy's business: neighbour discovery",
}


def priorities() -> str:
    """The ladder."""
    return rows(("priority", "name", "used for"), ((str(int(rung)), f"`{rung.name}`", _RUNGS[rung]) for rung in Priority))


_METERS: Mapping[Meter, str] = {
    Meter.ANSWERS: "packets that want an answer: time exceeded, unreachable, router solicitations, addresses to be asked for",
    Meter.REFUSALS: "frames refused at a server's port, of which the controller sees some",
    Meter.AWAITED: "copies of what awaited VMs say: the first one says that a VM has arrived",
    Meter.NEIGHBOURS: "answers of the neighbours outside, which keep the outside reachable",
    Meter.ANNOUNCEMENTS: "those refused frames that are RARP or ARP: what tells of a VM that has moved unannounced",
    Meter.WATCHED: "copies of what a VM says to everybody at a target that waits to be activated by request",
}


def meters() -> str:
    """What limits the packets that reach the controller."""
    body = ((str(int(meter)), f"`{meter.name}`", str(METER_RATES[meter]), _METERS[meter]) for meter in Meter)
    return rows(("purpose", "name", "packets a second", "limits"), body)


_GROUPS: Mapping[GroupKind, tuple[str, str, str]] = {
    GroupKind.NEXT_HOP: ("key of the remote edge", "INDIRECT, or FAST_FAILOVER over parallel links", "the way to that edge"),
    GroupKind.FLOOD: ("0, or 1 + the LAG the frame came from", "ALL", "broadcast and multicast of the segment"),
    GroupKind.TRUNK: ("key of the neighbour", "FAST_FAILOVER", "parallel links to one neighbour, inside a flood group"),
    GroupKind.LAG: ("ordinal of the server on its switch", "FAST_FAILOVER", "the ports of a server's LAG"),
    GroupKind.CABLE: (
        "ordinal of the server on its switch", "ALL", "a broadcast from elsewhere, to each vNIC on a server's cable"
    ),
    GroupKind.BELOW: ("VLAN-ID of a node of their tree", "ALL", "the vNICs below the node, back to the port's cable"),
    GroupKind.BESIDE: ("VLAN-ID of a node of their tree", "ALL", "the vNICs of the segment that are not below the node"),
    GroupKind.OTHERS: ("VLAN-ID", "ALL", "the vNICs of the segment but the one with this VLAN-ID"),
    GroupKind.DOWN: ("VLAN-ID of a node of their tree", "ALL", "the vNICs below the node, from elsewhere"),
    GroupKind.TWIN: ("VLAN-ID", "ALL", "everybody but this vNIC, for what its VM says at its other place while it moves"),
}


def group_ids() -> str:
    """The kinds of groups."""
    return rows(
        ("kind (4 bits)", "name", "16 bits", "index (12 bits)", "type", "leads to"),
        (
            (str(int(kind)), f"`{kind.name.lower()}`", "port" if kind in PORT_KINDS else "segment", *_GROUPS[kind])
            for kind in GroupKind
        ),
    )


def group_example() -> str:
    """One group id, taken apart."""
    number = group_id(GroupKind.NEXT_HOP, 1, 5)
    return (
        f"Segment keys go up to {MAX_SEGMENT_KEY}, indexes up to {MAX_GROUP_INDEX}. `{group_name(number)}` is group "
        f"{number} (`{number:#010x}`): kind {number >> 28}, segment 1, edge 5."
    )


def cookie(sample: Sample) -> str:
    """The cookie's layout, and a flow with its own."""
    flow = next(flow for flow in sample.prepared[SHOWN][0] if flow.table is Table.BRIDGE)
    return (
        rows(
            ("bits", "mask", "value"),
            (
                ("56-63", f"`{COOKIE_MARK_MASK:#018x}`", f"`{COOKIE_MARK >> 56:#x}`: this application's mark"),
                ("0-55", f"`{~COOKIE_MARK_MASK & 2**64 - 1:#018x}`", "BLAKE2b of table, priority, match and instructions"),
            ),
        )
        + "\n\n"
        + code((f"cookie={flow.cookie:#018x}  {flow}",))
    )


def dump(entries: Iterable[Flow | Group]) -> str:
    """One line each, with its owner."""
    return code(f"{entry}  # {' '.join(entry.owner)}" for entry in entries)


def sizes(sample: Sample) -> str:
    """How many flows each switch has in each phase."""
    switches = list(sample.sizes["before"])
    body = (
        (phase, *(str(count[name]) for name in switches), str(count.total())) for phase, count in sample.sizes.items()
    )
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
    """What a step changes in each switch."""

    def block(sample: Sample) -> str:
        lines: list[str] = []
        for name, delta in sorted(sample.plans[phase].deltas.items()):
            lines.append(f"{name}:")
            lines.extend(f"  + {group}" for group in delta.groups)
            lines.extend(f"  ~ {group}" for group in delta.groups_changed)
            lines.extend(_flow_lines("+", delta.flows))
            lines.extend(_flow_lines("-", [sample.seen[name][cookie] for cookie in delta.deleted]))
            lines.extend(f"  - group={group_name(number)}" for number in delta.groups_gone)
        return code(lines or ["nothing"])

    return block


def _flow_lines(sign: str, flows: Iterable[Flow]) -> Iterable[str]:
    for table in TABLES:
        mine = sorted((flow for flow in flows if flow.table is table), key=in_order)
        if table in _COUNTED and mine:
            yield f"  {sign} {len(mine)} {'flow' if len(mine) == 1 else 'flows'} table={table.label}"
        else:
            yield from (f"  {sign} {flow}" for flow in mine)


def of_table(table: Table) -> Callable[[Sample], str]:
    """What one table is for and may do, as a block."""
    return lambda _: head(table)


def in_table(table: Table, switch: str = SHOWN) -> Callable[[Sample], str]:
    """The flows of one table of one switch."""
    return lambda sample: dump(flow for flow in sample.prepared[switch][0] if flow.table is table)


def routed_in(*tables: Table, switch: str = SHOWN) -> Callable[[Sample], str]:
    """The flows of some tables of one switch of the network with routing."""
    return lambda sample: dump(sample.routed.flows(switch, *tables))


def routed_answers(sample: Sample) -> str:
    """What a gateway answers at one edge."""
    flows = sample.routed.flows(SHOWN, Table.ANSWER)
    return dump(flow for flow in flows if flow.owner[0] in ("cug", "gateway"))


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
    return dump([*entering, *(entry for entry in rest if entry.owner[:2] == ("hop", segment))])


def of_transit(sample: Sample) -> str:
    """All that a switch has of a routed segment on which it is no edge."""
    flows = sample.routed.flows("border-2", *TABLES)
    return dump(flow for flow in flows if flow.owner != ("switch",) and "red" in str(flow.owner))


def of_external(sample: Sample) -> str:
    """Everything an external network adds to its edge."""
    return dump(flow for flow in sample.routed.flows(BORDER, *TABLES) if flow.owner == ("external", OUTSIDE_NAME))


def of_cable(sample: Sample) -> str:
    """All that tells the vNICs of a CUG on one cable apart."""
    flows = sample.cable.flows(SHOWN, Table.INGRESS, Table.BRIDGE, Table.DELIVER)
    mine = [flow for flow in flows if flow.owner[0] in ("vm", "cable") or flow.owner[:2] == ("cug", "app")]
    return dump([*mine, *sample.cable.groups(SHOWN)])


def of_lag(sample: Sample) -> str:
    """Bridging, delivery and groups of the switch with the LAG."""
    flows, groups = sample.prepared[LAG_SHOWN]
    return dump([*(flow for flow in flows if flow.table in (Table.BRIDGE, Table.DELIVER)), *groups])


def link_failure(_: Sample) -> str:
    """What the loss of a link between data centres costs on etc/two-dcs.yaml, with few VMs and with many."""
    body: list[Row] = []
    switches: list[str] = []
    for count in (3, 30):
        state = with_fabric(None, load(LINK_FABRIC))
        switches = sorted(state.fabric.switches)
        compiler = Compiler()
        places = [("srv-a1", "srv-b1", "srv-c1")[number % 3] for number in range(count)]
        vms = [PutVm(f"vm{n}", place, (interface("web", n + 1, f"10.1.0.{n + 11}"),)) for n, place in enumerate(places)]
        down = LinksChanged(frozenset({LINK}), 1.0)
        steps: tuple[tuple[str, list[Command]], ...] = (
            ("", [PutCug("web", (ip_network("10.1.0.0/24"),)), *vms]), ("first", [down]), ("second", [SettleTrees(2.0)]),
        )  # fmt: skip
        for step, commands in steps:
            change = apply(state, *commands)
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
    """The keys of the fabric file."""
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
    """``text`` with every block made anew. Raises ValueError when a block is missing, unknown or there twice."""
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
            sys.stdout.writelines(difflib.unified_diff(before.splitlines(True), after.splitlines(True), name, f"{name} (now)"))
        else:
            path.write_text(after, encoding="utf-8")
            print(f"{name}: rewritten")
    if stale and arguments.check:
        print("stale; tools/dump_pipeline.py rewrites them", file=sys.stderr)
    return int(stale and arguments.check)


if __name__ == "__main__":
    sys.exit(main())
