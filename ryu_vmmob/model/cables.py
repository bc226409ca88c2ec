"""VLAN-IDs of vNICs on the cables of servers with tagging per interface (R12, R20, R24, R27, R28).

Such a server is a trivial L2 domain of its own, so a number has no meaning but on its cable. An interface takes, in this order:
its guest's own tag, its pin, the number it had there a moment ago, the number it has where it is now, and else one that is
rare in the whole fabric. So numbers seldom meet, and most moves change no tag.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import replace
from zlib import crc32

from immutables import Map

from ryu_vmmob.fabric.model import Server
from ryu_vmmob.model.objects import Interface, Vm
from ryu_vmmob.model.refusal import conflict
from ryu_vmmob.model.state import Claim, Resting, State

_NOBODY: Map[int, Claim] = Map()


def number(state: State, vm: Vm, servers: frozenset[str], now: float) -> tuple[State, Vm]:
    """Give ``vm`` VLAN-IDs on the cables of exactly ``servers``; those it no longer needs rest.

    Raises Refusal 409 when a number that it must have is another's there, or none is left.
    """
    wanted = frozenset(name for name in servers if state.fabric.servers[name].per_interface)
    if vm.vlan_ids.keys() == wanted:
        return state, vm
    kept = {name: row for name, row in vm.vlan_ids.items() if name in wanted}
    for name in sorted(vm.vlan_ids.keys() - wanted):
        state = _rest(state, vm, name, now)
    for name in sorted(wanted - kept.keys()):
        server = state.fabric.servers[name]
        row: list[int] = []
        for position, interface in enumerate(vm.interfaces):
            chosen = _choose(state, vm, position, server, row)
            row.append(chosen)
            state = _woken(state, name, chosen, vm.name, interface.cug)
        kept[name] = tuple(row)
    return state, replace(vm, vlan_ids=kept)


def _rest(state: State, vm: Vm, server: str, now: float) -> State:
    """Keep the numbers of a VM that leaves a cable from others for a while. A guest's own tag is not ours to keep."""
    for interface, vlan_id in zip(vm.interfaces, vm.vlan_ids[server], strict=True):
        if interface.guest_vlan_id is None:
            state = with_rest(state, server, vlan_id, Resting(vm.name, interface.cug, now, state.revision))
    return state


def with_rest(state: State, server: str, vlan_id: int, row: Resting) -> State:
    """Return the state with a number on a cable at rest for an interface."""
    resting = state.resting.set((server, vlan_id), row)
    key = server, row.vm, row.cug
    numbers = (*state.rested.get(key, ()), vlan_id)
    ordered = tuple(sorted(numbers, key=lambda its: (resting[server, its].revision, its)))
    return replace(state, resting=resting, rested=state.rested.set(key, ordered))


def _woken(state: State, server: str, vlan_id: int, vm: str, cug: str) -> State:
    """Take an interface's number on a cable out of its rest. Others that rest for it still do."""
    if (server, vlan_id) not in state.resting:
        return state
    numbers = tuple(its for its in state.rested[server, vm, cug] if its != vlan_id)
    key = server, vm, cug
    rested = state.rested.set(key, numbers) if numbers else state.rested.delete(key)
    return replace(state, resting=state.resting.delete((server, vlan_id)), rested=rested)


def with_resting(state: State, resting: Map[tuple[str, int], Resting]) -> State:
    """Return the state with exactly these numbers at rest."""
    rested: dict[tuple[str, str, str], list[int]] = {}
    for (server, vlan_id), row in sorted(resting.items(), key=lambda its: (its[1].revision, its[0])):
        rested.setdefault((server, row.vm, row.cug), []).append(vlan_id)
    return replace(state, resting=resting, rested=Map({key: tuple(numbers) for key, numbers in rested.items()}))


def _choose(state: State, vm: Vm, position: int, server: Server, taken: list[int]) -> int:
    interface = vm.interfaces[position]
    if interface.guest_vlan_id is not None:
        return _guests_own(state, vm, interface, interface.guest_vlan_id, server, taken)
    if interface.vlan_id is not None:
        return _pinned(state, vm, interface, interface.vlan_id, server, taken)
    for wanted in _familiar(state, vm, position, server.name):
        if may_get(server, wanted) and wanted not in taken and is_free(state, server.name, wanted, vm.name, interface.cug):
            return wanted
    found = _rare(state, vm.name, interface.cug, server, taken)
    if found is None:
        resting = sum(1 for name, _ in state.resting if name == server.name)
        raise conflict(
            f"R28: server {server.name!r} has no free VLAN-ID for VM {vm.name!r} in CUG {interface.cug!r}: "
            f"all {len(server.vlan_ids)} are in use or at rest ({resting})",
            "no VLAN-ID free",
        )
    return found


def may_get(server: Server, vlan_id: int) -> bool:
    """Whether the fabric file lets vNICs have a number on the server's cable."""
    place = bisect_left(server.vlan_ids, vlan_id)
    return place < len(server.vlan_ids) and server.vlan_ids[place] == vlan_id


