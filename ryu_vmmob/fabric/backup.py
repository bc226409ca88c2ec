"""Backup paths: which switches and links a segment needs beside its tree when any one link, spine or border is lost.

They depend on the fabric and on the segment's edges alone, never on what is down: so what is installed there stays while links
fail and come back, and only groups change. Of each tree as it is with nothing down:

- a link lost takes one edge out of it, and one other comes in (`trees`): the segment then runs over that one, and over the part
  of the tree between its ends;
- a spine or border lost leaves the tree of the rest.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ryu_vmmob.fabric.model import BackupPaths, Fabric, Role
from ryu_vmmob.fabric.trees import Adjacency, Tree, adjacency, preference, roots, spanning


@dataclass(frozen=True)
class Backup:
    """What may take the place of one tree: ``tree`` is the tree with nothing down, ``preferred`` the fabric's adjacencies.

    ``detours``: for an edge of it, the way round by which its ends are joined when it is lost.
    """

    tree: Tree
    preferred: Sequence[Adjacency] = field(repr=False)
    detours: Mapping[Adjacency, tuple[Adjacency, ...]] = field(repr=False)
    fabric: Fabric = field(repr=False, compare=False)
    _without: dict[str, Tree] = field(default_factory=dict, repr=False, compare=False)

    def around(self, ends: Iterable[str]) -> dict[str, set[str]]:
        """Switch -> neighbours, over all paths that a segment with these edges has with nothing or any one thing lost."""
        ends = frozenset(ends)
        used = self.tree.branches(ends)
        found = {switch: set(around) for switch, around in used.items()}

        def join(pairs: Iterable[Adjacency]) -> None:
            for one, other in pairs:
                found.setdefault(one, set()).add(other)
                found.setdefault(other, set()).add(one)

        for switch, around in used.items():
            for neighbour in around:
                if switch < neighbour:
                    join(self.detours.get((switch, neighbour), ()))
        for switch, around in used.items():
            if len(around) > 1 and self.fabric.switches[switch].role is not Role.TOR:
                rest = self.without(switch).branches(ends - {switch})
                join((one, other) for one, others in rest.items() for other in others)
        return found

    def without(self, lost: str) -> Tree:
        """Return the tree when a switch is lost."""
        if lost not in self._without:
            rest = (pair for pair in self.preferred if lost not in pair)
            self._without[lost] = spanning(self.fabric, self.tree.root, rest)
        return self._without[lost]


def build_backups(fabric: Fabric) -> tuple[Backup, ...]:
    """Return a backup for each tree of the fabric; none where its backup paths are not installed."""
    if fabric.backup_paths is not BackupPaths.INSTALLED:
        return ()
    found = []
    for number, of_centers in enumerate(roots(fabric)):
        preferred = sorted(fabric.links_between, key=preference(fabric, of_centers, number))
        tree = spanning(fabric, next(iter(of_centers.values())), preferred)
        found.append(Backup(tree, preferred, dict(_detours(tree, preferred)), fabric))
    return tuple(found)


def _detours(tree: Tree, preferred: Sequence[Adjacency]) -> Iterator[tuple[Adjacency, tuple[Adjacency, ...]]]:
    """For each edge of the tree that another adjacency can stand in for: the first such one closes a circle with it, of which
    the rest is the way round.

    Adjacencies are taken in order of preference; what each is the first to close is never looked at again.
    """
    above: dict[str, str] = {}

    def open_end(switch: str) -> str:
        """Return the highest switch that is joined to this one by edges which have a detour already."""
        while switch in above:
            above[switch] = above.get(above[switch], above[switch])
            switch = above[switch]
        return switch

    for pair in preferred:
        if pair in tree.edges:
            continue
        one, other = pair
        round_ = [adjacency(*step) for step in pairwise(tree.path(one, other))] if open_end(one) != open_end(other) else []
        for edge in round_:
            upper, lower = edge if tree.parent(edge[1]) == edge[0] else (edge[1], edge[0])
            if lower not in above:
                above[lower] = upper
                yield edge, (pair, *(step for step in round_ if step != edge))
