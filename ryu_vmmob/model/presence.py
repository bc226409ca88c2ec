"""Where a segment is present, and so which switches, links and domains carry its segment (R19, R35, R37).

Presence is derived, never stored: from the seats of its members and the tree it uses. Extension and pruning are what
happens when this value changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ryu_vmmob.fabric.trees import Tree, adjacency

if TYPE_CHECKING:
    from ryu_vmmob.fabric.model import Fabric, Link


class Wire(NamedTuple):
    """The form of a CUG's frames at a server: with a guest's own tag, or (None) with the domain's."""

    server: str
    guest_vlan_id: int | None


@dataclass(frozen=True, slots=True)
class Local:
    """A segment at one switch: everything its flows there depend on, members apart.

    ``neighbours``: where its broadcasts go on. ``ways``: where its unicast frames may; the same, but for the moment in
    which links change. ``ready``: where they may go when a path fails (`fabric.backup`), whatever is down now: these may send
    frames, and nothing is sent there before. ``wires``: those of local servers with a seat, by name. ``flooded``: those of them
    that get its broadcasts. Not so where every seat is closed, nor on an untagged server where another CUG's frames look
    the same: there a broadcast could not be told apart. ``edge``: hosts the CUG, or is about to; of a routed segment:
    routes, because a CUG or an external network of the routing domain is here.
    """

    neighbours: tuple[str, ...]
    ways: tuple[str, ...]
    wires: tuple[Wire, ...]
    flooded: frozenset[Wire]
    edge: bool
    ready: tuple[str, ...] = ()

    @property
    def servers(self) -> tuple[str, ...]:
        """Local servers with a seat, by name."""
        return tuple(dict.fromkeys(wire.server for wire in self.wires))

    @property
    def around(self) -> tuple[str, ...]:
        """Neighbours between which and here the segment's frames go to and fro."""
        return self.neighbours if self.neighbours == self.ways else tuple(sorted({*self.neighbours, *self.ways}))

    @property
    def known(self) -> tuple[str, ...]:
        """Neighbours whose frames are known to be the segment's: those that may send any now, or when a path fails."""
        return tuple(sorted({*self.around, *self.ready})) if self.ready else self.around

    @property
    def standby(self) -> bool:
        """Whether the segment is ready here, and nothing of it comes this way now."""
        return bool(self.ready) and not (self.around or self.wires or self.edge)


@dataclass(frozen=True, slots=True)
class Presence:
    """A segment over the whole fabric: ``local`` has an entry for every switch that carries it.

    Broadcasts run on ``tree``, unicast frames on ``way`` (`links.LinksChanged` says when the two differ).
    """

    segment: str
    tree: Tree
    way: Tree
    edges: frozenset[str]
    local: Mapping[str, Local]


def links_of(fabric: Fabric, found: Presence, *, ready: bool = False) -> frozenset[str]:
    """Names of the links that carry the segment: exactly these (invariant 4). ``ready``: those of its backup paths as well."""
    return frozenset(link.name for link in _links(fabric, found, ready=ready))


def domains(fabric: Fabric, found: Presence, *, ready: bool = False) -> frozenset[str]:
    """L2 domains in which the segment needs a VLAN-ID: those of its links and of its tagged servers.

    ``ready``: those of links as well that it would go over when a path fails.
    """
    of_links = {link.l2_domain for link in _links(fabric, found, ready=ready)}
    of_servers = {
        domain
        for local in found.local.values()
        for server in local.servers
        if (domain := fabric.servers[server].l2_domain) is not None
    }
    return frozenset(of_links | of_servers)


def _links(fabric: Fabric, found: Presence, *, ready: bool) -> set[Link]:
    return {
        link
        for switch, local in found.local.items()
        for neighbour in (local.known if ready else local.around)
        for link in fabric.links_between[adjacency(switch, neighbour)]
    }
