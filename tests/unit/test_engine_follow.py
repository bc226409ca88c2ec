"""What follows by itself: moves that go on, time out or are refused, trees that grow again, numbers that are freed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ryu_vmmob.bench.fabrics import leaf_spine, write
from ryu_vmmob.engine.fleet import SwitchFault
from ryu_vmmob.engine.tickets import Ticket
from ryu_vmmob.fabric import load
from ryu_vmmob.flows.owner import UNOWNED, Owner, OwnerKind
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.commands import Activate, Command, Commit, DeleteVm, Prepared
from ryu_vmmob.model.objects import Phase
from ryu_vmmob.model.refusal import conflict
from tests.support.commands import cug, nic, vm
from tests.support.engine_site import LATER, MOVE, Site, migration, phase, racks
from tests.support.fabrics import LEFT_A, rooted, two_planes, two_racks

Has = Callable[[str, int], bool]


def test_prepared_when_all_have_confirmed_and_not_before() -> None:
    made = racks()
    made.engine.execute(MOVE)
    for name, pending in (("tor-b", ["spine", "tor-a"]), ("spine", ["tor-a"])):
        made.take(name)
        assert phase(made) is Phase.PREPARING
        assert made.engine.migration_switches(migration(made)).pending == pending
    made.take("tor-a")
    assert phase(made) is Phase.PREPARED
    assert made.engine.migration_switches(migration(made)).pending == []


def test_what_becomes_prepared_together_is_one_write_and_each_is_told() -> None:
    made = racks()
    moves = [replace(MOVE, id=f"m{number}", vm=f"web{number}") for number in (1, 2)]
    for move in moves:
        made.engine.execute(move)
    commits = made.store.commits
    made.confirm()
    assert [phase(made, move.id) for move in moves] == [Phase.PREPARED] * 2
    assert made.store.commits == commits + 1
    rows = [migration(made, move.id) for move in moves]
    assert [row.timeline[-1].flow_mods for row in rows] == [{}, {}]
    told = [row.event.data["id"] for row in made.engine.events.newest(["migration.prepared"], 10)]
    assert sorted(told) == ["m1", "m2"]


def test_one_that_cannot_go_on_keeps_no_other() -> None:
    """Together they are refused; each by itself, only one is."""
    made = racks()
    moves = [replace(MOVE, id=f"m{number}", vm=f"web{number}") for number in (1, 2)]
    for move in moves:
        made.engine.execute(move)
    execute, asked = made.engine._execute, []

    def refuse(commands: Sequence[Command], breath: Breath | None = None, *, sync: bool = True) -> Ticket:
        asked.append([command.id for command in commands if isinstance(command, Prepared)])
        if any(isinstance(command, Prepared) and command.id == "m1" for command in commands):
            raise conflict("not this one")
        return execute(commands, sync=sync)

    made.engine._execute = refuse  # type: ignore[method-assign]
    made.take()
    assert phase(made, "m2") is Phase.PREPARED
    assert asked[:3] == [["m1", "m2"], ["m1"], ["m2"]]
    assert phase(made, "m1") is Phase.PREPARING
    made.engine._execute = execute  # type: ignore[method-assign]
    made.engine.progress()
    assert phase(made, "m1") is Phase.PREPARED


def test_a_wide_move_costs_as_much_for_each_switch_however_many_there_are(tmp_path: Path) -> None:
    """When all switches of a CUG confirm one after another, not each confirmation looks at all of them."""
    asked = {}
    for tors in (10, 40):
        fabric = load(write(leaf_spine(tors), tmp_path))
        vms = [vm(f"vm{n}", f"srv-{n}-0", nic(n + 10)) for n in range(tors)]
        made = Site(fabric, cug(v6=False), *vms, vm("mover", "srv-0-1", nic(200)))
        has, calls = made.engine.fleet.has, list[str]()

        def counted(name: str, revision: int, has: Has = has, calls: list[str] = calls) -> bool:
            calls.append(name)
            return has(name, revision)

        made.engine.fleet.has = counted  # type: ignore[method-assign]
        made.engine.execute(replace(MOVE, vm="mover", to="srv-1-1"))
        made.confirm()
        calls.clear()
        made.engine.execute(Activate("m1"))
        for name in [*fabric.switches] * 4:
            taken = made.engine.fleet.take(name)
            if taken is not None:
                made.engine.fleet.confirm(name, taken[0])
                made.engine.progress(everything=False)
        assert phase(made) is Phase.COMMITTED
        asked[tors] = len(calls) / tors
    assert asked[40] < 1.5 * asked[10], asked


def test_a_step_that_needs_no_switch_goes_on_at_once() -> None:
    """All switches concerned have confirmed everything: nobody else will ever say anything that could wake us."""
    made = Site(two_racks(), cug(), vm(), vm("web2", "b1", nic(12)), replace(MOVE, to="a2"), Activate("m1"))
    assert phase(made) is Phase.COMMITTED


@pytest.mark.parametrize("confirmed", [(), ("tor-a",), ("tor-a", "spine", "tor-b")], ids=["none", "one", "all"])
def test_a_timeout_aborts_and_names_who_has_not_confirmed(confirmed: tuple[str, ...]) -> None:
    made = racks()
    made.engine.execute(MOVE)
    if confirmed:
        made.take(*confirmed)
    made.now += 299.9
    made.engine.progress()
    assert not phase(made).is_final
    made.now += 0.1
    made.engine.progress()
    if len(confirmed) == 3:  # prepared: its VM may have gone on at the target
        assert phase(made) is Phase.PREPARED
        made.silence()
    assert phase(made) is Phase.ABORTED
    reason = migration(made).reason or ""
    assert "not activated within 300 s" in reason
    missing = [name for name in ("spine", "tor-a", "tor-b") if name not in confirmed]
    assert ("; not confirmed by: " + ", ".join(missing) in reason) is bool(missing)
    made.confirm()
    assert made.state.presences["web"].edges == {"tor-a"}


def test_an_activated_move_does_not_time_out() -> None:
    made = racks(LATER, Activate("m1"))
    made.now += 10_000
    made.engine.progress()
    assert phase(made) is Phase.ACTIVATED


def test_automatic_commit_when_the_connected_have_confirmed() -> None:
    made = racks(MOVE)
    made.engine.fleet.connected("spine", lambda: None, made.now)  # back, and not compared yet
    made.engine.execute(Activate("m1"))
    made.take("tor-a", "tor-b")
    assert phase(made) is Phase.ACTIVATED
    made.connect("spine")
    assert phase(made) is Phase.COMMITTED


def test_commit_on_request_waits_for_the_request() -> None:
    made = racks(LATER, Activate("m1"))
    made.confirm()
    assert phase(made) is Phase.ACTIVATED
    made.engine.execute(Commit("m1"))
    assert phase(made) is Phase.COMMITTED


def test_no_automatic_commit_while_the_new_edge_is_away() -> None:
    """Nobody could say that the VM's target is open for it."""
    made = racks(MOVE)
    made.engine.fleet.connected("tor-b", wake := lambda: None, made.now)
    made.engine.fleet.disconnected("tor-b", wake)
    made.engine.execute(Activate("m1"))
    made.confirm()
    assert phase(made) is Phase.ACTIVATED
    made.connect("tor-b")
    made.confirm()
    assert phase(made) is Phase.COMMITTED


