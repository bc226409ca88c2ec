"""``/v1/trace``: a question as a client writes it, and the way of a packet as its answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Annotated, Final, Literal

from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from ryu_vmmob import trace
from ryu_vmmob.engine import fleet
from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.fabric import values
from ryu_vmmob.fabric.findings import quote
from ryu_vmmob.flows.flow import ToGroup
from ryu_vmmob.model.objects import Address
from ryu_vmmob.model.refusal import invalid
from ryu_vmmob.net.addresses import mac
from ryu_vmmob.rest.answers import Owner, Refused, Revision, VlanTag
from ryu_vmmob.rest.bodies import IP, Body, Ip, Mac, Name, from_text, text_schema
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.operations import Operation
from ryu_vmmob.rest.owners import refused_view
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.switches import flow_view
from ryu_vmmob.rest.views import View
from ryu_vmmob.sim import switch as sim
from ryu_vmmob.sim.network import Network
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.trace import outlets, vlan_id
from ryu_vmmob.trace import IpProtocol, Piece, Question, VmSource
from ryu_vmmob.trace.values import Kind

TcpFlag = Literal["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"]
_FLAGS: Final[dict[TcpFlag, int]] = {
    "fin": 0x01, "syn": 0x02, "rst": 0x04, "psh": 0x08, "ack": 0x10, "urg": 0x20, "ece": 0x40, "cwr": 0x80,
}  # fmt: skip
"""RFC 9293, 3.1."""


def _any_mac(text: str) -> int:
    if re.fullmatch(r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}", text) is None:
        fault = f"{quote(text)} is no MAC address: write six pairs of hexadecimal digits"
        raise PydanticCustomError("value", "{fault}", {"fault": fault})
    return mac(text)


def _any_ip(text: str) -> Address:
    try:
        found = ip_address(text)
    except ValueError:
        return values.host(text)  # which says what is wrong with it
    is_group = found.is_multicast or text == "255.255.255.255"
    return found if is_group and "%" not in text else values.host(text)


_PROTOCOLS: dict[str, IpProtocol] = {"tcp": 6, "udp": 17, "icmp": "icmp", "arp": "arp", "rs": "rs"}


def _protocol(value: object) -> IpProtocol:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255):
        return value
    if isinstance(value, str) and value in _PROTOCOLS:
        return _PROTOCOLS[value]
    raise PydanticCustomError("value", f"must be one of {', '.join(_PROTOCOLS)}, a number from 0 to 255, or null")


AnyMac = Annotated[
    int, PlainValidator(from_text(_any_mac)), text_schema("ff:ff:ff:ff:ff:ff", pattern="^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$")
]
"""Group addresses too."""
AnyIp = Annotated[Address, PlainValidator(from_text(_any_ip)), text_schema("10.1.0.12", "ff02::1", **IP)]
"""Group addresses too."""
TraceProtocol = Annotated[
    IpProtocol,
    PlainValidator(_protocol),
    WithJsonSchema({"anyOf": [{"enum": [*_PROTOCOLS, None]}, {"type": "integer", "minimum": 0, "maximum": 255}]}),
]
Port = Annotated[int, Field(ge=0, le=65535)]
Octet = Annotated[int, Field(ge=0, le=255)]


class TraceFrom(Body):
    """The start of a traced packet: a VM or an external network.

    ``mac`` and ``ip``: what a VM claims to be, instead of what it is; outside, who it is that sends.
    """

    vm: Name | None = None
    interface: Annotated[int, Field(ge=0)] | None = None
    at: Name | None = None
    mac: Mac | None = None
    ip: Ip | None = None
    external: Name | None = None


class TraceTo(Body):
    """The destination of a traced packet: an address, a MAC, or an address at a given MAC."""

    ip: AnyIp | None = None
    mac: AnyMac | None = None


class TraceBody(Body):
    """``POST /v1/trace``."""

    source: Annotated[TraceFrom, Field(alias="from")]
    to: TraceTo
    protocol: TraceProtocol = None
    port: Port | None = None
    source_port: Port | None = None
    tcp_flags: list[TcpFlag] | None = None
    ttl: Octet | None = None
    fragment: Piece = "no"
    icmp_type: Octet | None = None
    icmp_code: Octet | None = None

    def question(self) -> Question:
        """As a question. Raises Refusal (422)."""
        source, to = self.source, self.to
        if (source.vm is None) is (source.external is None):
            raise invalid(("from", "needs a vm or an external, and not both"))
        if source.external is not None:
            for name in ("interface", "at"):
                if getattr(source, name) is not None:
                    raise invalid((f"from.{name}", "an external network has none"))
        if to.ip is None and to.mac is None:
            raise invalid(("to", "needs an ip or a mac"))
        flags = None if self.tcp_flags is None else sum(_FLAGS[name] for name in set(self.tcp_flags))
        return Question(
            source.vm, source.interface or 0, source.at, source.mac, source.ip, to.ip, to.mac, self.protocol, self.port,
            source.external, self.source_port, flags, self.ttl, self.fragment, self.icmp_type, self.icmp_code,
        )  # fmt: skip


class TraceVm(TypedDict):
    """The interface that sends."""

    vm: str
    interface: int
    cug: str
    server: str
    port: str | None
    vlan_id: VlanTag | None


class TraceExternal(TypedDict):
    """The external network that the packet comes from."""

    external: str
    routing_domain: str
    port: str | None
    vlan_id: VlanTag | None


Opinion = TypedDict("Opinion", {"out": str | None, "in": str | None, "allowed": bool})
Opinion.__doc__ = "The policies that decided where the packet left its sender's edge and where it came to its receiver's."


class TraceRouter(TypedDict):
    """A router on the way, and the address by which it shows; null: it would keep silent."""

    switch: str
    address: str | None


class Delivery(TypedDict):
    """A copy that left the fabric."""

    server: str | None
    external: str | None
    port: str
    vlan_id: VlanTag | None
    ttl: int | None
    vms: list[str]


class TableVisit(TypedDict):
    """A table that the packet met, and the flow that matched; without one all is null but the table."""

    table: str
    priority: int | None
    match: str | None
    actions: str | None
    cookie: str | None
    owner: Owner | None


Routed = TypedDict("Routed", {"from": str, "to": list[str]})
Routed.__doc__ = "What a switch did as a router: from one segment to others."


class Output(TypedDict):
    """A copy that leaves a switch."""

    port: int
    to: str | None
    link: str | None
    l2_domain: str | None
    vlan_id: VlanTag | None
    ttl: int | None
    dropped: str | None


class Hop(TypedDict):
    """A switch on the way."""

    switch: str
    in_port: int
    vlan_id: VlanTag | None
    segment: str | None
    ttl: int | None
    packet: str
    tables: list[TableVisit]
    routed: Routed | None
    outputs: list[Output]
    ended: Kind | None
    dropped: str | None


class LocalSwitching(TypedDict):
    """Receivers behind the own switch of the sender's server, which decides; no switch of the fabric sees the packet."""

    server: str
    vms: list[str]


_From = TypedDict("_From", {"from": TraceVm | TraceExternal})


class Trace(_From):
    """The way of a packet. ``not_in_step``: switches on it that have not confirmed all they were told; ``refused``: flows that
    it would meet, and that a switch on its way does not have.
    """

    verdict: Kind
    reason: str
    packet: str
    policy: Opinion | None
    routers: list[TraceRouter]
    deliveries: list[Delivery]
    hops: list[Hop]
    local_switching: LocalSwitching | None
    copies_to_controller: int
    not_in_step: list[str]
    refused: list[Refused]
    revision: Revision


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
