"""Events of a change: objects created, changed and deleted, and segments extended and pruned.

Found by comparing the state before with the one after, for what was touched only. So no command can forget to tell.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.objects import Vm, routed_segment
from ryu_vmmob.model.presence import Presence, domains
from ryu_vmmob.model.state import State

_EMPTY: Mapping[int, object] = {}


class Event(NamedTuple):
    """Something an operator would ask about: ``kind`` as in ``migration.prepared``, and its particulars."""

    kind: str
    data: dict[str, Any]


def objects_news(
    before: State,
    after: State,
    cugs: Collection[str],
    vms: Collection[str],
    policies: Collection[str],
    routing_domains: Collection[str],
    breath: Breath,
) -> Iterator[Event]:
    """Objects that were created, changed or deleted, among those that were touched."""
    for name in breath.through(sorted(routing_domains)):
        if (name in before.routing_domains) != (name in after.routing_domains):
            made = name in after.routing_domains
            yield Event("routing_domain.created" if made else "routing_domain.deleted", {"routing_domain": name})
    for name in breath.through(sorted(cugs)):
        yield from _object("cug", name, _revision(before.cugs, name), _revision(after.cugs, name))
    for name in breath.through(sorted(vms)):
        old, new = before.vms.get(name), after.vms.get(name)
        # The steps of a move write the VM too: that is news of the VM only where it makes the VM another one, or elsewhere.
        is_news = old is None or new is None or (old.server, old.interfaces) != (new.server, new.interfaces)
        if is_news:
            where = {} if new is None else {"server": new.server}
            yield from _object("vm", name, _revision(before.vms, name), _revision(after.vms, name), **where)
    for name in breath.through(sorted(policies)):
        yield from _object("policy", name, _revision(before.policies, name), _revision(after.policies, name))


def _revision(objects: Mapping[str, Any], name: str) -> int | None:
    found = objects.get(name)
    return None if found is None else found.revision


def _object(kind: str, name: str, before: int | None, after: int | None, **more: object) -> Iterator[Event]:
    data = {kind: name, **more}
    if before is None and after is not None:
        yield Event(f"{kind}.created", data)
    elif before is not None and after is None:
        yield Event(f"{kind}.deleted", data)
    elif before != after:
        yield Event(f"{kind}.changed", data)


def presence_news(
    before: State, after: State, cugs: Collection[str], routing_domains: Collection[str], breath: Breath
) -> Iterator[Event]:
    """Edges, L2 domains and data centres that a segment came to (extension), and those that it left (pruning)."""
    segments = [("cug", name, name) for name in sorted(cugs)]
    segments += [("routing_domain", name, routed_segment(name)) for name in sorted(routing_domains)]
    for kind, name, segment in breath.through(segments):
        old, new = before.presences.get(segment), after.presences.get(segment)
        if old is new and before.fabric is after.fabric:
            continue
        was, is_now = _places(before, old), _places(after, new)
        for word, here, there in (("presence.extended", is_now, was), ("presence.pruned", was, is_now)):
            places = {key: sorted(here[key] - there[key]) for key in here}
            if any(places.values()):
                yield Event(word, {kind: name, **places})


def _places(state: State, found: Presence | None) -> dict[str, frozenset[str]]:
    if found is None:
        return {"edges": frozenset(), "l2_domains": frozenset(), "data_centers": frozenset()}
    switches = state.fabric.switches
    centers = (switches[edge].data_center for edge in found.edges)
    return {
        "edges": found.edges,
        "l2_domains": domains(state.fabric, found),
        "data_centers": frozenset(center for center in centers if center is not None),
    }


def vnic_news(before: State, after: State, vms: Collection[str], breath: Breath) -> Iterator[Event]:
    """VLAN-IDs that vNICs got, or gave back, on the cables of servers with tagging per interface."""
    for name in breath.through(sorted(vms)):
        old, new = (_numbers(state.vms.get(name)) for state in (before, after))
        for word, rows, others in (("released", old, new), ("allocated", new, old)):
            for cug, server in sorted(pair for pair, vlan_id in rows.items() if others.get(pair) != vlan_id):
                yield Event(f"vlan_id.{word}", {"vm": name, "cug": cug, "server": server, "vlan_id": rows[cug, server]})


def _numbers(vm: Vm | None) -> dict[tuple[str, str], int]:
    """(CUG, server) -> the number of that interface of a VM; a guest's own tag is none of ours."""
    if vm is None:
        return {}
    return {
        (interface.cug, server): vlan_id
        for server, row in vm.vlan_ids.items()
        for interface, vlan_id in zip(vm.interfaces, row, strict=True)
        if interface.guest_vlan_id is None
    }


def freed_news(
    before: State,
    after: State,
    quarantined: Collection[tuple[str, int]],
    rested: Collection[tuple[str, int]],
    breath: Breath,
) -> Iterator[Event]:
    """VLAN-IDs whose quarantine has ended: others may have them now. What was touched is as `Change` has it."""
    for server, vlan_id in breath.through(sorted(rested)):
        ended = (server, vlan_id) in before.resting and (server, vlan_id) not in after.resting
        if ended and vlan_id not in after.cables.get(server, _EMPTY):
            yield Event("vlan_id.free", {"server": server, "vlan_id": vlan_id})
    for domain, key in breath.through(sorted(quarantined)):
        row = before.quarantine.get((domain, key))
        if row is not None and (domain, key) not in after.quarantine and (domain, row.vlan_id) not in after.holders:
            yield Event("vlan_id.free", {"l2_domain": domain, "vlan_id": row.vlan_id})
