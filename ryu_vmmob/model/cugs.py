"""Commands on CUGs, and the rules of their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ryu_vmmob.model.allocation import check_pins, refuse_taken_pins
from ryu_vmmob.model.draft import Draft
from ryu_vmmob.model.membership import check_interfaces
from ryu_vmmob.model.objects import Address, Cug, Network, RaMode
from ryu_vmmob.model.refusal import conflict, invalid, not_found
from ryu_vmmob.model.routing_domains import refuse_overlaps, refuse_while_moving

_SLAAC_PREFIX: Final = 64
"""Bits of a prefix that leave room for the interface identifier of Ethernet (RFC 4862, 5.5.3 d; RFC 2464, 4)."""


@dataclass(frozen=True, slots=True)
class PutCug:
    """Create or replace a CUG. No gateways: the first host address of each subnet."""

    name: str
    subnets: tuple[Network, ...]
    gateways: tuple[Address, ...] = ()
    routing_domain: str | None = None
    pins: Mapping[str, int] = field(default_factory=dict)
    ipv6_ra_mode: RaMode | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True, slots=True)
class DeleteCug:
    """Delete a CUG that has no members."""

    name: str


def put_cug(draft: Draft, command: PutCug) -> None:
    """Carry out `PutCug`. Raises Refusal: 422 for wrong values, 409 for what another CUG or a VM has already."""
    state = draft.state
    old = state.cugs.get(command.name)
    families = [subnet.version for subnet in command.subnets]
    if not families or len(set(families)) != len(families):
        raise invalid(("subnets", "R9: one prefix per address family, and at least one"))
    gateways = command.gateways or tuple(subnet[1] for subnet in command.subnets)
    cug = Cug(
        command.name,
        old.key if old is not None else draft.new_key(command.name),
        command.subnets,
        gateways,
        command.routing_domain,
        dict(command.pins),
        ipv6_ra_mode=command.ipv6_ra_mode,
        labels=command.labels,
        description=command.description,
    )
    faults = [*_gateway_faults(cug), *_ra_mode_faults(cug), *check_pins(state, cug)]
    if faults:
        raise invalid(*faults)
    if old is not None and replace(cug, revision=old.revision) == old:
        return
    refuse_taken_pins(state, cug)
    refuse_overlaps(state, cug)
    if old is not None:
        refuse_while_moving(state, old, cug)
    if old is not None and (old.subnets, old.gateways) != (cug.subnets, cug.gateways):
        for member in state.members.get(cug.name, ()):
            check_interfaces(state, state.vms[member.vm].interfaces, {cug.name: cug}, f"vms.{member.vm}.interfaces")
    draft.put_cug(cug)


def delete_cug(draft: Draft, command: DeleteCug) -> None:
    """Carry out `DeleteCug`. Raises Refusal: 404, or 409 while it has members."""
    cug = draft.state.cugs.get(command.name)
    if cug is None:
        raise not_found("CUG", command.name)
    members = draft.state.members.get(command.name)
    if members:
        some = ", ".join(sorted({member.vm for member in members})[:5])
        raise conflict(f"CUG {command.name!r} has {len(members)} interfaces (of {some}); take the VMs away first")
    draft.drop_cug(cug)


def _gateway_faults(cug: Cug) -> list[tuple[str, str]]:
    faults = []
    for number, gateway in enumerate(cug.gateways):
        subnet = next((subnet for subnet in cug.subnets if gateway in subnet), None)
        if subnet is None:
            faults.append((f"gateways[{number}]", f"{gateway} is in none of the CUG's subnets"))
        elif gateway.version == 6 and gateway.is_link_local:
            faults.append((f"gateways[{number}]", f"{gateway} is a link-local address; the gateway has one of its own MAC"))
        elif subnet.num_addresses > 2 and gateway in (subnet[0], subnet[-1]) and gateway.version == 4:
            faults.append((f"gateways[{number}]", f"{gateway} is the network or broadcast address of {subnet}"))
    if len({gateway.version for gateway in cug.gateways}) != len(cug.gateways):
        faults.append(("gateways", "one gateway per address family"))
    return faults


def _ra_mode_faults(cug: Cug) -> list[tuple[str, str]]:
    """Return the faults of a mode that hosts could not follow (RFC 4861, RFC 4862)."""
    if cug.ipv6_ra_mode is None:
        return []
    if not any(gateway.version == 6 for gateway in cug.gateways):
        return [("ipv6_ra_mode", "only an IPv6 gateway advertises anything, and this CUG has none")]
    length = next(subnet.prefixlen for subnet in cug.subnets if subnet.version == 6)
    if cug.ipv6_ra_mode != "dhcpv6_stateful" and length != _SLAAC_PREFIX:
        said = f"RFC 4862: hosts take addresses out of a /{_SLAAC_PREFIX} by themselves, and out of no /{length}"
        return [("ipv6_ra_mode", said)]
    return []


HANDLERS: Final[Mapping[type, Callable[..., None]]] = {
    PutCug: put_cug,
    DeleteCug: delete_cug,
}
