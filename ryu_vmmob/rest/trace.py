"""``/v1/trace``: the way of a packet as an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import Field
from typing_extensions import TypedDict

from ryu_vmmob import trace
from ryu_vmmob.engine import fleet
from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.flows.flow import ToGroup
from ryu_vmmob.rest.answers import Count, CugName, Owner, Refused, ServerName, StateRevision, SwitchName, VlanTag, VmName
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.operations import Operation
from ryu_vmmob.rest.owners import refused_view
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.says import says
from ryu_vmmob.rest.switches import TableName, flow_view
from ryu_vmmob.rest.trace_body import TraceBody
from ryu_vmmob.rest.views import View
from ryu_vmmob.sim import switch as sim
from ryu_vmmob.sim.network import Network
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.trace import outlets, vlan_id
from ryu_vmmob.trace import VmSource
from ryu_vmmob.trace.values import Kind

_Tag = Annotated[VlanTag | None, says("The VLAN-ID of the packet there, 1 to 4094. null: it has no tag.")]
_Ttl = Annotated[
    Annotated[int, Field(ge=0, le=255)] | None, says("Its TTL or hop limit there, 0 to 255. null: it is no IP packet.")
]
_Cable = Annotated[str | None, says("The switch port where it comes in, as `SWITCH:PORT`. null: no switch sees it.")]
_Packet = Annotated[str, says("The packet, as fields and values of OpenFlow.")]


class TraceVm(TypedDict):
    """The interface that sends."""

    vm: VmName
    interface: Annotated[Count, says("The number of the interface, counted from 0.")]
    cug: CugName
    server: ServerName
    port: _Cable
    vlan_id: _Tag


class TraceExternal(TypedDict):
    """The external network that the packet comes from."""

    external: Annotated[str, says("The name of the external network.")]
    routing_domain: Annotated[str, says("The routing domain that reaches it.")]
    port: _Cable
    vlan_id: _Tag


_NO_POLICY: Final = "null: none did."
Opinion = TypedDict(
    "Opinion",
    {
        "out": Annotated[str | None, says("The policy that decided where the packet left its sender's edge.", _NO_POLICY)],
        "in": Annotated[str | None, says("The policy that decided where the packet came to its receiver's edge.", _NO_POLICY)],
        "allowed": Annotated[bool, says("Whether no table of policies dropped it.")],
    },
)
Opinion.__doc__ = "The policies that decided about the packet."


class TraceRouter(TypedDict):
    """A router on the way."""

    switch: SwitchName
    address: Annotated[str | None, says("The address by which traceroute shows it. null: it would keep silent.")]


class Delivery(TypedDict):
    """A copy that left the fabric."""

    server: Annotated[str | None, says("The server that it comes to. null: it comes to none.")]
    external: Annotated[str | None, says("The external network that it comes to. null: it comes to none.")]
    port: Annotated[str, says("The switch port where it leaves the fabric, as `SWITCH:PORT`.")]
    vlan_id: _Tag
    ttl: _Ttl
    vms: Annotated[list[str], says("VMs whose interfaces there take it in, by name.")]


_NO_FLOW: Final = "null: no flow matched."


class TableVisit(TypedDict):
    """A table that the packet met, and the flow that matched."""

    table: TableName
    priority: Annotated[Annotated[int, Field(ge=0, le=65535)] | None, says("The flow's priority, 0 to 65535.", _NO_FLOW)]
    match: Annotated[str | None, says("What the flow matches, in readable form.", _NO_FLOW)]
    actions: Annotated[str | None, says("What the flow does, in readable form.", _NO_FLOW)]
    cookie: Annotated[str | None, says("The flow's cookie, 64 bits in hexadecimal.", _NO_FLOW)]
    owner: Annotated[Owner | None, says("Whose the flow is.", _NO_FLOW)]


Routed = TypedDict(
    "Routed",
    {
        "from": Annotated[str, says("The segment that the packet came on: a CUG, `routed:NAME` or `external:NAME`.")],
        "to": Annotated[list[str], says("The segments that it was routed to.")],
    },
)
Routed.__doc__ = "What a switch did as a router: from one segment to others."


class Output(TypedDict):
    """A copy that leaves a switch."""

    port: Annotated[int, says("The OpenFlow number of the port.")]
    to: Annotated[str | None, says("The switch, server or external network behind the port. null: none.")]
    link: Annotated[str | None, says("The link that it takes. null: the port is at no link.")]
    l2_domain: Annotated[str | None, says("The L2 domain of that link. null: the port is at no link.")]
    vlan_id: _Tag
    ttl: _Ttl
    dropped: Annotated[str | None, says("Why it gets no further. null: it does.")]


class Hop(TypedDict):
    """A switch on the way."""

    switch: SwitchName
    in_port: Annotated[int, says("The OpenFlow number of the port where the packet comes in.")]
    vlan_id: _Tag
    segment: Annotated[
        str | None,
        says("The segment that it comes on: a CUG, `routed:NAME` or `external:NAME`. null: the switch does not know."),
    ]
    ttl: _Ttl
    packet: _Packet
    tables: Annotated[list[TableVisit], says("The tables that it meets, in order.")]
    routed: Annotated[Routed | None, says("What the switch does as a router. null: it routes nothing.")]
    outputs: Annotated[list[Output], says("The copies that leave the switch.")]
    ended: Annotated[Kind | None, says("The verdict, where nothing goes on from this switch. null: something does.")]
    dropped: Annotated[str | None, says("Why nothing goes on from this switch. null: something does.")]


class LocalSwitching(TypedDict):
    """Receivers behind the own switch of the sender's server, which decides; no switch of the fabric sees the packet."""

    server: ServerName
    vms: Annotated[list[str], says("VMs that the server's own switch can bring the packet to, by name.")]


