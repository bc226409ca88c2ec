"""A segment at one switch, without its members: classification of its frames, its flood group, its next hops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ryu_vmmob.fabric.model import Server
from ryu_vmmob.fabric.trees import adjacency
from ryu_vmmob.flows.fields import vid
from ryu_vmmob.flows.flow import IN_PORT, Action, Bucket, Flow, Group, GroupType, ToGroup, match
from ryu_vmmob.flows.pipeline import SCOPE, SEGMENT, TREE, VIA, WIRE, GroupKind, Priority, Table, group_id, metadata
from ryu_vmmob.flows.ports import (
    OFF,
    first_alive,
    lag_group,
    lag_number,
    one_after_another,
    out,
    tags_at,
    to_wire,
    trunk_buckets,
)
from ryu_vmmob.model.objects import Cug, RoutingDomain, Segment
from ryu_vmmob.model.presence import Local, Presence, Wire
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import MAC_MULTICAST_BIT

Entry = Flow | Group


def segment_entries(state: State, cug: Cug, at: str, local: Local) -> Iterator[Entry]:
    """Flows and groups of ``cug`` at switch ``at`` that do not depend on its members."""
    yield from trunks_in(state, cug, at, local)
    yield from _servers_in(state, cug, local)
    yield from _flood(state, cug, at, local)


def next_hop(state: State, segment: Segment, at: str, edge: str, found: Presence) -> Group:
    """Return the way from ``at`` to a remote edge. Its id stays when a link failure changes its content."""
    neighbour = found.way.next_hop(at, edge)
    # A switch that stands by leads nowhere yet, whatever it is told.
    if neighbour is None or neighbour not in found.local[at].ways:
        return first_alive(next_hop_id(state, segment, edge), ())
    buckets = trunk_buckets(state, segment, at, neighbour)
    return first_alive(next_hop_id(state, segment, edge), buckets)


def next_hop_id(state: State, segment: Segment, edge: str) -> int:
    """Return the id of the group that leads to a remote edge."""
    return group_id(GroupKind.NEXT_HOP, segment.key, state.switch_keys[edge])


def into(state: State, cug: Cug) -> tuple[int, int]:
    """Return the metadata of a frame that enters as one of ``cug``."""
    return metadata(segment=SEGMENT.of(cug.key), scope=SCOPE.of(state.scope(cug)))


def into_from(state: State, cug: Cug, local: Local, server: str, tag: int | None) -> tuple[int, int]:
    """Return the same for a frame of a local server, under this tag; it says which, where the CUG has several there."""
    several = len(tags_at(state, cug.name, local, server)) > 1
    return metadata(cug=into(state, cug), wire=WIRE.of(tag or 0)) if several else into(state, cug)


def came_from(state: State, cug: Cug, local: Local, wire: Wire) -> tuple[int, int]:
    """Return what the metadata says of a frame that came in on a wire, as a match: its CUG, and its tag where there are
    several.
    """
    several = len(tags_at(state, cug.name, local, wire.server)) > 1
    return came_under(cug, state.wire_vlan_id(cug.name, wire)) if several else SEGMENT.of(cug.key)


def came_under(cug: Cug, tag: int | None) -> tuple[int, int]:
    """Return the same where there are several tags."""
    return metadata(segment=SEGMENT.of(cug.key), wire=WIRE.of(tag or 0))


def trunks_in(state: State, segment: Segment, at: str, local: Local) -> Iterator[Entry]:
    """Frames of the segment enter a trunk under that domain's own VLAN-ID (R20, R22)."""
    if isinstance(segment, RoutingDomain):
        written = metadata(segment=SEGMENT.of(segment.key), scope=SCOPE.of(segment.key), via=VIA.of(1))
        then = Table.GATEWAY if local.edge else Table.BRIDGE
    else:
        written, then = into(state, segment), Table.BRIDGE
    if state.backups:
        written = metadata(segment=written, tree=TREE.of(1 + state.backup_number(segment.segment)))
    for neighbour in local.known:
        for link in state.fabric.links_between[adjacency(at, neighbour)]:
            vlan_id = state.vlan_id(segment.segment, link.l2_domain)
            if vlan_id is not None:
                yield Flow(
                    Table.INGRESS,
                    Priority.NORMAL,
                    match(in_port=link.end_at(at).port, vlan_vid=vid(vlan_id)),
                    OFF,
                    then,
                    written,
                )


def _servers_in(state: State, cug: Cug, local: Local) -> Iterator[Entry]:
    """Frames of a tagged server enter under the VLAN-ID of the ToR's domain, or their guests' own (R24), and go on to be
    admitted.
    """
    for name in local.servers:
        server = state.fabric.servers[name]
        for tag in tags_at(state, cug.name, local, name) if server.tagged else ():
            for port in server.attach:
                if tag is not None:
                    yield Flow(
                        Table.INGRESS,
                        Priority.NORMAL,
                        match(in_port=port.port, vlan_vid=vid(tag)),
                        OFF,
                        Table.ADMIT,
                        into_from(state, cug, local, name, tag),
                    )


