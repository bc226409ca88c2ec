"""Commands on batches: evacuate servers, the turn of the next VM, an abort.

A batch begins with a plan (`plan.plan`). Its VMs have their turns one after another, as many at once as it may have under
way; the plan is then tried again on the state as it has become. The engine follows: it looks which batches have room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ryu_vmmob.model import migration_steps as steps
from ryu_vmmob.model.batches.plan import evacuating, plan
from ryu_vmmob.model.batches.rows import put_batch
from ryu_vmmob.model.batches.values import Batch, BatchState, BatchVm, Outcome
from ryu_vmmob.model.draft import Draft
from ryu_vmmob.model.move_options import MoveOptions
from ryu_vmmob.model.refusal import conflict, invalid, not_found

PIECES: Final = 32
"""Of work that the plan for one VM is: it is moved in thought to a server or several."""


@dataclass(frozen=True, slots=True)
class StartBatch(MoveOptions):
    """Evacuate ``servers``, or with ``switch`` all servers of that switch (``servers`` is empty then).

    ``to`` names the servers that may take the VMs; None: any. ``parallel`` (1 to 1000) migrations at once,
    each with these options.
    """

    id: str
    servers: tuple[str, ...] = ()
    switch: str | None = None
    to: tuple[str, ...] | None = None
    parallel: int = 8


@dataclass(frozen=True, slots=True)
class BatchMove:
    """The turn of VM ``number``: it begins to move to server ``to``."""

    id: str
    number: int
    to: str


@dataclass(frozen=True, slots=True)
class BatchPass:
    """The turn of VM ``number`` goes by without a move, for this ``reason``."""

    id: str
    number: int
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class AbortBatch:
    """Start no more VMs, and abort the migrations that are not activated; those that are go on to their end."""

    id: str
    reason: str | None = None


BatchCommand = StartBatch | BatchMove | BatchPass | AbortBatch


def start_batch(draft: Draft, command: StartBatch) -> None:
    """Plan, and write the batch. Raises Refusal 404, 409, 422, or 503 while links are changing."""
    state = draft.state
    servers = _servers(draft, command)
    busy = evacuating(state)
    for name in servers:
        if name in busy:
            raise conflict(f"server {name!r} is being evacuated already (batch {busy[name]})")
    faults = []
    for number, name in enumerate(command.to or ()):
        if name not in state.fabric.servers:
            faults.append((f"to[{number}]", f"there is no server {name!r} in the fabric"))
        elif name in servers:
            faults.append((f"to[{number}]", f"server {name!r} is to be evacuated itself"))
    if faults:
        raise invalid(*faults)
    for name in command.to or ():
        if name in busy:
            raise conflict(f"server {name!r} is being evacuated itself (batch {busy[name]})")
    batch = Batch(command.id, servers, command.switch, command.to, command.parallel, started=draft.now, **command.options())
    rows = []
    for row in plan(state, batch, draft.now):
        rows.append(row)
        draft.breath.worked(PIECES)
    planned = sum(row.outcome is Outcome.WAITING for row in rows)
    draft.event("batch.started", id=batch.id, servers=list(servers), vms=len(rows), refused=len(rows) - planned)
    put_batch(draft, replace(batch, size=len(rows), planned=planned), tuple(rows))


def _servers(draft: Draft, command: StartBatch) -> tuple[str, ...]:
    fabric = draft.state.fabric
    if command.switch is not None:
        if command.switch not in fabric.switches:
            raise not_found("switch", command.switch)
        return tuple(server.name for server in fabric.servers_of[command.switch])
    for name in command.servers:
        if name not in fabric.servers:
            raise not_found("server", name)
    return tuple(sorted(set(command.servers)))


def batch_move(draft: Draft, command: BatchMove) -> None:
    """Begin the next VM's migration. Raises Refusal as `migration_steps.start` does, and when it is not its turn."""
    batch, row = _turn(draft, command)
    if not batch.has_room:
        raise conflict(f"batch {batch.id} has {len(batch.moving)} migrations under way, as many as it may")
    steps.start(draft, row.migration, row.vm, command.to, batch, batch=batch.id)
    put_batch(
        draft,
        replace(batch, next=batch.next + 1, moving=(*batch.moving, row.number)),
        [replace(row, target=command.to, outcome=Outcome.MOVING)],
    )


def batch_pass(draft: Draft, command: BatchPass) -> None:
    """Let the next VM's turn go by. Raises Refusal when it is not its turn."""
    batch, row = _turn(draft, command)
    draft.event("batch.passed", id=batch.id, vm=row.vm, outcome=command.outcome.value, reason=command.reason)
    put_batch(
        draft,
        replace(batch, next=batch.next + 1),
        [replace(row, target=None, outcome=command.outcome, reason=command.reason)],
    )


def _turn(draft: Draft, command: BatchMove | BatchPass) -> tuple[Batch, BatchVm]:
    batch = _named(draft, command.id)
    if not batch.is_waiting or batch.next != command.number:
        raise conflict(f"it is not the turn of number {command.number} of batch {batch.id}")
    return batch, draft.state.batch_vms[batch.id][command.number]


def abort_batch(draft: Draft, command: AbortBatch) -> None:
    """End a batch early; once more says nothing new. Raises Refusal 404, and 409 when it is finished."""
    batch = _named(draft, command.id)
    if batch.state is BatchState.FINISHED:
        raise conflict(f"batch {batch.id} is finished, which does not admit 'abort'")
    if batch.state is not BatchState.RUNNING:
        return
    rows = draft.state.batch_vms[batch.id]
    reason = command.reason or "the batch was aborted"
    skipped = [
        replace(rows[number], target=None, outcome=Outcome.SKIPPED, reason=reason)
        for number in range(batch.next, batch.planned)
    ]
    draft.event("batch.aborting", id=batch.id, servers=list(batch.servers), reason=reason)
    put_batch(draft, replace(batch, state=BatchState.ABORTING, next=batch.planned, reason=reason), skipped)
    for number in batch.moving:
        migration = draft.state.migrations[rows[number].migration]
        if steps.verdict(steps.stage(migration), steps.Step.ABORT) is steps.Stage.ABORTED:
            steps.enter(draft, migration.id, steps.Step.ABORT, reason)


def _named(draft: Draft, id_: str) -> Batch:
    batch = draft.state.batches.get(id_)
    if batch is None:
        raise not_found("batch", id_)
    return batch


HANDLERS: Final[Mapping[type, Callable[..., None]]] = {
    StartBatch: start_batch,
    BatchMove: batch_move,
    BatchPass: batch_pass,
    AbortBatch: abort_batch,
}
