"""The presence of a segment, derived from a state: from the seats of its members and the tree that it uses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ryu_vmmob.model.presence import Local, Presence, Wire
from ryu_vmmob.model.state import State

_NOWHERE: Mapping[str, Collection[str]] = {}


def presence(state: State, cug: str) -> Presence:
    """Return where ``cug`` is present now."""
    fabric = state.fabric
    tree, way = state.trees.of_segment(cug), state.ways.of_segment(cug)
    wires: dict[str, list[Wire]] = {}
    for wire in sorted(state.occupancy.get(cug, ()), key=_order):
        wires.setdefault(fabric.servers[wire.server].switch, []).append(wire)
    receivers = state.receivers.get(cug, ())
    local = {}
    branches = tree.branches(wires)
    ways = branches if way == tree else way.branches(wires)
    ready = _ready(state, cug, wires)
    for switch in {**branches, **ways, **ready}:
        here = tuple(wires.get(switch, ()))
        flooded = frozenset(
            wire for wire in here if wire in receivers and (fabric.servers[wire.server].tagged or len(state.wires[wire]) == 1)
        )
        around = tuple(sorted(branches.get(switch, ())))
        local[switch] = Local(
            around, tuple(sorted(ways.get(switch, ()))), here, flooded, bool(here), tuple(sorted(ready.get(switch, ())))
        )
    return Presence(cug, tree, way, frozenset(wires), local)


def _ready(state: State, segment: str, edges: Iterable[str]) -> Mapping[str, Collection[str]]:
    backup = state.backup_of(segment)
    return backup.around(edges) if backup is not None else _NOWHERE


def _order(wire: Wire) -> tuple[str, int]:
    return wire.server, wire.guest_vlan_id or 0


def routed_presence(state: State, routing_domain: str) -> Presence | None:
    """Return where the routed segment is present now; None while no CUG of the routing domain has a member.

    Its ends are the edges that host such CUGs, and those with an external network. It carries nothing that is broadcast.
    """
    seats = state.routed_seats.get(routing_domain)
    if not seats:
        return None
    segment = state.routing_domains[routing_domain].segment
    outside = (row.attach.switch for row in state.fabric.externals.values() if row.routing_domain == routing_domain)
    edges = frozenset([*seats, *outside])
    way = state.ways.of_segment(segment)
    local = {}
    branches, ready = way.branches(edges), _ready(state, segment, edges)
    for switch in {**branches, **ready}:
        ways = tuple(sorted(branches.get(switch, ())))
        local[switch] = Local(ways, ways, (), frozenset(), switch in edges, tuple(sorted(ready.get(switch, ()))))
    return Presence(segment, way, way, edges, local)
