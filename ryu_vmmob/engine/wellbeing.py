"""The facts that the engine gives to `ryu_vmmob.health`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from ryu_vmmob.engine.clock import Clock
from ryu_vmmob.engine.contacts import Contacts
from ryu_vmmob.engine.events import EventStream
from ryu_vmmob.engine.fleet import Fleet, Place
from ryu_vmmob.engine.overdue import Overdue
from ryu_vmmob.engine.repairs import Repairs
from ryu_vmmob.engine.roles import Roles
from ryu_vmmob.engine.switch_ports import SwitchPorts
from ryu_vmmob.engine.tickets import Switches
from ryu_vmmob.health import Facts, Standing, SwitchFacts
from ryu_vmmob.health.values import Waiting
from ryu_vmmob.model.objects import Migration
from ryu_vmmob.model.state import State

LATELY: Final = 60.0
"""Seconds in which refused frames count."""


class Known(Protocol):
    """The part of the engine that this reads."""

    state: State
    fleet: Fleet
    contacts: Contacts
    roles: Roles
    repairs: Repairs
    switch_ports: SwitchPorts
    overdue: Overdue
    events: EventStream
    clock: Clock

    @property
    def under_way(self) -> Iterable[str]:
        """Ids of the moves that are not over."""
        ...

    def migration_switches(self, migration: Migration) -> Switches:
        """Return which switches have confirmed the present phase."""
        ...


def facts(engine: Known, store: str | None, is_late: Callable[[str], bool]) -> Facts:
    """All of it, now. ``store``: why it takes nothing; ``is_late``: whether a connected switch is out of step for long."""
    fleet, state = engine.fleet, engine.state
    held = {**engine.contacts.held, **engine.roles.held}
    switches = tuple(_switch(engine, name, held, is_late) for name in sorted(fleet.names))
    told = engine.overdue.told
    rows = [state.migrations[id_] for id_ in sorted(engine.under_way)]
    moves = tuple(Waiting(row, tuple(engine.migration_switches(row).pending), told.get(row.id)) for row in rows)
    refused = sum(row.data.get("count") or 1 + (row.data.get("more") or 0) for row in engine.events.lately("refused", LATELY))
    return Facts(state, switches, fleet.has_met, engine.clock(), store, moves, refused)


def _switch(engine: Known, name: str, held: Mapping[str, str], is_late: Callable[[str], bool]) -> SwitchFacts:
    status = engine.fleet.status(name)
    why = held.get(name) if status.connected else None
    match status.place:
        case Place.AWAY:
            standing = Standing.AWAY
        case Place.BEHIND if why is not None:
            standing = Standing.HELD
        case Place.BEHIND:
            standing = Standing.BEHIND if is_late(name) else Standing.SETTLING
        case Place.REFUSED:
            standing = Standing.REFUSED
        case _:
            standing = Standing.IN_STEP
    error = status.faults[0].error if status.faults else None
    missing = engine.switch_ports.missing(engine.state.fabric, name) if status.connected else {}
    return SwitchFacts(name, standing, status.behind, len(status.faults), error, engine.repairs.foreign(name), why, missing)
