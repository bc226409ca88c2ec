"""Whether a path to the destination exists at all, without regard to policies."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_vmmob.fabric.model import External
from ryu_vmmob.model.objects import Address, routed_segment
from ryu_vmmob.trace.case import Case
from ryu_vmmob.trace.source import VmSource


def obstacle(case: Case) -> str | None:
    """Return why nothing leads to the destination, in a sentence; None when something does, or when it is no IP packet."""
    receiver, source = case.receiver, case.source
    if receiver is None:
        return None
    if case.domain is None and isinstance(source, VmSource):
        return f"CUG {source.interface.cug} is in no routing domain, so nothing is routed for it"
    if case.domain is not None and routed_segment(case.domain) not in case.state.presences:
        return f"no VM is in routing domain {case.domain}, so nothing is routed in it"
    if receiver.cug is not None:
        return _inside(case, receiver.cug, receiver.vm, receiver.address)
    if not isinstance(source, VmSource):
        return f"{receiver.address} is outside as well, and nothing passes from outside to outside"
    return _outside(case, receiver.address)


def _inside(case: Case, cug: str, vm: str | None, address: Address) -> str | None:
    if vm is None:
        return None if case.gateway is not None else f"no member of CUG {cug} has {address}"
    state = case.state
    card = next(row for row in state.vms[vm].interfaces if row.cug == cug)
    places = [seat.server for seat in state.seats_of(state.vms[vm]) if seat.receives]
    if not any(state.speaks(cug, state.wire(card, name)) for name in places):
        if any(state.server_vlan_id(cug, name) is not None for name in places):
            return f"VLAN-ID {card.guest_vlan_id} is VM {vm}'s own, not that of CUG {cug} where it is, and not translated there"
        domains = ", ".join(sorted({str(state.fabric.servers[name].l2_domain) for name in places}))
        return f"CUG {cug} has no VLAN-ID in L2 domain {domains}, so VM {vm} cannot be reached there"
    return None


def _outside(case: Case, address: Address) -> str | None:
    mine = (row for row in case.state.fabric.externals.values() if row.routing_domain == case.domain)
    leading = [row for row in mine if _leads(row, address)]
    if not leading:
        nowhere = f"no external network of routing domain {case.domain} leads to {address}"
        return "; ".join([nowhere, *_elsewhere(case, address)])
    faults = [fault for row in leading if (fault := _broken(case, row, address)) is not None]
    return "; ".join(faults) if len(faults) == len(leading) else None


def _elsewhere(case: Case, address: Address) -> Iterator[str]:
    """CUGs of other routing domains that have the address: a likely mistake."""
    for name, cug in sorted(case.state.cugs.items()):
        if any(address in subnet for subnet in cug.subnets):
            where = f"in routing domain {cug.routing_domain}" if cug.routing_domain is not None else "in none"
            yield f"CUG {name} has it, but is {where}, and nothing is routed between routing domains"


def _leads(external: External, address: Address) -> bool:
    return any(address in row.network for row in external.addresses) or any(address in row for row in external.prefixes)


def _broken(case: Case, external: External, address: Address) -> str | None:
    """Return why an external network that should lead to the address does not."""
    if external.name in case.state.externals_down:
        return f"external network {external.name} leads there, and its cable ({external.attach}) is down"
    if any(address in row.network for row in external.addresses):
        return None
    hops = [hop for hop in external.next_hops if hop.version == address.version]
    if any((external.name, hop) in case.state.neighbours for hop in hops):
        return None
    names = ", ".join(map(str, hops)) or "it has none"
    return f"external network {external.name} leads there, and no next hop of it answers ({names})"
