"""``/v1/bulk``: many objects, all or nothing, in one revision."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError

from ryu_vmmob.fabric.findings import show
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.commands import PutCug, PutVm
from ryu_vmmob.model.policies import PutPolicy
from ryu_vmmob.model.refusal import Fault, Refusal
from ryu_vmmob.model.state import State
from ryu_vmmob.rest.bodies import Body, CugBody, Name, VmBody, faults_of
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.policy_bodies import PolicyBody
from ryu_vmmob.rest.problems import MOST_FAULTS, invalid_input
from ryu_vmmob.rest.routing import LARGE_BODY, LARGE_COUNT, Route

_Put = PutCug | PutVm | PutPolicy

_BODIES: Final[dict[str, type[Body]]] = {"cugs": CugBody, "vms": VmBody, "policies": PolicyBody}
_NAMES: Final[TypeAdapter[str]] = TypeAdapter(Name)
_COLLECTIONS: Final[dict[type[_Put], str]] = {PutCug: "cugs", PutVm: "vms", PutPolicy: "policies"}


class BulkBody(Body):
    """``POST /v1/bulk``."""

    cugs: Annotated[dict[Name, CugBody], Field(default_factory=dict)]
    vms: Annotated[dict[Name, VmBody], Field(default_factory=dict)]
    policies: Annotated[dict[Name, PolicyBody], Field(default_factory=dict)]

    def commands(self, now: float) -> list[_Put]:
        """Each by name, and first what others refer to."""
        found: list[_Put] = [row.command(name) for name, row in sorted(self.cugs.items())]
        found += [row.command(name, now) for name, row in sorted(self.vms.items())]
        found += [row.command(name) for name, row in sorted(self.policies.items())]
        return found


def read_bulk(value: Any, breath: Breath) -> BulkBody:
    """``value`` as a bulk body, object by object with pauses; a 422 that names the first `MOST_FAULTS` faults.

    How many objects are faulty is not looked for beyond those: reading ends there.
    """
    if not isinstance(value, dict):
        raise invalid_input([Fault("", "must be an object")])
    read: dict[str, dict[str, Body]] = {}
    faults: list[Fault] = []
    for collection, rows in value.items():
        type_ = _BODIES.get(collection)
        if type_ is None:
            faults.append(Fault(show((collection,)), "is not a known key"))
        elif not isinstance(rows, dict):
            faults.append(Fault(collection, "must be an object"))
        else:
            found = read[collection] = {}
            for name, row in rows.items():
                breath.worked()
                try:
                    found[_NAMES.validate_python(name)] = type_.model_validate(row)
                except ValidationError as error:
                    faults += faults_of(error, collection, name)
                if len(faults) >= MOST_FAULTS:
                    break
        if len(faults) >= MOST_FAULTS:
            break
    if faults:
        raise invalid_input(faults)
    objects: dict[str, Any] = {name: read.get(name, {}) for name in _BODIES}
    return BulkBody.model_construct(None, **objects)


def put_all(call: Call) -> Answer:
    """CUGs, then VMs, then policies; the answer says which were created, replaced, or the same already."""
    seconds = call.seconds_to_wait()
    body: BulkBody = call.body
    commands = body.commands(call.now())
    before = call.engine.state
    try:
        ticket = call.engine.execute(*commands)
    except Refusal as refusal:
        raise _located(commands[refusal.command], refusal) from refusal
    outcome: dict[str, dict[str, list[str]]] = {
        word: {name: [] for name in _COLLECTIONS.values()} for word in ("created", "replaced", "unchanged")
    }
    for command in commands:
        outcome[_outcome(command, before, ticket.state)][_COLLECTIONS[type(command)]].append(command.name)
    return Answer(200, {"revision": ticket.revision, **outcome, **call.confirmed(ticket, seconds)})


def _outcome(command: _Put, before: State, after: State) -> str:
    collection = _COLLECTIONS[type(command)]
    old = getattr(before, collection).get(command.name)
    if old is None:
        return "created"
    return "unchanged" if getattr(after, collection)[command.name].revision == old.revision else "replaced"


def _located(command: _Put, refusal: Refusal) -> Refusal:
    """The refusal with the name of the object that met it."""
    where = f"{_COLLECTIONS[type(command)]}.{command.name}"
    faults = tuple(Fault(f"{where}.{fault.path}" if fault.path else where, fault.message) for fault in refusal.faults)
    return Refusal(refusal.status, refusal.title, f"{where}: {refusal.detail}", faults, retry_after=refusal.retry_after)


ROUTES = (
    Route(
        "POST", "/v1/bulk", put_all, frozenset({"wait"}), BulkBody, max_body=LARGE_BODY, max_count=LARGE_COUNT, read=read_bulk
    ),
)  # fmt: skip
