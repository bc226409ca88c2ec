"""What answers look like: CUGs, VMs, policies, moves. Their description in ``/openapi.json`` is made from these types.

The tests hold every answer they get against them. A key that is `NotRequired` is there when its comment says so.
"""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from ryu_vmmob.model.batch import BatchState
from ryu_vmmob.model.move_options import ActivateOn, Delivery, Ending, Mode
from ryu_vmmob.model.objects import Phase

Revision = Annotated[int, Field(ge=0, description="The revision of the whole state that last changed this object.")]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339, UTC."""
VlanTag = Annotated[int, Field(ge=1, le=4094)]
MoveState = Literal["preparing", "prepared", "activated", "committed", "aborted", "failed"]


class Fault(TypedDict):
    """One fault of the input; a query parameter's path begins with ``?``."""

    path: str
    message: str


class ProblemDetails(TypedDict):
    """An error (RFC 9457). ``errors``: the faults of the input, the first hundred; ``errors_left_out``: how many more."""

    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    errors: NotRequired[list[Fault]]
    errors_left_out: NotRequired[int]


class Owner(TypedDict):
    """Whose a flow or group is, and why it is there."""

    kind: str | None
    name: str | None
    reason: str


class Refused(TypedDict):
    """A flow or group that a switch refused or does not keep, in the switch's words, and whose it is."""

    switch: str
    error: str
    cause: str
    owner: Owner


class Acknowledged(TypedDict):
    """The switches concerned, by name: those that have confirmed all of it, and those that have not said so yet.

    ``refused``, where a switch refused some of it: the first 100 of these. Such a switch is in neither list.
    """

    acknowledged: list[str]
    pending: list[str]
    refused: NotRequired[list[Refused]]


class Confirmation(TypedDict):
    """What a deletion with ``?wait`` answers."""

    switches: Acknowledged


class Written(TypedDict):
    """``switches`` is there when the write was asked to ``?wait``."""

    switches: NotRequired[Acknowledged]


class DomainPresence(TypedDict):
    """A CUG in an L2 domain; with 0 interfaces it only passes through."""

    vlan_id: VlanTag
    interfaces: int


class ServerPresence(TypedDict):
    """A CUG on a server that is an L2 domain of its own."""

    interfaces: int


class Presence(TypedDict):
    """Where a CUG is, or is about to be. ``servers``: those that are L2 domains of their own, per interface or untagged."""

    data_centers: list[str]
    edges: list[str]
    l2_domains: dict[str, DomainPresence]
    servers: dict[str, ServerPresence]


class Cug(Written):
    """A closed user group. ``vlan_ids`` are the VLAN-IDs asked for. ``ipv6_ra_mode`` is there when one was given."""

    name: str
    subnets: list[str]
    gateways: list[str]
    routing_domain: str | None
    vlan_ids: dict[str, VlanTag]
    presence: Presence
    revision: Revision
    ipv6_ra_mode: NotRequired[Literal["slaac", "dhcpv6_stateful", "dhcpv6_stateless"]]


class Cugs(TypedDict):
    """CUGs, by name."""

    items: list[Cug]


class Interface(TypedDict):
    """``vlan_id``: what the server's virtual switch must tag this interface with; null: untagged. ``ethertypes`` is there when
    some were given.
    """

    cug: str
    mac: str
    ips: list[str]
    guest_vlan_id: VlanTag | None
    vlan_id: VlanTag | None
    ethertypes: NotRequired[list[str] | Literal["any"]]


class Vm(Written):
    """A VM; ``migration`` is the id of the one that is under way."""

    name: str
    server: str
    interfaces: list[Interface]
    migration: str | None
    revision: Revision


class Vms(TypedDict):
    """VMs, by name."""

    items: list[Vm]


class PlacedInterface(TypedDict):
    """An interface at another server; ``translated``: the port translates the guest's own tag (R25)."""

    cug: str
    from_vlan_id: VlanTag | None
    to_vlan_id: VlanTag | None
    guest_vlan_id: VlanTag | None
    translated: bool


