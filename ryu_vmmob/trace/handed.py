"""What the controller would do with a packet that a switch punts."""

from __future__ import annotations

from ryu_vmmob.fabric.model import External
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.decision import Party
from ryu_vmmob.model.objects import Address
from ryu_vmmob.punt.errors import names_host
from ryu_vmmob.sim.network import Visit
from ryu_vmmob.sim.packet import ROUTER_SOLICITATION
from ryu_vmmob.sim.switch import TableVisit
from ryu_vmmob.trace.case import Case
from ryu_vmmob.trace.hops import speaker
from ryu_vmmob.trace.outlook import obstacle
from ryu_vmmob.trace.values import Verdict


def handed_over(case: Case, visit: Visit, step: TableVisit) -> Verdict:
    """``step`` is the last one, whose flow did it."""
    if step.table is Table.ANSWER:
        return Verdict("answered", _answer(case))
    receiver = case.receiver
    if step.table not in (Table.GATEWAY, Table.ROUTE) or receiver is None:
        return Verdict("controller", "it is handed to the controller, which decides what becomes of it")
    told = _told(speaker(case, visit))
    if _is_own(case, visit, receiver.address):
        if case.is_ping:
            return Verdict("answered", f"the controller answers as {receiver.address}")
        closed = f"{receiver.address} is the router's own, which listens on no port"
        own = None if case.traffic.fragment == "later" else receiver.address
        return Verdict("unreachable", f"{closed}; {_told(own)}")
    if step.table is Table.GATEWAY:
        return used_up(case, visit)
    wire = _wire(case, visit, receiver)
    if wire is not None:
        return _asked_for(wire, receiver.address)
    return Verdict("unreachable", f"{obstacle(case) or 'nothing leads there'}; {told}")


def used_up(case: Case, visit: Visit) -> Verdict:
    """Return the verdict on a packet whose time is over at this router."""
    return Verdict("time_exceeded", f"its TTL is used up; {_told(speaker(case, visit))}")


def _answer(case: Case) -> str:
    """Return what the controller answers in the switch's place."""
    if case.packet.get("icmpv6_type") != ROUTER_SOLICITATION or case.sender is None or case.sender.cug is None:
        return "the controller answers for this switch"
    leads = "" if case.domain is not None else ", which leads nowhere and says so: the CUG is in no routing domain"
    return f"the controller answers with a router advertisement of the gateway of CUG {case.sender.cug}{leads}"


def _told(address: Address | None) -> str:
    return f"{address} tells the sender so" if address is not None else "no router informs the sender"


def _wire(case: Case, visit: Visit, receiver: Party) -> External | None:
    """Return the external network here on whose own wire a member's packet was to end."""
    if receiver.cug is not None or case.sender is None or case.sender.cug is None:
        return None
    for external in case.externals_at(visit.switch):
        if any(receiver.address in row.network for row in external.addresses):
            return external
    return None


def _asked_for(wire: External, address: Address) -> Verdict:
    """Return the verdict of a packet for a host on an external wire that has not answered yet."""
    if not names_host(address, wire):
        return Verdict("dropped", f"{address} can be no host's on external network {wire.name}; no router informs the sender")
    later = "the controller asks for it; once it has answered, packets get through"
    return Verdict("controller", f"{address} is on the wire of external network {wire.name} and not known yet: {later}")


def _is_own(case: Case, visit: Visit, address: Address) -> bool:
    """Whether an address is a gateway's, or this edge's own on an external network."""
    mine = any(address == row.ip for external in case.externals_at(visit.switch) for row in external.addresses)
    return mine or case.gateway is not None
