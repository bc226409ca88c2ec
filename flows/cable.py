"""A CUG on the cable of a server with tagging per interface, admission and delivery apart.

Each vNIC has a VLAN-ID of its own there, which says its CUG and goes along as `WIRE`. Frames between neighbours on the server
come up the cable under one number and go back under another, so policies and admission hold between them too (R46, R48), and
what the server's own switch learns is always right.

A cable is made in parts, so that a vNIC that comes or goes makes only a few of them again: one for the whole (`whole`), one for
each vNIC (`of_vnic`), and one for each node of their tree (`of_node`, see `horizon`).
"""

from __future__ import annotations

from collections.abc import Iterator

from immutables import Map

from ryu_vmmob.fabric.model import Dialect, Server
from ryu_vmmob.flows import horizon
from ryu_vmmob.flows.fields import MAC_MULTICAST_BIT, vid
from ryu_vmmob.flows.flow import IN_PORT, Action, Bucket, Flow, Group, GroupType, PopVlan, ToGroup, match
from ryu_vmmob.flows.pipeline import WIRE, Priority, Table, metadata
from ryu_vmmob.flows.ports import cable_id, out, to_port
from ryu_vmmob.flows.segment import Entry, came_under, flood_from, into
from ryu_vmmob.model.objects import Cug
from ryu_vmmob.model.state import State
from ryu_vmmob.paths.presence import Local

_NOBODY: Map[int, int] = Map()


class Cable:
    """A CUG on one server's cable, at whose switch it is present as ``local`` says."""

    def __init__(self, state: State, cug: Cug, server: Server, local: Local) -> None:
        self._state, self._cug, self._server, self._local = state, cug, server, local
        self.vnics = state.vnics.get((cug.name, server.name), _NOBODY)
        self.hearing = hearing(state, cug.name, server.name)
        self._port = server.attach[0].port
        self._follows_deep_groups = state.fabric.switches[server.switch].dialect is Dialect.OPENVSWITCH

    def whole(self) -> Iterator[Entry]:
        """Broadcasts from elsewhere, and those of vNICs that do not hear any themselves."""
        if not self.hearing:
            return
        number = cable_id(self._state, self._cug, self._server)
        if self._follows_deep_groups:
            yield Group(number, GroupType.ALL, (Bucket(horizon.downwards(self._port, self.hearing, self._way)),))
        else:
            yield Group(number, GroupType.ALL, tuple(Bucket(self._way(tag)) for tag in self.hearing))
        for tag in sorted(tag for tag, seats in self.vnics.items() if not seats):
            yield from self._from_neighbour(tag, self._everybody())

    def of_vnic(self, tag: int) -> Iterator[Entry]:
        """How frames of the vNIC enter, and what becomes of its broadcasts."""
        written = metadata(cug=into(self._state, self._cug), wire=WIRE.of(tag))
        for port in self._server.attach:
            fields = match(in_port=port.port, vlan_vid=vid(tag))
            yield Flow(Table.INGRESS, Priority.NORMAL, fields, (PopVlan(),), Table.ADMIT, written)
        if self.vnics[tag] and len(self.hearing) > 1:
            yield from self._from_neighbour(tag, (ToGroup(horizon.others_id(self._port, tag)),))
            if not self._follows_deep_groups:
                yield horizon.listed(self._port, self.hearing, tag)

    def of_node(self, number: int) -> Iterator[Entry]:
        """The groups of a node of the tree; nothing where there is no such node (any more)."""
        node = horizon.find(self.hearing, number) if self._follows_deep_groups else None
        if node is not None:
            yield from horizon.groups(self._port, self.hearing, node, self._way)

    def _way(self, tag: int) -> tuple[Action, ...]:
        return to_port(self._state, self._cug, self._server, tag)

    def _everybody(self) -> tuple[Action, ...]:
        """To every vNIC that hears, for one that does not."""
        if self._follows_deep_groups or len(self.hearing) == 1:
            return horizon.everybody(self._port, self.hearing)
        # It has no list of its own, so it takes that of one that hears, and this one as well.
        first = self.hearing[0]
        return (ToGroup(horizon.others_id(self._port, first)), *out(IN_PORT, first))

    def _from_neighbour(self, tag: int, others: tuple[Action, ...]) -> Iterator[Flow]:
        """A broadcast of a vNIC: to its neighbours on the cable, and to everybody elsewhere."""
        flood = flood_from(self._state, self._cug, self._local, self._server)
        multicast = (MAC_MULTICAST_BIT, MAC_MULTICAST_BIT)
        for port in self._server.attach:
            fields = match(in_port=port.port, metadata=came_under(self._cug, tag), eth_dst=multicast)
            yield Flow(Table.BRIDGE, Priority.SPECIAL, fields, (*flood, *others))


def hearing(state: State | None, cug: str, server: str) -> list[int]:
    """VLAN-IDs of the vNICs of a CUG that get broadcasts on a server's cable, ascending."""
    rows = state.vnics.get((cug, server), _NOBODY) if state is not None else _NOBODY
    return sorted(tag for tag, seats in rows.items() if seats)


def touched(before: State | None, after: State, cug: str, server: str, changed: set[int]) -> tuple[set[int], set[int]]:
    """(VLAN-IDs, numbers of nodes) of the parts to be made again when vNICs with VLAN-IDs ``changed`` came, went or changed."""
    was, now = hearing(before, cug, server), hearing(after, cug, server)
    tags = set(changed)
    if min(len(was), len(now)) < 2:
        tags.update(was, now)  # one that hears alone has nobody to speak to
    elif len(now) > 1 and after.fabric.switches[after.fabric.servers[server].switch].dialect is not Dialect.OPENVSWITCH:
        tags.update(was, now)
    nodes = {number for tag in changed for tags_there in (was, now) for number in horizon.touched(tags_there, tag)}
    return tags, nodes
