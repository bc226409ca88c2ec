"""Confirmation times: when each switch confirmed its part of each step of a migration.

A confirmation costs as much as there are steps that it confirms, however many migrations there are. The times are kept here
until the migration is written anyway, with its next step; those of its last step, once it is complete, with whatever is written
next. So nothing is written for their sake alone. A controller that is killed forgets the newest times: such a step then counts
as confirmed when the switch confirms again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from ryu_vmmob.model.news import Event
from ryu_vmmob.model.objects import Migration, TimelineEntry

_ROOM: Final = 4096
"""So many steps may be noted for a switch that is away before those of forgotten migrations are swept out."""


Noted = Mapping[str, Mapping[int, frozenset[str]]]
"""Migration -> place in its timeline -> switches whose times are known."""


class _Step(NamedTuple):
    revision: int
    migration: str
    number: int
    """The place in the timeline."""


class Acknowledgements:
    """Steps that switches have not confirmed yet, and times that are not stored yet (seconds since the epoch)."""

    def __init__(self, migrations: Iterable[Migration] = ()) -> None:
        self._steps: dict[str, deque[_Step]] = {}
        self._missing: dict[str, dict[int, int]] = {}
        """Migration -> place in its timeline -> how many switches have not confirmed."""
        self._times: dict[str, dict[int, dict[str, float]]] = {}
        self._complete: set[str] = set()
        """Finished migrations with nothing missing whose last times are not stored yet."""
        for row in sorted(migrations, key=lambda row: row.step_revision):
            for number in range(len(row.timeline)):
                self._open(row, number)

    def begin(self, row: Migration) -> None:
        """Note that the migration has entered the phase of its last timeline entry."""
        self._open(row, len(row.timeline) - 1)

    def _open(self, row: Migration, number: int) -> None:
        entry = row.timeline[number]
        names = [name for name in entry.flow_mods if name not in entry.acknowledged]
        for name in names:
            steps = self._steps.setdefault(name, deque())
            if len(steps) >= _ROOM and steps[0].migration not in self._missing:
                steps = self._steps[name] = deque(step for step in steps if step.migration in self._missing)
            steps.append(_Step(row.step_revision, row.id, number))
        if names:
            self._missing.setdefault(row.id, {})[number] = len(names)

    def confirmed(self, switch: str, revision: int, now: float, migrations: Mapping[str, Migration]) -> list[Event]:
        """Note that a switch has confirmed everything up to ``revision``. Tells the present steps that all their switches have
        now.
        """
        steps = self._steps.get(switch)
        news = []
        while steps and steps[0].revision <= revision:
            step = steps.popleft()
            missing = self._missing.get(step.migration, {})
            row = migrations.get(step.migration)
            if step.number not in missing or row is None:
                continue
            self._times.setdefault(row.id, {}).setdefault(step.number, {})[switch] = now
            missing[step.number] -= 1
            if missing[step.number] == 0:
                del missing[step.number]
                if not missing:
                    del self._missing[row.id]
                    if row.phase.is_final:
                        self._complete.add(row.id)
                if step.number == len(row.timeline) - 1:
                    news.append(_news(row))
        return news

    def filled(self, row: Migration) -> Migration:
        """Return the migration with all times that are known."""
        known = self._times.get(row.id)
        if known is None:
            return row
        return replace(row, timeline=tuple(_with_times(entry, known.get(at, {})) for at, entry in enumerate(row.timeline)))

    def unstored(self) -> frozenset[str]:
        """Finished migrations whose last times wait for something to be written."""
        return frozenset(self._complete)

    def unwritten(self) -> frozenset[str]:
        """All migrations with times that are not stored yet."""
        return frozenset(self._times)

    def noted(self, ids: Iterable[str]) -> Noted:
        """Return the times of these migrations that are not stored yet: what `filled` fills in now."""
        return {id_: {at: frozenset(times) for at, times in self._times[id_].items()} for id_ in ids if id_ in self._times}

    def stored(self, ids: Iterable[str], migrations: Mapping[str, Migration], written: Noted) -> None:
        """Forget the times that these migrations were written with, and all of those that are forgotten.

        A time that came while they were written is kept for the next write.
        """
        for id_ in ids:
            times = self._times.pop(id_, {})
            if id_ not in migrations:
                self._missing.pop(id_, None)
            elif left := _without(times, written.get(id_, {})):
                self._times[id_] = left
                continue
            self._complete.discard(id_)


def _with_times(entry: TimelineEntry, times: Mapping[str, float]) -> TimelineEntry:
    return entry._replace(acknowledged={**entry.acknowledged, **times}) if times else entry


def _without(times: Mapping[int, dict[str, float]], written: Mapping[int, frozenset[str]]) -> dict[int, dict[str, float]]:
    left = {}
    for at, known in times.items():
        late = {name: time for name, time in known.items() if name not in written.get(at, ())}
        if late:
            left[at] = late
    return left


def _news(row: Migration) -> Event:
    return Event("migration.confirmed", {"id": row.id, "vm": row.vm, "state": row.timeline[-1].phase.value})
