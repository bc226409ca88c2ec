"""Kinds of flows and groups: the fields, masks and actions that decide whether a switch can carry one, without the values.

A flow is of two kinds: what its table is to match, field by field and mask by mask, and what is to be done there. Whether a
switch can is asked for each kind once, by its own words or by a probe: a flow or group that no packet ever meets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from ryu_vmmob.flows.action import CONTROLLER, IN_PORT, Action, Output, SetField, ToGroup
from ryu_vmmob.flows.fields import FIELDS, PRIORITY_TAG, vid
from ryu_vmmob.flows.flow import Bucket, Flow, Group, GroupType, Match, match
from ryu_vmmob.flows.pipeline import GroupKind, Priority, Table, group_id
from ryu_vmmob.net.addresses import MAC_MULTICAST_BIT

_BIT_BY_BIT: Final = ("metadata", "eth_dst", "eth_src", "vlan_vid")
"""Fields of which each mask is a kind of its own. Masks of addresses and ports are prefixes."""
_BASE: Final = ("eth_type", "ip_proto", "icmpv4_type", "icmpv6_type")
"""What other fields want to be matched beside them (OpenFlow 1.3.5, 7.2.3.8), and actions too."""
_NO_METADATA: Final = (1 << 64) - 1
"""Bits are set in it that nothing writes (`pipeline`), so no packet has it."""
_NO_VLAN_ID: Final = 4095
"""Reserved (IEEE 802.1Q, 9.6)."""
_NO_SOURCE: Final = MAC_MULTICAST_BIT | 0xFEFFFFFFFF
"""A group address, which no frame may come from (IEEE 802.3, 3.2.3)."""
PROBES: Final = range(1, 3)
"""Priorities of a probe that only matches: above the end of the table, and below everything else. It does what the end does."""


def match_kind(flow: Flow) -> str:
    """Return what the flow wants its table to match."""
    rows = ",".join(_field(name, mask) for name, _, mask in flow.match)
    return f"{flow.table.label} matches {rows or 'everything'}"


def deed_kind(flow: Flow) -> str:
    """Return what the flow wants its table to do."""
    deeds = [_deed(action) for action in flow.actions]
    if flow.metadata is not None:
        deeds.append(f"metadata/{flow.metadata[1]:#x}")
    if flow.goto is not None:
        deeds.append(f"goto:{flow.goto.label}")
    return f"{flow.table.label} does {','.join(deeds) or 'nothing'}"


def group_kind(group: Group) -> str:
    """Return what the group wants of a switch."""
    rows = sorted({",".join(map(_deed, row.actions)) or "nothing" for row in group.buckets})
    return f"groups {group.type.name.lower()} {' '.join(rows)}".rstrip()


def kinds(entry: Flow | Group) -> tuple[str, ...]:
    """All that has to be known of a switch before it can be said to carry a flow or a group."""
    return (match_kind(entry), deed_kind(entry)) if isinstance(entry, Flow) else (group_kind(entry),)


def _field(name: str, mask: int | None) -> str:
    if mask is None:
        return name
    return f"{name}/{mask:#x}" if name in _BIT_BY_BIT else f"{name}/"


def _deed(action: Action) -> str:
    if isinstance(action, Output):
        return {IN_PORT: "output:in_port", CONTROLLER: "output:controller"}.get(action.port, "output")
    if isinstance(action, ToGroup):
        return "group"
    return f"set:{action.name}" if isinstance(action, SetField) else str(action)


def match_probe(flow: Flow, goto: Table | None, priority: int = PROBES[0]) -> Flow:
    """Return a flow that matches what ``flow`` does, at the end of its table, and does what the end of that does: ``goto``."""
    return Flow.undeclared(flow.table, priority, flow.match, (), goto)


def deed_probe(flow: Flow, number: int, port: int, group: int | None) -> Flow | None:
    """Return a flow that does what ``flow`` does to packets that there are not; None where it needs a group and there is none.

    ``number`` tells it from other probes. ``port``: one that the switch has; ``group``: one that leads nowhere.
    """
    found = []
    for action in flow.actions:
        if isinstance(action, ToGroup):
            if group is None:
                return None
            action = ToGroup(group)
        elif isinstance(action, Output) and action.port not in (IN_PORT, CONTROLLER):
            action = Output(port)
        found.append(action)
    rows: dict[str, Any] = {name: value for name, value, mask in flow.match if name in _BASE and mask is None}
    rows |= {name: (value, mask) for name, value, mask in flow.match if name in _BASE and mask is not None}
    tag = next((value for name, value, _ in flow.match if name == "vlan_vid"), None)
    if flow.table is Table.INGRESS:
        rows["eth_src"] = _NO_SOURCE
        if tag is not None:
            rows["vlan_vid"] = vid(_NO_VLAN_ID) if tag & PRIORITY_TAG else tag
    else:
        rows["metadata"] = _NO_METADATA
    return Flow.undeclared(flow.table, number, match(**rows), tuple(found), flow.goto, flow.metadata)


def group_probe(group: Group, number: int, port: int, inner: int | None) -> Group | None:
    """Return a group as ``group`` that nothing leads to; None where it needs a group ``inner`` and there is none."""
    buckets = dict[str, Bucket]()
    for bucket in group.buckets:
        actions = list[Action]()
        for action in bucket.actions:
            if isinstance(action, ToGroup):
                if inner is None:
                    return None
                actions.append(ToGroup(inner))
            else:
                real = isinstance(action, Output) and action.port not in (IN_PORT, CONTROLLER)
                actions.append(Output(port) if real else action)
        buckets.setdefault(",".join(map(_deed, actions)), Bucket(tuple(actions), None if bucket.watch is None else port))
    rows = tuple(buckets.values())
    return Group(probe_group_id(number), group.type, rows[:1] if group.type is GroupType.INDIRECT else rows)


def probe_group_id(number: int) -> int:
    """Return the id of a probe: no segment has it."""
    return group_id(GroupKind.PROBE, number, 0)


def narrower(rows: Match) -> Iterator[tuple[str, Match]]:
    """Return what of a refused match to do without, in turn: what is left out, in words, and the match without it.

    A mask before its field. Fields that others want to be matched beside them stay.
    """
    for at, (name, value, mask) in enumerate(rows):
        if mask is not None and mask != FIELDS[name].all_bits:
            yield f"{name} under a mask", (*rows[:at], (name, value, None), *rows[at + 1 :])
        if name not in (*_BASE, "vlan_vid"):
            yield name, (*rows[:at], *rows[at + 1 :])


def representatives(entries: Iterable[Flow | Group]) -> dict[str, Flow | Group]:
    """One entry for each kind."""
    found = dict[str, Flow | Group]()
    for entry in entries:
        for kind in kinds(entry):
            found.setdefault(kind, entry)
    return found


def ends(flows: Iterable[Flow]) -> dict[Table, Table | None]:
    """Return where each table's last flow leads."""
    return {flow.table: flow.goto for flow in flows if flow.priority == Priority.MISS}


def label_of(kind: str) -> str | None:
    """Return the table that a kind is of; None for a kind of groups."""
    label = kind.partition(" ")[0]
    return None if label == "groups" else label
