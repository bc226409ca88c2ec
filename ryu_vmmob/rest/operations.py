"""What the description says of each operation beside what its route knows: answers, refusals, examples.

Every route has a row; `openapi.describe` refuses a route without one, and the tests a row without a route.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ryu_vmmob.rest import answers as a
from ryu_vmmob.rest import answers_network as n

TAGS: Final = {
    "CUGs": "Closed user groups: subnets, their gateways, and the routing domain that joins them.",
    "VMs": "Virtual machines: where they are and what their interfaces are.",
    "Policies": "What may pass between CUGs, VMs and the outside.",
    "Migrations": "Moves of VMs.",
    "Evacuations": "Batches of moves: every VM away from a server or a switch.",
    "Fabric": "What the fabric file says, the switches and their flows.",
    "Observation": "Traces and events.",
    "Controller": "The controller itself.",
}


@dataclass(frozen=True)
class Operation:
    """One operation.

    ``answers``: the type of the body by status, None where there is none. ``refusals``: statuses of problems that do not
    follow from the route. ``tagged``: its answers have an ``ETag``. ``conditional``: ``If-Match`` and ``If-None-Match``
    count. ``located``: statuses with a
    ``Location``. ``example``: a body. ``links``: by status and name the operation, its name for the id, and where the
    answer has it.
    """

    id: str
    tag: str
    answers: Mapping[int, Any]
    refusals: tuple[int, ...] = ()
    tagged: bool = False
    conditional: bool = False
    located: tuple[int, ...] = ()
    example: Mapping[str, Any] | None = None
    links: Mapping[int, Mapping[str, tuple[str, str, str]]] = field(default_factory=dict)


CUG: Final = {"subnets": ["10.1.0.0/24", "2001:db8:1::/64"], "routing_domain": "red", "vlan_ids": {"rack-a": 110}}
VM: Final = {
    "server": "srv-a1",
    "interfaces": [{"cug": "web", "mac": "02:00:00:00:00:11", "ips": ["10.1.0.11", "2001:db8:1::11"]}],
}
POLICY: Final = {
    "action": "allow", "from": {"any": True}, "to": {"cug": "web"}, "protocol": "tcp", "ports": ["80", "8000-8099"],
    "replies": True,
}  # fmt: skip


def _list(id_: str, tag: str, type_: Any) -> Operation:
    return Operation(id_, tag, {200: type_})


def _get(id_: str, tag: str, type_: Any) -> Operation:
    return Operation(id_, tag, {200: type_}, tagged=True)


def _put(id_: str, tag: str, type_: Any, example: Mapping[str, Any]) -> Operation:
    return Operation(
        id_, tag, {200: type_, 201: type_}, (409,), tagged=True, conditional=True, example=example
    )


def _delete(id_: str, tag: str) -> Operation:
    return Operation(id_, tag, {200: a.Confirmation, 204: None}, (409,), conditional=True)


def _step(id_: str, type_: Any = a.Migration, tag: str = "Migrations", example: Mapping[str, Any] | None = None) -> Operation:
    return Operation(id_, tag, {200: type_}, (409,), tagged=True, conditional=True, example=example or {})


def _evacuation(id_: str) -> Operation:
    return Operation(
        id_, "Evacuations", {200: a.PlannedBatch, 202: a.Batch}, (409,), located=(202,), tagged=True,
        example={"parallel": 4},
        links={202: {name: (f"{name}_batch", "id", "$response.body#/id") for name in ("get", "abort")}},
    )  # fmt: skip


_MOVE_LINKS: Final = {
    name: (f"{name}_migration", "id", "$response.body#/id") for name in ("get", "deliver", "activate", "commit", "abort")
}

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("GET", "/v1/cugs"): _list("list_cugs", "CUGs", a.Cugs),
    ("GET", "/v1/cugs/{cug}"): _get("get_cug", "CUGs", a.Cug),
    ("PUT", "/v1/cugs/{cug}"): _put("put_cug", "CUGs", a.Cug, CUG),
    ("DELETE", "/v1/cugs/{cug}"): _delete("delete_cug", "CUGs"),
    ("GET", "/v1/vms"): _list("list_vms", "VMs", a.Vms),
    ("GET", "/v1/vms/{vm}"): _get("get_vm", "VMs", a.Vm),
    ("GET", "/v1/vms/{vm}/placements"): _list("list_placements", "VMs", a.Placements),
    ("PUT", "/v1/vms/{vm}"): _put("put_vm", "VMs", a.Vm, VM),
    ("DELETE", "/v1/vms/{vm}"): _delete("delete_vm", "VMs"),
    ("GET", "/v1/policies"): _list("list_policies", "Policies", a.Policies),
    ("GET", "/v1/policies/{policy}"): _get("get_policy", "Policies", a.Policy),
    ("PUT", "/v1/policies/{policy}"): _put("put_policy", "Policies", a.Policy, POLICY),
    ("DELETE", "/v1/policies/{policy}"): _delete("delete_policy", "Policies"),
    ("GET", "/v1/migrations"): _list("list_migrations", "Migrations", a.Migrations),
    ("POST", "/v1/migrations"): Operation(
        "start_migration", "Migrations", {200: a.PlannedMigration, 201: a.Migration}, (409,), tagged=True,
        located=(201,), example={"vm": "web1", "to": "srv-c1", "timeout": 300}, links={201: _MOVE_LINKS},
    ),
    ("GET", "/v1/migrations/{id}"): _get("get_migration", "Migrations", a.Migration),
    ("POST", "/v1/migrations/{id}/deliver"): _step("deliver_migration"),
    ("POST", "/v1/migrations/{id}/frames"): Operation(
        "send_frames", "Migrations", {200: a.SentOn}, (409, 429, 503), example={"interface": 0, "frames": []}
    ),
    ("POST", "/v1/migrations/{id}/activate"): _step("activate_migration"),
    ("POST", "/v1/migrations/{id}/commit"): _step("commit_migration"),
    ("POST", "/v1/migrations/{id}/abort"): _step("abort_migration", example={"reason": "the guest does not migrate"}),
    ("POST", "/v1/servers/{server}/evacuate"): _evacuation("evacuate_server"),
    ("POST", "/v1/switches/{switch}/evacuate"): _evacuation("evacuate_switch"),
    ("GET", "/v1/batches"): _list("list_batches", "Evacuations", a.Batches),
    ("GET", "/v1/batches/{id}"): _get("get_batch", "Evacuations", a.Batch),
    ("POST", "/v1/batches/{id}/abort"): _step("abort_batch", a.Batch, "Evacuations", {"reason": "maintenance is put off"}),
    ("POST", "/v1/bulk"): Operation(
        "put_all", "CUGs", {200: a.BulkDone}, (409,),
        example={"cugs": {"web": CUG}, "vms": {"web1": VM}, "policies": {"web-in": POLICY}},
    ),
    ("GET", "/v1/fabric"): _list("get_fabric", "Fabric", n.Fabric),
    ("GET", "/v1/switches"): _list("list_switches", "Fabric", n.Switches),
    ("GET", "/v1/switches/{switch}"): _list("get_switch", "Fabric", n.Switch),
    ("POST", "/v1/switches/{switch}/audit"): Operation("audit_switch", "Fabric", {202: n.AuditAsked}, (409,), located=(202,)),
    ("GET", "/v1/switches/{switch}/flows"): _list("list_flows", "Fabric", n.Flows),
    ("POST", "/v1/switches/{switch}/take_over"): Operation(
        "take_over_switch", "Fabric", {200: n.Switch}, example={}
    ),
    ("POST", "/v1/fabric/reload"): Operation(
        "reload_fabric", "Fabric", {200: n.Reloaded}, (404, 409), example={}
    ),
    ("POST", "/v1/trace"): Operation(
        "trace", "Observation", {200: n.Trace}, (404, 409),
        example={"from": {"vm": "web1"}, "to": {"ip": "10.1.0.12"}, "protocol": "tcp", "port": 80},
    ),
    ("GET", "/v1/events"): Operation(
        "list_events", "Observation", {101: None, 200: n.Events}, (426, 501)
    ),
    ("GET", "/healthz"): _list("get_health", "Controller", n.Health),
    ("GET", "/v1/health"): _list("get_detailed_health", "Controller", n.WholeHealth),
    ("GET", "/readyz"): Operation("get_readiness", "Controller", {200: n.Readiness, 503: n.Readiness}),
    ("GET", "/metrics"): _list("get_metrics", "Controller", n.Metrics),
    ("GET", "/openapi.json"): _list("get_description", "Controller", n.OpenApi),
}  # fmt: skip
"""By method and path."""
