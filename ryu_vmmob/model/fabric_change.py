"""Replacement of the fabric under the running state, after a reload of the fabric file.

No VM moves: what is in use may not be removed (`fabric_refusals`), so no index has to be built again. Links that
are new count as down until their switches say that they are up, and links that go were down a moment before; so trees go from
the old ones to the new ones by the same two steps as when cables fail and come back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ryu_vmmob.fabric.backup import build_backups
from ryu_vmmob.fabric.difference import Difference, compare
from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.fabric.trees import Adjacency, Trees, build_trees
from ryu_vmmob.model.cables import with_resting
from ryu_vmmob.model.draft import Draft
from ryu_vmmob.model.fabric_refusals import Replacement, refusals
from ryu_vmmob.model.objects import routed_segment
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import State, with_keys
from ryu_vmmob.model.tree_steps import turn, use_trees


@dataclass(frozen=True, slots=True)
class FabricLoaded:
    """The fabric file was read: presence and VLAN-IDs of every CUG are derived again."""


@dataclass(frozen=True, slots=True)
class FabricReplaced:
    """The fabric file as it is now. ``connected``: switches that are; ``calm``: as in `links.LinksChanged`."""

    fabric: Fabric
    connected: Collection[str] = ()
    calm: bool = True


def load_fabric(draft: Draft, command: FabricLoaded) -> None:
    """Carry out `FabricLoaded`."""
    draft.strict = False
    draft.cugs.update(draft.state.occupancy)
    draft.routing_domains.update(draft.state.routing_domains)


def replace_fabric(draft: Draft, command: FabricReplaced) -> None:
    """Carry out `FabricReplaced`. Raises Refusal 409 with everything that is in use, or when an L2 domain is full."""
    state, new = draft.state, command.fabric
    difference = compare(state.fabric, new)
    if not difference:
        return
    after = _moved(state, difference, new)
    trees_before = state.trees
    target = after.trees
    if _shape_changed(difference):
        trees_before = build_trees(state.fabric, state.links_down)
        target = build_trees(new, after.links_down)
    faults = refusals(Replacement(state, after, difference, trees_before, target, command.connected))
    if faults:
        detail = "; ".join(f"{fault.path}: {fault.message}" for fault in faults)
        raise Refusal(409, "the fabric is in use", detail, tuple(faults))
    draft.state = after
    draft.neighbours.update(key for key in state.neighbours if key not in after.neighbours)
    draft.quarantined.update(pair for pair in state.quarantine if pair not in after.quarantine)
    draft.rested.update(pair for pair in state.resting if pair not in after.resting)
    _touch(draft, state, difference)
    if _shape_changed(difference):
        _refuse_full(draft, target)
        turn(draft, target, calm=command.calm)
    draft.event(
        "fabric.reloaded",
        added={kind: list(names) for kind, names in difference.added.items()},
        removed={kind: list(names) for kind, names in difference.removed.items()},
        changed={kind: list(rows) for kind, rows in difference.changed.items()},
        top=list(difference.top),
    )


def _shape_changed(difference: Difference) -> bool:
    """Whether trees may differ."""
    return "backup_paths" in difference.top or bool(
        {"switches", "links"} & (difference.added.keys() | difference.removed.keys())
        or difference.altered("switches", "role", "data_center")
    )


def _moved(state: State, difference: Difference, new: Fabric) -> State:
    """Return the state on the new fabric, trees and presence apart."""
    names = new.link_by_name
    down = frozenset(name for name in state.links_down if name in names) | frozenset(difference.added.get("links", ()))
    quarantine, holders = state.quarantine, state.holders
    for (domain, key), row in state.quarantine.items():
        if domain not in new.l2_domains or row.vlan_id not in new.l2_domains[domain].vlan_ids:
            quarantine, holders = quarantine.delete((domain, key)), holders.delete((domain, row.vlan_id))
    resting = state.resting
    for name, vlan_id in state.resting:
        if name not in new.servers or not new.servers[name].per_interface:
            resting = resting.delete((name, vlan_id))
    if resting is not state.resting:
        state = with_resting(state, resting)
    neighbours = state.neighbours
    for external, address in state.neighbours:
        found = new.externals.get(external)
        if found is None or not any(address.version == its.version and address in its.network for its in found.addresses):
            neighbours = neighbours.delete((external, address))
    return replace(
        state,
        fabric=new,
        links_down=down if down != state.links_down else state.links_down,
        externals_down=state.externals_down & frozenset(new.externals),
        neighbours=neighbours,
        quarantine=quarantine,
        holders=holders,
        switch_keys=with_keys(state.switch_keys, new),
        backups=build_backups(new) if _shape_changed(difference) else state.backups,
    )


def _touch(draft: Draft, before: State, difference: Difference) -> None:
    """Name every segment whose flows depend on what differs."""
    state = draft.state
    whole = set(_renumbered(before, state))
    changed = {name for rows in (difference.added, difference.removed) for name in rows.get("externals", ())}
    changed.update(difference.altered("externals"))
    for fabric in (before.fabric, state.fabric):
        domains = {row.routing_domain for name in changed if (row := fabric.externals.get(name)) is not None}
        whole.update(routed_segment(name) for name in domains if name in state.routing_domains)
    again = whole.union(_over(before, _adjacencies(before, state, difference)))
    if len(before.backups) != len(state.backups):
        again.update(before.presences)  # which tree a frame is on stands in its metadata
    if difference.altered("switches", "l4_masks"):
        draft.policies.update(state.policies)
    draft.rebuilt.update(again)
    draft.whole.update(whole)
    elsewhere = before.presences if before.backups != state.backups else ()
    for segment in again | {name for name, _ in before.starved} | set(elsewhere):
        found = state.segment(segment)
        if found is not None:
            (draft.cugs if segment == found.name else draft.routing_domains).add(found.name)


def _adjacencies(before: State, after: State, difference: Difference) -> set[Adjacency]:
    """Neighbours between which links came or went; those whose last link went, or that had none, are for the trees."""
    names = (
        *difference.added.get("links", ()), *difference.removed.get("links", ()), *difference.altered("links")
    )  # fmt: skip
    found: set[Adjacency] = set()
    for fabric in (before.fabric, after.fabric):
        for name in names:
            if (link := fabric.link_by_name.get(name)) is not None:
                low, high = sorted((link.a.switch, link.b.switch))
                found.add((low, high))
    return found


def _over(state: State, pairs: Collection[Adjacency]) -> Iterator[str]:
    """Segments that are on a link between such neighbours."""
    for segment, found in state.presences.items() if pairs else ():
        if any(one in found.local and other in found.local[one].known for one, other in pairs):
            yield segment


def _renumbered(before: State, after: State) -> Iterator[str]:
    """CUGs at a server whose groups have another number now, because servers came or went at its switch."""
    moved = {
        name
        for name, server in before.fabric.servers.items()
        if (len(server.attach) > 1 or server.per_interface)
        and name in before.server_vms
        and before.fabric.servers_of[server.switch].index(server)
        != next(number for number, row in enumerate(after.fabric.servers_of[server.switch]) if row.name == name)
    }
    for wire, row in before.wires.items() if moved else ():
        if wire.server in moved:
            yield from row


def _refuse_full(draft: Draft, target: Trees) -> None:
    """Raise Refusal when, once the trees have settled, an L2 domain would have no VLAN-ID left for a segment."""
    trial = Draft(draft.before, draft.now)
    trial.state = draft.state
    trial.cugs, trial.routing_domains = set(draft.cugs), set(draft.routing_domains)
    use_trees(trial, target, target)
    trial.settle()


HANDLERS: Final[Mapping[type, Callable[..., None]]] = {
    FabricLoaded: load_fabric,
    FabricReplaced: replace_fabric,
}
