"""``/v1/bulk``: many objects, all or nothing, in one revision."""

from __future__ import annotations

from typing import Final

from typing_extensions import TypedDict

from ryu_vmmob.model.refusal import Fault, Refusal
from ryu_vmmob.model.state import State
from ryu_vmmob.rest.answers import Revision, Written
from ryu_vmmob.rest.bulk_body import COLLECTIONS, BulkBody, Put, read_bulk
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.cugs import CUGS
from ryu_vmmob.rest.operations import Operation
from ryu_vmmob.rest.policies import POLICIES
from ryu_vmmob.rest.routes import LARGE_BODY, LARGE_COUNT, Route
from ryu_vmmob.rest.vms import VMS


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


def put_all(call: Call) -> Answer:
    """CUGs, then VMs, then policies; the answer says which were created, replaced, or the same already."""
    seconds = call.seconds_to_wait()
    body: BulkBody = call.body
    puts = body.puts(call.now(), call.breath)
    before = call.engine.state
    for row in call.breath.through(puts):
        try:
            row.collection.check(before, row.name, row.body)
        except Refusal as refusal:
            raise _located(row, refusal) from refusal
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


def _outcome(row: Put, before: State, after: State) -> str:
    old = row.collection.objects(before).get(row.name)
    if old is None:
        return "created"
    return "unchanged" if row.collection.objects(after)[row.name].revision == old.revision else "replaced"


def _located(row: Put, refusal: Refusal) -> Refusal:
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
