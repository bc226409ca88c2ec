r"""The migration machine: which step leads from which phase to which, and what it does to the state (design 5).

    phase \ step   PREPARED     ACTIVATED   COMMITTED   ABORTED
    ------------   ---------   ---------   ---------   --------
    preparing      prepared    activated   refused     aborted
    prepared       (nothing)   activated   refused     aborted
    activated      (nothing)   (nothing)   committed   refused
    committed      (nothing)   (nothing)   (nothing)   refused
    aborted        (nothing)   refused     refused     (nothing)
    failed         (nothing)   refused     refused     (nothing)

A VM seen at its target while the preparation is still under way *is* there, so `preparing` admits activation.
Every phase is an ordinary desired state (`objects.seats`); any mixture of switches before and after a step is loop free,
and from `prepared` on without a gap.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import Final

from ryu_vmmob.model.batch_rows import migration_ended
from ryu_vmmob.model.draft import Draft
from ryu_vmmob.model.membership import refuse_untagged_clash
from ryu_vmmob.model.objects import Migration, Phase, TimelineEntry
from ryu_vmmob.model.refusal import Refusal, conflict, invalid, not_found

KEPT: Final = 1000
"""So many finished migrations are kept for reading; older ones are forgotten."""


class Verdict(Enum):
    """What a step means in a phase."""

    GO = "go"
    NOTHING = "nothing"
    REFUSED = "refused"


_GO, _NOTHING, _REFUSED = Verdict.GO, Verdict.NOTHING, Verdict.REFUSED
_TABLE: Final[dict[Phase, dict[Phase, Verdict]]] = {
    Phase.PREPARING: {Phase.PREPARED: _GO, Phase.ACTIVATED: _GO, Phase.COMMITTED: _REFUSED, Phase.ABORTED: _GO},
    Phase.PREPARED: {Phase.PREPARED: _NOTHING, Phase.ACTIVATED: _GO, Phase.COMMITTED: _REFUSED, Phase.ABORTED: _GO},
    Phase.ACTIVATED: {
        Phase.PREPARED: _NOTHING, Phase.ACTIVATED: _NOTHING, Phase.COMMITTED: _GO, Phase.ABORTED: _REFUSED,
    },
    Phase.COMMITTED: {
        Phase.PREPARED: _NOTHING, Phase.ACTIVATED: _NOTHING, Phase.COMMITTED: _NOTHING, Phase.ABORTED: _REFUSED,
    },
    Phase.ABORTED: {
        Phase.PREPARED: _NOTHING, Phase.ACTIVATED: _REFUSED, Phase.COMMITTED: _REFUSED, Phase.ABORTED: _NOTHING,
    },
    Phase.FAILED: {
        Phase.PREPARED: _NOTHING, Phase.ACTIVATED: _REFUSED, Phase.COMMITTED: _REFUSED, Phase.ABORTED: _NOTHING,
    },
}  # fmt: skip

_ASKED: Final = {Phase.ACTIVATED: "activate", Phase.COMMITTED: "commit", Phase.ABORTED: "abort"}


def verdict(phase: Phase, step: Phase) -> Verdict:
    """What entering ``step`` means for a migration in ``phase``."""
    return _TABLE[phase][step]


def start(draft: Draft, wanted: Migration) -> None:
    """Begin to prepare: the target counts as a place of the VM from now on. Raises Refusal."""
    state = draft.state
    vm = state.vms.get(wanted.vm)
    if vm is None:
        raise invalid(("vm", f"there is no VM {wanted.vm!r}"))
    if wanted.target not in state.fabric.servers:
        raise invalid(("to", f"there is no server {wanted.target!r} in the fabric"))
    if vm.migration is not None:
        raise conflict(f"VM {vm.name!r} is moving already (migration {vm.migration})")
    if wanted.target == vm.server:
        raise conflict(f"VM {vm.name!r} is on server {vm.server!r} already")
    refuse_untagged_clash(state, vm, wanted.target)
    if not state.trees_settled:
        raise Refusal(503, "links are changing", "a link went down or came back a moment ago: try again in a second")
    migration = replace(
        wanted, source=vm.server, step_revision=state.revision, timeline=(TimelineEntry(Phase.PREPARING, draft.now, {}),)
    )
    draft.step(replace(vm, migration=migration.id), migration)
    draft.event("migration.preparing", id=migration.id, vm=vm.name, source=vm.server, target=migration.target)


def enter(draft: Draft, id: str, step: Phase, reason: str | None) -> None:
    """Take a migration to ``step`` as the table says. Raises Refusal 404 or 409."""
    migration = draft.state.migrations.get(id)
    if migration is None:
        raise not_found("migration", id)
    found = verdict(migration.phase, step)
    if found is Verdict.REFUSED:
        raise conflict(_why_refused(migration, step))
    if found is Verdict.NOTHING:
        return
    state = draft.state
    vm = state.vms[migration.vm]
    if step is Phase.ACTIVATED:
        vm = replace(vm, server=migration.target)
    elif step.is_final:
        vm = replace(vm, migration=None)
    draft.step(
        vm,
        replace(
            migration,
            phase=step,
            reason=reason or migration.reason,
            step_revision=state.revision,
            timeline=(*migration.timeline, TimelineEntry(step, draft.now, {})),
        ),
    )
    if step.is_final:
        migration_ended(draft, draft.state.migrations[id])
        draft.forget_migrations(KEPT)
    draft.event(f"migration.{step.value}", id=migration.id, vm=vm.name, reason=reason)


def _why_refused(migration: Migration, step: Phase) -> str:
    phase = migration.phase
    asked = _ASKED.get(step, step.value)
    if phase is Phase.ACTIVATED and step is Phase.ABORTED:
        return f"migration {migration.id} is activated: VM {migration.vm!r} runs at the target; move it back instead"
    return f"migration {migration.id} is {phase.value}, which does not admit {asked!r}"
