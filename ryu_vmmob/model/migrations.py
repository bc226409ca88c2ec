"""Commands on migrations: each is one step of the machine (`migration_steps`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ryu_vmmob.model import migration_steps as steps
from ryu_vmmob.model.draft import Draft
from ryu_vmmob.model.move_options import MoveOptions


@dataclass(frozen=True, slots=True)
class StartMigration(MoveOptions):
    """Prepare a move. ``seen``: the ``switch:port`` where the VM spoke, of a move that was not announced."""

    id: str
    vm: str
    to: str
    seen: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """Every switch concerned has acknowledged the preparation."""

    id: str


@dataclass(frozen=True, slots=True)
class Deliver:
    """The source has paused: the VM's traffic goes to the target from now on, each frame to one place only."""

    id: str


@dataclass(frozen=True, slots=True)
class Activate:
    """The VM runs at the target now: seen there, or the orchestrator says so."""

    id: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """End an activated migration: what was kept at the source goes."""

    id: str


@dataclass(frozen=True, slots=True)
class Abort:
    """Undo a migration that is not committed yet; ``reason`` is kept and shown.

    One that is activated goes back in two steps: the source opens again, and the target goes when that is confirmed. With
    ``force`` it goes back at once, whatever the switches say: for when one of them is dead.
    """

    id: str
    reason: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Returned:
    """The switches have acknowledged that the source of an aborted move is open again."""

    id: str


@dataclass(frozen=True, slots=True)
class Fail:
    """A switch refuses what a migration cannot do without: undo it; ``reason`` has the switch's words."""

    id: str
    reason: str


def start_migration(draft: Draft, command: StartMigration) -> None:
    """Carry out `StartMigration`. Raises Refusal as `migration_steps.start` does."""
    steps.start(draft, command.id, command.vm, command.to, command, seen=command.seen)


def prepared(draft: Draft, command: Prepared) -> None:
    """Carry out `Prepared`. Raises Refusal as `migration_steps.enter` does."""
    steps.enter(draft, command.id, steps.Step.PREPARED, None)


def deliver(draft: Draft, command: Deliver) -> None:
    """Carry out `Deliver`. Raises Refusal as `migration_steps.enter` does."""
    steps.enter(draft, command.id, steps.Step.DELIVER, None)


def activate(draft: Draft, command: Activate) -> None:
    """Carry out `Activate`. Raises Refusal as `migration_steps.enter` does."""
    steps.enter(draft, command.id, steps.Step.ACTIVATE, command.reason)


def commit(draft: Draft, command: Commit) -> None:
    """Carry out `Commit`. Raises Refusal as `migration_steps.enter` does."""
    steps.enter(draft, command.id, steps.Step.COMMIT, None)


def abort(draft: Draft, command: Abort) -> None:
    """Carry out `Abort`. Raises Refusal as `migration_steps.enter` does."""
    steps.enter(draft, command.id, steps.Step.FORCE if command.force else steps.Step.ABORT, command.reason)


def returned(draft: Draft, command: Returned) -> None:
    """Carry out `Returned`. Raises Refusal as `migration_steps.enter` does."""
    steps.enter(draft, command.id, steps.Step.RETURNED, None)


def fail(draft: Draft, command: Fail) -> None:
    """Carry out `Fail`. Raises Refusal as `migration_steps.enter` does."""
    steps.enter(draft, command.id, steps.Step.FAIL, command.reason)


HANDLERS: Final[Mapping[type, Callable[..., None]]] = {
    StartMigration: start_migration,
    Prepared: prepared,
    Deliver: deliver,
    Activate: activate,
    Commit: commit,
    Abort: abort,
    Returned: returned,
    Fail: fail,
}
