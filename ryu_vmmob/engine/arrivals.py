"""Unannounced moves: decide whether a VM that speaks on another server has moved there, and act on it.

Only where the fabric file says so (`unannounced_moves: accept`). The source is asked first:

    a frame refused ──> listen at the source ──> ask there ──> silence for `PATIENCE` ──> a migration, as any other
                              │ its switch does not confirm   │ anything is heard
                              └───────────> refused <─────────┘

Listening is an ordinary desired state (`model.questions`), so the answer comes the way of an awaited VM's first frame. Pure:
time comes in; the host carries out.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ryu_vmmob.engine.fleet import Fleet
from ryu_vmmob.engine.refusals import rightly_tagged, truthful
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import SEGMENT, WIRE
from ryu_vmmob.frames.content import Frame
from ryu_vmmob.model.commands import Command, StartMigration
from ryu_vmmob.model.draft import Event
from ryu_vmmob.model.objects import Vm
from ryu_vmmob.model.questions import EndQuestionVm, QuestionVm
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import State
from ryu_vmmob.store.base import StoreError

PATIENCE: Final = 1.0
"""Seconds of silence at the source after which a VM is not there any more."""
_ASK_AGAIN: Final = 0.4
_CONFIRM: Final = 5.0
"""Seconds that the source's switch has to confirm that it listens."""
MOVES: Final = 5
WITHIN: Final = 180.0
"""So many unannounced moves of one VM in so many seconds; more are refused (RFC 7432, 15.1: M = 180 s, N = 5)."""
_HOLD: Final = 10.0
"""Seconds in which a VM that has answered at its source is not asked again."""

Data = dict[str, Any]


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
        """Carry out; raises Refusal and StoreError."""
        ...

    def dry_run(self, *commands: Command) -> State:
        """Return what commands would make; raises Refusal."""
        ...

    def emit(self, event: Event) -> None:
        """Tell."""
        ...


@dataclass(slots=True)
class _Open:
    """A question that waits for its answer. ``edge`` is the switch of the source, ``revision`` that of its listening."""

    server: str
    edge: str
    revision: int
    since: float
    data: Data
    asked: float | None = None
    again: float = 0.0

    @property
    def seen(self) -> str:
        return f"{self.data['switch']}:{self.data['port']}"


