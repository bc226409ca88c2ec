"""Output of a segment: to a server's port or over the links to a neighbour, with the right VLAN-ID."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ryu_vmmob.fabric.model import Server
from ryu_vmmob.fabric.trees import adjacency
from ryu_vmmob.flows.fields import PRIORITY_TAG, vid
from ryu_vmmob.flows.flow import (
    Action,
    Bucket,
    GivePriority,
    Group,
    GroupType,
    KeepPriority,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    ToGroup,
)
from ryu_vmmob.flows.pipeline import GroupKind, group_id
from ryu_vmmob.model.objects import Cug, Segment, Vm
from ryu_vmmob.model.presence import Local, Wire
from ryu_vmmob.model.state import State


def out(port: int, vlan_id: int | None) -> tuple[Action, ...]:
    """Leave by ``port`` under a VLAN-ID; None: untagged."""
    return tagged(vlan_id, Output(port))


def untagged() -> tuple[tuple[int, tuple[Action, ...]], ...]:
    """(``vlan_vid``, what to do first) of the frames that are of no VLAN: without a tag, or with one for its priority alone."""
    return (0, ()), (PRIORITY_TAG, OFF)


OFF: Final[tuple[Action, ...]] = (KeepPriority(), PopVlan())
"""Take a tag off; its priority goes along to the tag that the frame leaves with."""


def on(vlan_id: int) -> tuple[Action, ...]:
    """Put a tag on, with the priority that the frame came with."""
    return (PushVlan(), SetField("vlan_vid", vid(vlan_id)), GivePriority())


def unmarked(actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """Actions without what keeps a tag's priority: for frames that came with none, and for switches that cannot."""
    return tuple(row for row in actions if not isinstance(row, KeepPriority | GivePriority))


def tagged(vlan_id: int | None, last: Action) -> tuple[Action, ...]:
    """Put the tag on, if any, before the last action."""
    return (last,) if vlan_id is None else (*on(vlan_id), last)


def trunk_buckets(state: State, segment: Segment, at: str, neighbour: str) -> tuple[Bucket, ...]:
    """One bucket per link to ``neighbour`` on which the segment has a VLAN-ID, the preferred link first."""
    buckets = []
    for link in state.fabric.links_between[adjacency(at, neighbour)]:
        vlan_id = state.vlan_id(segment.segment, link.l2_domain)
        if vlan_id is not None:
            port = link.end_at(at).port
            buckets.append(Bucket(out(port, vlan_id), port))
    return tuple(buckets)


def first_alive(number: int, buckets: tuple[Bucket, ...]) -> Group:
    """Return a next hop: the switch itself goes over to the next link when one dies (FAST_FAILOVER). No link: drop."""
    if len(buckets) > 1:
        return Group(number, GroupType.FAST_FAILOVER, buckets)
    actions = buckets[0].actions if buckets else ()
    return Group(number, GroupType.INDIRECT, (Bucket(actions),))


def lag_number(state: State, server: Server) -> int:
    """Return the ordinal of a server among those of its switch, from 0."""
    return state.fabric.servers_of[server.switch].index(server)


def lag_group(state: State, cug: Cug, server: Server) -> Group:
    """Return the server's LAG: one port carries everything, the next takes over (R14). The tag is put on before."""
    buckets = tuple(Bucket((Output(port.port),), port.port) for port in server.attach)
    return first_alive(group_id(GroupKind.LAG, cug.key, lag_number(state, server)), buckets)


def to_port(state: State, cug: Cug, server: Server, tag: int | None) -> tuple[Action, ...]:
    """Leave towards a local server, under this tag or none."""
    last: Action = Output(server.attach[0].port)
    if len(server.attach) > 1:
        last = ToGroup(group_id(GroupKind.LAG, cug.key, lag_number(state, server)))
    return tagged(tag, last)


def to_vnic(state: State, cug: Cug, vm: Vm, number: int, server: Server) -> tuple[Action, ...]:
    """Leave towards one interface at a local server, under the tag of its frames there."""
    return to_port(state, cug, server, state.vnic_vlan_id(vm, number, server.name))


def to_wire(state: State, cug: Cug, wire: Wire) -> tuple[Action, ...]:
    """Leave towards all vNICs on a wire of a local server: by their common tag, or one copy for each vNIC that hears."""
    server = state.fabric.servers[wire.server]
    if server.per_interface:
        return (ToGroup(cable_id(state, cug, server)),)
    return to_port(state, cug, server, state.wire_vlan_id(cug.name, wire))


def cable_id(state: State, cug: Cug, server: Server) -> int:
    """Return the group that brings a broadcast from elsewhere to every vNIC of a CUG on a server's cable."""
    return group_id(GroupKind.CABLE, cug.key, lag_number(state, server))


def tags_at(state: State, cug: str, local: Local, server: str) -> tuple[int | None, ...]:
    """Return the tags (None: no tag) under which a CUG's frames go to and fro a local server: several where guests have their
    own.

    None of a server with tagging per interface: there they are told apart one by one (`cable`).
    """
    if state.fabric.servers[server].per_interface:
        return ()
    tags = (state.wire_vlan_id(cug, wire) for wire in local.wires if wire.server == server and state.speaks(cug, wire))
    return tuple(dict.fromkeys(tags))


def one_after_another(lists: Sequence[tuple[Action, ...]]) -> tuple[Action, ...]:
    """Several ways out in one action list: a tag put on for one must not show on the next."""
    joined: list[Action] = []
    for number, actions in enumerate(lists):
        if number and isinstance(lists[number - 1][0], PushVlan):
            joined.append(PopVlan())
        joined.extend(actions)
    return tuple(joined)
