"""The verdict on a switch from its own description: each flow and group of the sample, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from ryu_vmmob.fabric.model import Dialect
from ryu_vmmob.flows.action import (
    Action,
    Copy,
    DecTtl,
    GivePriority,
    KeepPriority,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    ToGroup,
    tells_controller,
)
from ryu_vmmob.flows.fields import FIELDS, OPENFLOW_BASIC
from ryu_vmmob.flows.flow import Flow, Group, GroupType
from ryu_vmmob.flows.owner import OwnerKind
from ryu_vmmob.flows.pipeline import TABLES, Priority
from ryu_vmmob.whitebox.dialogue import NOT_THERE
from ryu_vmmob.whitebox.features import Able, Portrait, TableAbility
from ryu_vmmob.whitebox.sample import ROLES, Told

_ACTIONS: Final[dict[type, tuple[int, str]]] = {
    Output: (0, "output to a port"), PushVlan: (17, "push a VLAN tag"), PopVlan: (18, "pop a VLAN tag"),
    ToGroup: (22, "hand to a group"), DecTtl: (24, "count down the TTL"), SetField: (25, "set a field"),
}  # fmt: skip
_GOTO, _METADATA, _APPLY, _METER = 1, 2, 4, 6
_VITAL: Final = frozenset({"every switch", "CUGs", "servers", "ways through the fabric"})
"""Without these a switch is of no use."""
NAMES: Final = {
    # What the report calls the flows of each kind of owner.
    OwnerKind.SWITCH: "every switch",
    OwnerKind.CUG: "CUGs",
    OwnerKind.SERVER: "servers",
    OwnerKind.HOP: "ways through the fabric",
    OwnerKind.VM: "VMs",
    OwnerKind.GATEWAY: "gateways",
    OwnerKind.ROUTE: "routing",
    OwnerKind.ROUTING_DOMAIN: "routing",
    OwnerKind.EXTERNAL: "external networks",
    OwnerKind.POLICY: "policies",
    OwnerKind.PUNT: "questions to the controller",
    OwnerKind.TREES: "backup paths",
    OwnerKind.CABLE: "broadcasts on cables",
}


@dataclass(slots=True)
class Lack:
    """Something that the switch cannot do, or would refuse, and what needs it."""

    what: str
    tables: set[str] = field(default_factory=set)
    needed_by: set[str] = field(default_factory=set)
    roles: set[str] = field(default_factory=set)
    entries: int = 0
    known: bool = True
    """False: the switch says so, or nothing, in a description that is not to be believed."""

    @property
    def is_fatal(self) -> bool:
        """Whether the switch is of no use without it in the roles concerned."""
        return bool(self.needed_by & _VITAL)

    def __str__(self) -> str:
        where = f" in table{'s' if len(self.tables) > 1 else ''} {', '.join(_in_order(self.tables))}" if self.tables else ""
        return f"{self.what}{where}: needed by {', '.join(sorted(self.needed_by))}"


@dataclass(slots=True)
class Judgement:
    """What a switch is worth in one dialect. ``roles``: what it may be, and whether all of that works."""

    dialect: Dialect
    lacks: list[Lack]

    def of_role(self, role: str) -> list[Lack]:
        """Return what is missing in a role."""
        return [row for row in self.lacks if role in row.roles]

    def verdict(self, role: str) -> str:
        """``works``, ``works in part``, ``not known`` or ``of no use``."""
        lacks = self.of_role(role)
        if any(row.is_fatal and row.known for row in lacks):
            return "of no use"
        if any(row.is_fatal for row in lacks):
            return "not known"
        return "works in part" if lacks else "works"

    @property
    def rank(self) -> tuple[int, int]:
        """The lower the better."""
        order = ("works", "works in part", "not known", "of no use")
        return sum(order.index(self.verdict(role)) for role in ROLES), len(self.lacks)


class _Lacks:
    """Lacks in the making: the same thing wanted by many is one."""

    def __init__(self) -> None:
        self.found: dict[str, Lack] = {}

    def add(self, role: str, entry: Flow | Group, whats: Iterable[str], *, known: bool = True) -> None:
        """``entry`` in a switch of this role cannot be, because of all of ``whats``."""
        for what in whats:
            lack = self.found.setdefault(what, Lack(what, known=known))
            if isinstance(entry, Flow):
                lack.tables.add(entry.table.label)
            lack.needed_by.add(needs(entry))
            lack.roles.add(role)
            lack.entries += 1


def by_features(portrait: Portrait, dialect: Dialect, sample: Mapping[str, Told]) -> Judgement:
    """Return what the switch's own words come to. What it says nothing of is taken for granted, but for its number
    of tables.
    """
    lacks, believed = _Lacks(), not contradicts_itself(portrait)
    for role, told in sample.items():
        for flow in told.flows:
            number = flow.table.id
            told_of = believed and (portrait.tables is None or number in portrait.tables)
            lacks.add(role, flow, flow_lacks(flow, portrait, dialect), known=told_of or number >= portrait.number_of_tables)
        for group in told.groups:
            lacks.add(role, group, group_lacks(group, portrait))
    return Judgement(dialect, sorted(lacks.found.values(), key=lambda row: (not row.is_fatal, row.what)))


def contradicts_itself(portrait: Portrait) -> bool:
    """Whether what a switch says of its tables cannot be true: no instruction in any of them, so no flow could do anything."""
    return bool(portrait.tables) and not any(row.flows.instructions for row in (portrait.tables or {}).values())


def by_trial(dialect: Dialect, refused: Mapping[str, Iterable[tuple[Flow | Group, str]]]) -> Judgement:
    """Return what came of a trial: by role what the switch refused, each with its error."""
    lacks = _Lacks()
    for role, rows in refused.items():
        for entry, error in rows:
            if not isinstance(entry, Flow):
                what = f"a group of type {_type_name(entry)} is refused ({error})"
            else:
                what = f"the flow is {error}" if error == NOT_THERE else f"the flow is refused ({error})"
            lacks.add(role, entry, [what])
    return Judgement(dialect, sorted(lacks.found.values(), key=lambda row: (not row.is_fatal, row.what)))


def flow_lacks(flow: Flow, portrait: Portrait, dialect: Dialect) -> Iterator[str]:
    """Yield what a switch cannot do of a flow."""
    number = flow.table.id
    if number >= portrait.number_of_tables:
        yield f"has {portrait.number_of_tables} tables, and {len(TABLES)} are needed"
        return
    extensions = dialect is Dialect.OPENVSWITCH
    if portrait.tables is None:
        return
    table = portrait.tables.get(number)
    if table is None:
        yield f"says nothing of table {number}"
        return
    able = table.miss if not flow.match and flow.priority == Priority.MISS else table.flows
    if flow.meter is not None and portrait.meters is not None and not portrait.meters.drop_by_packets:
        yield "has no meters that drop what exceeds so many packets a second"
    for name, _, mask in flow.match:
        if name not in table.matches:
            if not (extensions and _is_extension(name)):
                yield f"cannot match {name}"
        elif mask is not None and not table.matches[name] and name != "metadata":
            yield f"cannot match {name} under a mask"
        if name == "metadata":
            wanted = mask if mask is not None else (1 << 64) - 1
            if wanted & ~table.metadata_match:
                yield f"cannot match all bits of the metadata ({wanted & ~table.metadata_match:#x} are missing)"
    yield from _instruction_lacks(flow, table, able)
    for action in flow.actions:
        yield from _action_lacks(action, able, extensions=extensions)


def _instruction_lacks(flow: Flow, table: TableAbility, able: Able) -> Iterator[str]:
    if flow.goto is not None:
        if _GOTO not in able.instructions:
            yield "cannot go on to another table"
        elif flow.goto.id not in able.tables:
            yield f"cannot go on to table {flow.goto.label} ({flow.goto.id})"
    if flow.metadata is not None:
        if _METADATA not in able.instructions:
            yield "cannot write metadata"
        elif flow.metadata[1] & ~table.metadata_write:
            yield f"cannot write all bits of the metadata ({flow.metadata[1] & ~table.metadata_write:#x} are missing)"
    if flow.actions and _APPLY not in able.instructions:
        yield "cannot apply actions at once"
    if flow.meter is not None and _METER not in able.instructions:
        yield "cannot send packets through a meter"


def _action_lacks(action: Action, able: Able, *, extensions: bool) -> Iterator[str]:
    if isinstance(action, Move):
        if not extensions:
            yield f"cannot copy {action.source} to {action.target}"
        return
    if isinstance(action, KeepPriority | GivePriority):
        if not extensions:
            yield "cannot keep the priority of a tag"
        return
    if isinstance(action, Copy):
        if not extensions:
            yield "cannot limit copies to the controller by a meter"
        return
    number, words = _ACTIONS[type(action)]
    if number not in able.actions:
        yield f"cannot {words}"
    elif isinstance(action, SetField) and action.name not in able.sets and not (extensions and _is_extension(action.name)):
        yield f"cannot set {action.name}"


def _is_extension(field_name: str) -> bool:
    return FIELDS[field_name].oxm_class != OPENFLOW_BASIC


def group_lacks(group: Group, portrait: Portrait) -> Iterator[str]:
    """Yield what a switch cannot do of a group."""
    able = portrait.groups
    if able is None:
        return
    if not able.types >> group.type & 1:
        yield f"has no groups of type {_type_name(group)}"
        return
    if able.most[group.type] == 0:
        yield f"takes no group of type {_type_name(group)}"
    if group.refers_to and not able.chain:
        yield "cannot lead from one group to another"
    for bucket in group.buckets:
        for action in bucket.actions:
            if isinstance(action, KeepPriority | GivePriority):
                continue  # an extension, which features of groups do not tell of
            number, words = _ACTIONS[type(action)]
            if not able.actions[group.type] >> number & 1:
                yield f"cannot {words} in a group of type {_type_name(group)}"


def needs(entry: Flow | Group) -> str:
    """Return who wants a flow or a group, in the words of people."""
    name = NAMES.get(entry.owner.kind, entry.owner.kind.value)
    if name in _VITAL or not isinstance(entry, Flow):
        return name
    fields = {row[0] for row in entry.match} | {action.name for action in entry.actions if isinstance(action, SetField)}
    if name == "policies":
        if "tcp_flags" in fields:
            return "policies with replies"
        return "policies on ports" if fields & {"tcp_dst", "tcp_src", "udp_dst", "udp_src"} else "policies"
    v6 = any(row.startswith(("ipv6", "icmpv6", "nd_")) for row in fields)
    return f"{name} with IPv6" if v6 else f"{name} with IPv4" if fields & _V4 else name


_V4: Final = frozenset({"ipv4_src", "ipv4_dst", "arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha", "icmpv4_type"})


def punted(plain: Mapping[str, Told], whole: Mapping[str, Told]) -> dict[str, int]:
    """Return how many flows of the sample, by table, hand to the controller in plain OpenFlow what Open vSwitch does itself."""
    counts: dict[str, int] = {}
    for role, told in plain.items():
        here = {flow.key for flow in whole[role].flows if any(_to_controller(action) for action in flow.actions)}
        for flow in told.flows:
            if flow.key not in here and any(_to_controller(action) for action in flow.actions):
                counts[flow.table.label] = counts.get(flow.table.label, 0) + 1
    return counts


def _to_controller(action: Action) -> bool:
    return tells_controller(action)


def table_sizes(portrait: Portrait) -> dict[str, int]:
    """Return how many flows each of our tables takes, by what the switch says; none where it says nothing of it."""
    tables = portrait.tables or {}
    return {table.label: tables[table.id].entries for table in TABLES if table.id in tables and tables[table.id].entries > 0}


def _type_name(group: Group) -> str:
    return GroupType(group.type).name.lower()


def _in_order(labels: Iterable[str]) -> list[str]:
    order = [table.label for table in TABLES]
    return sorted(labels, key=order.index)