class Arrivals:
    """Times are seconds since the epoch."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._open: dict[str, _Open] = {}
        self._answered: dict[tuple[str, str], float] = {}
        """(VM, server where it was claimed to be) -> when it answered elsewhere."""

    def seen(self, told: Event, metadata: int, frame: Frame, now: float) -> Event | None:
        """Take a VM's frame that was refused, as ``told`` says; return what is to be told instead, None for a VM that is being
        asked for.

        ``metadata`` is what the switch knew of it.
        """
        if not self._host.state.fabric.accepts_unannounced(told.data["server"]):
            return told
        with self._host.alone:
            return self._seen(told, metadata, frame, now)

    def _seen(self, told: Event, metadata: int, frame: Frame, now: float) -> Event | None:
        state, data = self._host.state, told.data
        vm = state.vms.get(data["vm"])
        if vm is None or data["server"] not in state.fabric.servers or vm.migration is not None:
            return told
        if vm.name in self._open:
            return None
        moves = recent(state, vm.name, now)
        if moves >= MOVES:
            said = f"moved {moves} times unannounced within {WITHIN:g} s"
            return Event("move.dampened", {**data, "reason": said})
        server = state.fabric.servers[data["server"]]
        if not metadata & SEGMENT.mask and not rightly_tagged(state, data["cug"], server, frame):
            reason: str | None = "its tag is not that of its user group here"
        else:
            reason = self._obstacle(vm, data, _tag(metadata, frame), frame, now)
        if reason is None:
            reason = self._listen(vm, data, now)
        if reason is not None:
            return told._replace(data={**data, "reason": reason})
        return Event("move.questioned", {**data, "reason": f"asked for at {vm.server}, its place"})

    def _obstacle(self, vm: Vm, data: Data, tag: int | None, frame: Frame, now: float) -> str | None:
        """Return why a VM cannot have moved, or must not be probed; None when it can. ``tag`` is that of its frame."""
        state = self._host.state
        edge = state.fabric.servers[vm.server].switch
        if not truthful(state, vm, frame):
            return f"it claims {data['address']}, which is not the VM's"
        if not any(state.speaks(row.cug, state.wire(row, vm.server)) for row in vm.interfaces):
            return "its user group has no number at its place, so it cannot be asked there"
        if now - self._answered.get((vm.name, data["server"]), -_HOLD) < _HOLD:
            return "the VM answers at its place"
        if not self._host.fleet.is_connected(edge):
            return f"the VM cannot be asked at its place: switch {edge} is away"
        try:
            there = self._host.dry_run(_move(vm.name, data["server"], "", ""))
        except Refusal as refusal:
            return refusal.detail
        return _another_number(there, vm.name, data["server"], tag, frame)

    def _listen(self, vm: Vm, data: Data, now: float) -> str | None:
        try:
            self._host.execute(QuestionVm(vm.name))
        except (Refusal, StoreError) as error:
            return str(error)
        edge = self._host.state.fabric.servers[vm.server].switch
        self._open[vm.name] = _Open(data["server"], edge, self._host.state.revision, now, data)
        return None

    def heard(self, vm: str, now: float) -> None:
        """Take a frame of a VM that speaks at its placement."""
        row = self._open.get(vm)
        if row is not None:
            if len(self._answered) >= 1024:
                self._answered.clear()
            self._answered[vm, row.server] = now
            self._refuse(vm, "the VM answers at its place")

    def look(self, now: float) -> None:
        """Ask, give up or accept: whatever is due. To be called when a switch confirms, and every half second or so."""
        host = self._host
        for vm, row in list(self._open.items()):
            if vm not in host.state.questioned:  # something else was done with it: that is newer than our doubt
                del self._open[vm]
            elif not host.fleet.is_connected(row.edge):
                self._refuse(vm, f"the VM cannot be asked at its place: switch {row.edge} is away")
            elif any(fault.owner.whole == Owner(OwnerKind.VM, vm) for fault in host.fleet.faults(row.edge)):
                self._refuse(vm, f"the VM cannot be listened for at its place: switch {row.edge} refuses")
            elif row.asked is None:
                if host.fleet.has(row.edge, row.revision):
                    row.asked = now
                    self._ask(vm, row, now)
                elif now - row.since >= _CONFIRM:
                    self._refuse(vm, f"the VM cannot be asked at its place: switch {row.edge} does not confirm")
            elif now - row.asked >= PATIENCE:
                self._accept(vm, row)
            elif now >= row.again:
                self._ask(vm, row, now)
        for vm in host.state.questioned:
            # Of a VM on the move that is asked for the overdue move's affair.
            if vm not in self._open and (row_ := host.state.vms.get(vm)) is not None and row_.migration is None:
                self._done(vm)

    def _ask(self, vm: str, row: _Open, now: float) -> None:
        row.again = now + _ASK_AGAIN
        self._host.on_question(vm)

    def _accept(self, vm: str, row: _Open) -> None:
        with self._host.alone:
            # While this waited for its turn the VM may have answered at its place, or something else was done with it.
            if self._open.get(vm) is row and vm in self._host.state.questioned:
                del self._open[vm]
                self._move(vm, row)

    def _move(self, vm: str, row: _Open) -> None:
        # Revisions are never used twice, so neither is the id.
        id_ = f"u-{self._host.state.revision + 1:012d}"
        try:
            self._host.execute(_move(vm, row.server, id_, row.seen))
        except (Refusal, StoreError) as error:
            self._host.emit(Event("refused.move", {**row.data, "reason": str(error)}))

    def _refuse(self, vm: str, reason: str) -> None:
        row = self._open.pop(vm, None)
        if row is None:
            return
        self._done(vm)
        self._host.emit(Event("refused.move", {**row.data, "reason": reason}))

    def _done(self, vm: str) -> None:
        with suppress(StoreError):  # the store's keeper tells of it, and the next look tries again
            self._host.execute(EndQuestionVm(vm))


def _tag(metadata: int, frame: Frame) -> int | None:
    """Return the tag under which a frame came in, also where the switch has taken it off."""
    return frame.vlan_ids[0] if frame.vlan_ids else WIRE.read(metadata) or None


def _another_number(there: State, name: str, server: str, tag: int | None, frame: Frame) -> str | None:
    """Return why a VM would have no network at a server with tagging per interface: it uses another VLAN-ID than it has there.

    ``there`` is the state in which it moves there.
    """
    vm = there.vms[name]
    for number, row in enumerate(vm.interfaces):
        wanted = there.vnic_vlan_id(vm, number, server)
        if there.fabric.servers[server].per_interface and row.mac == frame.src and tag != wanted:
            return f"it is tagged with VLAN-ID {tag}, and would have VLAN-ID {wanted} there"
    return None


def recent(state: State, vm: str, now: float) -> int:
    """Return the number of recent unannounced moves of a VM, from its migrations. Requested moves do not count."""
    rows = state.migrations.values()
    return sum(row.vm == vm and row.seen is not None and now - row.started < WITHIN for row in rows)


def _move(vm: str, server: str, id_: str, seen: str) -> StartMigration:
    return StartMigration(id_, vm, server, activate_on="request", seen=seen)
