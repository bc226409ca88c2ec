"""Routing domains and the outside: what may be in one of them, and what is heard of external networks (R9, R11)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ryu_vmmob.model.draft import Draft
from ryu_vmmob.model.objects import Address, Cug
from ryu_vmmob.model.refusal import conflict, not_found
from ryu_vmmob.model.state import State


@dataclass(frozen=True, slots=True)
class NeighbourHeard:
    """A host outside answers for ``address``; ``mac`` None: none does any more."""

    external: str
    address: Address
    mac: int | None


@dataclass(frozen=True, slots=True)
class ExternalsChanged:
    """The external networks whose port has no live cable now."""

    down: frozenset[str]


def refuse_overlaps(state: State, cug: Cug) -> None:
    """409 when a subnet of ``cug`` overlaps another CUG's of its routing domain, or a network outside on its wire (R9).

    In one routing domain an address says who is meant. In different ones the same addresses may be used.
    """
    name = cug.routing_domain
    if name is None:
        return
    held = state.prefixes.get(name)
    for subnet in cug.subnets if held is not None else ():
        other = held.overlapping(subnet, cug.name) if held is not None else None
        if other is not None:
            text = f"R9: {subnet} overlaps {other.prefix} of CUG {other.cug!r}, and both are in routing domain {name!r}"
            raise conflict(text)
    for external in state.fabric.externals.values():
        for prefix in external.prefixes if external.routing_domain == name else ():
            for subnet in cug.subnets:
                if subnet.version == prefix.version and prefix.prefixlen >= subnet.prefixlen and prefix.overlaps(subnet):
                    raise conflict(
                        f"R9: {prefix} of external network {external.name!r} lies in {subnet}, "
                        f"and both are in routing domain {name!r}"
                    )
        for address in external.addresses if external.routing_domain == name else ():
            for subnet in cug.subnets:
                if subnet.version == address.version and subnet.overlaps(address.network):
                    raise conflict(
                        f"R9: {subnet} overlaps {address.network} of external network {external.name!r}, "
                        f"and both are in routing domain {name!r}"
                    )


def refuse_while_moving(state: State, old: Cug, new: Cug) -> None:
    """409 when a CUG would change its routing domain under a VM that is moving: the move was planned in the old one."""
    if old.routing_domain == new.routing_domain:
        return
    for member in state.members.get(old.name, ()):
        vm = state.vms[member.vm]
        if vm.migration is not None:
            raise conflict(f"CUG {old.name!r} cannot change its routing domain while VM {vm.name!r} moves ({vm.migration})")


def neighbour_heard(draft: Draft, command: NeighbourHeard) -> None:
    """Carry out `NeighbourHeard`. Raises Refusal 404."""
    if command.external not in draft.state.fabric.externals:
        raise not_found("external network", command.external)
    if draft.state.neighbours.get((command.external, command.address)) == command.mac:
        return
    draft.put_neighbour(command.external, command.address, command.mac)
    kind = "neighbour.lost" if command.mac is None else "neighbour.found"
    draft.event(kind, external=command.external, address=str(command.address))


def externals_changed(draft: Draft, command: ExternalsChanged) -> None:
    """Carry out `ExternalsChanged`."""
    state = draft.state
    for name in sorted(command.down ^ state.externals_down):
        draft.event("external.down" if name in command.down else "external.up", external=name)
        draft.routing_domains.add(state.fabric.externals[name].routing_domain)
    draft.state = replace(state, externals_down=command.down) if command.down != state.externals_down else state


HANDLERS: Final[Mapping[type, Callable[..., None]]] = {
    NeighbourHeard: neighbour_heard,
    ExternalsChanged: externals_changed,
}
