"""One switch: a packet through its tables and groups, as OpenFlow 1.3 says and Open vSwitch does.

What is modelled beyond the obvious: a copy goes to each output and each group, so what a group does to its copy is not
seen by the actions behind it; an output to the ingress port is lost unless it says ``IN_PORT``; metadata is written after the
actions; a TTL of 0 or 1 that is counted down ends the frame there (in a bucket, that copy alone; the controller hears of it
only if it asks for OFPR_INVALID_TTL, which ours does not); and a switch sees at most `VLAN_LIMIT` tags (Open vSwitch's
default): what lies below is payload to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ryu_vmmob.flows.fields import VID_PRESENT
from ryu_vmmob.flows.flow import (
    CONTROLLER,
    IN_PORT,
    Action,
    Copy,
    DecTtl,
    Flow,
    GivePriority,
    Group,
    GroupType,
    KeepPriority,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    ToGroup,
    group_name,
)
from ryu_vmmob.flows.pipeline import PCP, TABLES, Table
from ryu_vmmob.sim.classifier import Classifier
from ryu_vmmob.sim.packet import (
    NEIGHBOUR_ADVERTISEMENT,
    NEIGHBOUR_SOLICITATION,
    PRIORITY_BITS,
    PRIORITY_SHIFT,
    SOURCE_LINK_LAYER,
    TARGET_LINK_LAYER,
    Packet,
)
from ryu_vmmob.sim.prerequisites import TableError, check_flow, check_group

VLAN_LIMIT: Final = 1
"""``other_config:vlan-limit`` of Open vSwitch: how many tags it looks at."""
ETH_VLAN: Final = 0x8100


class TableVisit(NamedTuple):
    """One table on a packet's way; ``flow`` is None for a miss."""

    table: Table
    flow: Flow | None

    def __str__(self) -> str:
        return str(self.flow) if self.flow else f"table={self.table.label} miss"


@dataclass(frozen=True, slots=True)
class Result:
    """What one switch made of one packet. ``outputs`` has real ports only, the ingress port included where it was meant.

    ``controller`` holds (cookie of the flow that sent it, packet); ``lost`` says why copies came to nothing.
    """

    outputs: tuple[tuple[int, Packet], ...]
    controller: tuple[tuple[int, Packet], ...]
    path: tuple[TableVisit, ...]
    lost: tuple[str, ...]

    @property
    def drop(self) -> str | None:
        """Return why nothing came out of any port; None when something did."""
        return None if self.outputs else "; ".join(self.lost) or "no reason"


class Tables:
    """The flows and groups of one switch. Raises TableError when a real switch would refuse one of them."""

    def __init__(self, flows: Iterable[Flow], groups: Iterable[Group] = ()) -> None:
        self.groups: dict[int, Group] = {}
        for group in groups:
            if self.groups.setdefault(group.id, group) != group:
                raise TableError(f"one id, two groups: {self.groups[group.id]} and {group}")
        for group in self.groups.values():
            check_group(group, self.groups)
        found: dict[Table, list[Flow]] = {table: [] for table in TABLES}
        for flow in flows:
            check_flow(flow, self.groups)
            found[flow.table].append(flow)
        self.flows = tuple(flow for table in TABLES for flow in found[table])
        self._classifiers = {table: Classifier(rows) for table, rows in found.items()}

    def process(self, packet: Packet, in_port: int, port_up: Callable[[int], bool] = lambda _: True) -> Result:
        """Run a packet through the pipeline; ``port_up`` decides which fast failover bucket is taken.

        Raises AmbiguityError when two flows of equal priority match, TableError when an action makes no sense on the packet.
        """
        run = _Run(self.groups, in_port, port_up)
        frame = _Frame.parse(packet, in_port)
        table: Table | None = TABLES[0]
        while table is not None:
            flow = self._classifiers[table].find(frame.fields)
            run.path.append(TableVisit(table, flow))
            if flow is None:
                run.lost.append(f"no flow in {table.label}")
                break
            run.cookie = flow.cookie
            if not run.apply(frame, flow.actions):
                break
            if flow.metadata is not None:
                value, mask = flow.metadata
                frame.fields["metadata"] = frame.fields["metadata"] & ~mask | value & mask
            table = flow.goto
        if not (run.outputs or run.lost):
            run.lost.append(f"dropped by a flow of {run.path[-1].table.label}")
        return Result(tuple(run.outputs), tuple(run.controller), tuple(run.path), tuple(run.lost))


def _vid(tags: Sequence[int]) -> int:
    """``vlan_vid`` of a frame with these tags."""
    return VID_PRESENT | tags[0] & ~PRIORITY_BITS if tags else 0


