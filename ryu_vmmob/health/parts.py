"""The parts that a fabric falls into when links are down."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

import networkx as nx

from ryu_vmmob.fabric.model import Fabric

_NAMED: Final = 3
"""So many names stand in a sentence; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Part:
    """Edges that reach each other and no other. ``data_centers``: those all of whose edges are here."""

    data_centers: tuple[str, ...]
    edges: tuple[str, ...]
    rest: tuple[str, ...]
    """The edges that are of none of ``data_centers``."""

    def __str__(self) -> str:
        return named((*self.data_centers, *self.rest))


def named(names: Iterable[str]) -> str:
    """Return the first names, and how many more there are."""
    rows = list(names)
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return ", ".join(rows[:_NAMED]) + more


def split(fabric: Fabric, down: Collection[str]) -> tuple[Part, ...]:
    """Return the parts of a fabric that the links named in ``down`` have cut asunder, the largest first; empty when they have
    not.

    Edges that no link of the fabric file joins were never one, and are no parts. A switch that is away still forwards.
    """
    if not down:
        return ()
    whole: nx.Graph[str] = nx.Graph()
    whole.add_nodes_from(fabric.switches)
    alive = whole.copy()
    whole.add_edges_from((link.a.switch, link.b.switch) for link in fabric.links)
    alive.add_edges_from((link.a.switch, link.b.switch) for link in fabric.links if link.name not in down)
    edges = {name for name, row in fabric.switches.items() if row.role.is_edge}
    before = [found for row in nx.connected_components(whole) if (found := edges & row)]
    after = [found for row in nx.connected_components(alive) if (found := edges & row)]
    parts = [_part(fabric, row) for row in after if row not in before]
    return tuple(sorted(parts, key=lambda row: (-len(row.edges), row.edges)))


def part_of(parts: Iterable[Part], switch: str) -> Part | None:
    """Return the part that an edge is in; None: it reaches all that it ever did."""
    return next((row for row in parts if switch in row.edges), None)


def _part(fabric: Fabric, edges: Collection[str]) -> Part:
    centers = {fabric.switches[name].data_center for name in edges} - {None}
    outside = {row.data_center for name, row in fabric.switches.items() if row.role.is_edge and name not in edges}
    whole = tuple(sorted(name for name in centers if name is not None and name not in outside))
    rest = tuple(sorted(name for name in edges if fabric.switches[name].data_center not in whole))
    return Part(whole, tuple(sorted(edges)), rest)
