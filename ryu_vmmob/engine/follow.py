"""Follow-ups: the next step of a migration, the second step of a change of trees, the end of quarantines.

They are found by looking at the state and at what the switches have confirmed, and never remembered apart from the state. After
a crash the same look finds the same work.

Only the places to look are remembered: migrations that changed, and those of a switch that changed. Every half second a look
covers everything, because time-outs pass without a change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from ryu_vmmob.engine.conflicts import settled
from ryu_vmmob.engine.fleet import Fleet, SwitchFault
from ryu_vmmob.engine.sent_on import has_passed
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.model.commands import Abort, Activate, Command, Commit, EndQuarantines, Prepared, SettleTrees
from ryu_vmmob.model.draft import Change, Event
from ryu_vmmob.model.migrations import Fail, Returned
from ryu_vmmob.model.objects import Migration, Phase, routed_segment
from ryu_vmmob.model.state import State

FOLLOWS_AGAIN: Final = (Prepared, Commit, Returned, SettleTrees, EndQuarantines)
"""Due steps that the same look would find again if they were forgotten: no answer depends on them, so they wait for no disk."""


class FollowUps:
    """The indexes of due work. ``quarantine`` is how long a VLAN-ID rests, in seconds."""

    def __init__(self, state: State, quarantine: float, may_have_gone_on: Callable[[Migration], bool]) -> None:
        self._quarantine = quarantine
        self._active: dict[str, tuple[str, ...]] = {}
        """Migration that is not finished -> its switches."""
        self._of_switch: dict[str, set[str]] = {}
        self._touched: set[str] = set()
        self._changed: set[str] = set()
        self._late: dict[str, str] = {}
        """Migration -> a switch that had not confirmed at the last look: until it does, the others need not be looked at."""
        self._failed = False
        self.batches = {row.id for row in state.batches.values() if row.is_waiting}
        """Batches that wait for room."""
        self._seen: dict[str, Activate] = {}
        self._may_have_gone_on = may_have_gone_on
        for row in state.migrations.values():
            self._note(row.id, row)

    @property
    def under_way(self) -> frozenset[str]:
        """Ids of the migrations that are not finished."""
        return frozenset(self._active)

    def adopted(self, change: Change) -> None:
        """Follow up a change that has become the state."""
        for id_ in change.migrations:
            self._seen.pop(id_, None)
            self._note(id_, change.state.migrations.get(id_))
        for id_ in change.batches:
            batch = change.state.batches.get(id_)
            (self.batches.add if batch is not None and batch.is_waiting else self.batches.discard)(id_)

    def switch_changed(self, switch: str) -> None:
        """Follow up that a switch came, went, or confirmed or refused something."""
        self._touched.update(self._of_switch.get(switch, ()))
        self._changed.add(switch)

    def failed(self) -> None:
        """Something that was due was not carried out: the next look is at everything."""
        self._failed = True

    def announced(self, command: Activate) -> None:
        """Keep an announcement that the store did not take, because the VM may not say a word again."""
        self._seen[command.id] = command

    def due(self, state: State, fleet: Fleet, now: float, *, everything: bool) -> list[Command]:
        """Return the steps that are due, each by itself; of ``everything``, or of what has changed since the last look."""
        everything, self._failed = everything or self._failed, False
        ids, self._touched = self._active.keys() if everything else self._touched & self._active.keys(), set()
        changed, self._changed = self._changed, set()
        refused = any(fleet.is_connected(name) and fleet.faults(name) for name in changed)
        due: list[Command] = []
        for id_ in sorted(ids):
            row = state.migrations[id_]
            if everything or refused or id_ in self._seen or not self._still_late(fleet, row):
                command = self._step(state, fleet, row, now)
                if command is not None:
                    due.append(command)
                else:
                    self._note_late(fleet, row)
        if _have_shrunk(state, fleet):
            due.append(SettleTrees())
        rows = (*state.quarantine.values(), *state.resting.values()) if everything else ()
        if any(now - row.since >= self._quarantine for row in rows):
            due.append(EndQuarantines(self._quarantine, fleet.confirmed()))
        return due

    def still_due(self, commands: Sequence[Command], state: State, fleet: Fleet, now: float) -> list[Command]:
        """Those of ``commands`` that are due on ``state`` too, as they would be found on it."""
        return [row for command in commands if (row := self._again(command, state, fleet, now)) is not None]

    def _again(self, command: Command, state: State, fleet: Fleet, now: float) -> Command | None:
        if isinstance(command, SettleTrees):
            return SettleTrees() if _have_shrunk(state, fleet) else None
        if isinstance(command, EndQuarantines):
            return replace(command, acknowledged=fleet.confirmed())
        id_: str = getattr(command, "id", "")
        row = state.migrations.get(id_)
        if row is None or row.phase.is_final:
            return None
        found = self._step(state, fleet, row, now)
        return found if type(found) is type(command) else None

    def _step(self, state: State, fleet: Fleet, row: Migration, now: float) -> Command | None:
        found = self._seen.get(row.id) or next_step(state, fleet, row, now)
        return None if isinstance(found, Abort) and self._may_have_gone_on(row) else found

    def _still_late(self, fleet: Fleet, row: Migration) -> bool:
        late = self._late.get(row.id)
        return late is not None and _awaited(fleet, row, late)

    def _note_late(self, fleet: Fleet, row: Migration) -> None:
        # The last one: switches confirm about in the order in which they were told.
        late = next((name for name in reversed(row.switches) if _awaited(fleet, row, name)), None)
        if late is None:
            self._late.pop(row.id, None)
        else:
            self._late[row.id] = late

    def _note(self, id_: str, row: Migration | None) -> None:
        self._late.pop(id_, None)
        for switch in self._active.pop(id_, ()):
            ids = self._of_switch[switch]
            ids.discard(id_)
            if not ids:
                del self._of_switch[switch]
        if row is not None and not row.phase.is_final:
            self._active[id_] = row.switches
            self._touched.add(id_)
            for switch in row.switches:
                self._of_switch.setdefault(switch, set()).add(id_)


def in_one_write(due: Sequence[Command]) -> list[list[Command]]:
    """Return what is due, and of it together what switches are sent nothing for: migrations that are prepared.

    Each write waits for the disk, and switches confirm many migrations at once. All others go by themselves, because the
    messages that a change costs are noted in each migration.
    """
    ready: list[Command] = [command for command in due if isinstance(command, Prepared)]
    alone: list[list[Command]] = [[command] for command in due if not isinstance(command, Prepared)]
    return [ready, *alone] if ready else alone


def _have_shrunk(state: State, fleet: Fleet) -> bool:
    """Whether trees may grow again: no switch is left that might still forward along an edge that was taken out."""
    here = (name for name in fleet.names if fleet.is_connected(name))
    return not state.trees_settled and all(fleet.has(name, state.trees_shrunk) for name in here)


def _awaited(fleet: Fleet, row: Migration, switch: str) -> bool:
    """Whether the step of a migration cannot be over because of this switch."""
    there = (row.phase is not Phase.ACTIVATED and not row.is_returning) or fleet.is_connected(switch)
    return there and fleet.has_place(switch) and not fleet.has(switch, row.step_revision)


def pending(fleet: Fleet, names: Iterable[str], revision: int) -> list[str]:
    """Those of the switches that have not confirmed a revision, by name."""
    return [name for name in sorted(names) if not fleet.has(name, revision)]


def next_step(state: State, fleet: Fleet, migration: Migration, now: float) -> Command | None:
    """Return the step that a migration's phase and its switches' confirmations lead to, or None."""
    if migration.phase is Phase.ACTIVATED or migration.is_returning:
        return _after_activation(state, fleet, migration, now)
    late = pending(fleet, _switches(state, migration), migration.step_revision)
    if migration.phase is Phase.PREPARING:
        # Without its segments' flows, and the ways between their edges, the target is no place to be.
        if (refusal := _refusal_by_switch(state, fleet, migration)) is not None:
            return Fail(migration.id, refusal)
        if not late:
            return Prepared(migration.id)
    if migration.phase is Phase.PREPARED and migration.seen is not None:
        return Activate(migration.id)
    if now >= migration.started + migration.timeout:
        missing = f"; not confirmed by: {', '.join(late)}" if late else ""
        return Abort(migration.id, f"not activated within {migration.timeout:g} s{missing}")
    return None


def _after_activation(state: State, fleet: Fleet, migration: Migration, now: float) -> Command | None:
    """One place goes when the edge of the other and every switch that is connected have confirmed that it is open."""
    if migration.commit != "automatic" and not migration.is_returning:
        return None
    kept = migration.source if migration.is_returning else migration.target
    here = [name for name in _switches(state, migration) if fleet.is_connected(name)]
    if state.fabric.servers[kept].switch not in here or pending(fleet, here, migration.step_revision):
        return None
    if not migration.is_returning:
        return Commit(migration.id) if settled(state, migration, now) and has_passed(migration, now) else None
    refusal = _refusal_by_switch(state, fleet, migration)
    return Returned(migration.id) if refusal is None else Fail(migration.id, refusal)


def _switches(state: State, migration: Migration) -> list[str]:
    return [name for name in migration.switches if name in state.fabric.switches]


def _refusal_by_switch(state: State, fleet: Fleet, migration: Migration) -> str | None:
    """Return what a switch refused of that which a move cannot do without, in its own words; None: nothing."""
    faults = [row for name in _switches(state, migration) for row in fleet.faults(name)]
    if not faults:
        return None
    concerned = needed_owners(state, migration)
    fault = next((row for row in faults if row.owner.whole in concerned), None)
    return f"a switch refused: {fault.error} ({fault.cause})" if fault is not None else None


def refused_moves(state: State, ids: Iterable[str], switch: str, faults: Collection[SwitchFault]) -> Iterator[Event]:
    """Tell of moves that are prepared or further, and of which a switch has come to refuse, or not to keep, what they need.

    They do not fail by that: the VM may be on its way. The orchestrator may still abort.
    """
    for id_ in sorted(ids) if faults else ():
        row = state.migrations[id_]
        if row.phase is Phase.PREPARING or switch not in row.switches:
            continue
        owners = needed_owners(state, row)
        fault = next((fault for fault in faults if fault.owner.whole in owners), None)
        if fault is not None:
            told = {"id": row.id, "vm": row.vm, "state": row.phase.value, "switch": switch}
            yield Event("migration.refused", {**told, "error": fault.error, "cause": fault.cause})


_OF_A_CUG: Final = (OwnerKind.CUG, OwnerKind.CABLE, OwnerKind.HOP, OwnerKind.GATEWAY)


def needed_owners(state: State, migration: Migration) -> set[Owner]:
    """Return the owners of the flows that a move needs: the VM, its policies, and the segments on which it is reached."""
    found = {Owner(OwnerKind.VM, migration.vm), Owner(OwnerKind.ROUTE, migration.vm)}
    for leg in migration.legs:
        found.update(Owner(kind, leg.cug) for kind in _OF_A_CUG)
        routing_domain = state.cugs[leg.cug].routing_domain
        if routing_domain is not None:
            found.add(Owner(OwnerKind.ROUTING_DOMAIN, routing_domain))
            found.add(Owner(OwnerKind.HOP, routed_segment(routing_domain)))
        found.update(Owner(OwnerKind.POLICY, name) for name in state.policies_of.get(("cug", leg.cug), ()))
    for key in (("vm", migration.vm), ("any", "")):
        found.update(Owner(OwnerKind.POLICY, name) for name in state.policies_of.get(key, ()))
    return found
