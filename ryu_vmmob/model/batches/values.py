"""Batches: many VMs that leave a server, or all servers of a switch, a few at a time. Immutable values, trusted once built."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ryu_vmmob.model.move_options import MoveOptions


class BatchState(StrEnum):
    """The states of a batch. The last two are final."""

    RUNNING = "running"
    ABORTING = "aborting"
    """No VM is started any more; those that run at their targets already are brought to the end."""
    FINISHED = "finished"
    ABORTED = "aborted"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows any more."""
        return self in (BatchState.FINISHED, BatchState.ABORTED)


class Outcome(StrEnum):
    """The outcome of one VM of a batch. From `COMMITTED` on nothing follows."""

    WAITING = "waiting"
    MOVING = "moving"
    """It has a migration that is under way."""
    COMMITTED = "committed"
    ABORTED = "aborted"
    FAILED = "failed"
    REFUSED = "refused"
    """It did not begin to move: no server takes it, or another request is moving it."""
    GONE = "gone"
    """It was deleted before its turn."""
    ELSEWHERE = "elsewhere"
    """Another request has moved it before its turn."""
    SKIPPED = "skipped"
    """The batch was aborted before its turn."""


@dataclass(frozen=True, slots=True)
class Batch(MoveOptions):
    """The evacuation of ``servers``; ``switch`` names the switch when all of its servers were asked for.

    ``targets``: the servers that may take the VMs; None: any that is not being evacuated. At most ``parallel`` (1 to 1000)
    migrations are under way at once, all with the batch's options. ``size`` VMs
    belong to it; the first ``planned`` of them are to move, in the order of their numbers, and number ``next`` is the first
    that has not had its turn. ``moving``: numbers of those under way. ``started`` and ``ended`` in seconds since the epoch.
    """

    id: str
    servers: tuple[str, ...]
    switch: str | None = None
    targets: tuple[str, ...] | None = None
    parallel: int = 8
    state: BatchState = BatchState.RUNNING
    size: int = 0
    planned: int = 0
    next: int = 0
    moving: tuple[int, ...] = ()
    started: float = 0.0
    ended: float | None = None
    reason: str | None = None
    revision: int = 0

    @property
    def is_waiting(self) -> bool:
        """Whether there are VMs that have not had their turn."""
        return self.state is BatchState.RUNNING and self.next < self.planned

    @property
    def has_room(self) -> bool:
        """Whether the next VM may begin now."""
        return self.is_waiting and len(self.moving) < self.parallel


@dataclass(frozen=True, slots=True)
class BatchVm:
    """One VM of a batch: where it was, the server planned for it and, once it has begun to move, the one it went to."""

    batch: str
    number: int
    vm: str
    source: str
    target: str | None = None
    outcome: Outcome = Outcome.WAITING
    reason: str | None = None

    @property
    def migration(self) -> str:
        """The id of the migration that moves it, when there is one."""
        return f"{self.batch}-{self.number}"

    @property
    def has_migration(self) -> bool:
        """Whether it has begun to move, however that ended."""
        return self.outcome in (Outcome.MOVING, Outcome.COMMITTED, Outcome.ABORTED, Outcome.FAILED)
