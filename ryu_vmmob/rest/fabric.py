"""``/v1/fabric`` and ``/v1/switches``."""

from __future__ import annotations

from ryu_vmmob.fabric.model import Switch
from ryu_vmmob.flows.pipeline import TABLES
from ryu_vmmob.model.refusal import conflict, not_found
from ryu_vmmob.rest.bodies import Empty
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.fabric_views import fabric_view, flow_view, group_view, switch_view
from ryu_vmmob.rest.problems import bad_query
from ryu_vmmob.rest.routing import Route


def get_fabric(call: Call) -> Answer:
    """The fabric as it is loaded."""
    return Answer(200, fabric_view(call.engine.state))


def list_switches(call: Call) -> Answer:
    """Every switch, by name."""
    switches = sorted(call.engine.state.fabric.switches.items())
    return Answer(200, {"items": [switch_view(call.engine, switch) for _, switch in switches]})


def get_switch(call: Call) -> Answer:
    """One switch."""
    return Answer(200, switch_view(call.engine, _named(call)))


def list_flows(call: Call) -> Answer:
    """Desired flows in the order a frame meets them: all, or those of ``?table``; and the desired groups."""
    switch = _named(call)
    table = call.query.get("table")
    if table is not None and table not in {row.label for row in TABLES}:
        raise bad_query("table", f"must be one of {', '.join(row.label for row in TABLES)}")
    flows = [flow for flow in call.engine.desired.flows(switch.name) if table in (None, flow.table.label)]
    flows.sort(key=lambda flow: (flow.table.id, -flow.priority, flow.key))
    groups = sorted(call.engine.desired.groups(switch.name), key=lambda group: group.id)
    return Answer(200, {"items": [flow_view(flow) for flow in flows], "groups": [group_view(group) for group in groups]})


def take_over(call: Call) -> Answer:
    """Take over a switch: one that this store has never met may be put right, whatever it has."""
    switch = _named(call)
    call.engine.take_over(switch.name)
    return Answer(200, switch_view(call.engine, switch))


def audit_switch(call: Call) -> Answer:
    """Have a switch compared with what it should have, soon. It is done when its ``audits`` is ``audit`` or more."""
    switch = _named(call)
    if not call.engine.fleet.ask_audit(switch.name):
        raise conflict(f"switch {switch.name!r} is not connected; it is compared when it comes back", "not connected")
    body = {"switch": switch.name, "audit": call.engine.repairs.next(switch.name)}
    return Answer(202, body, location=f"/v1/switches/{switch.name}")


def _named(call: Call) -> Switch:
    switch = call.engine.state.fabric.switches.get(call.names["switch"])
    if switch is None:
        raise not_found("switch", call.names["switch"])
    return switch


ROUTES = (
    Route("GET", "/v1/fabric", get_fabric),
    Route("GET", "/v1/switches", list_switches),
    Route("GET", "/v1/switches/{switch}", get_switch),
    Route("POST", "/v1/switches/{switch}/audit", audit_switch),
    Route("GET", "/v1/switches/{switch}/flows", list_flows, frozenset({"table"})),
    Route("POST", "/v1/switches/{switch}/take_over", take_over, body=Empty, body_required=False),
)
