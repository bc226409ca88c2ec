"""A switch on the way as a router: from which segment onto which, and by what address it is known."""

from __future__ import annotations

from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.flows.flow import Flow, Output, ToGroup, tells_controller
from ryu_vmmob.flows.pipeline import OUTSIDE, SEGMENT, VIA, Meta, Table, group_parts
from ryu_vmmob.model.objects import Address
from ryu_vmmob.model.state import State
from ryu_vmmob.punt.context import gateway_of, own_address
from ryu_vmmob.sim.network import Visit
from ryu_vmmob.trace.case import Case
from ryu_vmmob.trace.source import VmSource
from ryu_vmmob.trace.values import Routed, Router


def flow_in(visit: Visit, table: Table) -> Flow | None:
    """Return the flow that matched in a table; None when the packet missed it, or all of them there."""
    return next((step.flow for step in visit.result.path if step.table is table), None)


def asks_controller(flow: Flow | None) -> bool:
    """Whether a flow hands a copy to the controller."""
    return flow is not None and (flow.goto is Table.PUNT or any(map(tells_controller, flow.actions)))


def came_via(visit: Visit) -> bool:
    """Whether the packet came over a routed segment."""
    return bool(_written(flow_in(visit, Table.INGRESS), VIA))


def segment_of(state: State, visit: Visit) -> str | None:
    """On which segment the packet came in; None when no flow says so."""
    flow = flow_in(visit, Table.INGRESS)
    if _written(flow, OUTSIDE):
        return _external(state, PortRef(visit.switch, visit.in_port))
    return state.segment_names.get(_written(flow, SEGMENT))


def routed(state: State, visit: Visit) -> Routed | None:
    """Return what was routed here; None when nothing was."""
    flow, segment = flow_in(visit, Table.ROUTE), segment_of(state, visit)
    if flow is None or segment is None or asks_controller(flow):
        return None
    found: list[str | None] = []
    for action in flow.actions:
        if isinstance(action, ToGroup) and (parts := group_parts(action.group)) is not None:
            found.append(state.segment_names.get(parts[1]))
        elif isinstance(action, Output):
            found.append(_external(state, PortRef(visit.switch, action.port)))
    if flow.goto is not None:
        found.append(state.segment_names.get(_written(flow, SEGMENT)))
    onto = tuple(dict.fromkeys(name for name in found if name is not None))
    return Routed(segment, onto) if onto else None


def router(case: Case, visit: Visit) -> Router | None:
    """Return the switch as traceroute would show it; None when it did not take the packet as a router.

    It speaks with the address by which its listener should know it: to a member the gateway of its own CUG, behind the routed
    segment the gateway of the CUG where the packet was to end, at an exit and to the outside its own address there.
    """
    flow, receiver = flow_in(visit, Table.GATEWAY), case.receiver
    if receiver is None or flow is None or not (flow.goto is Table.ROUTE or asks_controller(flow)):
        return None
    return Router(visit.switch, speaker(case, visit))


def speaker(case: Case, visit: Visit) -> Address | None:
    """Return the address with which a switch would tell the sender that its packet came to nothing; None: it would
    keep silent.
    """
    receiver = case.receiver
    if receiver is None or case.traffic.fragment == "later":
        return None  # RFC 1812, 4.3.2.7: an ICMP error answers the first fragment of a datagram only
    version = receiver.address.version
    if not came_via(visit):
        if isinstance(case.source, VmSource):
            return gateway_of(case.state.cugs[case.source.interface.cug], version)
        return own_address(case.source.external, version)
    if not _finds_back(case, visit.switch):
        return None
    if receiver.cug is not None:
        return gateway_of(case.state.cugs[receiver.cug], version)
    exit_ = case.exit(visit.switch, receiver.address)
    if exit_ is None or exit_.external.attach.switch != visit.switch:
        return None
    return own_address(exit_.external, version)


def _finds_back(case: Case, switch: str) -> bool:
    """Whether a switch behind the routed segment knows a way to the sender."""
    sender = case.sender
    if sender is None or sender.cug is not None:
        return sender is not None
    exit_ = case.exit(switch, sender.address)
    return exit_ is not None and (exit_.external.name, exit_.hop or sender.address) in case.state.neighbours


def _written(flow: Flow | None, meta: Meta) -> int:
    """Return what a flow writes to a field of the metadata; 0 when it writes nothing there."""
    return 0 if flow is None or flow.metadata is None else meta.read(flow.metadata[0])


def _external(state: State, port: PortRef) -> str | None:
    external = state.fabric.external_at.get(port)
    return f"external:{external.name}" if external is not None else None
