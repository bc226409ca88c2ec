"""A CUG on the cable of a server with tagging per interface, admission and delivery apart.

Each vNIC has a VLAN-ID of its own there, which says its CUG and goes along as `WIRE`. Frames between neighbours on the server
come up the cable under one number and go back under another, so policies and admission hold between them too (R46, R48), and
what the server's own switch learns is always right.

A cable is made in parts, so that a vNIC that comes or goes makes only a few of them again: one for the whole (`whole`), one for
each vNIC (`of_vnic`), one for each node of their tree (`of_node`, see `horizon`), and one for each vNIC whose VM may speak at
another place as well (`of_twin`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from immutables import Map

from ryu_vmmob.fabric.model import Dialect, Server
from ryu_vmmob.flows import horizon
from ryu_vmmob.flows.fields import vid
from ryu_vmmob.flows.flow import IN_PORT, Action, Bucket, Flow, Group, GroupType, ToGroup, match
from ryu_vmmob.flows.pipeline import SEGMENT, WIRE, GroupKind, Priority, Table, metadata, vnic_group_id
from ryu_vmmob.flows.ports import OFF, cable_id, out, to_port
from ryu_vmmob.flows.segment import Entry, came_under, flood_buckets, flood_from, into
from ryu_vmmob.model.objects import Cug
from ryu_vmmob.model.presence import Local
from ryu_vmmob.model.state import State, Twin
from ryu_vmmob.net.addresses import MAC_MULTICAST_BIT

_NOBODY: Map[int, int] = Map()
_NO_TWINS: Map[int, Twin] = Map()


class Cable:
    """A CUG on one server's cable, at whose switch it is present as ``local`` says."""

    def __init__(self, state: State, cug: Cug, server: Server, local: Local) -> None:
        self._state, self._cug, self._server, self._local = state, cug, server, local
        self.vnics = state.vnics.get((cug.name, server.name), _NOBODY)
        self.twins = state.twins.get((cug.name, server.name), _NO_TWINS)
        self.hearing = hearing(state, cug.name, server.name)
        self._port = server.attach[0].port
        self._follows_deep_groups = state.fabric.switches[server.switch].dialect is Dialect.OPENVSWITCH

    def whole(self) -> Iterator[Entry]:
        """Broadcasts from elsewhere, and those of vNICs that do not hear any themselves."""
        for tag in sorted(tag for tag, seats in self.vnics.items() if not seats):
            if self.hearing or self._twin_here(tag) is not None:
                yield from self._from_neighbour(tag, self._everybody() if self.hearing else ())
        if not self.hearing:
            return
        number = cable_id(self._state, self._cug, self._server)
        if self._follows_deep_groups:
            yield Group(number, GroupType.ALL, (Bucket(horizon.downwards(self._port, self.hearing, self._way)),))
        else:
            yield Group(number, GroupType.ALL, tuple(Bucket(self._way(tag)) for tag in self.hearing))

    def of_vnic(self, tag: int) -> Iterator[Entry]:
        """Return how frames of the vNIC enter, and what becomes of its broadcasts."""
        written = metadata(cug=into(self._state, self._cug), wire=WIRE.of(tag))
        for port in self._server.attach:
            fields = match(in_port=port.port, vlan_vid=vid(tag))
            yield Flow(Table.INGRESS, Priority.NORMAL, fields, OFF, Table.ADMIT, written)
        if not self.vnics[tag]:
            return
        if len(self.hearing) > 1:
            yield from self._from_neighbour(tag, (ToGroup(horizon.others_id(self._port, tag)),))
            if not self._follows_deep_groups:
                yield horizon.listed(self._port, self.hearing, tag)
        elif self._twin_here(tag) is not None:
            yield from self._from_neighbour(tag, ())

    def of_node(self, number: int) -> Iterator[Entry]:
        """Yield the groups of a node of the tree; nothing where there is no such node (any more)."""
        node = horizon.find(self.hearing, number) if self._follows_deep_groups else None
        if node is not None:
            yield from horizon.groups(self._port, self.hearing, node, self._way)

    def of_twin(self, tag: int) -> Iterator[Entry]:
        """Yield the flows of broadcasts that the VM of a vNIC here sends at its other place: all but itself get them
        (`Seat.twin`).

        Where the other place is at this switch as well, what the VM says there comes in by that server's ports, and does not go
        back there. If it has a vNIC of its own there, the flow is that vNIC's (`_from_neighbour`).
        """
        twin = self.twins.get(tag)
        if twin is None:
            return
        other = self._state.fabric.servers[twin.server]
        ports = [port.port for port in other.attach if other.switch == self._server.switch]
        flood = flood_buckets(self._state, self._cug, self._server.switch, self._local)
        buckets = [bucket for server, bucket in flood if server not in (self._server.name, twin.server)]
        if self._follows_deep_groups:
            buckets += map(Bucket, horizon.downwards_beside(self._port, self.hearing, tag, self._way))
        else:
            buckets += [Bucket(self._way(its)) for its in self.hearing if its != tag]
        number = vnic_group_id(GroupKind.TWIN, self._port, tag)
        # Also where no other place is left: without the flow it would be flooded.
        yield Group(number, GroupType.ALL, tuple(buckets))
        multicast = (MAC_MULTICAST_BIT, MAC_MULTICAST_BIT)
        fields: dict[str, Any] = {"metadata": SEGMENT.of(self._cug.key), "eth_src": twin.mac, "eth_dst": multicast}
        if not ports:
            yield Flow(Table.BRIDGE, Priority.BEHIND, match(**fields), (ToGroup(number),))
        elif twin.tag is None:
            for port in ports:
                yield Flow(Table.BRIDGE, Priority.BEHIND, match(in_port=port, **fields), (ToGroup(number),))

    def _twin_here(self, tag: int) -> int | None:
        """Return the group for what the VM of a vNIC here says, if its other place is at this switch and hears broadcasts."""
        for name in self._local.servers:
            for other, twin in self._state.twins.get((self._cug.name, name), _NO_TWINS).items():
                if (twin.server, twin.tag) == (self._server.name, tag):
                    return vnic_group_id(GroupKind.TWIN, self._state.fabric.servers[name].attach[0].port, other)
        return None

    def _way(self, tag: int) -> tuple[Action, ...]:
        return to_port(self._state, self._cug, self._server, tag)

    def _everybody(self) -> tuple[Action, ...]:
        """To every vNIC that hears, for one that does not."""
        if self._follows_deep_groups or len(self.hearing) == 1:
            return horizon.all_on(self._port, self.hearing)
        # It has no list of its own, so it takes that of one that hears, and this one as well.
        first = self.hearing[0]
        return (ToGroup(horizon.others_id(self._port, first)), *out(IN_PORT, first))

    def _from_neighbour(self, tag: int, others: tuple[Action, ...]) -> Iterator[Flow]:
        """Yield a broadcast of a vNIC: to its neighbours on the cable, and to all members elsewhere."""
        twin = self._twin_here(tag)
        flood = (ToGroup(twin),) if twin is not None else flood_from(self._state, self._cug, self._local, self._server)
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
        tags.update(was, now)  # one that hears alone has no neighbour to speak to
    elif len(now) > 1 and after.fabric.switches[after.fabric.servers[server].switch].dialect is not Dialect.OPENVSWITCH:
        tags.update(was, now)
    nodes = {number for tag in changed for tags_there in (was, now) for number in horizon.touched(tags_there, tag)}
    return tags, nodes
