"""Conflicts: a VM that was seen at its target and still speaks at its source, so one of the two is forged.

An admitted frame activates a move. Where the target's cable has other VMs, joined by the server's own switch
(`model.local_switching`), a neighbour can forge that frame. The true VM then still runs at its source. The source's switch
refuses its frames since the activation, and reports them.

Therefore, with ``activate_on: announcement``, such a report undoes the activation. An automatic commit, which closes the
source, waits for `SETTLING` seconds without a report. Pure: time comes in.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

from ryu_vmmob.engine.refusals import Refusals, speaker
from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.frames.content import Frame
from ryu_vmmob.model.commands import Abort, Command
from ryu_vmmob.model.draft import Event
from ryu_vmmob.model.local_switching import peers
from ryu_vmmob.model.objects import Migration, Phase
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import mac_text
from ryu_vmmob.store.base import StoreError

SETTLING: Final = 3.0
"""Seconds between an activation that a neighbour could have forged and the automatic commit."""


def forgeable(state: State, migration: Migration) -> bool:
    """Whether another VM is behind the wire of the target by which the VM was seen to arrive."""
    return next(peers(state, migration.target, migration.vm), None) is not None


def settled(state: State, migration: Migration, now: float) -> bool:
    """Whether an activated migration may be committed, as far as its source tells.

    A source that speaks ends the activation (`Conflicts`), so it is silent for as long as this one is activated.
    """
    if migration.activate_on != "announcement" or not forgeable(state, migration):
        return True
    return now - migration.timeline[-1].time >= SETTLING


class Host(Protocol):
    """The part of the engine that this needs."""

    refusals: Refusals

    @property
    def alone(self) -> AbstractContextManager[object]:
        """Entered while something is done that must not be interrupted."""
        ...

    @property
    def state(self) -> State:
        """The present state."""
        ...

    def execute(self, *commands: Command) -> Any:
        """Carry out; raises Refusal and StoreError."""
        ...

    def emit(self, event: Event) -> None:
        """Tell."""
        ...


class Conflicts:
    """Times are seconds since the epoch."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def seen(self, port: PortRef, metadata: int, frame: Frame, now: float) -> bool:
        """Return whether a frame refused at a server's port is of a VM that speaks at its source; then tell that, and deal
        with it.
        """
        host = self._host
        if _left_by(host.state, port, metadata, frame) is None:
            return False
        with host.alone:
            return self._seen(port, metadata, frame, now)

    def _seen(self, port: PortRef, metadata: int, frame: Frame, now: float) -> bool:
        host = self._host
        migration = _left_by(host.state, port, metadata, frame)
        if migration is None:
            return False
        undone = migration.activate_on == "announcement"
        if undone:
            try:
                host.execute(Abort(migration.id, _reason(migration)))
            except StoreError:
                undone = False  # the next frame tries again
        more = host.refusals.due("conflict", port, frame.src, now)
        if undone or more is not None:
            host.emit(Event("migration.conflict", {**_data(migration, port, frame), "undone": undone, "more": more or 0}))
        return True


def _left_by(state: State, port: PortRef, metadata: int, frame: Frame) -> Migration | None:
    """Return the move by which the VM that speaks in this frame has left (`_left`)."""
    vm = speaker(state, port, metadata, frame)
    return _left(state, port, vm) if vm is not None else None


def _left(state: State, port: PortRef, vm: str) -> Migration | None:
    """Return the move by which a VM has left the server at ``port``, if it is not over, and if a neighbour could have feigned
    it.
    """
    migration, server = state.migration_of(state.vms[vm]), state.fabric.server_at.get(port)
    if server is None or migration is None or migration.phase is not Phase.ACTIVATED or migration.is_returning:
        return None
    return migration if server.name == migration.source and forgeable(state, migration) else None


def _data(migration: Migration, port: PortRef, frame: Frame) -> dict[str, Any]:
    return {
        "id": migration.id,
        "vm": migration.vm,
        "source": migration.source,
        "target": migration.target,
        "switch": port.switch,
        "port": port.port,
        "mac": mac_text(frame.src),
        "reason": _reason(migration),
    }


def _reason(migration: Migration) -> str:
    return f"VM {migration.vm} still speaks at {migration.source} after it was seen at {migration.target}"
