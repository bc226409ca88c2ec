"""A CUG on the cable of a server with tagging per interface, admission and delivery apart.

Each vNIC has a VLAN-ID of its own there, which says its CUG and goes along as `WIRE`. Frames between neighbours on the server
come up the cable under one number and go back under another, so policies and admission hold between them too (R46, R48), and
what the server's own switch learns is always right.
"""

from __future__ import annotations

from collections.abc import Iterator

from immutables import Map

from ryu_vmmob.fabric.model import Dialect, Server
from ryu_vmmob.flows import horizon
from ryu_vmmob.flows.fields import MAC_MULTICAST_BIT, vid
from ryu_vmmob.flows.flow import Action, Bucket, Flow, Group, GroupType, PopVlan, ToGroup, match
from ryu_vmmob.flows.pipeline import WIRE, Priority, Table, metadata
from ryu_vmmob.flows.ports import cable_id, to_port
from ryu_vmmob.flows.segment import Entry, came_under, flood_from, into
from ryu_vmmob.model.objects import Cug
from ryu_vmmob.model.state import State
from ryu_vmmob.paths.presence import Local

_NOBODY: Map[int, int] = Map()


def cable_entries(state: State, cug: Cug, server: Server, local: Local) -> Iterator[Entry]:
    """Flows and groups of ``cug`` on the cable of ``server``, at whose switch it is present as ``local`` says."""
    vnics = state.vnics.get((cug.name, server.name), _NOBODY)
    hearing = sorted(tag for tag, seats in vnics.items() if seats)
    for tag in sorted(vnics):
        yield from _in(state, cug, server, tag)
    if hearing:
        yield to_all(state, cug, server, hearing)
    cable = horizon.Cable(server.name, server.attach[0].port)
    deep = state.fabric.switches[server.switch].dialect is Dialect.OPENVSWITCH
    if len(hearing) > 1:
        yield from horizon.tree(cable, hearing) if deep else horizon.lists(cable, hearing)
    for tag in sorted(vnics):
        others: tuple[Action, ...] = ()
        if tag in hearing and len(hearing) > 1:
            others = (ToGroup(horizon.others_id(cable, tag)),)
        elif tag not in hearing and len(hearing) > 1 and not deep:
            # It does not hear yet: it has no list of its own, so it takes somebody's who does, and that one as well.
            others = (ToGroup(horizon.others_id(cable, hearing[0])), *horizon.back(hearing[0]).actions)
        elif tag not in hearing and hearing:
            others = horizon.everybody(cable, hearing).actions
        if others:
            yield from _from_neighbour(state, cug, server, local, tag, others)


def _in(state: State, cug: Cug, server: Server, tag: int) -> Iterator[Flow]:
    """Frames of a vNIC enter under its number, and go on to be admitted."""
    written = metadata(cug=into(state, cug), wire=WIRE.of(tag))
    for port in server.attach:
        fields = match(in_port=port.port, vlan_vid=vid(tag))
        yield Flow(Table.INGRESS, Priority.NORMAL, fields, (PopVlan(),), Table.ADMIT, written)


def to_all(state: State, cug: Cug, server: Server, tags: list[int]) -> Group:
    """One copy for each vNIC that hears, under its own number."""
    buckets = tuple(Bucket(to_port(state, cug, server, tag)) for tag in tags)
    return Group(cable_id(state, cug, server), GroupType.ALL, buckets)


def _from_neighbour(
    state: State, cug: Cug, server: Server, local: Local, tag: int, others: tuple[Action, ...]
) -> Iterator[Flow]:
    """A broadcast of a vNIC: to its neighbours on the cable, and to everybody elsewhere."""
    flood = flood_from(state, cug, local, server)
    multicast = (MAC_MULTICAST_BIT, MAC_MULTICAST_BIT)
    for port in server.attach:
        fields = match(in_port=port.port, metadata=came_under(cug, tag), eth_dst=multicast)
        yield Flow(Table.BRIDGE, Priority.SPECIAL, fields, (*flood, *others))
