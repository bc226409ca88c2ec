"""The judge judged: networks with one flow or group changed at random, and whether the invariants' checks notice.

A change is *harmful* when some packet's journey differs from what it was: in what is delivered where, in what the controller
gets and from which table, or by a copy on its way to a switch where none came before. Which of several parallel links, or legs
of a server, is taken is the switch's own affair, and nobody misses a copy that would have come to nothing. Only frames that
hosts and networks outside send count: trunks are trusted.

`VMMOB_MUTANTS=N` tries N changes of each kind in each network instead of `MUTANTS`.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from ryu_vmmob.fabric.model import Fabric, PortRef
from ryu_vmmob.flows.flow import Flow, Group, ToGroup
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.sim.invariants import check
from ryu_vmmob.sim.network import Journey, Network
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.prerequisites import TableError
from ryu_vmmob.sim.switch import Tables
from ryu_vmmob.sim.view import View
from tests.property.mutations import Mutant, Mutator
from tests.support.mutation_networks import Sample, samples
from tests.support.mutation_traffic import Traffic

MUTANTS: Final = 40
"""Changes of each kind tried in each network."""
PACKETS: Final = 4000
"""Packets that decide in each network what is harmful."""
SEED: Final = 20
HARMFUL_AT_LEAST: Final = 1000
CAUGHT_AT_LEAST: Final = 0.99

Injection = tuple[PortRef, Packet]


class Outcome(NamedTuple):
    """What counts of a journey: copies delivered, on the way from one switch to another, and told by a table of a switch."""

    delivered: Counter[tuple[str, Packet]]
    crossed: Counter[tuple[str, str, Packet]]
    told: Counter[tuple[str, Table, Packet]]
    loop: bool


def outcome(fabric: Fabric, journey: Journey) -> Outcome:
    told: Counter[tuple[str, Table, Packet]] = Counter()
    for visit in journey.visits:
        tables = {step.flow.cookie: step.table for step in visit.result.path if step.flow is not None}
        told.update((visit.switch, tables[cookie], packet) for cookie, packet in visit.result.controller)
    crossed = Counter((sender, link.far_end(sender).switch, packet) for link, sender, packet in journey.crossings)
    servers = fabric.server_at
    delivered = Counter((servers[port].name if port in servers else str(port), packet) for port, packet in journey.deliveries)
    return Outcome(delivered, crossed, told, journey.loop)


def differs(before: Outcome, now: Outcome) -> bool:
    """Whether somebody could notice."""
    return before._replace(crossed=now.crossed) != now or bool(now.crossed - before.crossed)


class Met(NamedTuple):
    """A packet in one table of a switch, on the unchanged network: its number, its fields there, the flow that it met."""

    number: int
    fields: Mapping[str, int]
    flow: Flow | None


class Unchanged:
    """The journeys of random packets through a network, and what each of them met on its way."""

    def __init__(self, sample: Sample, injections: list[Injection]) -> None:
        self.sample = sample
        self.fabric = sample.view.fabric
        self.injections = injections
        self.met: dict[tuple[str, Table], list[Met]] = defaultdict(list)
        self.number = 0
        tables = {name: self._watched(name, *entries) for name, entries in sample.entries.items()}
        network = Network(self.fabric, tables, sample.view.links_down)
        self.outcomes = []
        for self.number, (port, packet) in enumerate(injections):
            self.outcomes.append(outcome(self.fabric, network.inject(packet, port)))

    def _watched(self, switch: str, flows: Iterable[Flow], groups: Iterable[Group]) -> Tables:
        tables = Tables(flows, groups)
        for table, classifier in tables._classifiers.items():
            classifier.find = self._finder(classifier.find, self.met[switch, table])  # type: ignore[method-assign]
        return tables

    def _finder(self, find: Any, rows: list[Met]) -> Any:
        def found(fields: Mapping[str, int]) -> Flow | None:
            flow: Flow | None = find(fields)
            rows.append(Met(self.number, dict(fields), flow))
            return flow

        return found

    def harmed(self, mutant: Mutant, view: View) -> Injection | None:
        """A packet that fares differently, of those that could: all others do not come near what is changed."""
        for number in self._near(mutant):
            port, packet = self.injections[number]
            try:
                now = outcome(self.fabric, view.network.inject(packet, port))
            except TableError:
                return port, packet  # left to the switch's whim
            if differs(self.outcomes[number], now):
                return port, packet
        return None

    def _near(self, mutant: Mutant) -> Iterator[int]:
        old, new = mutant.old, mutant.new
        if isinstance(old, Group):
            ids = {old.id}
            for group in self.sample.entries[mutant.switch][1]:
                if old.id in group.refers_to:
                    ids.add(group.id)
            flows = [
                flow for flow in self.sample.entries[mutant.switch][0]
                if any(isinstance(action, ToGroup) and action.group in ids for action in flow.actions)
            ]  # fmt: skip
            near = [row.number for flow in flows for row in self.met[mutant.switch, flow.table] if row.flow is flow]
        else:
            near = [row.number for row in self.met[mutant.switch, old.table] if row.flow is old or _takes(new, row)]
        yield from dict.fromkeys(near)


def _takes(flow: Flow | Group | None, met: Met) -> bool:
    """Whether a flow that was not there wants a packet that another one had, or none."""
    if not isinstance(flow, Flow) or (met.flow is not None and met.flow.priority > flow.priority):
        return False
    get = met.fields.get
    return all(get(name, 0) & (-1 if mask is None else mask) == value for name, value, mask in flow.match)


def mutated(view: View, mutant: Mutant) -> View | None:
    """The network with one entry changed; None where a switch refuses it."""
    try:
        return replace(view, tables={**view.tables, mutant.switch: Tables(*mutant.entries)})
    except TableError:
        return None


def catches(view: View) -> bool:
    """Whether the judge finds anything. What it cannot even carry out, it has found too."""
    try:
        return next(check(view), None) is not None
    except TableError:
        return True


class Tally(NamedTuple):
    """Of one kind of change: how many were tried, did harm, were caught; those that got away."""

    tried: Counter[str]
    harmful: Counter[str]
    caught: Counter[str]
    missed: list[str]

    def table(self) -> str:
        rows = [f"{kind:20} {self.tried[kind]:6} {self.harmful[kind]:8} {self.caught[kind]:7}" for kind in self.tried]
        total = f"{'all':20} {self.tried.total():6} {self.harmful.total():8} {self.caught.total():7}"
        return "\n".join([f"{'change':20} {'tried':>6} {'harmful':>8} {'caught':>7}", *rows, total])


def try_all(sample: Sample, each: int, seed: int, tally: Tally) -> None:
    """So many changes of each kind, one at a time."""
    unchanged = Unchanged(sample, Traffic(sample.view, seed).packets(PACKETS))
    mutator = Mutator(sample.entries, seed)
    for kind in mutator.kinds:
        done = 0
        for _ in range(20 * each):
            mutant = mutator.mutant(kind)
            view = mutated(sample.view, mutant) if mutant is not None else None
            if mutant is None or view is None:
                continue
            done += 1
            tally.tried[kind] += 1
            harmed = unchanged.harmed(mutant, view)
            if harmed is not None:
                tally.harmful[kind] += 1
                if catches(view):
                    tally.caught[kind] += 1
                else:
                    tally.missed.append(f"{sample.name}: {mutant}\n  {harmed[0]} {harmed[1]}")
            if done == each:
                break


def test_the_judge_sees_what_does_harm() -> None:
    tally = Tally(Counter(), Counter(), Counter(), [])
    for number, sample in enumerate(samples()):
        assert not list(check(sample.view)), sample.name
        try_all(sample, int(os.environ.get("VMMOB_MUTANTS", MUTANTS)), SEED + number, tally)
    print(tally.table())
    harmful, caught = tally.harmful.total(), tally.caught.total()
    assert harmful >= HARMFUL_AT_LEAST
    assert caught >= CAUGHT_AT_LEAST * harmful, "\n".join([tally.table(), *tally.missed])
