"""A small network in which very many things are under way at once, and everything that can happen to it, by name.

Programs are drawn from a seed and never shrunk: a failure is repeated by its seed, and what led to it is in `Crowd.said`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from typing import Final

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.fleet import SwitchFault
from ryu_vmmob.engine.persist import restore
from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.flows.compiler import full
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.commands import Abort, Activate, Command, Commit, DeleteCug, DeleteVm, PutCug, StartMigration
from ryu_vmmob.model.objects import Migration, Vm
from ryu_vmmob.model.policies import DeletePolicy, PutPolicy
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.routing_domains import ExternalsChanged, NeighbourHeard
from ryu_vmmob.model.state import State
from tests.support.world import World, cug, difference, groups, interface, vm

TIMEOUT: Final = 300.0


class Crowd(World):
    """A world with ``vms`` VMs in ``cugs`` CUGs, half of them routed, drawn and driven by ``seed``."""

    def __init__(self, fabric: Fabric, seed: int, vms: int, cugs: int) -> None:
        super().__init__(fabric)
        self.draw = random.Random(seed)
        self.servers = sorted(fabric.servers)
        self.cug_count = cugs
        self.said: list[str] = []
        self.tally: Counter[str] = Counter()
        """How often each thing was done, and what became of it."""
        self.made = 0
        self.spoiled: set[str] = set()
        """Switches that have refused something since they connected."""
        self.do(*(self.cug(number) for number in range(cugs)))
        for number in range(vms):
            self.attempt("add", self.new_vm(number))
        self.settle()

    def cug(self, number: int) -> PutCug:
        return replace(cug(number, number % 3 == 0), routing_domain="red" if number % 2 else None)

    def new_vm(self, number: int) -> Command:
        numbers = self.draw.sample(range(self.cug_count), self.draw.choice([1, 1, 2]))
        host = 2 + number % 250
        rows = [interface(one, host, one % 3 == 0) for one in numbers]
        return vm(f"vm{number}", self.draw.choice(self.servers), *rows)

    # Shorthands

    @property
    def state(self) -> State:
        return self.engine.state

    def under_way(self) -> list[Migration]:
        return sorted((row for row in self.state.migrations.values() if not row.phase.is_final), key=lambda row: row.id)

    def any_vm(self) -> Vm | None:
        names = sorted(self.state.vms)
        return self.state.vms[self.draw.choice(names)] if names else None

    def any_migration(self) -> Migration | None:
        """Mostly one that is under way, at times one that has ended."""
        rows = self.under_way()
        if not rows or self.draw.random() < 0.1:
            rows = sorted(self.state.migrations.values(), key=lambda row: row.id)
        return self.draw.choice(rows) if rows else None

    def here(self) -> list[str]:
        return [name for name in self.engine.fleet.names if self.engine.fleet.is_connected(name)]

    def attempt(self, what: str, *commands: Command) -> Refusal | None:
        """Carry out commands; a refusal, which must have changed nothing, is an answer like any other."""
        state, desired = self.state, dict(self.engine.desired.tables)
        try:
            self.do(*commands)
        except Refusal as refusal:
            assert self.state is state
            assert dict(self.engine.desired.tables) == desired
            self.tally[f"{what}: {refusal.status}"] += 1
            return refusal
        self.tally[what] += 1
        return None

    # The switches

    def update(self, name: str) -> None:
        """As in `World`; of a switch that refused something nobody knows what it has, until it connects again."""
        if name not in self.spoiled:
            super().update(name)
        elif (taken := self.engine.fleet.take(name)) is not None:
            self.engine.fleet.confirm(name, taken[0])
            self.engine.progress()
            self._note()

    def connect(self, name: str) -> None:
        if hasattr(self, "spoiled"):
            self.spoiled.discard(name)
        super().connect(name)
        self.engine.progress()

    def disconnect(self, name: str) -> None:
        place = self.engine.fleet._places[name]
        if place.wake is not None:
            self.engine.fleet.disconnected(name, place.wake)

    def refuse(self, name: str) -> None:
        """One switch takes what is pending and refuses a flow or two of it."""
        taken = self.engine.fleet.take(name)
        if taken is None:
            return
        revision, delta = taken
        some = self.draw.sample(list(delta.flows), min(2, len(delta.flows)))
        self.spoiled.add(name)
        self.engine.fleet.confirm(name, revision, [SwitchFault("TABLE_FULL", str(row), row.owner, row.cookie) for row in some])
        self.engine.progress()
        self._note()

    def restart(self) -> None:
        """The controller is killed and begins again with what is stored; no switch is connected."""
        self.engine = Engine(self.fabric, self.store, lambda: self.now, quarantine=60.0)
        self._note()

    def come_to_rest(self) -> None:
        """Every cable is in, every switch there, and takes its updates in a random order until nothing is left."""
        self.links(frozenset())
        for name in self.fabric.switches:
            if name in self.spoiled or not self.engine.fleet.is_connected(name):
                self.disconnect(name)
                self.connect(name)
        for _ in range(1000):
            waiting = self.waiting()
            if not waiting:
                self.engine.progress()
                if not self.waiting():
                    return
                continue
            self.update(self.draw.choice(waiting))
        raise AssertionError("the network does not come to rest")

    # What must hold

    def check_bookkeeping(self) -> None:
        """Cheap: a VM moves once at most, and the engine watches what is under way and nothing else."""
        rows = self.under_way()
        assert {row.vm: row.id for row in rows} == {
            name: one.migration for name, one in self.state.vms.items() if one.migration is not None
        }
        assert len({row.vm for row in rows}) == len(rows)
        assert self.engine.under_way == {row.id for row in rows}

    def check_oracles(self) -> None:
        """Dear: the flows are those of a compile from nothing, and the store holds this very state, indexes included."""
        state, desired, fresh = self.state, self.engine.desired, full(self.state)
        for name in self.fabric.switches:
            assert difference(desired.tables[name], fresh.tables[name]) == ([], []), name
            assert groups(desired.tables[name]) == groups(fresh.tables[name]), name
            in_step = self.engine.fleet.has(name, state.revision) and name not in self.spoiled
            if in_step:
                assert set(self.installed[name].flows) == set(desired.tables[name].flows), name
                assert groups(self.installed[name]) == groups(desired.tables[name]), name
        if state.trees_settled:
            again, _ = restore(self.store.load(), self.fabric, self.store.revision)
            for field in State.__dataclass_fields__:
                if field not in ("starved", "questioned"):  # derived when the fabric file is loaded; asked again
                    assert getattr(again, field) == getattr(state, field), field


def _start(crowd: Crowd) -> None:
    one = crowd.any_vm()
    if one is None:
        return
    draw = crowd.draw
    crowd.made += 1
    move = StartMigration(
        f"m{crowd.made}", one.name, draw.choice(crowd.servers), mode=draw.choice(["hot", "cold"]),
        delivery=draw.choice(["at_pause", "early", "on_activation"]), activate_on=draw.choice(["announcement", "request"]),
        commit=draw.choice(["automatic", "automatic", "request"]), timeout=TIMEOUT,
    )  # fmt: skip
    refusal = crowd.attempt("start", move)
    if one.migration is not None:
        assert refusal is not None
        assert refusal.status == 409
        assert one.migration in str(refusal)


def _step(kind: type[Activate | Commit | Abort]) -> Callable[[Crowd], None]:
    def run(crowd: Crowd) -> None:
        row = crowd.any_migration()
        if row is not None and crowd.attempt(kind.__name__.lower(), kind(row.id)) is None:
            # Idempotent: at once again, and nothing is new.
            state = crowd.state
            crowd.do(kind(row.id))
            assert crowd.state is state or crowd.state.migrations[row.id].phase is not row.phase

    return run


def _frame(crowd: Crowd) -> None:
    """A frame met a flow of some VM in some switch: at its place, at its target, or where it was a moment ago."""
    name = crowd.draw.choice(crowd.here() or list(crowd.fabric.switches))
    flows = [row for row in crowd.installed[name].flows.values() if row.table is Table.ADMIT and row.owner[0] == "vm"]
    if flows:
        flow = crowd.draw.choice(sorted(flows, key=lambda row: row.cookie))
        before = crowd.state
        crowd.engine.network.frame_seen(name, flow.cookie)
        crowd.tally["frame that activates" if crowd.state is not before else "frame"] += 1
        if crowd.state is not before:
            row = crowd.state.migrations[before.vms[flow.owner[1]].migration or ""]
            if flow.owner[1] not in before.questioned:  # else a frame tells that it is where it was, or ends the question
                assert row.activate_on == "announcement"
                assert crowd.fabric.servers[row.target].switch == name
        crowd._note()


def _frame_at_target(crowd: Crowd) -> None:
    awaited = [row for row in crowd.under_way() if row.activate_on == "announcement"]
    if awaited:
        row = crowd.draw.choice(awaited)
        name = crowd.fabric.servers[row.target].switch
        for flow in list(crowd.installed[name].flows.values()):
            if flow.table is Table.ADMIT and flow.owner.whole == Owner(OwnerKind.VM, row.vm):
                crowd.engine.network.frame_seen(name, flow.cookie)
        crowd.tally["frame at the target"] += 1
        crowd._note()


def _confirm(crowd: Crowd) -> None:
    for _ in range(crowd.draw.choice([1, 1, 2, 5])):
        waiting = [name for name in crowd.waiting() if crowd.engine.fleet.is_connected(name)]
        if waiting:
            crowd.update(crowd.draw.choice(waiting))
            crowd.tally["confirm"] += 1


def _time(crowd: Crowd) -> None:
    crowd.now += crowd.draw.choice([0.5, 5.0, 61.0, TIMEOUT / 2])
    crowd.engine.progress()
    crowd._note()
    crowd.tally["time"] += 1


def _add(crowd: Crowd) -> None:
    crowd.attempt("add", crowd.new_vm(crowd.draw.randrange(250)))


def _delete(crowd: Crowd) -> None:
    one = crowd.any_vm()
    if one is not None:
        refusal = crowd.attempt("delete", DeleteVm(one.name))
        assert (refusal is None) is (one.migration is None)


def _cug(crowd: Crowd) -> None:
    number = crowd.draw.randrange(crowd.cug_count)
    routing_domain = crowd.draw.choice([None, "red"])
    kind = crowd.draw.random()
    if kind < 0.2:
        crowd.attempt("delete cug", DeleteCug(f"cug{number}"))
        crowd.attempt("put cug", crowd.cug(number))
    else:
        crowd.attempt("put cug", replace(crowd.cug(number), routing_domain=routing_domain))


def _policy(crowd: Crowd) -> None:
    name = f"p{crowd.draw.randrange(4)}"
    if name in crowd.state.policies and crowd.draw.random() < 0.5:
        crowd.attempt("delete policy", DeletePolicy(name))
        return
    ends = [Selector("any"), Selector("prefix", ip_network("10.0.0.0/9"))]
    ends += [Selector("cug", one) for one in sorted(crowd.state.cugs)]
    ends += [Selector("vm", one) for one in sorted(crowd.state.vms)[:5]]
    source, target = crowd.draw.choice(ends), crowd.draw.choice(ends)
    protocol = crowd.draw.choice([None, 6])
    crowd.attempt("put policy", PutPolicy(name, crowd.draw.random() < 0.5, source, target, protocol=protocol))


def _disconnect(crowd: Crowd) -> None:
    if crowd.here():
        crowd.disconnect(crowd.draw.choice(crowd.here()))
        crowd.tally["disconnect"] += 1


def _reconnect(crowd: Crowd) -> None:
    away = [name for name in crowd.fabric.switches if name not in crowd.here()]
    if away:
        crowd.connect(crowd.draw.choice(away))
        crowd._note()
        crowd.tally["reconnect"] += 1


def _refuse(crowd: Crowd) -> None:
    waiting = [name for name in crowd.waiting() if crowd.engine.fleet.is_connected(name)]
    if waiting:
        crowd.refuse(crowd.draw.choice(waiting))
        crowd.tally["refuse"] += 1


def _links(crowd: Crowd) -> None:
    names = [link.name for link in crowd.fabric.links]
    crowd.links(frozenset(crowd.draw.sample(names, crowd.draw.choice([0, 0, 1, 1, 2]))))
    crowd.tally["links"] += 1


def _outside(crowd: Crowd) -> None:
    externals = sorted(crowd.fabric.externals)
    if not externals:
        return
    one = crowd.fabric.externals[crowd.draw.choice(externals)]
    if crowd.draw.random() < 0.5 and one.next_hops:
        mac = crowd.draw.choice([None, 0x02AA00000001])
        crowd.attempt("neighbour", NeighbourHeard(one.name, crowd.draw.choice(one.next_hops), mac))
    else:
        crowd.attempt("external", ExternalsChanged(frozenset(crowd.draw.choice([[], [one.name]]))))


def _restart(crowd: Crowd) -> None:
    crowd.restart()
    crowd.tally["restart"] += 1
    for name in crowd.fabric.switches:
        if crowd.draw.random() < 0.8:
            crowd.connect(name)
    crowd._note()


CALM: Final[dict[Callable[[Crowd], None], int]] = {
    _start: 6, _step(Activate): 3, _step(Commit): 2, _step(Abort): 2, _frame: 3, _frame_at_target: 3, _confirm: 8, _time: 1,
    _add: 1, _delete: 1, _policy: 1,
}  # fmt: skip
"""What happens on a good day, and how often."""
ROUGH: Final[dict[Callable[[Crowd], None], int]] = {
    **CALM, _cug: 1, _disconnect: 1, _reconnect: 3, _refuse: 1, _links: 1, _outside: 1, _restart: 1,
}  # fmt: skip
"""What happens on a bad one."""


def happen(crowd: Crowd, actions: dict[Callable[[Crowd], None], int]) -> None:
    """One thing happens."""
    (action,) = crowd.draw.choices(list(actions), list(actions.values()))
    crowd.said.append(getattr(action, "__qualname__", str(action)))
    action(crowd)
