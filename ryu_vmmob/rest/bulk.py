"""``/v1/bulk``: many objects, all or nothing, in one revision."""

from __future__ import annotations

from typing import Annotated, Any, Final, NotRequired

from typing_extensions import TypedDict

from ryu_vmmob.model.refusal import Fault, Refusal
from ryu_vmmob.model.state import State
from ryu_vmmob.rest.answers import Planned, StateRevision
from ryu_vmmob.rest.bulk_body import COLLECTIONS, BulkBody, BulkItem, read_bulk
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.cugs import CUGS
from ryu_vmmob.rest.numbers import Numbers, numbers_view
from ryu_vmmob.rest.operations import Operation, getting
from ryu_vmmob.rest.plans import DRY, is_dry, plan_view
from ryu_vmmob.rest.policies import POLICIES
from ryu_vmmob.rest.routes import LARGE_BODY, LARGE_COUNT, Route
from ryu_vmmob.rest.says import says
from ryu_vmmob.rest.vms import VMS


class BulkNames(TypedDict):
    """Names by collection."""

    cugs: Annotated[list[str], says("Names of CUGs.")]
    vms: Annotated[list[str], says("Names of VMs.")]
    policies: Annotated[list[str], says("Names of policies.")]


class BulkDone(Planned):
    """The result for each object."""

    revision: StateRevision
    created: Annotated[BulkNames, says("Those that are new.")]
    replaced: Annotated[BulkNames, says("Those that were there and have changed.")]
    deleted: Annotated[BulkNames, says("Those that are gone.")]
    unchanged: Annotated[BulkNames, says("Those that were the same already.")]


def put_all(call: Call) -> Answer:
    """CUGs, then VMs, then policies; the answer says which were created, replaced, deleted, or the same already."""
    seconds, dry = call.seconds_to_wait(), is_dry(call)
    body: BulkBody = call.body
    before = call.engine.state
    items = body.ordered(before, call.breath)
    for row in call.breath.through(items):
        try:
            if row.body is not None:
                row.collection.check(before, row.name, row.body)
        except Refusal as refusal:
            raise _located(row, refusal) from refusal
    commands = [body.kept(), *(row.command for row in items)]
    try:
        if dry:
            found = call.engine.rehearse(*commands)
            before, ticket = found.before, found.ticket
            more = plan_view(call, found, ((row.collection, row.name) for row in items))
        else:
            ticket = call.engine.execute(*commands)
            more = call.confirmed(ticket, seconds)
    except Refusal as refusal:
        raise _located(items[refusal.command - 1], refusal) from refusal
    outcome: dict[str, dict[str, list[str]]] = {
        word: {row.name: [] for row in COLLECTIONS} for word in ("created", "replaced", "deleted", "unchanged")
    }
    for row in call.breath.through(items):
        outcome[_outcome(row, before, ticket.state)][row.collection.name].append(row.name)
    return Answer(200, {"revision": ticket.revision, **outcome, **more})


class Export(TypedDict):
    """Everything that was asked for, by name, as ``POST /v1/bulk`` takes it."""

    cugs: Annotated[dict[str, dict[str, Any]], says("The bodies of all CUGs, by name.")]
    vms: Annotated[dict[str, dict[str, Any]], says("The bodies of all VMs, by name.")]
    policies: Annotated[dict[str, dict[str, Any]], says("The bodies of all policies, by name.")]
    numbers: NotRequired[Annotated[Numbers, says("The numbers that the controller chose. Left out with `?numbers=false`.")]]


def export(call: Call) -> Answer:
    """Everything that was asked for, of one moment, as a bulk takes it; unless ``?numbers=false``, what was chosen for it."""
    numbers = call.flag("numbers", default=True)
    state = call.engine.state
    found: dict[str, Any] = {}
    for kind in COLLECTIONS:
        rows = call.breath.through(sorted(kind.objects(state).items()))
        found[kind.name] = {name: kind.body.bare(kind.view(state, row)) for name, row in rows}
    return Answer(200, found | ({"numbers": numbers_view(call, state)} if numbers else {}), state.revision)


def _outcome(row: BulkItem, before: State, after: State) -> str:
    old = row.collection.objects(before).get(row.name)
    if row.body is None:
        return "deleted"
    if old is None:
        return "created"
    return "unchanged" if row.collection.objects(after)[row.name].revision == old.revision else "replaced"


def _located(row: BulkItem, refusal: Refusal) -> Refusal:
    """Return the refusal with the name of the object that met it."""
    where = f"{row.collection.name}.{row.name}"
    faults = tuple(Fault(f"{where}.{fault.path}" if fault.path else where, fault.message) for fault in refusal.faults)
    return Refusal(refusal.status, refusal.title, f"{where}: {refusal.detail}", faults, retry_after=refusal.retry_after)


_BULK: Final = Operation(
    "put_all", "CUGs", {200: BulkDone}, (409,),
    example={"cugs": {"web": CUGS.example}, "vms": {"web1": VMS.example}, "policies": {"web-in": POLICIES.example}},
)  # fmt: skip
ROUTES: Final = (
    Route("GET", "/v1/bulk", export, getting("export", "CUGs", Export), frozenset({"numbers"})),
    Route(
        "POST", "/v1/bulk", put_all, _BULK, frozenset({"wait"}) | DRY, BulkBody, max_body=LARGE_BODY, max_count=LARGE_COUNT,
        read=read_bulk,
    ),
)  # fmt: skip
