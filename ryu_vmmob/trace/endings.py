"""Endings: why a packet went no further than one switch, as a kind and a sentence with the switch and the table."""

from __future__ import annotations

from typing import Final

from ryu_vmmob.flows.flow import Flow, ToGroup, show_match
from ryu_vmmob.flows.owner import EVERY_SWITCH, OwnerKind
from ryu_vmmob.flows.pipeline import GroupKind, Table, group_parts
from ryu_vmmob.flows.router import router_mac
from ryu_vmmob.model.decision import decide
from ryu_vmmob.net.addresses import mac, mac_text
from ryu_vmmob.sim.network import Visit
from ryu_vmmob.sim.switch import TableVisit
from ryu_vmmob.sim.trace import outlets
from ryu_vmmob.trace.admission import refused
from ryu_vmmob.trace.case import Case, described
from ryu_vmmob.trace.handed import handed_over, used_up
from ryu_vmmob.trace.hops import asks_controller, came_via
from ryu_vmmob.trace.opinion import named
from ryu_vmmob.trace.outlook import obstacle
from ryu_vmmob.trace.values import Verdict

_NOT_FOUND: Final = {
    Table.BRIDGE: "the segment has no such destination here",
    Table.DELIVER: "no interface of the segment with this destination is at this switch",
}
"""What it means that a table wants nothing of a packet. A table that is not here is explained by its purpose."""
_KINDS: Final = {
    OwnerKind.VM: "VM",
    OwnerKind.ROUTE: "VM",
    OwnerKind.CUG: "CUG",
    OwnerKind.GATEWAY: "CUG",
    OwnerKind.ROUTING_DOMAIN: "routing domain",
    OwnerKind.EXTERNAL: "external network",
    OwnerKind.POLICY: "policy",
}
"""The objects of the compiler in words."""
_BACK: Final = "it leads only back"
_MAX_NAMED: Final = 5


def ending(case: Case, visit: Visit) -> Verdict | None:
    """Return what the switch made of the packet instead of passing it on; None when a copy got further."""
    exits = outlets(case.network, visit)
    if any(row.fault is None for row in exits):
        return None
    path = visit.result.path
    # Of what is handed up the table before says why: PUNT has a flow for each port.
    last = path[-2] if path[-1].table is Table.PUNT and len(path) > 1 else path[-1]
    if last.table is Table.REFUSE and len(path) > 1:
        return _placed(visit, path[-2], refused(case, visit, path[-2]))
    if asks_controller(last.flow):
        return _placed(visit, last, handed_over(case, visit, last))
    if ends_unwanted(last):
        return _placed(visit, last, _unwanted(case, visit, last))
    return _lost(case, visit, [row.fault for row in exits if row.fault is not None])


def ends_unwanted(step: TableVisit) -> bool:
    """Whether the packet ended in this table without anything being done for it."""
    return step.flow is None or not (step.flow.actions or step.flow.goto)


def _placed(visit: Visit, step: TableVisit, found: Verdict) -> Verdict:
    return found._replace(reason=f"{visit.switch}, table {step.table.label}: {found.reason}")


def _unwanted(case: Case, visit: Visit, step: TableVisit) -> Verdict:
    if step.table in (Table.INGRESS, Table.ADMIT):
        return refused(case, visit, step)
    if step.flow is not None and step.table in (Table.POLICY_OUT, Table.POLICY_IN):
        return _denied(case, step.flow)
    if step.table is Table.ROUTE:
        return Verdict("dropped", _not_routed(case, visit, step))
    flow = step.flow
    if flow is not None and flow.match:
        return Verdict("dropped", f"a flow{_whose(flow)} drops it ({show_match(flow.match)})")
    text = _NOT_FOUND.get(step.table, f"no flow takes this packet ({step.table.purpose})")
    return Verdict("dropped", text + (_astray_mac(case, visit) if step.table is Table.BRIDGE else ""))


def _whose(flow: Flow) -> str:
    owner = flow.owner
    kind = _KINDS.get(owner.kind)
    return f" of {kind} {owner.name}" if kind else f" of {owner}" if str(owner) else ""


