"""The blocks of docs/pipeline.md that come from the declaration of the pipeline and its numbers (`flows/pipeline.py`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pipeline_sample import SHOWN, Sample

from ryu_vmmob.flows.flow import group_name
from ryu_vmmob.flows.pipeline import (
    COOKIE_MARK,
    COOKIE_MARK_MASK,
    MAX_GROUP_INDEX,
    META,
    METER_RATES,
    PORT_KINDS,
    TABLES,
    GroupKind,
    Meta,
    Meter,
    Priority,
    Table,
    fields_of,
    group_id,
    policy_priority,
    route_priority,
)
from ryu_vmmob.net.keys import MAX_POLICY_PRIORITY, MAX_SEGMENT_KEY

Row = tuple[str, ...]


def rows(header: Row, body: Iterable[Row]) -> str:
    """Return a Markdown table."""
    lines = [header, tuple("---" for _ in header), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def code(lines: Iterable[str]) -> str:
    """Return a fenced block."""
    return "\n".join(("```text", *lines, "```"))


def names(fields: Iterable[str]) -> str:
    """Names as a cell."""
    return " ".join(f"`{name}`" for name in fields) or "nothing"


def miss(table: Table) -> str:
    """Return what becomes of a frame that no flow of ``table`` takes."""
    return "drop" if table.miss is None else f"goto:{table.miss.label}"


def tables() -> str:
    """All tables, in order."""
    body = ((str(table.id), f"`{table.label}`", table.purpose, f"`{miss(table)}`", leads_to(table)) for table in TABLES)
    return rows(("id", "table", "purpose", "miss", "leads to"), body)


def leads_to(table: Table) -> str:
    """Return the next tables, and the ways out of the pipeline."""
    return names((*(later.label for later in table.leads_to), *sorted(table.spec.sends)))


def head(table: Table) -> str:
    """Return what one table is for and may do."""
    spec = table.spec
    fields = (f"{name}/mask" if name in spec.masked else name for name in sorted(spec.matches))
    cells = {
        "table": f"{table.id} `{table.label}`",
        "purpose": spec.purpose,
        "may match": names(fields),
        "may match in the metadata": names(fields_of(spec.reads)),
        "may set": names(sorted(spec.sets)),
        "may write to the metadata": names(fields_of(spec.writes)),
        "next tables": names(table.spec.leads_to),
        "may send to": names(sorted(spec.sends)),
        "may name meters for": names(sorted(spec.meters)),
        "miss": f"`{miss(table)}`",
    }
    return rows(("", ""), ((name, cell) for name, cell in cells.items() if cell != "nothing"))


def bits(meta: Meta) -> str:
    """Return the bits of a field, as people count them."""
    last = meta.shift + meta.width - 1
    return str(last) if meta.width == 1 else f"{meta.shift}-{last}"


_META: Mapping[str, str] = {
    "segment": f"the segment's key, 1 to {MAX_SEGMENT_KEY}, and 0 for packets from an external network",
    "scope": "where the packet's addresses are unique: the key of the routing domain's segment, or of a CUG that is in none",
    "wire": "the tag with which the frame came in from a server, where the CUG's frames may have several (each vNIC its own, "
    "or guests that tag); 0: none",
    "asked": "the id of the table that sends the packet to the controller, which reads it",
    "hairpin": "the frame may leave by its ingress port: an answer, or a routed packet",
    "routed": "the packet comes from another CUG or from outside",
    "via": "the packet came over a routed segment, so another edge has routed it already",
    "outside": "the packet came from an external network",
    "claimed": "the IPv6 source is a link-local address that the guest has chosen; the frame is refused if another host has it",
    "pcp": "the priority of the tag with which the frame came in, 0 without one; `keep_pcp` stores it at `ingress`, and "
    "`give_pcp` writes it to the tag with which the frame leaves",
    "tree": "1 + the number of the segment's tree, if the frame comes from another switch and backup paths are "
    "installed; else 0",
}


def metadata() -> str:
    """Return the fields of the metadata, and the tables that declare to write and to match them."""

    def those(bits_of: Callable[[Table], int], meta: Meta) -> str:
        return names(table.label for table in TABLES if bits_of(table) & meta.mask)

    body = (
        (
            f"`{name}`", bits(meta), f"`{meta.mask:#x}`", _META[name],
            those(lambda table: table.spec.writes, meta), those(lambda table: table.spec.reads, meta),
        )
        for name, meta in sorted(META.items(), key=lambda row: row[1].shift)
    )  # fmt: skip
    return rows(("field", "bits", "mask", "means", "written at", "matched at"), body)


_RUNGS: Mapping[Priority, str] = {
    Priority.MISS: "the end of each table",
    Priority.LAST: "frames of any Ethernet type that an interface may send (`ethertypes: any`)",
    Priority.FALLBACK: "the fallback when no more precise flow matches: the flood tree, the defaults of policies",
    Priority.ROUTE: f"routes: the prefix length is added, so that the longest wins; up to {route_priority(128)}",
    Priority.WIDE: "packets that an interface may send from a link-local address that its guest has chosen",
    Priority.NORMAL: "the ordinary flow",
    Priority.PROBE: "address probes for the address of a member or a gateway, which have another answer than requests",
    Priority.BEHIND: "requests for a member from its own wire, which the member answers; broadcasts of a moving VM at its "
    "other place",
    Priority.SPECIAL: "a rule that precedes the ordinary one",
    Priority.CLAIM: "neighbour discovery from and for a link-local address that a guest has chosen",
    Priority.EXCEPTION: "a rule that precedes the special one",
    Priority.OVERRIDING: "a rule that precedes every exception",
    Priority.FRAGMENT: "neighbour discovery in fragments, and IPv6 packets whose transport header cannot be read",
    Priority.RESERVED: "frames for the group addresses that no bridge forwards (IEEE 802.1Q, 8.6.3)",
    Priority.POLICY: (
        f"policies: twice their own priority (0 to {MAX_POLICY_PRIORITY}) is added, and 1 for a deny; up to "
        f"{policy_priority(MAX_POLICY_PRIORITY, allow=False)}"
    ),
    Priority.EXEMPT: "exempt from policies: neighbour discovery",
}


def priorities() -> str:
    """Return the ladder."""
    return rows(("priority", "name", "used for"), ((str(int(rung)), f"`{rung.name}`", _RUNGS[rung]) for rung in Priority))


_METERS: Mapping[Meter, str] = {
    Meter.ANSWERS: "packets that need an answer: time exceeded, unreachable, router solicitations, addresses to resolve",
    Meter.REFUSALS: "frames refused at a server's port, some of which are sent to the controller",
    Meter.AWAITED: "copies of frames of awaited VMs: the first one reports that a VM has arrived",
    Meter.NEIGHBOURS: "answers of neighbours on external networks, which keep these networks reachable",
    Meter.ANNOUNCEMENTS: "refused frames that are RARP or ARP: they can announce an unannounced move",
    Meter.WATCHED: "copies of a VM's broadcasts and multicasts at a target that waits for activation by request",
}


def meters() -> str:
    """Return what limits the packets that reach the controller."""
    body = ((str(int(meter)), f"`{meter.name}`", str(METER_RATES[meter]), _METERS[meter]) for meter in Meter)
    return rows(("purpose", "name", "packets a second", "limits"), body)


_GROUPS: Mapping[GroupKind, tuple[str, str, str]] = {
    GroupKind.NEXT_HOP: ("key of the remote edge", "INDIRECT, or FAST_FAILOVER over parallel links", "the way to that edge"),
    GroupKind.FLOOD: ("0, or 1 + the LAG the frame came from", "ALL", "broadcast and multicast of the segment"),
    GroupKind.TRUNK: ("key of the neighbour", "FAST_FAILOVER", "parallel links to one neighbour, inside a flood group"),
    GroupKind.LAG: ("ordinal of the server on its switch", "FAST_FAILOVER", "the ports of a server's LAG"),
    GroupKind.CABLE: (
        "ordinal of the server on its switch",
        "ALL",
        "a broadcast from elsewhere, to each vNIC on a server's cable",
    ),
    GroupKind.BELOW: ("VLAN-ID of a node of their tree", "ALL", "the vNICs below the node, back to the port's cable"),
    GroupKind.BESIDE: ("VLAN-ID of a node of their tree", "ALL", "the vNICs of the segment that are not below the node"),
    GroupKind.OTHERS: ("VLAN-ID", "ALL", "all vNICs of the segment but the one with this VLAN-ID"),
    GroupKind.DOWN: ("VLAN-ID of a node of their tree", "ALL", "the vNICs below the node, from elsewhere"),
    GroupKind.TWIN: ("VLAN-ID", "ALL", "all vNICs but this one, for the broadcasts of its VM at its other place during a move"),
    GroupKind.PROBE: (
        "0",
        "each",
        "tests whether a plain switch takes such groups; no flow uses it, and it is deleted at once",
    ),
}


def group_ids() -> str:
    """Return the kinds of groups."""
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
    """Return the cookie's layout, and a flow with its own."""
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
