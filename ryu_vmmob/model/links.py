"""Commands on links that go down or come back, and the second step of a change of trees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ryu_vmmob.fabric.trees import build_trees
from ryu_vmmob.model.draft import Draft
from ryu_vmmob.model.tree_steps import turn, use_trees


@dataclass(frozen=True, slots=True)
class LinksChanged:
    """The links that are down now. Trees shrink to what old and new have in common; `SettleTrees` follows.

    Broadcasts must not meet a mixture of two trees, so they wait for the second step. Unicast frames go the new way at once:
    where a tree changes by one edge, old and new next hops lie on one ring, and a frame that a switch would send back the way
    it came is not sent; so it goes on in one direction until it is there, or is dropped, and never circles. That holds for
    frames with one place to go to: while a VM is moving, or ``calm`` is False (a switch may still have the flows of a move),
    unicast frames wait as well.
    """

    down: frozenset[str]
    calm: bool = True


@dataclass(frozen=True, slots=True)
class SettleTrees:
    """Every switch has acknowledged the shrinking: grow to the new trees."""


def links_changed(draft: Draft, command: LinksChanged) -> None:
    """Carry out `LinksChanged`. A domain without a free VLAN-ID starves a segment and refuses nothing."""
    state = draft.state
    if command.down == state.links_down:
        return
    for name in sorted(command.down - state.links_down):
        draft.event("link.down", link=name)
    for name in sorted(state.links_down - command.down):
        draft.event("link.up", link=name)
    # A failed link is a fact: a full domain starves a segment there instead of refusing.
    draft.strict = False
    draft.state = replace(state, links_down=command.down)
    turn(draft, build_trees(state.fabric, command.down), calm=command.calm)


def settle_trees(draft: Draft, command: SettleTrees) -> None:
    """Carry out `SettleTrees`."""
    draft.state = replace(draft.state, trees_settled=True, trees_shrunk=0)
    target = build_trees(draft.state.fabric, draft.state.links_down)
    draft.strict = False
    use_trees(draft, target, target)


HANDLERS: Final[Mapping[type, Callable[..., None]]] = {
    LinksChanged: links_changed,
    SettleTrees: settle_trees,
}