@pytest.mark.parametrize(
    ("owner", "fails"),
    [
        pytest.param(Owner(OwnerKind.VM, "web1", "0"), True, id="its own"),
        pytest.param(Owner(OwnerKind.CUG, "web"), True, id="its CUG's"),
        pytest.param(Owner(OwnerKind.HOP, "web", "tor-b"), True, id="the way to its edge"),
        pytest.param(Owner(OwnerKind.VM, "web2", "0"), False, id="another VM's"),
        pytest.param(Owner(OwnerKind.CUG, "db"), False, id="another CUG's"),
        pytest.param(UNOWNED, False, id="nobody's"),
    ],
)
def test_a_refusal_by_a_switch_fails_the_preparation_it_concerns(owner: Owner, fails: bool) -> None:
    made = racks()
    made.engine.execute(MOVE)
    made.take("tor-a", "spine")
    taken = made.engine.fleet.take("tor-b")
    assert taken is not None
    fault = SwitchFault("OFPET_FLOW_MOD_FAILED OFPFMFC_TABLE_FULL", "table=bridge ...", owner)
    made.engine.fleet.confirm("tor-b", taken[0], [fault])
    made.engine.progress()
    made.confirm()
    assert phase(made) is (Phase.FAILED if fails else Phase.PREPARED)
    if fails:
        assert migration(made).reason == "a switch refused: OFPET_FLOW_MOD_FAILED OFPFMFC_TABLE_FULL (table=bridge ...)"


def test_trees_grow_when_all_that_are_connected_have_shrunk() -> None:
    fabric = two_planes()
    name = rooted(fabric, "spine-1")[0]
    made = Site(fabric, cug(name), vm("x", "a1", nic(11, name)), vm("y", "b1", nic(12, name)))
    made.engine.network.links_seen(frozenset({LEFT_A}))
    assert made.state.trees_shrunk == made.state.revision
    assert made.state.presences[name].local["tor-a"].neighbours == ()
    made.confirm()
    assert made.state.trees_settled
    assert made.state.trees_shrunk == 0
    assert made.state.presences[name].local["tor-a"].neighbours == ("spine-2",)


def test_trees_grow_although_there_is_always_something_on_its_way() -> None:
    """A busy network heals too: what counts is that everybody has confirmed the shrinking, not everything since."""
    fabric = two_planes()
    name = rooted(fabric, "spine-1")[0]
    made = Site(fabric, cug(name), vm("x", "a1", nic(11, name)), vm("y", "b1", nic(12, name)), cug("busy", 2))
    made.engine.network.links_seen(frozenset({LEFT_A}))
    taken = {row: made.engine.fleet.take(row) for row in made.engine.fleet.names}
    made.engine.execute(vm("z", "a2", nic(11, "busy", 2)))
    for row, update in taken.items():
        if update is not None:
            made.engine.fleet.confirm(row, update[0])
            made.engine.progress()
    assert made.state.trees_settled
    assert made.state.presences[name].local["tor-a"].neighbours == ("spine-2",)


def test_a_quarantine_waits_for_a_switch_that_is_away() -> None:
    made = racks(DeleteVm("web1"), DeleteVm("web2"))
    made.engine.fleet.connected("tor-a", wake := lambda: None, made.now)
    made.engine.fleet.disconnected("tor-a", wake)
    made.now += 3600
    before = made.state
    made.engine.progress()
    assert made.state is before
    made.connect("tor-a")
    assert not made.state.quarantine
    assert not made.state.holders
