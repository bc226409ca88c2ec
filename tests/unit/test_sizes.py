"""Sizes: many members, edges, CUGs and policies at once, and numbers that are nearly used up.

Sequences are drawn from a seed. In the end the incremental result equals a compile from nothing, and the judge sends packets.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from ryu_vmmob.bench.fabrics import leaf_spine, write
from ryu_vmmob.fabric import load
from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.flows.compiler import full
from ryu_vmmob.model.commands import Abort, Activate, Command, Commit, DeleteVm, StartMigration
from ryu_vmmob.model.policies import PutPolicy
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import State
from ryu_vmmob.sim.invariants import allocation, edits, routed, rules, traffic
from ryu_vmmob.sim.view import View, Violation
from tests.support.fabrics import per_interface, two_racks
from tests.support.world import World, cug, interface, vm


def attempt(world: World, command: Command, tally: Counter[str]) -> None:
    """A refusal is an answer, and changes nothing."""
    before = world.engine.state
    try:
        world.do(command)
        tally[type(command).__name__] += 1
    except Refusal as refusal:
        assert world.engine.state is before
        tally[f"{type(command).__name__}: {refusal.title}"] += 1


class Size(NamedTuple):
    """How much of each; ``judged`` by packets as well, which costs the square of it."""

    racks: int
    cugs: int
    vms: int
    policies: int
    judged: bool


MANY, FEWER = Size(14, 12, 120, 30, False), Size(8, 6, 24, 8, True)


def judged(view: View, *parts: Callable[[View], Iterator[Violation]]) -> None:
    for part in parts:
        found = list(part(view))
        assert not found, "\n".join(map(str, found[:3]))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("size", [MANY, FEWER], ids=["many", "fewer, judged"])
def test_many_edges_cugs_members_and_policies(seed: int, size: Size, tmp_path: Path) -> None:
    """Racks with a domain each, CUGs in three scopes, VMs and policies; then a day of changes."""
    draw, tally = random.Random(seed), Counter[str]()
    world = World(load(write(leaf_spine(size.racks), tmp_path)))
    servers = sorted(world.fabric.servers)
    for number in range(size.cugs):
        world.do(replace(cug(number, number % 4 == 0), routing_domain=("red", "blue", None)[number % 3]))
    for number in range(size.vms):
        rows = [interface(one, 2 + number, one % 4 == 0) for one in draw.sample(range(size.cugs), draw.choice([1, 1, 2]))]
        attempt(world, vm(f"vm{number}", draw.choice(servers), *rows), tally)
    for number in range(size.policies):
        groups = (Selector("cug", f"cug{one}") for one in range(size.cugs))
        ends = [Selector("any"), *groups, Selector("vm", f"vm{number}")]
        protocol = draw.choice([None, 6, 17])
        ports = ((draw.randrange(65000), 65535),) if protocol else ()
        source, target = draw.choice(ends), draw.choice(ends)
        put = PutPolicy(f"p{number}", draw.random() < 0.6, source, target, number % 3 + 1, protocol, ports)
        attempt(world, put, tally)
    world.settle()
    for count in range(40):
        vms, moving = sorted(world.engine.state.vms), sorted(world.engine.under_way)
        kind = draw.choice(["move", "move", "move", "step", "step", "edit", "link", "delete"])
        if kind == "move":
            attempt(world, StartMigration(f"m{count}", draw.choice(vms), draw.choice(servers)), tally)
        elif kind == "step" and moving:
            step = draw.choice([Activate, Activate, Commit, Abort])
            attempt(world, step(draw.choice(moving)), tally)
        elif kind == "edit":
            number = draw.randrange(size.cugs)
            gateway = cug(number).subnets[0][draw.choice([1, 250])]
            row = world.engine.state.cugs[f"cug{number}"]
            gateways = (gateway, *row.gateways[1:])
            same = replace(cug(number, len(row.subnets) > 1), routing_domain=row.routing_domain)
            attempt(world, replace(same, gateways=gateways), tally)
        elif kind == "link":
            links = [link.name for link in world.fabric.links]
            world.links(frozenset(draw.sample(links, draw.choice([0, 1, 2]))))
        elif kind == "delete":
            attempt(world, DeleteVm(draw.choice(vms)), tally)
        for name in draw.sample(sorted(world.waiting()), min(4, len(world.waiting()))):
            world.update(name)
        if size.judged and count == 20:
            judged(world.view(), allocation, traffic, edits)
    world.links(frozenset())
    world.settle()
    if size.judged:
        judged(world.view(), routed, rules)
    world.check_oracles()
    assert tally["StartMigration"] >= 5, tally


def tight(numbers: int, cable: int) -> Fabric:
    """Two racks with so many VLAN-IDs in each domain, and so many on the cables of a1 and b1."""
    room = range(100, 100 + numbers)
    return per_interface(two_racks(room, room, room), "a1", "b1", vlan_ids=range(2, 2 + cable))


def consistent(state: State) -> None:
    """Each number has one owner, in use, at rest or on a cable; none is lost."""
    held = {(domain, vlan_id): key for key, rows in state.allocations.items() for domain, vlan_id in rows.items()}
    resting = {(domain, row.vlan_id): key for (domain, key), row in state.quarantine.items()}
    assert not held.keys() & resting.keys()
    assert dict(state.holders) == {**held, **resting}
    assert sum(len(rows) for rows in state.allocations.values()) == len(held)
    for server, row in state.fabric.servers.items():
        if row.per_interface:
            tags = [one.vlan_ids[server] for one in state.vms.values() if server in one.vlan_ids]
            used = [tag for each in tags for tag in each]
            assert len(used) == len(set(used)), server
            assert set(used) <= set(row.vlan_ids)


@pytest.mark.parametrize("seed", range(12))
def test_numbers_that_are_nearly_used_up(seed: int) -> None:
    """A few numbers more than are needed, or fewer: what is refused changes nothing, and no number is lost or given twice."""
    draw, tally = random.Random(seed), Counter[str]()
    numbers, cable = draw.randint(3, 6), draw.randint(2, 5)
    world = World(tight(numbers, cable))
    servers = sorted(world.fabric.servers)
    for number in range(6):
        attempt(world, replace(cug(number), routing_domain="red" if number % 3 == 0 else None), tally)
    for count in range(120):
        vms, moving = sorted(world.engine.state.vms), sorted(world.engine.under_way)
        kind = draw.choice(["add", "add", "add", "move", "move", "step", "step", "delete", "time"])
        if kind == "add":
            rows = [interface(one, 2 + count % 250) for one in draw.sample(range(6), draw.choice([1, 1, 2]))]
            attempt(world, vm(f"vm{count}", draw.choice(servers), *rows), tally)
        elif kind == "move" and vms:
            attempt(world, StartMigration(f"m{count}", draw.choice(vms), draw.choice(servers)), tally)
        elif kind == "step" and moving:
            attempt(world, draw.choice([Activate, Commit, Abort])(draw.choice(moving)), tally)
        elif kind == "delete" and vms:
            attempt(world, DeleteVm(draw.choice(vms)), tally)
        elif kind == "time":
            world.now += 61
            world.engine.progress()
        for name in draw.sample(sorted(world.waiting()), min(2, len(world.waiting()))):
            world.update(name)
        consistent(world.engine.state)
    assert any("no VLAN-ID free" in what for what in tally), tally
    fresh = full(world.engine.state)
    for name, tables in world.engine.desired.tables.items():
        assert tables.flows.keys() == fresh.tables[name].flows.keys()
    _everything_is_free_again(world, numbers, tally)


def _everything_is_free_again(world: World, numbers: int, tally: Counter[str]) -> None:
    """When all are gone and have rested, as many CUGs find room as there are numbers, and not one more."""
    world.settle()
    for id_ in sorted(world.engine.under_way):
        world.do(Abort(id_, force=True))
    for name in sorted(world.engine.state.vms):
        world.do(DeleteVm(name))
    world.settle()
    world.now += 61
    world.engine.progress()
    assert not world.engine.state.holders
    assert not world.engine.state.resting
    for number in range(10, 11 + numbers):
        world.do(cug(number))
        before = tally["PutVm"]
        attempt(world, vm(f"last{number}", "a2", interface(number, 9)), tally)
        assert (tally["PutVm"] > before) is (number < 10 + numbers)
