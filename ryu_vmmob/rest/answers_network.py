"""What answers look like: the fabric, its switches, traces, events, the controller itself. See `answers`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from ryu_vmmob.engine.event_kinds import Level
from ryu_vmmob.engine.fleet import Place
from ryu_vmmob.fabric.model import Dialect, Fragments, Role
from ryu_vmmob.health import Loudness, Standing, Status
from ryu_vmmob.rest.answers import Fault, Owner, Refused, Revision, Time, VlanTag, Written
from ryu_vmmob.trace.values import Kind


class DataCenter(TypedDict):
    """A data centre."""

    name: str
    description: str


class L2Domain(TypedDict):
    """One space of VLAN-IDs."""

    name: str
    data_center: str | None
    vlan_ids: str
    translate_guest_tags: bool
    unannounced_moves: Literal["accept", "refuse"]
    description: str


class FabricSwitch(TypedDict):
    """A switch as the fabric file has it."""

    name: str
    dpid: Annotated[str, Field(pattern="^0x[0-9a-f]{16}$")]
    role: Role
    l2_domain: str
    data_center: str | None
    dialect: Dialect
    fragments: Fragments
    max_flows: int | None
    table_sizes: dict[str, int]
    l4_masks: bool
    meters: bool
    extender_ports: str | None
    description: str


class Link(TypedDict):
    """A link between two switches; ``up`` is false while it carries nothing."""

    name: str
    a: str
    b: str
    l2_domain: str
    up: bool
    description: str


class Server(TypedDict):
    """A hypervisor. ``vlan_ids``: those that vNICs may get on its cable, with tagging per interface."""

    name: str
    attach: list[str]
    tagging: Literal["per_interface", "per_cug", "untagged"]
    vlan_ids: str | None
    local_switching: Literal["trusted"] | None
    l2_domain: str | None
    data_center: str | None
    description: str


class External(TypedDict):
    """A network outside; ``neighbours`` are those that answer there, by address."""

    name: str
    attach: str
    vlan_id: VlanTag | None
    routing_domain: str
    addresses: list[str]
    prefixes: list[str]
    next_hops: list[str]
    up: bool
    neighbours: dict[str, str]
    description: str


class Fabric(TypedDict):
    """The fabric as it is loaded."""

    fabric: str
    description: str
    gateway_mac: str
    data_centers: list[DataCenter]
    l2_domains: list[L2Domain]
    switches: list[FabricSwitch]
    links: list[Link]
    servers: list[Server]
    externals: list[External]
    revision: Revision


class Names(TypedDict):
    """Names by section of the fabric file."""

    data_centers: list[str]
    l2_domains: list[str]
    switches: list[str]
    links: list[str]
    servers: list[str]
    externals: list[str]


_Keys = dict[str, list[str]]


class Changes(TypedDict):
    """The keys that differ, by section and name; ``fabric`` are those at the top of the file."""

    fabric: list[str]
    data_centers: _Keys
    l2_domains: _Keys
    switches: _Keys
    links: _Keys
    servers: _Keys
    externals: _Keys


class Reloaded(Written):
    """What a fabric file that was read anew has changed, or would."""

    dry_run: bool
    revision: Revision
    unchanged: bool
    added: Names
    removed: Names
    changed: Changes
    warnings: list[Fault]


class Wrongs(TypedDict):
    """What audits found."""

    missing: int
    alien: int
    altered: int


class Repairs(TypedDict):
    """What audits found wrong since the controller started."""

    flows: Wrongs
    groups: Wrongs
    meters: Wrongs
    fragments: Wrongs


class SwitchFault(TypedDict):
    """Something a switch refused, and whose it is."""

    error: str
    cause: str
    owner: Owner


class Switch(FabricSwitch):
    """A switch and how it stands to what is desired.

    ``standing`` is `refused` where it has confirmed everything but its ``faults``. ``behind`` counts revisions decided and not
    confirmed; ``flows`` are the desired ones, by table; ``refused`` counts frames that no interface may send, by server.
    """

    connected: bool
    connected_since: Time | None
    in_step: bool
    standing: Place
    behind: int
    flows: dict[str, int]
    refused: dict[str, int]
    repairs: Repairs
    audits: int
    audited: Time | None
    foreign_flows: int
    dropped_messages: int
    groups: int
    habits: list[Literal["keeps_cookies", "unreadable"]]
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
    """Whom the packet reaches only by the own switch of the sender's server, which decides; no switch of the fabric sees it."""

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


class Event(TypedDict):
    """An event; what else it has depends on its kind."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    id: int
    time: Time
    event: str
    level: Level
    text: Annotated[str, Field(description="What happened, in words.")]


class Events(TypedDict):
    """Events in order, and the id of the newest there is."""

    items: list[Event]
    last: int


class Health(TypedDict):
    """The process answers."""

    status: Literal["ok"]


class ReadySwitches(TypedDict):
    """Switches, by name. ``refused``: those that have confirmed everything but what they refused."""

    in_step: list[str]
    refused: list[str]
    not_in_step: list[str]
    not_connected: list[str]


class Thing(TypedDict):
    """What something is about: a switch, a link, an external network, a migration or the controller, and its name or id."""

    kind: str
    name: str


class Reason(TypedDict):
    """Why not all is well, in a sentence. ``blocks``: while it lasts the controller is not ready. ``ask``: the command that
    tells more.
    """

    kind: str
    level: Literal["bad", "warn", "note"]
    blocks: bool
    what: str
    about: list[Thing]
    ask: str


class Readiness(TypedDict):
    """Whether the controller is ready, and, for who may know, what is not. ``refused``: the first 100 flows and groups that
    switches refused.
    """

    ready: bool
    status: Status
    fabric: NotRequired[str]
    revision: NotRequired[Revision]
    troubles: NotRequired[list[str]]
    reasons: NotRequired[list[Reason]]
    refused: NotRequired[list[Refused]]
    switches: NotRequired[ReadySwitches]


class Tile(TypedDict):
    """A tile of a strip that sums up health; ``opens``: what there is more to see of."""

    kind: str
    level: Loudness
    text: str
    opens: Thing | None


class Part(TypedDict):
    """Edges that reach each other and no other; ``data_centers``: those all of whose edges are among them."""

    data_centers: list[str]
    edges: list[str]


class WholeHealth(TypedDict):
    """How well the controller and its network are. ``level``: of the loudest tile. ``switches``: how each stands. ``parts``:
    what a split fabric has fallen into, else empty.
    """

    status: Status
    ready: bool
    level: Loudness
    fabric: str
    revision: Revision
    time: Time
    reasons: list[Reason]
    tiles: list[Tile]
    switches: dict[str, Standing]
    parts: list[Part]


Metrics = str
"""Numbers as Prometheus reads them."""
OpenApi = dict[str, Any]
"""This description."""
