"""``/v1/trace``."""

from __future__ import annotations

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.rest.bodies import TraceBody
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.fabric_views import flow_view
from ryu_vmmob.rest.routing import Route
from ryu_vmmob.rest.views import View
from ryu_vmmob.sim.network import Network, Visit
from ryu_vmmob.sim.switch import Step
from ryu_vmmob.sim.trace import outlets, reasons, vlan_id
from ryu_vmmob.trace import Source, Trace, trace


def post_trace(call: Call) -> Answer:
    """The way of a packet through the desired flows; changes nothing."""
    engine = call.engine
    return Answer(200, trace_view(engine, trace(engine.state, engine.desired.tables, call.body.question())))


def trace_view(engine: Engine, found: Trace) -> View:
    """A trace; ``not_in_step`` are the switches on the way that have not confirmed everything they were told."""
    visits = found.journey.visits if found.journey is not None else []
    names = list(dict.fromkeys(visit.switch for visit in visits))
    return {
        "verdict": found.verdict.kind,
        "reason": found.verdict.reason,
        "from": _source(found.source),
        "packet": str(found.packet),
        "deliveries": [
            {
                "server": row.server,
                "external": row.external,
                "port": str(row.port),
                "vlan_id": vlan_id(row.packet),
                "vms": list(row.vms),
            }
            for row in found.arrivals
        ],
        "hops": [_hop(found.network, visit) for visit in visits],
        "copies_to_controller": len(found.journey.controller) if found.journey is not None else 0,
        "not_in_step": [name for name in names if not engine.switch_status(name).in_step],
        "revision": engine.state.revision,
    }


def _source(source: Source) -> View:
    return {
        "vm": source.vm,
        "interface": source.number,
        "cug": source.interface.cug,
        "server": source.seat.server,
        "port": str(source.port) if source.port is not None else None,
        "vlan_id": source.vlan_id,
    }


def _hop(network: Network, visit: Visit) -> View:
    return {
        "switch": visit.switch,
        "in_port": visit.in_port,
        "vlan_id": vlan_id(visit.packet),
        "tables": [_table(step) for step in visit.result.path],
        "outputs": [
            {
                "port": row.port,
                "to": row.to,
                "link": row.link,
                "l2_domain": row.l2_domain,
                "vlan_id": vlan_id(row.packet),
                "dropped": row.fault,
            }
            for row in outlets(network, visit)
        ],
        "dropped": "; ".join(reasons(network, visit)) or None,
    }


def _table(step: Step) -> View:
    if step.flow is not None:
        return flow_view(step.flow)
    nothing = dict.fromkeys(("priority", "match", "actions", "cookie", "owner"))
    return {"table": step.table.label, **nothing}


ROUTES = (Route("POST", "/v1/trace", post_trace, body=TraceBody),)
