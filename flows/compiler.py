"""The compiler: from state to flows and groups for each switch.

Goals, and how each is met:

1. *The outcome is a function of the state, not of the path to it.* Whatever the sequence of plans, the tables equal those of
   a compile from nothing (`full`). Property tests compare the two after every step.
2. *A change costs what it touches (invariant 10).* What an object needs at a switch is a contribution, kept by (switch, owner).
   `Recompute` makes again only those that the change affects. `owner` lists the kinds of owners.
3. *A plan may be dropped.* `plan` is pure: it returns new contributions and one delta for each switch. `adopt` makes them the
   desired tables. A command that is refused or overtaken in between leaves no trace.
4. *Two owners never fight over a flow.* `SwitchTables.check` raises `Clash` before anything is sent. Only policies may share a
   flow; it goes with its last owner.
5. *Long work can pause.* Each piece of work is counted by a `Breath`, which pauses when it is time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from ryu_vmmob.flows.delta import SwitchTables, difference, shares
from ryu_vmmob.flows.flow import Flow, Group
from ryu_vmmob.flows.owner import Owner
from ryu_vmmob.flows.plan import Plan
from ryu_vmmob.flows.recompute import Recompute
from ryu_vmmob.flows.segment import Entry
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.draft import Change, everything
from ryu_vmmob.model.presence import Presence
from ryu_vmmob.model.state import State

_NOWHERE: Final[frozenset[str]] = frozenset()


@lru_cache(maxsize=4096)
def _the_same(found: frozenset[str]) -> frozenset[str]:
    """One object for equal sets: all members of a CUG are at the same switches, and a set takes more than a flow."""
    return found


class Compiler:
    """The desired flows and groups of every switch."""

    def __init__(self) -> None:
        self.tables: dict[str, SwitchTables] = {}
        self._state: State | None = None
        self._contributions: dict[str, dict[Owner, tuple[Entry, ...]]] = {}
        self._where: dict[Owner, frozenset[str]] = {}
        self._owners: dict[str, Counter[int]] = {}
        """By switch, how many owners each shared flow has (`delta.SHARED`)."""

    def plan(self, change: Change, breath: Breath | None = None) -> Plan:
        """Return what a change means for the switches; it names what was touched since the state adopted last. Pure.

        Nothing may be adopted in the pauses of ``breath``.
        """
        plan, breath = Plan(change.state), breath or Breath()
        Recompute(self._state, self.where, change, plan, breath).everything()
        by_switch: dict[str, list[tuple[tuple[Entry, ...], tuple[Entry, ...]]]] = {}
        for (switch, key), entries in plan.contributions.items():
            breath.light()
            before = self._contributions.get(switch, {}).get(key, ())
            if before != entries:
                by_switch.setdefault(switch, []).append((before, entries))
        for switch, pairs in by_switch.items():
            breath.worked(len(pairs))
            delta = difference(pairs, self._owners.get(switch), breath)
            plan.shares[switch] = shares(pairs, breath)
            if switch in self.tables:
                self.tables[switch].check(delta, breath)
            if delta:
                plan.deltas[switch] = delta
        return plan

    def adopt(self, plan: Plan, breath: Breath | None = None) -> None:
        """Make a plan's outcome the desired state. Only the latest state's plan may be adopted.

        In the pauses of ``breath`` tables are neither what they were nor what they will be.
        """
        breath = breath or Breath()
        where: dict[Owner, set[str]] = {}
        for (switch, key), entries in plan.contributions.items():
            breath.light()
            rows = self._contributions.setdefault(switch, {})
            places = where.get(key)
            if places is None:
                places = where[key] = set(self._where.get(key, ()))
            if entries:
                rows[key] = entries
                places.add(switch)
            else:
                rows.pop(key, None)
                places.discard(switch)
        for key, places in where.items():
            breath.light()
            if places:
                self._where[key] = _the_same(frozenset(places))
            else:
                self._where.pop(key, None)
        for switch, delta in plan.deltas.items():
            self.tables.setdefault(switch, SwitchTables()).apply(delta, breath)
        for switch, change in plan.shares.items():
            owners = self._owners.setdefault(switch, Counter())
            owners.update(change)
            for cookie in change:
                if not owners[cookie]:
                    del owners[cookie]
        self._own(plan, breath)
        if self._state is not None and self._state.fabric is not plan.state.fabric:
            for switch in self._state.fabric.switches.keys() - plan.state.fabric.switches.keys():
                self.tables.pop(switch, None)
                self._contributions.pop(switch, None)
                self._owners.pop(switch, None)
        self._state = plan.state

    def _own(self, plan: Plan, breath: Breath) -> None:
        """Give flows and groups that stay their new owners: the owner is what people are told, and is in no delta."""
        for (switch, _), entries in plan.contributions.items():
            breath.light()
            if entries:
                self.tables[switch].own(entries)
        for switch, change in plan.shares.items():
            left = {cookie for cookie, by in change.items() if by < 0 and cookie in self.tables[switch].flows}
            for entries in self._contributions[switch].values() if left else ():
                self.tables[switch].own(row for row in entries if isinstance(row, Flow) and row.cookie in left)

    def where(self, key: Owner) -> frozenset[str]:
        """Switches to which an object contributes now."""
        return self._where.get(key, _NOWHERE)

    def presence(self, cug: str) -> Presence | None:
        """Presence of a CUG in the adopted state."""
        return self._state.presences.get(cug) if self._state is not None else None

    @property
    def state(self) -> State | None:
        """The state adopted last; None before the first."""
        return self._state

    def flows(self, switch: str) -> Iterable[Flow]:
        """Desired flows of a switch."""
        tables = self.tables.get(switch)
        return tables.flows.values() if tables is not None else ()

    def groups(self, switch: str) -> Iterable[Group]:
        """Desired groups of a switch."""
        tables = self.tables.get(switch)
        return tables.groups.values() if tables is not None else ()


def full(state: State) -> Compiler:
    """Return a compile from nothing."""
    compiler = Compiler()
    compiler.adopt(compiler.plan(everything(state)))
    return compiler