def _flood(state: State, cug: Cug, at: str, local: Local) -> Iterator[Entry]:
    """Broadcast and multicast: to every local server and along the tree, never back where it came from.

    The switch itself leaves out the port a frame came from. A LAG is several ports, so frames from one of them use a
    group without that server. `Local.flooded` says which servers get any, and under which tags: one copy for each.
    """
    for neighbour in local.neighbours:
        trunk = trunk_buckets(state, cug, at, neighbour)
        if len(trunk) > 1:
            yield first_alive(_trunk_id(state, cug, neighbour), trunk)
    buckets = flood_buckets(state, cug, at, local)
    wires = [wire for wire in local.wires if state.speaks(cug.name, wire)]
    lags = [server for name in local.servers if len((server := state.fabric.servers[name]).attach) > 1]
    lags = [server for server in lags if any(wire.server == server.name for wire in wires)]
    for server in lags:
        yield lag_group(state, cug, server)
    ready = bool(local.ready)
    yield from _flood_flows(cug, 0, (), [bucket for _, bucket in buckets], ready=ready)
    for server in lags:
        others = [bucket for owner, bucket in buckets if owner != server.name]
        ports = [port.port for port in server.attach]
        yield from _flood_flows(cug, 1 + lag_number(state, server), ports, others, ready=ready)
    for name in local.servers:
        yield from _back(state, cug, local, name, flood_from(state, cug, local, state.fabric.servers[name]))


def flood_buckets(state: State, cug: Cug, at: str, local: Local) -> list[tuple[str, Bucket]]:
    """(server, copy) of a broadcast for each place where it goes from switch ``at``; server "": along the tree."""
    buckets: list[tuple[str, Bucket]] = []
    for neighbour in local.neighbours:
        trunk = trunk_buckets(state, cug, at, neighbour)
        if len(trunk) > 1:
            buckets.append(("", Bucket((ToGroup(_trunk_id(state, cug, neighbour)),))))
        else:
            buckets.extend(("", Bucket(bucket.actions)) for bucket in trunk)
    wires = (wire for wire in local.wires if wire in local.flooded and state.speaks(cug.name, wire))
    # A guest's own tag may be the domain's VLAN-ID as well: one copy is for both.
    buckets.extend(dict.fromkeys((wire.server, Bucket(to_wire(state, cug, wire))) for wire in wires))
    return buckets


def _trunk_id(state: State, cug: Cug, neighbour: str) -> int:
    return group_id(GroupKind.TRUNK, cug.key, state.switch_keys[neighbour])


def flood_from(state: State, cug: Cug, local: Local, server: Server) -> tuple[Action, ...]:
    """Return the actions that flood a broadcast of a local server to all other places; none where there is no other place."""
    lag = len(server.attach) > 1
    around = bool(local.ready) or any(
        state.vlan_id(cug.name, link.l2_domain) is not None
        for neighbour in local.neighbours
        for link in state.fabric.links_between[adjacency(server.switch, neighbour)]
    )
    others = (wire for wire in local.flooded if not lag or wire.server != server.name)
    if not around and not any(state.speaks(cug.name, wire) for wire in others):
        return ()
    return (ToGroup(group_id(GroupKind.FLOOD, cug.key, 1 + lag_number(state, server) if lag else 0)),)


def _back(state: State, cug: Cug, local: Local, name: str, others: tuple[Action, ...]) -> Iterator[Flow]:
    """Broadcasts of a guest for guests of its CUG on the same server that have another tag.

    Their virtual switch, to which each tag is a world of its own, cannot bring it to them. ``others``: to all others.
    """
    tags = tags_at(state, cug.name, local, name)
    flooded = tags_at(state, cug.name, replace(local, wires=tuple(local.flooded)), name)
    for tag in tags if len(tags) > 1 else ():
        back = [out(IN_PORT, other) for other in sorted(flooded, key=_bare_first) if other != tag]
        for port in state.fabric.servers[name].attach if back else ():
            fields = match(in_port=port.port, metadata=came_under(cug, tag), eth_dst=(MAC_MULTICAST_BIT, MAC_MULTICAST_BIT))
            yield Flow(Table.BRIDGE, Priority.SPECIAL, fields, (*others, *one_after_another(back)))


def _bare_first(tag: int | None) -> int:
    return tag or 0


def _flood_flows(cug: Cug, index: int, in_ports: Sequence[int], buckets: list[Bucket], *, ready: bool) -> Iterator[Entry]:
    """Yield a flood group and the flows that lead to it: from these ports, or from all others (no ports).

    ``ready``: also where it leads nowhere, so that only the group changes when it does.
    """
    multicast = (MAC_MULTICAST_BIT, MAC_MULTICAST_BIT)
    fields = {"metadata": SEGMENT.of(cug.key), "eth_dst": multicast}
    number = group_id(GroupKind.FLOOD, cug.key, index)
    if buckets or ready:
        yield Group(number, GroupType.ALL, tuple(buckets))
    actions = (ToGroup(number),) if buckets or ready else ()
    if not in_ports and (buckets or ready):
        yield Flow(Table.BRIDGE, Priority.FALLBACK, match(**fields), actions)
    for port in in_ports:
        yield Flow(Table.BRIDGE, Priority.NORMAL, match(in_port=port, **fields), actions)
