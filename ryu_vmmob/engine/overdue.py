"""Overdue moves: after the time-out, both servers are probed before the move is aborted, since the VM may run at its target.

    time-out ──> listen at both servers ──> probe ──> it speaks at the target ──> activated, or it waits for the request
       │                │                      ├────> it speaks at the source ──> aborted
       │                │                      └────> `SILENCE` at both ────────> aborted
       └── the target's switch is away, or refuses to listen: the move stays as it is, and an operator may abort it

A VM in its pause is silent for a moment, and one that resumed while the controller was down may have spoken already. To close
the target then would cut the VM off. To keep both servers open harms no other VM. Listening is an ordinary desired state
(`model.questions`). Pure: time comes in; the host carries out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ryu_vmmob.engine.fleet import Fleet
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.model.commands import Abort, Command
from ryu_vmmob.model.draft import Event
from ryu_vmmob.model.objects import Migration, Phase
from ryu_vmmob.model.questions import EndQuestionVm, QuestionVm
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import State
from ryu_vmmob.store.base import StoreError

SILENCE: Final = 10.0
"""Seconds of silence at both places after which the VM has not gone on. Longer than the pause of a busy VM."""
ASK_AGAIN: Final = 1.0


class Host(Protocol):
    """The part of the engine that this needs."""

    fleet: Fleet

    @property
    def alone(self) -> AbstractContextManager[object]:
        """The context of a step that must not be interrupted."""
        ...

    @property
    def on_question(self) -> Callable[[str], None]:
        """The callback that probes a VM of this name."""
        ...

    @property
    def state(self) -> State:
        """The present state."""
        ...

    def execute(self, *commands: Command) -> Any:
        """Execute commands in one change. Raises Refusal and StoreError."""
        ...

    def emit(self, event: Event) -> None:
        """Emit an event."""
        ...


@dataclass(slots=True)
class _Open:
    """A move under probe: listening since ``revision``; first probe at ``asked``, next one at ``again``, in seconds."""

    revision: int
    asked: float | None = None
    again: float = 0.0


class Overdue:
    """The overdue moves. Times are seconds of the controller's clock. ``restored``: moves that a start found in the store."""

    def __init__(self, host: Host, restored: Iterable[str]) -> None:
        self._host = host
        self._restored = frozenset(restored)
        self._open: dict[str, _Open] = {}
        self._later: dict[str, float] = {}
        """Move whose VM sends at its target, and that waits for a request -> time of the next check."""
        self._told: dict[str, str] = {}
        """Move -> why its VM cannot be probed."""

    def may_have_gone_on(self, migration: Migration) -> bool:
        """Whether its VM may run at the target: it was prepared, or may have been before the controller's last start."""
        return migration.phase is Phase.PREPARED or migration.id in self._restored

    def look(self, ids: Iterable[str], now: float) -> None:
        """Take the step that is due for each of these moves: listen, probe, or end it."""
        rows = self._host.state.migrations
        for id_ in sorted(ids):
            if id_ in self._open or id_ in self._told or ((row := rows.get(id_)) is not None and _is_over(row, now)):
                with self._host.alone:
                    self._look(id_, now)

    @property
    def told(self) -> Mapping[str, str]:
        """Moves that stay open although their time is over, and why."""
        return self._told

    @property
    def open(self) -> frozenset[str]:
        """Moves whose VM is probed now."""
        return frozenset(self._open)

    def heard(self, migration: Migration, server: str, now: float) -> None:
        """Note that a probed VM sends at this server; the frame itself activates nothing. Raises StoreError."""
        if server == migration.source:
            self._close(migration, "its VM is at its source")
        elif self._open.pop(migration.id, None) is not None:
            self._later[migration.id] = now + migration.timeout
            self._end(migration)
            self._tell(migration, "its VM speaks at its target, and activation waits for a request")

    def _look(self, id_: str, now: float) -> None:
        host = self._host
        row = host.state.migrations.get(id_)
        if row is None or not _is_over(row, now) or not self.may_have_gone_on(row):
            for rows in (self._open, self._later, self._told):
                rows.pop(id_, None)
            return
        if now < self._later.get(id_, now):
            return
        reason = self._deaf(row)
        if reason is not None:
            self._open.pop(id_, None)
            self._end(row)
            self._tell(row, reason)
            return
        found = self._open.get(id_)
        if found is None or row.vm not in host.state.questioned:
            self._listen(row)
        elif found.asked is None:
            if all(host.fleet.has(name, found.revision) for name in self._ears(row)):
                found.asked = now
                self._ask(row, found, now)
        elif now - found.asked >= SILENCE:
            with suppress(StoreError):  # the next look tries again
                self._close(row, "its VM answers at neither place")
        elif now >= found.again:
            self._ask(row, found, now)

    def _deaf(self, row: Migration) -> str | None:
        """Return why the VM cannot be probed at the target; None when it can."""
        fleet = self._host.fleet
        edge = self._host.state.fabric.servers[row.target].switch
        if not fleet.is_connected(edge) or not fleet.is_synchronised(edge):
            return f"switch {edge} of its target is away, so its VM cannot be asked there"
        if any(fault.owner.whole == Owner(OwnerKind.VM, row.vm) for fault in fleet.faults(edge)):
            return f"switch {edge} of its target refuses to listen for its VM"
        return None

    def _ears(self, row: Migration) -> list[str]:
        """Return the edges of both places, the source's if it is there."""
        servers, fleet = self._host.state.fabric.servers, self._host.fleet
        source, target = servers[row.source].switch, servers[row.target].switch
        return [target, *([source] if fleet.is_connected(source) else [])]

    def _listen(self, row: Migration) -> None:
        with suppress(Refusal, StoreError):  # the next look tries again
            self._host.execute(QuestionVm(row.vm, row.id))
            self._open[row.id] = _Open(self._host.state.revision)

    def _ask(self, row: Migration, found: _Open, now: float) -> None:
        found.again = now + ASK_AGAIN
        self._host.on_question(row.vm)

    def _close(self, row: Migration, reason: str) -> None:
        self._host.execute(Abort(row.id, f"not activated within {row.timeout:g} s, and {reason}"))
        self._open.pop(row.id, None)

    def _end(self, row: Migration) -> None:
        if row.vm in self._host.state.questioned:
            with suppress(StoreError):
                self._host.execute(EndQuestionVm(row.vm))

    def _tell(self, row: Migration, reason: str) -> None:
        if self._told.get(row.id) != reason:
            self._told[row.id] = reason
            self._host.emit(Event("migration.overdue", {"id": row.id, "vm": row.vm, "reason": reason}))


def _is_over(row: Migration, now: float) -> bool:
    waits = row.phase in (Phase.PREPARING, Phase.PREPARED) and not row.is_returning and row.seen is None
    return waits and now >= row.started + row.timeout
