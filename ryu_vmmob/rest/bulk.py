"""``/v1/bulk``: many objects, all or nothing, in one revision."""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from ryu_vmmob.fabric.findings import show
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.commands import Command
from ryu_vmmob.model.refusal import Fault, Refusal
from ryu_vmmob.model.state import State
from ryu_vmmob.rest.answers import Revision, Written
from ryu_vmmob.rest.bodies import Body, Name, faults_of
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.collection import Collection
from ryu_vmmob.rest.cugs import CUGS, CugBody
from ryu_vmmob.rest.operations import Operation
from ryu_vmmob.rest.policies import POLICIES, PolicyBody
from ryu_vmmob.rest.problems import MOST_FAULTS, invalid_input
from ryu_vmmob.rest.routes import LARGE_BODY, LARGE_COUNT, Route
from ryu_vmmob.rest.vms import VMS, VmBody

COLLECTIONS: Final[tuple[Collection[Any], ...]] = (CUGS, VMS, POLICIES)
"""In the order in which their objects may refer to each other."""
_BODIES: Final[dict[str, type[Body]]] = {row.name: row.body for row in COLLECTIONS}
_NAMES: Final[TypeAdapter[str]] = TypeAdapter(Name)


class _Put(NamedTuple):
    """One object of a bulk."""

    collection: Collection[Any]
    name: str
    command: Command


class BulkBody(Body):
    """``POST /v1/bulk``."""

    cugs: Annotated[dict[Name, CugBody], Field(default_factory=dict)]
    vms: Annotated[dict[Name, VmBody], Field(default_factory=dict)]
    policies: Annotated[dict[Name, PolicyBody], Field(default_factory=dict)]

    def puts(self, now: float, breath: Breath) -> list[_Put]:
        """Each by name, and first what others refer to."""
        return [
            _Put(row, name, row.put(body, name, now))
            for row in COLLECTIONS
            for name, body in breath.through(sorted(getattr(self, row.name).items()))
        ]


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
    puts = body.puts(call.now(), call.breath)
    before = call.engine.state
    try:
        ticket = call.engine.execute(*(row.command for row in puts))
    except Refusal as refusal:
        raise _located(puts[refusal.command], refusal) from refusal
    outcome: dict[str, dict[str, list[str]]] = {
        word: {row.name: [] for row in COLLECTIONS} for word in ("created", "replaced", "unchanged")
    }
    for row in call.breath.through(puts):
        outcome[_outcome(row, before, ticket.state)][row.collection.name].append(row.name)
    return Answer(200, {"revision": ticket.revision, **outcome, **call.confirmed(ticket, seconds)})


def _outcome(row: _Put, before: State, after: State) -> str:
    old = row.collection.objects(before).get(row.name)
    if old is None:
        return "created"
    return "unchanged" if row.collection.objects(after)[row.name].revision == old.revision else "replaced"


def _located(row: _Put, refusal: Refusal) -> Refusal:
    """Return the refusal with the name of the object that met it."""
    where = f"{row.collection.name}.{row.name}"
    faults = tuple(Fault(f"{where}.{fault.path}" if fault.path else where, fault.message) for fault in refusal.faults)
    return Refusal(refusal.status, refusal.title, f"{where}: {refusal.detail}", faults, retry_after=refusal.retry_after)


_BULK: Final = Operation(
    "put_all", "CUGs", {200: BulkDone}, (409,),
    example={"cugs": {"web": CUGS.example}, "vms": {"web1": VMS.example}, "policies": {"web-in": POLICIES.example}},
)  # fmt: skip
ROUTES: Final = (
    Route(
        "POST", "/v1/bulk", put_all, _BULK, frozenset({"wait"}), BulkBody, max_body=LARGE_BODY, max_count=LARGE_COUNT,
        read=read_bulk,
    ),
)  # fmt: skip
