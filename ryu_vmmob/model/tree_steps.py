"""A change of trees in two steps: shrink to the common part, and settle when all switches have confirmed.

`links.LinksChanged` says why.
"""

from __future__ import annotations

from dataclasses import replace

from ryu_vmmob.fabric.trees import Trees
from ryu_vmmob.model.draft import Draft
from ryu_vmmob.model.objects import routed_segment


def turn(draft: Draft, target: Trees, *, calm: bool) -> None:
    """Take the first step towards ``target``; unicast frames go there at once where that is safe. ``calm``: as in
    `LinksChanged`.
    """
    state = draft.state
    common = state.trees.common(target)
    one_edge = all(len(old.edges - new.edges) <= 1 for old, new in state.ways.beside(target))
    moving = any(not row.phase.is_final for row in state.migrations.values())
    settled = common == target
    draft.state = replace(state, trees_settled=settled, trees_shrunk=0 if settled else state.revision)
    use_trees(draft, common, target if one_edge and calm and not moving else common)


def use_trees(draft: Draft, trees: Trees, ways: Trees) -> None:
    """Every segment whose tree differs is derived again."""
    state = draft.state
    pairs = ((state.trees, trees), (state.ways, ways))
    draft.state = replace(state, trees=trees, ways=ways)
    if all(old.edges == new.edges for before, after in pairs for old, new in before.beside(after)):
        return

    def differs(segment: str) -> bool:
        return any(before.of_segment(segment).edges != after.of_segment(segment).edges for before, after in pairs)

    draft.cugs.update(name for name in state.occupancy if differs(name))
    draft.routing_domains.update(name for name in state.routed_seats if differs(routed_segment(name)))
