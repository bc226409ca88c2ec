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
from ryu_vmmob.rest.answers import Owner, Time
from ryu_vmmob.rest.bodies import Empty
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.fabric import FabricSwitch, fabric_switch_view
from ryu_vmmob.rest.operations import Operation, listing
from ryu_vmmob.rest.owners import fault_view, owner_view
from ryu_vmmob.rest.problems import bad_query
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.views import View, time_text


class Wrongs(TypedDict):
    """The repairs of audits."""

    missing: int
    alien: int
    altered: int


class Repairs(TypedDict):
    """The repairs of audits since the controller started."""

    flows: Wrongs
    groups: Wrongs
    meters: Wrongs
    fragments: Wrongs


class SwitchFault(TypedDict):
    """Something a switch refused, and whose it is."""

    error: str
    cause: str
    owner: Owner


class SwitchLack(TypedDict):
    """Something that a switch cannot do; ``table`` null: of groups."""

    table: str | None
    what: str


class Capability(TypedDict):
    """The capabilities of a plain OpenFlow 1.3 switch, out of so many ``kinds`` of flows and groups.

    ``described``: its maker, hardware and software when it was asked; ``probed``: kinds that were found out by probes;
    ``table_sizes``: flows that its tables take by its own words.
    """

    described: str
    kinds: int
    probed: int
    table_sizes: dict[str, int]
    lacks: list[SwitchLack]


class MissingPort(TypedDict):
    """A port that the fabric file names and the switch does not have. ``kind`` and ``name``: what should be there."""

    port: int
    kind: Literal["server", "link", "external"]
    name: str


class Switch(FabricSwitch):
    """A switch and how it stands to what is desired.

    ``standing`` is `refused` where it has confirmed everything but its ``faults``. ``behind`` counts revisions decided and not
    confirmed; ``flows`` are the desired ones, by table; ``refused`` counts frames that no interface may send, by server.
    ``missing_ports``: as it reported its ports last.
    """

    connected: bool
    connected_since: Time | None
    controller_role: Literal["master", "slave", "unknown"] | None
    in_step: bool
    standing: Place
    behind: int
    flows: dict[str, int]
    refused: dict[str, int]
    repairs: Repairs
    audits: int
    audited: Time | None
    foreign_flows: int
    missing_ports: list[MissingPort]
    dropped_messages: int
    groups: int
    habits: list[Literal["keeps_cookies", "unreadable", "unaskable"]]
    capability: Capability | None
    faults: list[SwitchFault]


class Switches(TypedDict):
    """Switches, by name."""

    items: list[Switch]


class AuditAsked(TypedDict):
    """The audit is done when the switch's ``audits`` is ``audit`` or more."""

    switch: str
    audit: int


class Flow(TypedDict):
    """A desired flow in readable form."""

    table: str
    priority: int
    match: str
    actions: str
    cookie: Annotated[str, Field(pattern="^0x[0-9a-f]{16}$")]
    owner: Owner


class Group(TypedDict):
    """A desired group in readable form."""

    name: str
    id: int
    type: str
    buckets: list[str]
    owner: Owner


class Flows(TypedDict):
    """Flows in the order a frame meets them, and groups."""

    items: list[Flow]
    groups: list[Group]


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
