"""Drops for frames of a tree at ports that are not in the tree, where backup paths are installed.

There a switch knows a segment's frames on links of its backup paths too, before any are sent over them. So that frames cross
a link only when the switches at both its ends use it, which keeps every mixture of switches free of loops, those that come over
a link which is not in their tree are dropped here. It is one flow for each port and tree, however many segments there are.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_vmmob.flows.flow import Flow, match
from ryu_vmmob.flows.pipeline import TREE, Priority, Table
from ryu_vmmob.model.state import State


def closed(state: State, at: str) -> Iterator[Flow]:
    """Yield the flows that drop what comes over a link outside its tree; at an edge what is routed to it ends before."""
    for number in range(len(state.backups)):
        around = _around(state, number, at)
        for link in state.fabric.links_of[at]:
            if link.far_end(at).switch not in around:
                fields = match(in_port=link.end_at(at).port, metadata=TREE.of(1 + number))
                yield Flow(Table.BRIDGE, Priority.OVERRIDING, fields)


def _around(state: State, number: int, at: str) -> set[str]:
    """Neighbours on a tree. While another fabric file takes effect there may be several trees in place of one."""
    found: set[str] = set()
    for trees in (state.trees, state.ways):
        for tree in trees.trees[number :: len(state.backups)]:
            found.update(tree.neighbours.get(at, ()))
    return found
