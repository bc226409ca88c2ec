"""What the controller makes of a packet that a switch hands to it."""

from __future__ import annotations

from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.decision import Party
from ryu_vmmob.model.objects import Address
from ryu_vmmob.sim.network import Visit
from ryu_vmmob.sim.switch import Step
from ryu_vmmob.trace.case import Case
from ryu_vmmob.trace.hops import speaker
from ryu_vmmob.trace.outlook import obstacle
from ryu_vmmob.trace.values import Verdict


def handed_over(case: Case, visit: Visit, step: Step) -> Verdict:
    """``step`` is the last one, whose flow did it."""
    if step.table is Table.ANSWER:
        return Verdict("answered", "the controller answers for this switch")
    receiver = case.receiver
    if step.table not in (Table.GATEWAY, Table.ROUTE) or receiver is None:
        return Verdict("controller", "it is handed to the controller, which decides what becomes of it")
    told = _told(speaker(case, visit))
    if _is_own(case, visit, receiver.address):
        if case.is_ping:
            return Verdict("answered", f"the controller answers as {receiver.address}")
        return Verdict("unreachable", f"{receiver.address} is the router's own, which listens on no port; {told}")
    if step.table is Table.GATEWAY:
        return Verdict("time_exceeded", f"its TTL is used up; {told}")
    if _is_asked_for(case, visit, receiver):
        unknown = f"{receiver.address} is on the wire there and not known yet"
        return Verdict("controller", f"{unknown}: the controller asks for it; once it has answered, packets get through")
    return Verdict("unreachable", f"{obstacle(case) or 'nothing leads there'}; {told}")


def _told(address: Address | None) -> str:
    return f"{address} tells the sender so" if address is not None else "nobody tells the sender"


def _is_asked_for(case: Case, visit: Visit, receiver: Party) -> bool:
    """Whether a member sends to somebody on the wire of an external network here."""
    wires = (row.network for external in case.externals_at(visit.switch) for row in external.addresses)
    inside = case.sender is not None and case.sender.cug is not None
    return inside and receiver.cug is None and any(receiver.address in network for network in wires)


def _is_own(case: Case, visit: Visit, address: Address) -> bool:
    """Whether an address is a gateway's, or this edge's own on an external network."""
    mine = any(address == row.ip for external in case.externals_at(visit.switch) for row in external.addresses)
    return mine or case.gateway is not None
