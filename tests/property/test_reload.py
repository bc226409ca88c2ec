"""The fabric file edited at random under random logical state, and read again.

What is carried out leads to what a start on the new file would lead to, and every mixture of switches on the way keeps every
invariant; what is refused leaves everything as it was. Cables are where both files have them until all have followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from ryu_vmmob.fabric.difference import compare
from ryu_vmmob.fabric.model import Fabric, Server
from ryu_vmmob.model.commands import Abort, Activate, Commit, DeleteVm, StartMigration
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.sim.view import View
from tests.property.fabric_edits import Edits
from tests.support.drawn_fabrics import fabrics
from tests.support.routed_networks import with_externals
from tests.support.world import World, cug, groups, interface, vm

CUGS = 3


class Reloading(World):
    """A world whose fabric changes. Switches that leave take their last update whenever the test says so."""

    def __init__(self, fabric: Fabric) -> None:
        self.leaving: set[str] = set()
        self.pulled: frozenset[str] = frozenset()
        """Links that were down when they were taken out of the file."""
        super().__init__(fabric)

    def reload(self, fabric: Fabric) -> None:
        before, down = self.engine.state.fabric, self.engine.state.links_down
        self.leaving |= before.switches.keys() - fabric.switches.keys()
        try:
            self.do(self.engine.fabric_replaced(fabric))
        except Refusal:
            self.leaving -= before.switches.keys()
            raise
        self.fabric = _both(self.fabric, fabric)
        self.pulled |= down - fabric.link_by_name.keys()
        for name in fabric.switches.keys() - before.switches.keys():
            self.sent.setdefault(name, 0)
            self.connect(name)
            self.engine.progress()
            self._note()

    def _note(self) -> None:
        """A switch whose flows are not deleted yet may be in any state since before it was taken out."""
        window = self.window
        super()._note()
        if self.leaving and window:
            self.window = window

    def known(self) -> set[str]:
        """Servers where some switch may still think that a VM is."""
        return {name for state in self.window for name in state.server_vms}

    def taken_out(self, name: str) -> None:
        """A switch that is gone from the fabric gives up what it has, and its connection ends."""
        taken = self.engine.fleet.take(name)
        assert taken is not None
        self.installed[name].apply(taken[1])
        assert not self.installed[name].flows
        assert not self.installed[name].groups
        assert self.engine.fleet.is_leaving(name)
        del self.installed[name], self.engine.fleet._places[name]
        self.leaving.remove(name)

    def view(self) -> View:
        """External networks count once every switch can have heard of them as they are."""
        found = super().view()
        known = [state.fabric.externals for state in self.window]
        sure = tuple(row for row in found.externals if all(rows.get(row.name) == known[-1][row.name] for rows in known))
        return replace(found, externals=sure, links_down=self.pulled | self.engine.state.links_down)

    def rest(self, checked: bool = False) -> None:
        """All have followed: only the new cables are there."""
        for name in sorted(self.leaving):
            self.taken_out(name)
        self.settle(checked)
        self.pulled = frozenset()
        self.fabric = self.engine.state.fabric


def servers_of(world: World) -> Mapping[str, Server]:
    return world.engine.state.fabric.servers


def _both(one: Fabric, other: Fabric) -> Fabric:
    links = {**one.link_by_name, **other.link_by_name}
    return replace(
        other,
        l2_domains={**one.l2_domains, **other.l2_domains},
        switches={**one.switches, **other.switches},
        links=tuple(links.values()),
        # What nobody can be at yet, or any more, is not plugged in.
        servers={
            name: server
            for name, server in other.servers.items()
            if name in one.servers and one.servers[name].attach == server.attach
        },
        externals={**one.externals, **other.externals},
    )


def _act(data: st.DataObject, world: Reloading, count: int) -> None:
    state = world.engine.state
    servers, vms = sorted(state.fabric.servers), sorted(state.vms)
    moving = sorted(row.id for row in state.migrations.values() if not row.phase.is_final)
    choice = data.draw(st.sampled_from(["add", "add", "move", "step", "delete", "links"]))
    try:
        if choice == "add" and servers:
            numbers = data.draw(st.lists(st.integers(0, CUGS - 1), min_size=1, max_size=2, unique=True))
            rows = [interface(number, count + 2, number == 0) for number in numbers]
            world.do(vm(f"vm{count}", data.draw(st.sampled_from(servers)), *rows))
        elif choice == "move" and vms:
            there = data.draw(st.sampled_from(servers))
            world.do(StartMigration(f"m{count}", data.draw(st.sampled_from(vms)), there, commit="request"))
        elif choice == "step" and moving:
            step = data.draw(st.sampled_from([Activate, Commit, Abort]))
            world.do(step(data.draw(st.sampled_from(moving))))
        elif choice == "delete" and vms:
            world.do(DeleteVm(data.draw(st.sampled_from(vms))))
        elif choice == "links":
            names = sorted(state.fabric.link_by_name)
            world.links(frozenset(data.draw(st.lists(st.sampled_from(names), max_size=1)) if names else ()))
    except Refusal as refusal:
        event(f"refused {refusal.title}")


@pytest.mark.requirement("R1", "R7", "R20", "R21", "R28", "R37", "R38")
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), fabrics())
def test_a_fabric_read_anew_is_as_one_read_at_the_start(data: st.DataObject, fabric: Fabric) -> None:
    world = Reloading(with_externals(fabric) if data.draw(st.booleans()) else fabric)
    for number in range(CUGS):
        world.do(replace(cug(number, number == 0), routing_domain="red" if number else None))
    world.rest()
    edits = Edits()
    for count in range(data.draw(st.integers(2, 10))):
        _act(data, world, count)
        if data.draw(st.booleans()):
            world.rest()
        kind, edited = edits.draw(data, world.engine.state.fabric)
        for _ in range(data.draw(st.integers(0, 1))):
            edited = edits.draw(data, edited)[1]
            kind = "several"
        if not world.known() <= {name for name, row in edited.servers.items() if servers_of(world).get(name) == row}:
            world.rest()  # a VM is gone from a server, and a switch may not know yet: the judge must not ask about it
        before = world.engine.state
        flows = {name: (set(rows.flows), groups(rows)) for name, rows in world.engine.desired.tables.items()}
        try:
            world.reload(edited)
        except Refusal as refusal:
            event(f"{kind}: refused, {refusal.title}")
            assert world.engine.state is before
            now = world.engine.desired.tables
            assert flows == {name: (set(rows.flows), groups(rows)) for name, rows in now.items()}
            assert world.engine.fleet.names == tuple(before.fabric.switches)
            continue
        event(f"{kind}: {'done' if compare(before.fabric, edited) else 'nothing'}")
        if kind == "description":
            assert flows == {name: (set(rows.flows), groups(rows)) for name, rows in world.engine.desired.tables.items()}
        world.check()
        for _ in range(data.draw(st.integers(0, 8))):
            waiting = [*world.waiting(), *sorted(world.leaving)]
            if not waiting:
                break
            name = data.draw(st.sampled_from(waiting))
            (world.taken_out if name in world.leaving else world.update)(name)
            world.check()
        world.rest(checked=True)
        world.check()
        world.check_oracles()
