"""The verdict on the packet, from the endings of its copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.net.addresses import mac_text
from ryu_vmmob.sim.network import Journey
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.trace import vlan_id
from ryu_vmmob.trace.case import Case
from ryu_vmmob.trace.hops import flow_in
from ryu_vmmob.trace.source import ExternalSource, Source, VmSource
from ryu_vmmob.trace.values import Arrival, Hop, Kind, Opinion, Router, Verdict

_MAX_PLACES: Final = 4
_TELLING: Final[tuple[Kind, ...]] = ("answered", "denied", "time_exceeded", "unreachable", "controller", "dropped")
"""Endings, the most telling first: where copies end differently, that one is the verdict."""


def arrival(case: Case, port: PortRef, packet: Packet) -> Arrival:
    """Return who takes in a copy that came out of a port."""
    state = case.state
    server = state.fabric.server_at.get(port)
    if server is None:
        external = state.fabric.external_at.get(port)
        return Arrival(port, None, external.name if external is not None else None, packet, ())
    takers = []
    for vm in sorted(state.server_vms.get(server.name, ())):
        for number, interface in enumerate(state.vms[vm].interfaces):
            same_wire = state.vnic_vlan_id(state.vms[vm], number, server.name) == vlan_id(packet)
            another = not isinstance(case.source, VmSource) or (vm, server.name) != (case.source.vm, case.source.seat.server)
            if same_wire and (packet["eth_dst"] == interface.mac or (packet.is_group_addressed and another)):
                takers.append(vm)
    return Arrival(port, server.name, None, packet, tuple(dict.fromkeys(takers)))


def verdict(
    case: Case, journey: Journey, arrivals: Sequence[Arrival], hops: Sequence[Hop], routers: Sequence[Router]
) -> Verdict:
    """Return the verdict, policies' faults and unresolved addresses apart."""
    if journey.loop:
        return Verdict("loop", "a copy came back to where it had been, and would go round for ever")
    for row in arrivals:
        if _is_back(case.source, row) and (name := _answerer(case, journey)) is not None:
            return Verdict("answered", f"{row.port.switch} answers {name}")
    ignored = {case.source.vm} if isinstance(case.source, VmSource) and journey.packet.is_group_addressed else set()
    taken = [row for row in arrivals if row.external or set(row.vms) - ignored]
    if taken:
        return Verdict("delivered", _places(taken) + _by(routers))
    ended = [hop.ending for hop in hops if hop.ending is not None]
    kind: Kind = next((kind for kind in _TELLING if any(row.kind == kind for row in ended)), "dropped")
    if arrivals and kind == "dropped":
        row = arrivals[0]
        where = f"{row.server} ({row.port}), {_tag(row.packet)}"
        return Verdict("astray", f"it came out at {where}, where no other interface takes it")
    said = list(dict.fromkeys(row.reason for row in ended if row.kind == kind))
    if kind == "dropped" and isinstance(case.source, VmSource) and not case.source.seat.sends:
        said.append(f"at this stage of its migration VM {case.source.vm} may not send at {case.source.seat.server}")
    return Verdict(kind, "; ".join(said) or "no copy came out of any port")


def with_opinion(found: Verdict, opinion: Opinion | None) -> Verdict:
    """Return the verdict with the policies that let the packet through, and with what is wrong with them."""
    if opinion is None:
        return found
    names = dict.fromkeys(name for name in (opinion.out, opinion.into) if name is not None)
    if found.kind == "delivered" and names:
        found = found._replace(reason=f"{found.reason}; allowed by policy {', '.join(names)}")
    return found if opinion.fault is None else found._replace(reason=f"{found.reason}; {opinion.fault}")


def _is_back(source: Source, row: Arrival) -> bool:
    """Whether a copy came back to the place it was sent from."""
    if isinstance(source, ExternalSource):
        return row.external == source.external.name
    return row.server == source.seat.server


def _answerer(case: Case, journey: Journey) -> str | None:
    """In whose name the packet was turned into its own answer; None when it was not."""
    flow = flow_in(journey.visits[0], Table.ANSWER)
    if flow is None or not flow.actions:
        return None
    match flow.owner:
        case Owner(OwnerKind.CUG | OwnerKind.GATEWAY, name):
            return f"as the gateway of CUG {name}"
        case Owner(OwnerKind.EXTERNAL, name):
            return f"as the router on external network {name}"
        case Owner(OwnerKind.VM, name, number):
            interface = case.state.vms[name].interfaces[int(number)]
            return f"in the name of VM {name} ({mac_text(interface.mac)})"
    return "in another's name"


def _places(rows: Sequence[Arrival]) -> str:
    texts = []
    for row in rows[:_MAX_PLACES]:
        who = f"{', '.join(row.vms)} at {row.server}" if row.server else f"external network {row.external}"
        texts.append(f"{who} ({row.port}), {_tag(row.packet)}")
    more = len(rows) - _MAX_PLACES
    return f"it reaches {'; '.join(texts)}" + (f"; and {more} more places" if more > 0 else "")


def _by(routers: Sequence[Router]) -> str:
    names = list(dict.fromkeys(row.switch for row in routers))
    return f"; routed by {', then '.join(names)}" if names else ""


def _tag(packet: Packet) -> str:
    found = vlan_id(packet)
    return "untagged" if found is None else f"VLAN-ID {found}"