_From = TypedDict("_From", {"from": Annotated[TraceVm | TraceExternal, says("Who sends.")]})


class Trace(_From):
    """The way of a packet."""

    verdict: Annotated[
        Kind,
        says(
            "What becomes of the packet. `delivered`: it reaches a receiver. `answered`: a switch, or the controller for it,",
            "answers. `denied`: by policies. `unreachable`: no host has the address, or no way leads there. `time_exceeded`:",
            "its TTL is used up. `controller`: it is handed to the controller. `unresolved`: the guest finds no MAC address",
            "for it. `astray`: it comes out where no host takes it. `dropped`: nothing comes of it. `local_switching`: the",
            "server's own switch decides. `loop` and `undefined`: faults of the flows.",
        ),
    ]
    reason: Annotated[str, says("The verdict as a sentence.")]
    packet: _Packet
    policy: Annotated[Opinion | None, says("The policies that decided. null: no policy was asked.")]
    routers: Annotated[list[TraceRouter], says("The switches that take the packet as routers, in order.")]
    deliveries: Annotated[list[Delivery], says("Where copies leave the fabric.")]
    hops: Annotated[list[Hop], says("The switches on the way.")]
    local_switching: Annotated[
        LocalSwitching | None, says("Receivers behind the wire of the sender, whose server decides. null: there are none.")
    ]
    copies_to_controller: Annotated[Count, says("How many copies the switches hand to the controller.")]
    not_in_step: Annotated[list[str], says("Switches on the way that have not confirmed all they were told, by name.")]
    refused: Annotated[
        list[Refused],
        says("Flows and groups that the packet would meet and that a switch on the way does not have, at most 100."),
    ]
    revision: StateRevision


def post_trace(call: Call) -> Answer:
    """Return the way of a packet through the desired flows; changes nothing."""
    engine = call.engine
    return Answer(200, trace_view(engine, trace.trace(engine.state, engine.desired.tables, call.body.question())))


def trace_view(engine: Engine, found: trace.Trace) -> View:
    """Return a trace; ``not_in_step`` are the switches on the way that have not confirmed everything they were told.

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


def _refused(engine: Engine, found: trace.Trace) -> Iterator[fleet.Refused]:
    """Yield what the switches on the way have refused of the flows and groups that the packet meets there."""
    told = set[tuple[str, int]]()
    for hop in found.hops:
        name = hop.visit.switch
        met = {step.flow.cookie for step in hop.visit.result.path if step.flow is not None}
        met.update(_groups_met(engine, name, hop))
        for fault in engine.fleet.faults(name):
            if fault.about in met and (name, fault.about) not in told:
                told.add((name, fault.about))
                yield fleet.Refused(name, fault)


def _groups_met(engine: Engine, switch: str, hop: trace.Hop) -> set[int]:
    """Return the groups that the flows of a hop lead to, and those that these lead to."""
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


def _source(source: trace.Source) -> View:
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


def _local_switching(found: trace.Trace) -> View | None:
    if not found.neighbours or not isinstance(found.source, VmSource):
        return None
    return {"server": found.source.seat.server, "vms": list(found.neighbours)}


def _policy(found: trace.Opinion | None) -> View | None:
    return {"out": found.out, "in": found.into, "allowed": found.allowed} if found is not None else None


def _router(found: trace.Router) -> View:
    return {"switch": found.switch, "address": str(found.address) if found.address is not None else None}


def _hop(network: Network, hop: trace.Hop) -> View:
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


def _table(step: sim.TableVisit) -> View:
    if step.flow is not None:
        return flow_view(step.flow)
    nothing = dict.fromkeys(("priority", "match", "actions", "cookie", "owner"))
    return {"table": step.table.label, **nothing}


_TRACE: Final = Operation(
    "trace", "Observation", {200: Trace}, (404, 409),
    example={"from": {"vm": "web1"}, "to": {"ip": "10.1.0.12"}, "protocol": "tcp", "port": 80},
)  # fmt: skip
ROUTES: Final = (Route("POST", "/v1/trace", post_trace, _TRACE, body=TraceBody, question=True),)
