"""The fabric's few spanning trees, everything bridged runs on one of them.

A tree is the minimum spanning tree of the adjacencies that are up, under weights that depend on the fabric alone: the
distance from the tree's root in each data centre, links between data centres last, ties broken by name. So

- with nothing down it is a breadth-first tree of each data centre (in a leaf-spine fabric its paths are shortest paths),
  and traffic inside one stays inside;
- it is a function of the present links, not of the road taken to them;
- one adjacency lost or back changes exactly one edge of it, the smallest change there can be.

Parallel links between two switches are one adjacency. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from math import lcm
from typing import Final

import networkx as nx

from ryu_vmmob.fabric.model import BackupPaths, Fabric, Role

_ABOVE: Final = {Role.SPINE: 0, Role.BORDER: 1, Role.TOR: 2}

MAX_TREES = 4
"""More trees spread the load better and cost nothing per move."""

Adjacency = tuple[str, str]
"""Two neighbouring switches, in alphabetical order."""


def adjacency(one: str, other: str) -> Adjacency:
    """Two neighbours as the key of what lies between them."""
    return (one, other) if one < other else (other, one)


def tree_number(segment: str, count: int) -> int:
    """Return which of ``count`` trees a segment uses: a hash of its name, so that it stays the same."""
    return int.from_bytes(blake2b(segment.encode(), digest_size=4).digest(), "big") % count


@dataclass(frozen=True)
class Tree:
    """A spanning forest: ``edges`` are adjacencies. Next hops are found from intervals of a depth-first numbering.

    Two trees with the same edges are the same tree: switches that hang on none of them lead nowhere.
    """

    root: str = field(compare=False)
    edges: frozenset[Adjacency]
    nodes: frozenset[str] = field(compare=False)

    @cached_property
    def neighbours(self) -> Mapping[str, tuple[str, ...]]:
        """Neighbours of each switch in the tree, by name."""
        found: dict[str, list[str]] = {node: [] for node in self.nodes}
        for one, other in self.edges:
            found[one].append(other)
            found[other].append(one)
        return {node: tuple(sorted(around)) for node, around in found.items()}

    @cached_property
    def _numbering(self) -> tuple[dict[str, str | None], dict[str, tuple[int, int]], dict[str, int]]:
        """(parent, first and last number of the part below, component) of each node."""
        parent: dict[str, str | None] = {}
        span: dict[str, tuple[int, int]] = {}
        component: dict[str, int] = {}
        counter = 0
        for part, start in enumerate([self.root, *sorted(self.nodes - {self.root})]):
            if start in parent:
                continue
            parent[start] = None
            stack: list[tuple[str, bool]] = [(start, False)]
            entered: dict[str, int] = {}
            while stack:
                node, done = stack.pop()
                if done:
                    span[node] = (entered[node], counter - 1)
                    continue
                entered[node] = counter
                component[node] = part
                counter += 1
                stack.append((node, True))
                for neighbour in self.neighbours[node]:
                    if neighbour != parent[node]:
                        parent[neighbour] = node
                        stack.append((neighbour, False))
        return parent, span, component

    def parent(self, at: str) -> str | None:
        """Return the neighbour of ``at`` on the way to the root; None at the root, and at that of a part that is cut off."""
        return self._numbering[0][at]

    def next_hop(self, at: str, to: str) -> str | None:
        """Return the neighbour of ``at`` on the path to ``to``; None when it is there already or cut off."""
        parent, span, component = self._numbering
        if at == to or component[at] != component[to]:
            return None
        first, last = span[at]
        number = span[to][0]
        if not first <= number <= last:
            return parent[at]
        for neighbour in self.neighbours[at]:
            low, high = span[neighbour]
            if neighbour != parent[at] and low <= number <= high:
                return neighbour
        raise AssertionError(f"numbering of {self.root}'s tree is broken at {at}")

    def joined(self, ends: Iterable[str]) -> list[frozenset[str]]:
        """Return ``ends`` that can reach each other, together."""
        component = self._numbering[2]
        found: dict[int, set[str]] = {}
        for end in ends:
            found.setdefault(component[end], set()).add(end)
        return [frozenset(part) for part in found.values()]

    def path(self, at: str, to: str) -> list[str]:
        """Return the switches on the path between two, both included; empty when there is none."""
        found = [at]
        while at != to:
            step = self.next_hop(at, to)
            if step is None:
                return []
            found.append(at := step)
        return found

    def distance(self, at: str, to: str) -> int | None:
        """Links on the path between two switches; None when there is none."""
        found = self.path(at, to)
        return len(found) - 1 if found else None

    def branches(self, ends: Iterable[str]) -> dict[str, set[str]]:
        """Return the smallest part of the tree that joins ``ends``: switch -> its neighbours in it. Every end has an entry."""
        parent, _, component = self._numbering
        ends = set(ends)
        below: dict[str, int] = {}
        wanted: dict[int, int] = {}
        for end in ends:
            wanted[component[end]] = wanted.get(component[end], 0) + 1
            node: str | None = end
            while node is not None:
                below[node] = below.get(node, 0) + 1
                node = parent[node]
        found: dict[str, set[str]] = {end: set() for end in ends}
        for node, count in below.items():
            above = parent[node]
            # The edge to the parent is needed when ends lie on both sides of it.
            if above is not None and count < wanted[component[node]]:
                found.setdefault(node, set()).add(above)
                found.setdefault(above, set()).add(node)
        return found


@dataclass(frozen=True)
class Trees:
    """The trees of a fabric in one state of its links."""

    trees: tuple[Tree, ...]

    def number_of(self, segment: str) -> int:
        """Return which tree a segment uses for everything bridged (`tree_number`)."""
        return tree_number(segment, len(self.trees))

    def of_segment(self, segment: str) -> Tree:
        """Return the tree of a segment."""
        return self.trees[self.number_of(segment)]

    def beside(self, other: Trees) -> list[tuple[Tree, Tree]]:
        """Yield the tree that a segment has here and the one it has there, for every pair in which segments can have them.

        Another fabric may have another number of trees; what `number_of` makes of the pairs' number tells both.
        """
        count = lcm(len(self.trees), len(other.trees))
        return [(self.trees[number % len(self.trees)], other.trees[number % len(other.trees)]) for number in range(count)]

    def common(self, other: Trees) -> Trees:
        """Return the edges both have: the state between two trees, loop free whichever switches have already changed.

        ``other`` itself where every segment's tree there lies in the one it has here.
        """
        pairs = self.beside(other)
        if all(two.edges <= one.edges for one, two in pairs):
            return other
        return Trees(tuple(Tree(two.root, one.edges & two.edges, two.nodes) for one, two in pairs))


def roots(fabric: Fabric) -> tuple[Mapping[str | None, str], ...]:
    """For each tree, its root in every data centre: one of the spines there, or else borders, or else any switch.

    There are as many trees as the data centre with the most choice has roots, at most MAX_TREES.
    """
    choices: dict[str | None, list[str]] = {}
    for center in sorted({switch.data_center for switch in fabric.switches.values()}, key=str):
        by_role: dict[Role, list[str]] = {}
        for name, switch in sorted(fabric.switches.items()):
            if switch.data_center == center:
                by_role.setdefault(switch.role, []).append(name)
        choices[center] = next(by_role[role] for role in (Role.SPINE, Role.BORDER, Role.TOR) if role in by_role)
    count = min(MAX_TREES, max(map(len, choices.values()), default=0))
    return tuple({center: names[number % len(names)] for center, names in choices.items()} for number in range(count))


def build_trees(fabric: Fabric, links_down: frozenset[str] = frozenset()) -> Trees:
    """Return the trees of ``fabric`` without the links named in ``links_down``."""
    pairs = fabric.links_between
    alive = [pair for pair, links in pairs.items() if any(link.name not in links_down for link in links)]
    return Trees(
        tuple(
            spanning(fabric, next(iter(of_centers.values())), sorted(alive, key=preference(fabric, of_centers, number)))
            for number, of_centers in enumerate(roots(fabric))
        )
    )


def spanning(fabric: Fabric, root: str, preferred: Iterable[Adjacency]) -> Tree:
    """Return the spanning forest of these adjacencies that takes each as early in their order as it can."""
    present: nx.Graph[str] = nx.Graph()
    present.add_nodes_from(fabric.switches)
    present.add_weighted_edges_from((*pair, rank) for rank, pair in enumerate(preferred))
    edges = frozenset(adjacency(*edge) for edge in nx.minimum_spanning_edges(present, data=False))
    return Tree(root, edges, frozenset(fabric.switches))


def preference(
    fabric: Fabric, of_centers: Mapping[str | None, str], number: int
) -> Callable[[Adjacency], tuple[bool, int, bytes, bytes]]:
    """Return the order in which adjacencies are preferred: inside a data centre before between two, near the root before far.

    So no traffic between two racks of a data centre leaves it while a path inside exists. With backup paths installed, racks
    that lose their path go over to the same spine, so that few switches need be ready. Independent of what is down.
    """
    center = {name: switch.data_center for name, switch in fabric.switches.items()}
    inside: nx.Graph[str] = nx.Graph()
    inside.add_nodes_from(fabric.switches)
    inside.add_edges_from(pair for pair in fabric.links_between if center[pair[0]] == center[pair[1]])
    far = len(fabric.switches)
    distance = dict.fromkeys(fabric.switches, far)
    for root in of_centers.values():
        distance.update(nx.single_source_shortest_path_length(inside, root))

    installed = fabric.backup_paths is BackupPaths.INSTALLED

    def weight(pair: Adjacency) -> tuple[bool, int, bytes, bytes]:
        one, other = pair
        crosses = center[one] != center[other]
        near = distance[one] + distance[other] if crosses else min(distance[one], distance[other])
        # Spreads equal choices over the neighbours, the same on every run.
        tie = blake2b(f"{number} {one} {other}".encode(), digest_size=8).digest()
        upper = min(pair, key=lambda name: (_ABOVE[fabric.switches[name].role], name))
        together = blake2b(f"{number} {upper}".encode(), digest_size=8).digest() if installed else b""
        return crosses, near, together, tie

    return weight