class Placement(TypedDict):
    """A server, and why the VM cannot move there, if it cannot."""

    server: str
    possible: bool
    reason: str | None
    interfaces: list[PlacedInterface]


class Placements(TypedDict):
    """Every server, by name."""

    items: list[Placement]


class Selector(TypedDict):
    """One end of a policy: exactly one of its keys."""

    cug: NotRequired[str]
    vm: NotRequired[str]
    prefix: NotRequired[str]
    any: NotRequired[Literal[True]]


_Ends = TypedDict("_Ends", {"from": Selector, "to": Selector})


class Policy(Written, _Ends):
    """A policy; ``dangling`` are the ends that name what is no longer there."""

    name: str
    priority: int
    action: Literal["allow", "deny"]
    protocol: Literal["tcp", "udp", "icmp"] | Annotated[int, Field(ge=0, le=255)] | None
    ports: list[str]
    replies: bool
    dangling: list[str]
    revision: Revision


class Policies(TypedDict):
    """Policies, by name."""

    items: list[Policy]


class Leg(TypedDict):
    """One interface of a VM that moves: what the servers' virtual switches tag it with; null: untagged."""

    cug: str
    from_vlan_id: VlanTag | None
    to_vlan_id: VlanTag | None


class Step(TypedDict):
    """A state that a move entered: when, what each switch was sent for it, when each had it, and when all had."""

    state: Phase
    time: Time
    flow_mods: dict[str, int]
    acknowledged: dict[str, Time | None]
    frames: Annotated[int, Field(ge=0, description="Frames sent on to the new place since.")]
    complete: Time | None


_Move = TypedDict("_Move", {"vm": str, "from": str, "to": str})


class MoveOptions(TypedDict):
    """How a VM moves."""

    mode: Mode
    delivery: Delivery
    activate_on: ActivateOn
    commit: Ending
    timeout: Annotated[float, Field(gt=0, description="Seconds.")]


class _Migration(_Move, MoveOptions):
    state: MoveState
    delivered: Annotated[bool, Field(description="Its traffic went to the target before it was activated.")]
    returning: bool
    reason: str | None
    batch: str | None
    interfaces: list[Leg]
    switches: Acknowledged
    timeline: list[Step]
    gap: Annotated[float | None, Field(description="Seconds from the activation until every switch had confirmed it.")]


class SentOn(TypedDict):
    """How many frames were sent on."""

    sent: int


class Migration(_Migration):
    """A move."""

    id: str
    revision: Revision


class PlannedMigration(_Migration):
    """What a move would do."""

    dry_run: Literal[True]


class Migrations(TypedDict):
    """Migrations in the order they began."""

    items: list[Migration]


class _Batch(MoveOptions):
    servers: list[str]
    switch: str | None
    to: list[str] | None
    parallel: int
    state: BatchState
    reason: str | None
    started: Time
    ended: Time | None
    total: int
    counts: Annotated[dict[str, int], Field(description="VMs by their state.")]


BatchVm = TypedDict(
    "BatchVm",
    {
        "vm": str,
        "from": str,
        "to": str | None,
        "migration": str | None,
        "state": str,
        "reason": str | None,
    },
)
BatchVm.__doc__ = "One VM of a batch; while it moves, ``state`` is that of its migration."


class BatchSummary(_Batch):
    """An evacuation, without its VMs."""

    id: str
    revision: Revision


class Batch(BatchSummary, Written):
    """An evacuation."""

    vms: list[BatchVm]


class PlannedBatch(_Batch):
    """What an evacuation would do."""

    vms: list[BatchVm]
    dry_run: Literal[True]


class Batches(TypedDict):
    """Batches in the order they began."""

    items: list[BatchSummary]


class BulkNames(TypedDict):
    """Names by collection."""

    cugs: list[str]
    vms: list[str]
    policies: list[str]


class BulkDone(Written):
    """What became of each object."""

    revision: Revision
    created: BulkNames
    replaced: BulkNames
    unchanged: BulkNames
