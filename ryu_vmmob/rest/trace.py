"""``/v1/trace``."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.fleet import Refused
from ryu_vmmob.flows.flow import ToGroup
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.fabric_views import flow_view
from ryu_vmmob.rest.owners import refused_view
from ryu_vmmob.rest.routing import Route
from ryu_vmmob.rest.trace_bodies import TraceBody
from ryu_vmmob.rest.views import View
from ryu_vmmob.sim.network import Network
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.switch import Step
from ryu_vmmob.sim.trace import outlets, vlan_id
from ryu_vmmob.trace import Hop, Opinion, Router, Source, Trace, VmSource, trace


def post_trace(call: Call) -> Answer:
    """The way of a packet through the desired flows; changes nothing."""
    engine = call.engine
    return Answer(200, trace_view(engine, trace(engine.state, engine.desired.tables, call.body.question())))


def trace_view(engine: Engine, found: Trace) -> View:
    """A trace; ``not_in_step`` are the switches on the way that have not confirmed everything they were told.

    ``refused``: flows on the way that a switch refused or does not keep, so that the packet may fare otherwise there.
    """
    names = list(dict.fromkeys(hop.visit.switch for hop in found.hops))
    refused = list(_refused(engine, found))
    doubts = "".join(f"; but switch {row.switch} does not have a flow on this way: {row.fault.error}" for row in refused[:1])
    return {
        "verdict": found.verdict.kind,
        "reason": f"{found.verdict.reason}{doubts}",
        "from": _source(found.source),
        "packet": str(found.packet),
        "policy": _policy(found.policy),
        "routers": [_router(row) for row in found.routers],
        "deliveries": [
            {
                "server": row.server,
                "external": row.external,
                "port": str(row.port),
                "vlan_id": vlan_id(row.packet),
                "ttl": _ttl(row.packet),
                "vms": list(row.vms),
            }
            for row in found.arrivals
        ],
        "hops": [_hop(found.network, hop) for hop in found.hops],
        "local_switching": _local_switching(found),
        "copies_to_controller": len(found.journey.controller) if found.journey is not None else 0,
        "not_in_step": [name for name in names if not engine.switch_status(name).in_step],
        "refused": refused_view(refused),
        "revision": engine.state.revision,
    }


def _refused(engine: Engine, found: Trace) -> Iterator[Refused]:
    """What the switches on the way have refused of the flows and groups that the packet meets there."""
    told = set[tuple[str, int]]()
    for hop in found.hops:
        name = hop.visit.switch
        met = {step.flow.cookie for step in hop.visit.result.path if step.flow is not None}
        met.update(_groups_met(engine, name, hop))
        for fault in engine.fleet.faults(name):
            if fault.about in met and (name, fault.about) not in told:
                told.add((name, fault.about))
                yield Refused(name, fault)


def _groups_met(engine: Engine, switch: str, hop: Hop) -> set[int]:
    """The groups that the flows of a hop lead to, and those that these lead to."""
    tables = engine.desired.tables.get(switch)
    flows = [step.flow for step in hop.visit.result.path if step.flow is not None]
    left = [action.group for flow in flows for action in flow.actions if isinstance(action, ToGroup)]
    found = set[int]()
    while left:
        number = left.pop()
        if number not in found:
            found.add(number)
            group = tables.groups.get(number) if tables is not None else None
            left.extend(group.refers_to if group is not None else ())
    return found


def _source(source: Source) -> View:
    where = {"port": str(source.port) if source.port is not None else None, "vlan_id": source.vlan_id}
    if not isinstance(source, VmSource):
        return {"external": source.external.name, "routing_domain": source.external.routing_domain, **where}
    return {
        "vm": source.vm,
        "interface": source.number,
        "cug": source.interface.cug,
        "server": source.seat.server,
        **where,
    }


def _local_switching(found: Trace) -> View | None:
    if not found.neighbours or not isinstance(found.source, VmSource):
        return None
    return {"server": found.source.seat.server, "vms": list(found.neighbours)}


def _policy(found: Opinion | None) -> View | None:
    return {"out": found.out, "in": found.into, "allowed": found.allowed} if found is not None else None


def _router(found: Router) -> View:
    return {"switch": found.switch, "address": str(found.address) if found.address is not None else None}


def _hop(network: Network, hop: Hop) -> View:
    visit = hop.visit
    return {
        "switch": visit.switch,
        "in_port": visit.in_port,
        "vlan_id": vlan_id(visit.packet),
        "segment": hop.segment,
        "ttl": _ttl(visit.packet),
        "packet": str(visit.packet),
        "tables": [_table(step) for step in visit.result.path],
        "routed": {"from": hop.routed.segment, "to": list(hop.routed.onto)} if hop.routed is not None else None,
        "outputs": [
            {
                "port": row.port,
                "to": row.to,
                "link": row.link,
                "l2_domain": row.l2_domain,
                "vlan_id": vlan_id(row.packet),
                "ttl": _ttl(row.packet),
                "dropped": row.fault,
            }
            for row in outlets(network, visit)
        ],
        "ended": hop.ending.kind if hop.ending is not None else None,
        "dropped": hop.ending.reason if hop.ending is not None else None,
    }


def _ttl(packet: Packet) -> int | None:
    """TTL or hop limit; None when it is no IP packet."""
    return packet.fields.get("nw_ttl")


def _table(step: Step) -> View:
    if step.flow is not None:
        return flow_view(step.flow)
    nothing = dict.fromkeys(("priority", "match", "actions", "cookie", "owner"))
    return {"table": step.table.label, **nothing}


ROUTES = (Route("POST", "/v1/trace", post_trace, body=TraceBody, question=True),)
