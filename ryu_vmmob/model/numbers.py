"""Numbers that objects had elsewhere, kept for them: what was exported comes back under the same keys and VLAN-IDs.

Only wishes: a number that is not free any more, or not in the fabric, is passed over, and the object gets another. A VLAN-ID is
kept by letting it rest for its owner, as it does after a move (`allocation`, `cables`), so an unused number is free again
when its quarantine is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ryu_vmmob.model.cables import is_free, may_get, with_rest
from ryu_vmmob.model.draft import Draft
from ryu_vmmob.model.state import Quarantined, Resting

Place = tuple[str, str]
"""(segment, L2 domain)."""


@dataclass(frozen=True, slots=True)
class KeepNumbers:
    """Keep these for objects that later commands of the same change make; what is for an object that is there says nothing.

    ``keys``: of segments, by their names (1 to 65535). ``vlan_ids``: by (segment, L2 domain). ``vnics``: on the cables of
    servers with tagging per interface, by (server, VM, CUG).
    """

    keys: Mapping[str, int] = field(default_factory=dict)
    vlan_ids: Mapping[Place, int] = field(default_factory=dict)
    vnics: Mapping[tuple[str, str, str], int] = field(default_factory=dict)


def keep_numbers(draft: Draft, command: KeepNumbers) -> None:
    """Carry out `KeepNumbers`; never refused."""
    _keep_keys(draft, command)
    _keep_vlan_ids(draft, command)
    _keep_vnics(draft, command)


def _keep_keys(draft: Draft, command: KeepNumbers) -> None:
    state = draft.state
    taken = {*state.segment_names, *(key for _, key in state.quarantine)}
    for segment, key in sorted(command.keys.items()):
        if state.segment(segment) is None and key not in taken:
            taken.add(key)
            draft.wanted_keys[segment] = key


def _keep_vlan_ids(draft: Draft, command: KeepNumbers) -> None:
    state = draft.state
    quarantine, holders = state.quarantine, state.holders
    numbers = {name: frozenset(row.vlan_ids) for name, row in state.fabric.l2_domains.items()}
    for (segment, domain), vlan_id in sorted(command.vlan_ids.items()):
        draft.breath.worked()
        key, place = draft.wanted_keys.get(segment), (domain, vlan_id)
        if key is not None and vlan_id in numbers.get(domain, ()) and place not in holders and place not in state.pins:
            quarantine = quarantine.set((domain, key), Quarantined(vlan_id, draft.now, state.revision))
            holders = holders.set(place, key)
            draft.quarantined.add((domain, key))
    if quarantine is not state.quarantine:
        draft.state = replace(state, quarantine=quarantine, holders=holders)


def _keep_vnics(draft: Draft, command: KeepNumbers) -> None:
    for (server, vm, cug), vlan_id in sorted(command.vnics.items()):
        draft.breath.worked()
        state, found = draft.state, draft.state.fabric.servers.get(server)
        if vm in state.vms or found is None or not found.per_interface or not may_get(found, vlan_id):
            continue
        if (server, vlan_id) not in state.resting and is_free(state, server, vlan_id, vm, cug):
            draft.state = with_rest(state, server, vlan_id, Resting(vm, cug, draft.now, state.revision))
            draft.rested.add((server, vlan_id))


HANDLERS: Final[Mapping[type, Callable[..., None]]] = {KeepNumbers: keep_numbers}
