"""Times in the state: seconds on the controller's own line (`engine.clock`), which only time that passes moves on."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_vmmob.model.state import State


def newest(state: State) -> float:
    """Return the newest time that a state tells of: its line goes on from there; 0 when it tells of none."""
    return max(_times(state), default=0.0)


def _times(state: State) -> Iterator[float]:
    for migration in state.migrations.values():
        yield migration.started
        for entry in migration.timeline:
            yield entry.time
            yield from entry.acknowledged.values()
    for batch in state.batches.values():
        yield batch.started
        if batch.ended is not None:
            yield batch.ended
    yield from (row.since for row in state.quarantine.values())
    yield from (row.since for row in state.resting.values())
