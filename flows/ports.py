"""How a segment leaves a switch: by a server's port, or over the links to a neighbour; under which VLAN-ID."""

from __future__ import annotations

from ryu_vmmob.fabric.model import Server
from ryu_vmmob.flows.fields import vid
from ryu_vmmob.flows.flow import Action, Bucket, Group, GroupType, Output, PushVlan, SetField, ToGroup
from ryu_vmmob.flows.pipeline import GroupKind, group_id
from ryu_vmmob.model.objects import Cug, Segment
from ryu_vmmob.model.state import State
from ryu_vmmob.paths.trees import adjacency


def out(port: int, vlan_id: int | None) -> tuple[Action, ...]:
    """Leave by ``port`` under the VLAN-ID of the port's domain; None: untagged."""
    if vlan_id is None:
        return (Output(port),)
    return (PushVlan(), SetField("vlan_vid", vid(vlan_id)), Output(port))


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
    """A next hop: the switch itself goes over to the next link when one dies (FAST_FAILOVER). No link: drop."""
    if len(buckets) > 1:
        return Group(number, GroupType.FAST_FAILOVER, buckets)
    actions = buckets[0].actions if buckets else ()
    return Group(number, GroupType.INDIRECT, (Bucket(actions),))


def speaks(state: State, cug: Cug, server: Server) -> bool:
    """Whether frames of the CUG can go to and fro a server: not where it is tagged and its domain has no VLAN-ID left."""
    return not server.tagged or state.vlan_id(cug.name, server.l2_domain) is not None


def lag_number(state: State, server: Server) -> int:
    """The ordinal of a server among those of its switch, from 0."""
    return state.fabric.servers_of[server.switch].index(server)


def lag_group(state: State, cug: Cug, server: Server) -> Group:
    """The server's LAG: one port carries everything, the next takes over (R14)."""
    vlan_id = state.vlan_id(cug.name, server.l2_domain)
    buckets = tuple(Bucket(out(port.port, vlan_id), port.port) for port in server.attach)
    return first_alive(group_id(GroupKind.LAG, cug.key, lag_number(state, server)), buckets)


def to_server(state: State, cug: Cug, server: Server) -> tuple[Action, ...]:
    """Leave towards a local server."""
    if len(server.attach) > 1:
        return (ToGroup(group_id(GroupKind.LAG, cug.key, lag_number(state, server))),)
    return out(server.attach[0].port, state.vlan_id(cug.name, server.l2_domain))
