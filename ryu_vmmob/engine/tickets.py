"""Tickets: the result of a command at each switch that it concerns: confirmed, refused or pending."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from ryu_vmmob.engine.fleet import Fleet, Refused
from ryu_vmmob.flows.delta import Delta
from ryu_vmmob.flows.flow import Flow
from ryu_vmmob.model.state import State


class Ticket(NamedTuple):
    """The result of a command: its revision, the switches it concerns, and the new state.

    ``deltas``: what each of them is told for it; none where the command was repeated, and nothing new is told.
    """

    revision: int
    switches: tuple[str, ...]
    state: State
    deltas: Mapping[str, Delta] = {}

    def concerns(self, refused: Refused) -> bool:
        """Whether what a switch refused is of this command."""
        delta = self.deltas.get(refused.switch)
        return not self.deltas or (delta is not None and refused.fault.about in delta.named)


class Rehearsal(NamedTuple):
    """The result that commands would have.

    ``before``: the state that they were tried on. ``gone``: by switch and cookie, the flows that would disappear.
    """

    before: State
    ticket: Ticket
    gone: Mapping[str, Mapping[int, Flow]]


class Switches(NamedTuple):
    """Switches concerned, by name: those that have confirmed all of it, and those that have not said so yet.

    ``refused``: what was refused, or is not kept, of that which they were told for it; such a switch is in neither list.
    """

    acknowledged: list[str]
    pending: list[str]
    refused: list[Refused]


def by_confirmation(fleet: Fleet, names: Iterable[str], revision: int, concerned: Callable[[Refused], bool]) -> Switches:
    """Return the switches by what they have said of ``revision``; of what they refused, that which is ``concerned``."""
    found = Switches([], [], [])
    for name in sorted(set(names).intersection(fleet.names)):
        if not fleet.has(name, revision):
            found.pending.append(name)
        elif refused := [row for fault in fleet.faults(name) if concerned(row := Refused(name, fault))]:
            found.refused.extend(refused)
        else:
            found.acknowledged.append(name)
    return found
