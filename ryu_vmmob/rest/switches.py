"""``/v1/switches``: switches, how they stand to what is desired, and their flows."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field
from typing_extensions import TypedDict

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.fleet import Place
from ryu_vmmob.fabric import model as fabric
from ryu_vmmob.flows import flow as flows
from ryu_vmmob.flows.ability import Ability
from ryu_vmmob.flows.delta import SwitchTables
from ryu_vmmob.flows.flow import group_name, show_instructions, show_match
from ryu_vmmob.flows.pipeline import TABLES, Table
from ryu_vmmob.model.refusal import conflict, not_found
from ryu_vmmob.rest.answers import Count, Owner, SwitchFault, SwitchName, Time
from ryu_vmmob.rest.bodies import Empty
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.fabric import FabricSwitch, fabric_switch_view
from ryu_vmmob.rest.operations import Operation, listing
from ryu_vmmob.rest.owners import fault_view, owner_view
from ryu_vmmob.rest.problems import bad_query
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.says import says
from ryu_vmmob.rest.views import View, time_text


class Wrongs(TypedDict):
    """The repairs of audits."""

    missing: Annotated[Count, says("How many the switch lacked.")]
    alien: Annotated[Count, says("How many it had that bear our mark and are not wanted.")]
    altered: Annotated[Count, says("How many were there and said something else.")]


class Repairs(TypedDict):
    """The repairs of audits since the controller started."""

    flows: Annotated[Wrongs, says("Of flows.")]
    groups: Annotated[Wrongs, says("Of groups.")]
    meters: Annotated[Wrongs, says("Of meters. They bear no mark, so none of them is known to be alien.")]
    fragments: Annotated[Wrongs, says("Of the fragment mode: how often it was another (`altered`).")]


class SwitchLack(TypedDict):
    """Something that a switch cannot do."""

    table: Annotated[str | None, says("The table that it is about. null: it is about groups.")]
    what: Annotated[str, says("What the switch cannot do, such as `cannot match tcp_dst under a mask`.")]


class Capability(TypedDict):
    """The capabilities of a plain OpenFlow 1.3 switch, by kinds of flows and groups."""

    described: Annotated[str, says("Its maker, hardware and software, in its own words when it was asked.")]
    kinds: Annotated[Count, says("Of how many kinds of flows and groups it is known whether it can do them.")]
    probed: Annotated[Count, says("How many of these kinds were found out by probes.")]
    table_sizes: Annotated[dict[str, int], says("How many flows its tables take by its own words, by table.")]
    lacks: Annotated[list[SwitchLack], says("What it cannot do.")]


class MissingPort(TypedDict):
    """A port that the fabric file names and the switch does not have."""

    port: Annotated[int, says("The OpenFlow number of the port.")]
    kind: Annotated[Literal["server", "link", "external"], says("What the fabric file has there.")]
    name: Annotated[str, says("The name of what the fabric file has there.")]


class Switch(FabricSwitch):
    """A switch and how it stands to what is desired."""

    connected: Annotated[bool, says("Whether it is connected.")]
    connected_since: Annotated[Time | None, says("Since when it is connected. null: it is not.")]
    controller_role: Annotated[
        Literal["master", "slave", "unknown"] | None,
        says(
            "What this controller is to the switch. `slave`: another controller is its master, and the switch is held.",
            "`unknown`: it has no roles. null: not known, or not connected.",
        ),
    ]
    in_step: Annotated[bool, says("Whether it has confirmed everything that was decided, and refused nothing.")]
    standing: Annotated[
        Place, says("How it stands. `refused`: it has confirmed everything but its `faults`. `away`: it is not connected.")
    ]
    behind: Annotated[Count, says("How many revisions were decided that it has not confirmed.")]
    flows: Annotated[dict[str, int], says("How many flows it should have, by table.")]
    refused: Annotated[dict[str, int], says("How many frames that no interface may send came from servers, by server.")]
    repairs: Repairs
    audits: Annotated[Count, says("The number of the last comparison, those at each connection included. 0: none yet.")]
    audited: Annotated[Time | None, says("When it was compared last. null: not since the controller started.")]
    foreign_flows: Annotated[Count, says("How many flows without our mark the last comparison saw in our tables.")]
    missing_ports: Annotated[
        list[MissingPort],
        says("Ports that the fabric file names and the switch, as it reported its ports last, does not have."),
    ]
    dropped_messages: Annotated[
        Count, says("How many of its messages were dropped unread, because it sent too many that were not asked for.")
    ]
    groups: Annotated[Count, says("How many groups it should have.")]
    habits: Annotated[
        list[Literal["keeps_cookies", "unreadable", "unaskable"]],
        says(
            "Ways of the switch that OpenFlow does not have, found since it connected. `keeps_cookies`: a flow that takes",
            "another's place gets the old cookie. `unreadable`: the flows of a table cannot be asked for. `unaskable`: nor",
            "what it can do.",
        ),
    ]
    capability: Annotated[
        Capability | None,
        says("What a switch of plain OpenFlow 1.3 was found able to do. null: of others, and while not known."),
    ]
    faults: Annotated[list[SwitchFault], says("What it refused or does not keep, and why it is held.")]


class Switches(TypedDict):
    """Switches, by name."""

    items: Annotated[list[Switch], says("The switches.")]


class AuditAsked(TypedDict):
    """An audit that was asked for."""

    switch: SwitchName
    audit: Annotated[
        int, Field(ge=1), says("The number of the comparison. It is done when `audits` of the switch is this or more.")
    ]


TableName = Annotated[str, says("The table, by its name in the pipeline.")]


class Flow(TypedDict):
    """A desired flow in readable form."""

    table: TableName
    priority: Annotated[int, Field(ge=0, le=65535), says("Its priority, 0 to 65535: the highest that matches counts.")]
    match: Annotated[str, says("What it matches, in readable form. Empty: every packet.")]
    actions: Annotated[str, says("What it does, in readable form.")]
    cookie: Annotated[str, Field(pattern="^0x[0-9a-f]{16}$"), says("Its cookie: 64 bits in hexadecimal, made of its content.")]
    owner: Owner


class Group(TypedDict):
    """A desired group in readable form."""

    name: Annotated[str, says("What the group is for, in readable form.")]
    id: Annotated[int, Field(ge=0, le=0xFFFFFF00), says("Its number in the switch, 32 bits.")]
    type: Annotated[str, says("How it chooses among its buckets: `all`, `indirect` or `fast_failover`.")]
    buckets: Annotated[list[str], says("What each bucket does, in readable form.")]
    owner: Owner


class Flows(TypedDict):
    """Flows in the order a frame meets them, and groups."""

    items: Annotated[list[Flow], says("The flows.")]
    groups: Annotated[list[Group], says("The groups.")]


def switch_view(engine: Engine, switch: fabric.Switch) -> View:
    """Return a switch: what the fabric file says of it, and how it stands to what is desired.

    ``standing`` is ``refused`` where it has confirmed everything but its ``faults``. ``behind`` counts revisions decided and
    not confirmed; ``flows`` are the desired ones, by table; ``refused`` counts frames that no interface may send, by server;
    ``repairs`` what audits found wrong since the controller started.
    """
    status = engine.switch_status(switch.name)
    tables = engine.desired.tables.get(switch.name, SwitchTables())
    return fabric_switch_view(switch) | {
        "connected": status.connected,
        "connected_since": time_text(engine.clock.told(status.since)) if status.since is not None else None,
        "controller_role": engine.roles.role(switch.name) if status.connected else None,
        "in_step": status.in_step,
        "standing": status.place.value,
        "behind": status.behind,
        "flows": {table.label: tables.by_table[table] for table in TABLES},
        "refused": {
            server.name: engine.refusals.counts[server.name]
            for server in engine.state.fabric.servers_of[switch.name]
            if engine.refusals.counts[server.name]
        },
        "repairs": engine.repairs.counts(switch.name),
        "audits": engine.repairs.audits(switch.name),
        "audited": None if (last := engine.repairs.last(switch.name)) is None else time_text(engine.clock.told(last)),
        "foreign_flows": engine.repairs.foreign(switch.name),
        "missing_ports": [
            {"port": number, "kind": at.kind, "name": at.name}
            for number, at in engine.switch_ports.missing(engine.state.fabric, switch.name).items()
        ],
        "dropped_messages": engine.fleet.dropped[switch.name],
        "groups": len(tables.groups),
        "habits": list(engine.fleet.habits(switch.name)),
        "capability": _capability(engine.abilities.of(switch)),
        "faults": [fault_view(row) for row in status.faults],
    }


def _capability(ability: Ability | None) -> View | None:
    """Return what a switch of plain OpenFlow 1.3 was found able to do; None for others, and while it is not known."""
    if ability is None:
        return None
    return {
        "described": ability.described,
        "kinds": len(ability.answers),
        "probed": ability.probed,
        "table_sizes": dict(ability.sizes),
        "lacks": [{"table": row.table, "what": row.what} for row in ability.lacks],
    }


def flow_view(flow: flows.Flow) -> View:
    """Return a desired flow in readable form."""
    return {
        "table": flow.table.label,
        "priority": flow.priority,
        "match": show_match(flow.match),
        "actions": show_instructions(flow),
        "cookie": f"0x{flow.cookie:016x}",
        "owner": owner_view(flow.owner),
    }


def group_view(group: flows.Group) -> View:
    """Return a desired group in readable form."""
    return {
        "name": group_name(group.id),
        "id": group.id,
        "type": group.type.name.lower(),
        "buckets": [str(bucket) for bucket in group.buckets],
        "owner": owner_view(group.owner),
    }


def list_switches(call: Call) -> Answer:
    """Every switch, by name."""
    switches = sorted(call.engine.state.fabric.switches.items())
    return Answer(200, {"items": call.each(switches, lambda row: switch_view(call.engine, row[1]))})


def get_switch(call: Call) -> Answer:
    """One switch."""
    return Answer(200, switch_view(call.engine, named(call)))


def list_flows(call: Call) -> Answer:
    """Desired flows in the order a frame meets them: all, or those of ``?table``; and the desired groups."""
    switch = named(call)
    table = call.query.get("table")
    if table is not None and table not in {row.label for row in TABLES}:
        raise bad_query("table", f"must be one of {', '.join(row.label for row in TABLES)}")
    # Both as they are now: they change while the others have their turns.
    found, groups = list(call.engine.desired.flows(switch.name)), list(call.engine.desired.groups(switch.name))
    by_table: dict[Table, list[flows.Flow]] = {row: [] for row in TABLES if table in (None, row.label)}
    for flow in call.breath.through(found):
        if flow.table in by_table:
            by_table[flow.table].append(flow)
    views: list[View] = []
    for rows in by_table.values():
        rows.sort(key=lambda flow: (-flow.priority, flow.key))
        views += call.each(rows, flow_view)
    return Answer(200, {"items": views, "groups": call.each(sorted(groups, key=lambda group: group.id), group_view)})


def take_over(call: Call) -> Answer:
    """Take over a switch: one that this store has never met may be put right, whatever it has."""
    switch = named(call)
    call.engine.take_over(switch.name)
    return Answer(200, switch_view(call.engine, switch))


def audit_switch(call: Call) -> Answer:
    """Have a switch compared with what it should have, soon. It is done when its ``audits`` is ``audit`` or more.

    ``?capability=true``: and asked again what it can do, if it is one of plain OpenFlow 1.3.
    """
    switch = named(call)
    if not call.engine.ask_audit(switch.name, capability=call.flag("capability")):
        raise conflict(f"switch {switch.name!r} is not connected; it is compared when it comes back", "not connected")
    body = {"switch": switch.name, "audit": call.engine.repairs.next(switch.name)}
    return Answer(202, body, location=f"/v1/switches/{switch.name}")


def named(call: Call) -> fabric.Switch:
    """Return the switch in the path. Raises a 404."""
    switch = call.engine.state.fabric.switches.get(call.names["switch"])
    if switch is None:
        raise not_found("switch", call.names["switch"])
    return switch


_AUDIT: Final = Operation("audit_switch", "Fabric", {202: AuditAsked}, (409,), located=(202,))
_TAKE_OVER: Final = Operation("take_over_switch", "Fabric", {200: Switch}, example={})
_ONE: Final = "/v1/switches/{switch}"
ROUTES: Final = (
    Route("GET", "/v1/switches", list_switches, listing("list_switches", "Fabric", Switches)),
    Route("GET", _ONE, get_switch, listing("get_switch", "Fabric", Switch)),
    Route("POST", f"{_ONE}/audit", audit_switch, _AUDIT, frozenset({"capability"})),
    Route("GET", f"{_ONE}/flows", list_flows, listing("list_flows", "Fabric", Flows), frozenset({"table"})),
    Route("POST", f"{_ONE}/take_over", take_over, _TAKE_OVER, body=Empty, body_required=False),
)
