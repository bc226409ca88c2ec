"""Evacuations (``/v1/servers/{server}/evacuate``, ``/v1/switches/{switch}/evacuate``) and ``/v1/batches``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, Final, NotRequired

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from ryu_vmmob.model.batches import values as model
from ryu_vmmob.model.batches.commands import AbortBatch, StartBatch
from ryu_vmmob.model.batches.values import BatchState, Outcome
from ryu_vmmob.model.refusal import not_found
from ryu_vmmob.model.state import State
from ryu_vmmob.rest import paging
from ryu_vmmob.rest.answers import Count, DryRun, Page, Revision, Time, VmName, Written
from ryu_vmmob.rest.bodies import Name
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.moves import AbortBody, MoveOptions, MoveOptionsBody
from ryu_vmmob.rest.operations import Operation, getting, paged, stepping
from ryu_vmmob.rest.paging import PAGED
from ryu_vmmob.rest.problems import bad_query
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.says import PARALLEL, says
from ryu_vmmob.rest.views import View, time_text

MAX_PARALLEL = 1000


def _different(names: list[str]) -> list[str]:
    if len(set(names)) != len(names):
        raise PydanticCustomError("value", "{fault}", {"fault": "a server stands here twice"})
    return names


_TARGETS: Final = says("Servers that may take the VMs, by name. null: every server that is not being evacuated.")


class EvacuateBody(MoveOptionsBody):
    """What holds for each migration of an evacuation, where the VMs go, and how many move at once."""

    to: Annotated[Annotated[list[Name], Field(min_length=1), AfterValidator(_different)] | None, _TARGETS] = None
    parallel: Annotated[int, Field(ge=1, le=MAX_PARALLEL), PARALLEL] = 8


class _Batch(MoveOptions):
    servers: Annotated[list[str], says("The servers that are evacuated, by name.")]
    switch: Annotated[str | None, says("The switch all of whose servers are evacuated. null: a server was named.")]
    to: Annotated[list[str] | None, _TARGETS]
    parallel: Annotated[int, Field(ge=1, le=MAX_PARALLEL), PARALLEL]
    state: BatchState
    reason: Annotated[str | None, says("Why it was aborted. null: it was not.")]
    started: Annotated[Time, says("When it began.")]
    ended: Annotated[Time | None, says("When it ended. null: it has not.")]
    total: Annotated[Count, says("How many VMs it has.")]
    counts: Annotated[dict[str, int], says("How many of its VMs are in which state, by state.")]


BatchVm = TypedDict(
    "BatchVm",
    {
        "vm": VmName,
        "from": Annotated[str, says("The server where the VM was when the batch began.")],
        "to": Annotated[str | None, says("The server where it goes, or is planned to go. null: it does not move.")],
        "migration": Annotated[str | None, says("The id of its migration. null: it has not begun to move.")],
        "state": Annotated[
            str,
            says(
                "`waiting`; while it moves and after, the state of its migration; `refused`, `gone` (deleted), `elsewhere`",
                "(moved by another request) or `skipped` (the batch was aborted).",
            ),
        ],
        "reason": Annotated[str | None, says("Why it does not move, or the `reason` of its migration. null: there is none.")],
    },
)
BatchVm.__doc__ = "One VM of a batch."
BatchVms = Annotated[list[BatchVm], says("Its VMs, in the order of their turns.")]


class BatchSummary(_Batch):
    """An evacuation, without its VMs."""

    id: Annotated[str, says("The id of the batch, which begins with `b-`.")]
    revision: Revision


class Batch(BatchSummary, Written):
    """An evacuation."""

    vms: BatchVms


class PlannedBatch(_Batch):
    """The plan of an evacuation."""

    vms: BatchVms
    dry_run: DryRun


class Batches(TypedDict):
    """Batches in the order they began."""

    items: Annotated[list[BatchSummary], says("The batches, without their VMs.")]
    page: NotRequired[Page]


def evacuate_server(call: Call) -> Answer:
    """Begin to move every VM away from a server (202), or show the plan (``?dry_run=true``, 200)."""
    return _evacuate(call, (call.names["server"],), None)


def evacuate_switch(call: Call) -> Answer:
    """Begin to move every VM away from all servers of a switch (202), or show the plan (``?dry_run=true``, 200)."""
    return _evacuate(call, (), call.names["switch"])


def _evacuate(call: Call, servers: tuple[str, ...], switch: str | None) -> Answer:
    body: EvacuateBody = call.body
    id_ = f"b-{call.services.new_id().removeprefix('m-')}"
    to = None if body.to is None else tuple(body.to)
    command = StartBatch(id_, servers, switch, to, body.parallel, **body.options())
    if call.flag("dry_run"):
        view = batch_view(call.engine.dry_run(command), id_, call.engine.clock.told)
        return Answer(200, {key: value for key, value in view.items() if key not in ("id", "revision")} | {"dry_run": True})
    ticket = call.engine.execute(command)
    # The first VMs may be on their way already, and a batch without any is finished.
    state = call.engine.state if id_ in call.engine.state.batches else ticket.state
    return Answer(202, batch_view(state, id_, call.engine.clock.told), state.batches[id_].revision, f"/v1/batches/{id_}")


def list_batches(call: Call) -> Answer:
    """Batches in the order they began, without their VMs: all, or those in ``?state``."""
    wanted = call.query.get("state")
    if wanted is not None and wanted not in {row.value for row in BatchState}:
        raise bad_query("state", f"must be one of {', '.join(row.value for row in BatchState)}")
    state, told = call.engine.state, call.engine.clock.told
    rows = sorted(state.batches.values(), key=lambda row: (row.started, row.id))
    found = (row for row in rows if wanted in (None, row.state.value))
    return Answer(200, paging.items(call, found, lambda row: (row.started, row.id), lambda row: _summary(state, row, told)))


def get_batch(call: Call) -> Answer:
    """One batch with its VMs."""
    batch = _named(call)
    return Answer(200, batch_view(call.engine.state, batch.id, call.engine.clock.told), batch.revision)


def abort_batch(call: Call) -> Answer:
    """Abort a batch: start no more VMs, and abort the migrations that are not activated yet."""
    seconds = call.seconds_to_wait()
    batch = _named(call)
    call.check_match(batch.revision)
    ticket = call.engine.execute(AbortBatch(batch.id, call.body.reason or "requested"))
    switches = call.confirmed(ticket, seconds)
    state = call.engine.state if batch.id in call.engine.state.batches else ticket.state
    return Answer(200, batch_view(state, batch.id, call.engine.clock.told) | switches, state.batches[batch.id].revision)


def _named(call: Call) -> model.Batch:
    batch = call.engine.state.batches.get(call.names["id"])
    if batch is None:
        raise not_found("batch", call.names["id"])
    return batch


def batch_view(state: State, id_: str, told: Callable[[float], float]) -> View:
    """Return a batch with a row for each VM; ``told`` makes of a time in the state what a clock on the wall reads."""
    rows = [row for _, row in sorted(state.batch_vms[id_].items())]
    return _summary(state, state.batches[id_], told) | {"vms": [_vm_view(state, row) for row in rows]}


def _summary(state: State, batch: model.Batch, told: Callable[[float], float]) -> View:
    counts: Counter[str] = Counter(_vm_state(state, row) for row in state.batch_vms[batch.id].values())
    return {
        "id": batch.id,
        "servers": list(batch.servers),
        "switch": batch.switch,
        "to": None if batch.targets is None else list(batch.targets),
        **batch.options(),
        "parallel": batch.parallel,
        "state": batch.state.value,
        "reason": batch.reason,
        "started": time_text(told(batch.started)),
        "ended": None if batch.ended is None else time_text(told(batch.ended)),
        "total": batch.size,
        "counts": dict(sorted(counts.items())),
        "revision": batch.revision,
    }


def _vm_state(state: State, row: model.BatchVm) -> str:
    """Return what has become of a VM; while it moves, the state of its migration."""
    migration = state.migrations.get(row.migration) if row.outcome is Outcome.MOVING else None
    return row.outcome.value if migration is None else migration.phase.value


def _vm_view(state: State, row: model.BatchVm) -> dict[str, Any]:
    return {
        "vm": row.vm,
        "from": row.source,
        "to": row.target,
        "migration": row.migration if row.has_migration else None,
        "state": _vm_state(state, row),
        "reason": row.reason,
    }


_DRY_RUN = frozenset({"dry_run"})


def _evacuation(id_: str) -> Operation:
    return Operation(
        id_, "Evacuations", {200: PlannedBatch, 202: Batch}, (409,), located=(202,), tagged=True,
        example={"parallel": 4},
        links={202: {name: (f"{name}_batch", "id", "$response.body#/id") for name in ("get", "abort")}},
    )  # fmt: skip


_SERVER: Final = _evacuation("evacuate_server")
_SWITCH: Final = _evacuation("evacuate_switch")
_ABORT: Final = stepping("abort_batch", "Evacuations", Batch, {"reason": "maintenance is put off"})
ROUTES: Final = (
    Route("POST", "/v1/servers/{server}/evacuate", evacuate_server, _SERVER, _DRY_RUN, EvacuateBody, body_required=False),
    Route("POST", "/v1/switches/{switch}/evacuate", evacuate_switch, _SWITCH, _DRY_RUN, EvacuateBody, body_required=False),
    Route("GET", "/v1/batches", list_batches, paged("list_batches", "Evacuations", Batches), frozenset({"state"}) | PAGED),
    Route("GET", "/v1/batches/{id}", get_batch, getting("get_batch", "Evacuations", Batch)),
    Route("POST", "/v1/batches/{id}/abort", abort_batch, _ABORT, frozenset({"wait"}), AbortBody, body_required=False),
)
