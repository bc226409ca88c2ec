"""Batches in a draft: what is written when one begins, when a VM's turn has come, and when its migration has ended.

A migration's end is noted in its batch by the same change: a finished migration may be forgotten, and its end with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from immutables import Map

from ryu_vmmob.model.batches.values import Batch, BatchState, BatchVm, Outcome
from ryu_vmmob.model.draft import Draft
from ryu_vmmob.model.objects import Migration

KEPT: Final = 100
"""So many finished batches are kept for reading; older ones are forgotten."""


def put_batch(draft: Draft, batch: Batch, rows: Iterable[BatchVm] = ()) -> None:
    """Write a batch and those of its VMs that are new or have changed; one with nothing left to do ends here."""
    state = draft.state
    if not batch.state.is_final and not batch.moving and not batch.is_waiting:
        over = BatchState.FINISHED if batch.state is BatchState.RUNNING else BatchState.ABORTED
        batch = replace(batch, state=over, ended=draft.now)
        draft.event(f"batch.{over.value}", id=batch.id, servers=list(batch.servers), reason=batch.reason)
    batch = replace(batch, revision=state.revision)
    found = state.batch_vms.get(batch.id, Map())
    for row in rows:
        found = found.set(row.number, row)
        draft.batch_vms.add((row.batch, row.number))
    draft.state = replace(state, batches=state.batches.set(batch.id, batch), batch_vms=state.batch_vms.set(batch.id, found))
    draft.batches.add(batch.id)
    if batch.state.is_final:
        _forget(draft)


def migration_ended(draft: Draft, migration: Migration) -> None:
    """Note how a migration ended in the batch it belongs to, if it belongs to any."""
    batch = draft.state.batches.get(migration.batch) if migration.batch is not None else None
    if batch is None:
        return
    number = next(row for row in batch.moving if f"{batch.id}-{row}" == migration.id)
    row = draft.state.batch_vms[batch.id][number]
    ended = replace(row, outcome=Outcome(migration.phase.value), reason=migration.reason)
    put_batch(draft, replace(batch, moving=tuple(other for other in batch.moving if other != number)), [ended])


def _forget(draft: Draft) -> None:
    """Drop the oldest of the finished batches once there are more than `KEPT`."""
    state = draft.state
    finished = sorted((row for row in state.batches.values() if row.state.is_final), key=lambda row: row.revision)
    for batch in finished[: max(0, len(finished) - KEPT)]:
        draft.batches.add(batch.id)
        draft.batch_vms.update((batch.id, number) for number in state.batch_vms[batch.id])
        state = replace(state, batches=state.batches.delete(batch.id), batch_vms=state.batch_vms.delete(batch.id))
    draft.state = state