def _astray_mac(case: Case, visit: Visit) -> str:
    """Return whose MAC it is that the segment does not have."""
    wanted = case.packet["eth_dst"]
    if wanted == mac(case.state.fabric.gateway_mac):
        return "; the gateway takes IP, and ARP and neighbour discovery for its own addresses, and nothing else"
    if wanted == router_mac(case.state, visit.switch):
        return f"; {obstacle(case) or 'what is sent to a router comes from outside or over a routed segment'}"
    for (cug, its), vm in case.state.macs.items():
        if its == wanted:
            return f"; {mac_text(wanted)} is VM {vm}'s in CUG {cug}, and a MAC reaches only inside its CUG"
    return ""


def _denied(case: Case, flow: Flow) -> Verdict:
    sender, receiver, name = case.sender, case.receiver, named(flow)
    if sender is None or receiver is None:
        return Verdict("denied", f"a flow{_whose(flow)} drops it ({show_match(flow.match)})")
    hindered = obstacle(case)
    besides = f"; besides, {hindered}" if hindered is not None else ""
    ends = f"{case.what} from {described(case.state, sender)} to {described(case.state, receiver)}"
    if name is not None:
        policy = case.state.policies.get(name)
        rank = f" (priority {policy.priority})" if policy is not None else ""
        return Verdict("denied", f"policy {name}{rank} denies {ends}; to allow it, change that policy or overrule it{besides}")
    decision = decide(case.state, sender, receiver, case.traffic)
    if decision.allowed and decision.policy is not None and hindered is not None:
        return Verdict("dropped", f"{hindered}; policy {decision.policy}, which allows it, is not in force here")
    if case.gateway is not None:
        own = f"{receiver.address} is the gateway of CUG {case.gateway.name}"
        return Verdict("dropped", f"{own}, which answers pings and listens to nothing else")
    if sender.cug is not None and sender.cug == receiver.cug:
        own = f"{receiver.address} is in the sender's own CUG {sender.cug}"
        return Verdict("dropped", f"{own}: a packet for it goes to its own MAC, and not to the gateway's")
    if case.domain is None:
        return Verdict("dropped", f"{hindered}; give it one, and put a policy that allows {ends}")
    return Verdict("denied", f"no policy allows {ends}; put one that does{besides}")


def _not_routed(case: Case, visit: Visit, step: TableVisit) -> str:
    flow, receiver = step.flow, case.receiver
    if flow is not None and flow.owner == EVERY_SWITCH and flow.match:
        return f"no router forwards such a packet ({show_match(flow.match)})"
    if came_via(visit):
        where = f"for {receiver.address}" if receiver is not None else "for this packet"
        return f"{where} another edge routed it here, where no host has it; a packet from the routed segment goes no further"
    if case.domain is None:
        return f"{obstacle(case)}; give it one"
    return f"no flow takes this packet ({step.table.purpose})"


def _lost(case: Case, visit: Visit, faults: list[str]) -> Verdict:
    """Flows had something in mind for it, and it came to nothing."""
    last = visit.result.path[-1]
    if "its TTL is used up" in visit.result.lost:
        return _placed(visit, last, used_up(case, visit))
    said = [*map(_in_words, visit.result.lost), *faults]
    groups = [row.group for row in (last.flow.actions if last.flow else ()) if isinstance(row, ToGroup)]
    if groups and not faults and not any(text.startswith(_BACK) for text in said):
        said = [f"no link that is up leads on{_towards(case, groups)}"]
    down = sorted(case.network.links_down)
    more = f" and {len(down) - _MAX_NAMED} more" if len(down) > _MAX_NAMED else ""
    hint = f"; down: {', '.join(down[:_MAX_NAMED])}{more}" if down else ""
    return _placed(visit, last, Verdict("dropped", "; ".join(dict.fromkeys(said)) + hint))


def _towards(case: Case, groups: list[int]) -> str:
    names = {key: name for name, key in case.state.switch_keys.items()}
    parts = [group_parts(number) for number in groups]
    edges = [names[row[2]] for row in parts if row is not None and row[0] is GroupKind.NEXT_HOP and row[2] in names]
    return f" to {', '.join(edges)}" if edges else ""


def _in_words(text: str) -> str:
    """Return what the simulated switch says of a copy it lost, for people."""
    return f"{_BACK} to where it came from" if text.startswith("output to ingress port") else text