class _Frame:
    """A packet taken apart, with the pipeline's fields beside its own; changed in place."""

    __slots__ = ("fields", "hidden", "option", "payload", "vlans")

    def __init__(self, fields: dict[str, int], vlans: list[int], hidden: Packet | None, *, option: bool, payload: int) -> None:
        self.fields = fields
        self.vlans = vlans  # outer first
        self.hidden = hidden  # what lies below the tags that this switch looks at
        self.option = option  # a neighbour discovery message with a link-layer address in it
        self.payload = payload

    @classmethod
    def parse(cls, packet: Packet, in_port: int) -> _Frame:
        seen, below = packet.vlans[:VLAN_LIMIT], packet.vlans[VLAN_LIMIT:]
        hidden = Packet.trusted(packet._fields, below, packet.payload) if below else None
        if hidden:
            fields = {"eth_dst": packet["eth_dst"], "eth_src": packet["eth_src"], "eth_type": ETH_VLAN}
        else:
            fields = dict(packet._fields)
        fields["in_port"] = in_port
        fields["metadata"] = 0
        fields["vlan_vid"] = _vid(seen)
        option = fields.get("nd_options_type", 0) in (SOURCE_LINK_LAYER, TARGET_LINK_LAYER)
        return cls(fields, list(seen), hidden, option=option, payload=packet.payload)

    def copy(self) -> _Frame:
        return _Frame(dict(self.fields), list(self.vlans), self.hidden, option=self.option, payload=self.payload)

    def deparse(self) -> Packet:
        """Return the packet as it leaves: an option exists once, with the type and the address that were set last."""
        fields = dict(self.fields)
        del fields["in_port"], fields["metadata"], fields["vlan_vid"]
        if self.hidden:
            fields = {**self.hidden._fields, "eth_dst": fields["eth_dst"], "eth_src": fields["eth_src"]}
            return Packet.trusted(fields, (*self.vlans, *self.hidden.vlans), self.payload)
        if fields.get("icmpv6_type") in (NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT):
            kind = fields.get("nd_options_type", 0)
            if not self.option:
                fields["nd_options_type"] = kind = 0  # no field can make an option where there is none
            if kind != SOURCE_LINK_LAYER:
                fields.pop("ipv6_nd_sll", None)
            if kind != TARGET_LINK_LAYER:
                fields.pop("ipv6_nd_tll", None)
        return Packet.trusted(fields, tuple(self.vlans), self.payload)

    def push(self) -> None:
        # VLAN-ID 0 until it is set, as in Open vSwitch (OpenFlow 1.3.5, 5.12.1 would copy the outer tag's).
        self.vlans.insert(0, 0)
        self.fields["vlan_vid"] = VID_PRESENT

    def pop(self) -> None:
        if not self.vlans:
            raise TableError("pop_vlan on a frame without a tag")
        del self.vlans[0]
        self.fields["vlan_vid"] = _vid(self.vlans)

    def tag(self) -> int:
        """Return the outer tag: priority and VLAN-ID."""
        if not self.vlans:
            raise TableError("the priority of a frame without a tag")
        return self.vlans[0]

    def set(self, name: str, value: int) -> None:
        if name == "vlan_vid":
            if not self.vlans:
                raise TableError("set vlan_vid on a frame without a tag")
            self.vlans[0] = self.vlans[0] & PRIORITY_BITS | value & ~VID_PRESENT
        self.fields[name] = value

    def count_down(self) -> bool:
        """One off the TTL; False when there is none to take. Only an IP packet below at most one tag has a TTL."""
        ttl = self.fields.get("nw_ttl")
        if ttl is None:
            return True
        if ttl <= 1:
            return False
        self.fields["nw_ttl"] = ttl - 1
        return True


class _Run:
    """One packet's passage: collects what comes out."""

    def __init__(self, groups: dict[int, Group], in_port: int, port_up: Callable[[int], bool]) -> None:
        self.groups = groups
        self.in_port = in_port
        self.port_up = port_up
        self.cookie = 0
        self.outputs: list[tuple[int, Packet]] = []
        self.controller: list[tuple[int, Packet]] = []
        self.path: list[TableVisit] = []
        self.lost: list[str] = []

    def apply(self, frame: _Frame, actions: tuple[Action, ...]) -> bool:
        """Carry out an action list; whether it came to its end."""
        for action in actions:
            match action:
                case Output(port=port):
                    self.output(frame, port)
                case Copy():
                    self.output(frame, CONTROLLER)
                case ToGroup(group=number):
                    self.group(frame, self.groups[number])
                case SetField(name=name, value=value):
                    frame.set(name, value)
                case Move(source=source, target=target):
                    frame.set(target, frame.fields.get(source, 0))
                case PushVlan():
                    frame.push()
                case PopVlan():
                    frame.pop()
                case KeepPriority():
                    frame.fields["metadata"] = frame.fields["metadata"] & ~PCP.mask | PCP.of(frame.tag() >> PRIORITY_SHIFT)[0]
                case GivePriority():
                    frame.vlans[0] = frame.tag() & ~PRIORITY_BITS | PCP.read(frame.fields["metadata"]) << PRIORITY_SHIFT
                case DecTtl():
                    if not frame.count_down():
                        self.lost.append("its TTL is used up")
                        return False
        return True

    def output(self, frame: _Frame, port: int) -> None:
        if port == CONTROLLER:
            self.controller.append((self.cookie, frame.deparse()))
        elif port == IN_PORT:
            self.outputs.append((self.in_port, frame.deparse()))
        elif port == self.in_port:
            self.lost.append(f"output to ingress port {port}")
        else:
            self.outputs.append((port, frame.deparse()))

    def group(self, frame: _Frame, group: Group) -> None:
        buckets = group.buckets
        if group.type is GroupType.FAST_FAILOVER:
            live = (bucket for bucket in buckets if bucket.watch is not None and self.port_up(bucket.watch))
            buckets = tuple(bucket for bucket in (next(live, None),) if bucket)
        if not buckets:
            self.lost.append(f"no live bucket in group {group_name(group.id)}")
        for bucket in buckets:
            self.apply(frame.copy(), bucket.actions)
