"""The reason why a packet was not admitted at its port."""

from __future__ import annotations

from typing import Final

from ryu_vmmob.fabric.model import External, PortRef
from ryu_vmmob.flows.base import ETH_IP
from ryu_vmmob.flows.owner import UNOWNED, OwnerKind
from ryu_vmmob.flows.pipeline import Priority, Table
from ryu_vmmob.flows.router import router_mac
from ryu_vmmob.net.addresses import mac_text
from ryu_vmmob.sim.network import Visit
from ryu_vmmob.sim.switch import TableVisit
from ryu_vmmob.trace.case import Case
from ryu_vmmob.trace.source import ExternalSource
from ryu_vmmob.trace.values import Verdict

_UNREADABLE: Final = (
    "neighbour discovery in fragments, and IPv6 whose first fragment has no transport header, are never admitted"
    " (RFC 6980, RFC 7112)"
)
_UNKNOWN: Final = "no segment is known for this port with this VLAN-ID and source MAC"


def refused(case: Case, visit: Visit, step: TableVisit) -> Verdict:
    """``step`` is the one in INGRESS or ADMIT that did not want the packet."""
    source = case.source
    if step.flow is not None and step.table is Table.ADMIT and step.flow.priority == Priority.FRAGMENT:
        return Verdict("dropped", _UNREADABLE)
    if isinstance(source, ExternalSource) and source.external.attach == PortRef(visit.switch, visit.in_port):
        return Verdict("dropped", _from_outside(case, source.external, step))
    text = _UNKNOWN if step.table is Table.INGRESS else "no flow admits this source (anti-spoofing)"
    return Verdict("dropped", text)


def _from_outside(case: Case, external: External, step: TableVisit) -> str:
    if step.table is Table.INGRESS:
        if external.routing_domain in case.state.routing_domains:
            return _UNKNOWN
        return f"no CUG is in routing domain {external.routing_domain}, so external network {external.name} leads nowhere"
    owner = step.flow.owner if step.flow is not None and step.flow.match else UNOWNED
    sender = case.sender.address if case.sender is not None else "its source"
    if owner.kind is OwnerKind.GATEWAY:
        return f"{sender} is an address of CUG {owner.name}, and no host outside may have one (RFC 2827)"
    if owner.kind is OwnerKind.EXTERNAL:
        return f"no host out there can have the address {sender}"
    own = router_mac(case.state, external.attach.switch)
    if case.packet["eth_type"] in ETH_IP and case.packet["eth_dst"] != own:
        return f"from outside it takes only packets to its own MAC, {mac_text(own)}"
    return "beside IP it takes from outside only ARP and neighbour discovery of that network's hosts for its own addresses"
