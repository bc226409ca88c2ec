r"""The migration machine: which step leads from which stage to which, and what it does to the state.

    stage \ step   PREPARED    DELIVER     ACTIVATE    COMMIT      ABORT       FORCE       RETURNED    FAIL
    ------------   ---------   ---------   ---------   ---------   ---------   ---------   ---------   ---------
    preparing      prepared    refused     activated   refused     aborted     aborted     (nothing)   failed
    prepared       (nothing)   delivered   activated   refused     aborted     aborted     (nothing)   (nothing)
    delivered      (nothing)   (nothing)   activated   refused     returning   aborted     (nothing)   (nothing)
    activated      (nothing)   (nothing)   (nothing)   committed   returning   aborted     (nothing)   (nothing)
    returning      (nothing)   refused     activated   refused     (nothing)   aborted     aborted     failed
    committed      (nothing)   (nothing)   (nothing)   (nothing)   refused     refused     (nothing)   (nothing)
    aborted        (nothing)   refused     refused     refused     (nothing)   (nothing)   (nothing)   (nothing)
    failed         (nothing)   refused     refused     refused     (nothing)   (nothing)   (nothing)   (nothing)

A stage is a phase, with two exceptions:

- `delivered`: the phase is still `prepared`. The source has paused, and the VM's traffic goes to the target.
- `returning`: the phase is unchanged, and an abort is under way. The VM belongs to its source again. The source must be open on
  every switch before the target closes; RETURNED says that the switches have confirmed this.

Goals, and how each is met:

1. *No black hole, no loop (invariant 8).* Every stage is an ordinary desired state (`objects.seats`). Any mixture of switches
   before and after a step is loop free, and without a gap from `prepared` on, also on the way back.
2. *No dead end, whichever switch is dead.* ABORT leads back from `preparing` and `prepared` at once. COMMIT leads on from
   `activated`. Where a dead switch at the source would be waited for (`returning`), FORCE aborts without its confirmation, and
   ACTIVATE leads to the target again. FORCE risks frames, not isolation: the target closes before the source is known to be
   open. A switch that comes back is reconciled.
3. *`prepared` is a promise.* FAIL (a switch refuses what the move needs) ends a move only in `preparing` and `returning`. After
   `prepared` a refusal is only shown: the orchestrator that resumes the VM counts on its target.
4. *No frame is sent where it would be lost.* DELIVER is refused before `prepared`: a switch might not know the target yet.
5. *The network decides, not the order of messages.* A VM seen at its target while the preparation is under way is there, so
   `preparing` admits ACTIVATE. A time-out is an ABORT by the engine.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, StrEnum
from typing import Final

from ryu_vmmob.model.batches.rows import migration_ended
from ryu_vmmob.model.draft import Draft
from ryu_vmmob.model.membership import refuse_untagged_clash
from ryu_vmmob.model.move_options import MoveOptions
from ryu_vmmob.model.objects import Migration, Phase, TimelineEntry
from ryu_vmmob.model.refusal import Refusal, conflict, invalid, not_found

KEPT: Final = 1000
"""So many finished migrations are kept for reading; older ones are forgotten."""


class Stage(StrEnum):
    """The stage of a migration: its phase, and whether it was delivered or is returning."""

    PREPARING = "preparing"
    PREPARED = "prepared"
    DELIVERED = "delivered"
    ACTIVATED = "activated"
    RETURNING = "returning"
    COMMITTED = "committed"
    ABORTED = "aborted"
    FAILED = "failed"


def stage(migration: Migration) -> Stage:
    """Return where a migration stands."""
    if migration.is_returning:
        return Stage.RETURNING
    if migration.is_delivered and migration.phase is Phase.PREPARED:
        return Stage.DELIVERED
    return Stage(migration.phase.value)


def _phase(migration: Migration, found: Stage) -> Phase:
    """Return the event for a stage that a migration enters."""
    if found is Stage.RETURNING:
        return migration.phase
    return Phase.PREPARED if found is Stage.DELIVERED else Phase(found.value)


class Step(StrEnum):
    """An input of the machine. ``PREPARED``, ``RETURNED``: every switch concerned has confirmed the stage."""

    PREPARED = "prepared"
    DELIVER = "deliver"
    ACTIVATE = "activate"
    COMMIT = "commit"
    ABORT = "abort"
    FORCE = "force"
    """An abort that waits for no switch."""
    RETURNED = "returned"
    FAIL = "fail"


class Standstill(Enum):
    """What a step means in a stage where it leads to no other."""

    NOTHING = "nothing"
    REFUSED = "refused"


_NOTHING, _REFUSED = Standstill.NOTHING, Standstill.REFUSED
# fmt: off
_ROWS: Final[dict[Stage, tuple[Stage | Standstill, ...]]] = {
    # in the order of the steps
    Stage.PREPARING: (
        Stage.PREPARED, _REFUSED, Stage.ACTIVATED, _REFUSED, Stage.ABORTED, Stage.ABORTED, _NOTHING, Stage.FAILED,
    ),
    Stage.PREPARED: (
        _NOTHING, Stage.DELIVERED, Stage.ACTIVATED, _REFUSED, Stage.ABORTED, Stage.ABORTED, _NOTHING, _NOTHING,
    ),
    Stage.DELIVERED: (
        _NOTHING, _NOTHING, Stage.ACTIVATED, _REFUSED, Stage.RETURNING, Stage.ABORTED, _NOTHING, _NOTHING,
    ),
    Stage.ACTIVATED: (
        _NOTHING, _NOTHING, _NOTHING, Stage.COMMITTED, Stage.RETURNING, Stage.ABORTED, _NOTHING, _NOTHING,
    ),
    Stage.RETURNING: (
        _NOTHING, _REFUSED, Stage.ACTIVATED, _REFUSED, _NOTHING, Stage.ABORTED, Stage.ABORTED, Stage.FAILED,
    ),
    Stage.COMMITTED: (_NOTHING, _NOTHING, _NOTHING, _NOTHING, _REFUSED, _REFUSED, _NOTHING, _NOTHING),
    Stage.ABORTED: (_NOTHING, _REFUSED, _REFUSED, _REFUSED, _NOTHING, _NOTHING, _NOTHING, _NOTHING),
    Stage.FAILED: (_NOTHING, _REFUSED, _REFUSED, _REFUSED, _NOTHING, _NOTHING, _NOTHING, _NOTHING),
}
# fmt: on


def verdict(at: Stage, step: Step) -> Stage | Standstill:
    """Return the stage to which ``step`` leads, or what it means instead."""
    return dict(zip(Step, _ROWS[at], strict=True))[step]


def start(
    draft: Draft, id: str, name: str, target: str, options: MoveOptions, *, seen: str | None = None, batch: str | None = None
) -> None:
    """Begin to prepare the move of VM ``name``: the target counts as a place of the VM from now on. Raises Refusal."""
    state = draft.state
    vm = state.vms.get(name)
    if vm is None:
        raise invalid(("vm", f"there is no VM {name!r}"))
    if target not in state.fabric.servers:
        raise invalid(("to", f"there is no server {target!r} in the fabric"))
    if vm.migration is not None:
        raise conflict(f"VM {vm.name!r} is moving already (migration {vm.migration})")
    if target == vm.server:
        raise conflict(f"VM {vm.name!r} is on server {vm.server!r} already")
    refuse_untagged_clash(state, vm, target)
    if not state.trees_settled:
        said = "a link went down or came back a moment ago: try again in a second"
        raise Refusal(503, "links are changing", said, retry_after=1)
    migration = Migration(
        id,
        vm.name,
        vm.server,
        target,
        started=draft.now,
        step_revision=state.revision,
        timeline=(TimelineEntry(Phase.PREPARING, draft.now, {}),),
        seen=seen,
        reason=None if seen is None else f"unannounced, seen at {seen}",
        batch=batch,
        **options.options(),
    )
    draft.step(replace(vm, migration=migration.id), migration)
    draft.event("migration.preparing", id=migration.id, vm=vm.name, source=vm.server, target=migration.target)


def enter(draft: Draft, id: str, step: Step, reason: str | None) -> None:
    """Let ``step`` happen to a migration, as the table says. Raises Refusal 404 or 409."""
    migration = draft.state.migrations.get(id)
    if migration is None:
        raise not_found("migration", id)
    found = verdict(stage(migration), step)
    if found is Standstill.REFUSED:
        raise conflict(f"migration {migration.id} is {stage(migration).value}, which does not admit {step.value!r}")
    if isinstance(found, Standstill):
        return
    phase = _phase(migration, found)
    vm = draft.state.vms[migration.vm]
    if found is Stage.ACTIVATED:
        vm = replace(vm, server=migration.target)
    elif found in (Stage.RETURNING, Stage.ABORTED, Stage.FAILED):
        vm = replace(vm, server=migration.source)
    if phase.is_final:
        vm = replace(vm, migration=None)
    told = Phase.DELIVERED if found is Stage.DELIVERED else phase
    draft.step(
        vm,
        replace(
            migration,
            phase=phase,
            is_returning=found is Stage.RETURNING,
            is_delivered=migration.is_delivered or found is Stage.DELIVERED,
            reason=reason or migration.reason,
            step_revision=draft.state.revision,
            timeline=(*migration.timeline, TimelineEntry(told, draft.now, {})),
        ),
    )
    if phase.is_final:
        migration_ended(draft, draft.state.migrations[id])
        draft.forget_migrations(KEPT)
    draft.event(f"migration.{found.value}", id=migration.id, vm=vm.name, reason=reason)