def is_free(state: State, server: str, vlan_id: int, vm: str, cug: str) -> bool:
    """Whether an interface may have a number on a cable: no other interface has it, and it rests for no other."""
    return vlan_id not in state.cables.get(server, _NOBODY) and not _rests_for_another(state, server, vlan_id, vm, cug)


def _rests_for_another(state: State, server: str, vlan_id: int, vm: str, cug: str) -> bool:
    resting = state.resting.get((server, vlan_id))
    return resting is not None and (resting.vm, resting.cug) != (vm, cug)


def _familiar(state: State, vm: Vm, position: int, server: str) -> Iterator[int]:
    """Return what the interface had on this cable a moment ago, and what it has where it is now."""
    yield from reversed(state.rested.get((server, vm.name, vm.interfaces[position].cug), ()))
    for name in (vm.server, *vm.vlan_ids):
        if name in vm.vlan_ids:
            yield vm.vlan_ids[name][position]


def _rare(state: State, vm: str, cug: str, server: Server, taken: list[int]) -> int | None:
    """Return a free number that no more interfaces of the whole fabric have than the average; None when none is free.

    Numbers that guests tag with, or that interfaces are pinned to, come last: they are needed wherever those go (R27).
    """
    numbers = server.vlan_ids
    average = state.vnics_in_all // len(numbers)
    start = crc32(f"{vm}/{cug}".encode()) % len(numbers)
    common = reserved = None
    for step in range(len(numbers)):
        vlan_id = numbers[(start + step) % len(numbers)]
        if vlan_id in taken or not is_free(state, server.name, vlan_id, vm, cug):
            continue
        if vlan_id in state.reserved:
            reserved = reserved or vlan_id
        elif state.vnic_counts.get(vlan_id, 0) <= average:
            return vlan_id
        else:
            common = common or vlan_id
    return common or reserved


def _guests_own(state: State, vm: Vm, interface: Interface, tag: int, server: Server, taken: list[int]) -> int:
    """Return the tag that a guest sends itself: only guests of its CUG may have the same one there (R24, R28)."""
    claim = state.cables.get(server.name, _NOBODY).get(tag)
    whose = f"VLAN-ID {tag} is the own tag of VM {vm.name!r} in CUG {interface.cug!r}, but at server {server.name!r}"
    if claim is not None and (claim.cug != interface.cug or not claim.guests):
        raise conflict(f"R24, R28: {whose} a vNIC in CUG {claim.cug!r} has it", "a guest's own tag")
    if tag in taken:
        raise conflict(f"R24, R28: {whose} another of its interfaces has it", "a guest's own tag")
    if _rests_for_another(state, server.name, tag, vm.name, interface.cug):
        raise conflict(f"R24, R28: {whose} another vNIC had it until a moment ago", "a guest's own tag")
    return tag


def _pinned(state: State, vm: Vm, interface: Interface, pin: int, server: Server, taken: list[int]) -> int:
    whose = f"VM {vm.name!r} is pinned to VLAN-ID {pin} in CUG {interface.cug!r}, but at server {server.name!r}"
    if not may_get(server, pin):
        raise conflict(f"R27: {whose} it is not among those that vNICs may get", "a pinned VLAN-ID")
    if pin in taken or pin in state.cables.get(server.name, _NOBODY):
        raise conflict(f"R27, R28: {whose} another vNIC has it", "a pinned VLAN-ID")
    if _rests_for_another(state, server.name, pin, vm.name, interface.cug):
        raise conflict(f"R27, R28: {whose} another vNIC had it until a moment ago", "a pinned VLAN-ID")
    return pin


def wake(state: State, now: float, seconds: float, acknowledged: Mapping[str, int]) -> tuple[State, list[tuple[str, int]]]:
    """End the rest of the numbers that have had ``seconds`` of it, where the server's switch is past their release.

    Which these were, as (server, VLAN-ID), is told as well.
    """
    over = []
    for (server, vlan_id), row in state.resting.items():
        found = state.fabric.servers.get(server)
        if found is None or (now - row.since >= seconds and acknowledged.get(found.switch, -1) >= row.revision):
            over.append((server, vlan_id, row))
    for server, vlan_id, row in over:
        state = _woken(state, server, vlan_id, row.vm, row.cug)
    return state, [(server, vlan_id) for server, vlan_id, _ in over]


def refuse_other_tag(state: State, vm: Vm, server: str) -> None:
    """409 (R27) when a pinned interface would have another tag at a server, or none. ``state`` has VLAN-IDs given out."""
    for position, interface in enumerate(vm.interfaces):
        tag = state.vnic_vlan_id(vm, position, server)
        if interface.vlan_id is not None and tag != interface.vlan_id:
            has = f"it would have VLAN-ID {tag}" if tag is not None else "it would have none"
            raise conflict(
                f"R27: VM {vm.name!r} is pinned to VLAN-ID {interface.vlan_id} in CUG {interface.cug!r}, "
                f"and at server {server!r} {has}",
                "a pinned VLAN-ID",
            )
