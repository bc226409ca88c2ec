"""A batch's way through the engine: as many at once as it may, whatever ends them, and again after a restart."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from ryu_vmmob.engine.fleet import SwitchFault
from ryu_vmmob.flows.compiler import full
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.model.batches.commands import AbortBatch, StartBatch
from ryu_vmmob.model.batches.rows import KEPT
from ryu_vmmob.model.batches.values import BatchState, Outcome
from ryu_vmmob.model.commands import Abort, Activate, Command, Commit, DeleteVm, LinksChanged, StartMigration
from ryu_vmmob.model.objects import Interface, Phase
from tests.support.commands import cug, nic, same, vm
from tests.support.engine_site import Site
from tests.support.fabrics import LEFT_A, per_interface, two_planes, two_racks

FABRIC = per_interface(two_racks())


def crowd(number: int, server: str = "a1") -> Site:
    """So many VMs v000, v001, ... of CUGs c0 to c3 on one server, everything in step."""
    cugs: list[Command] = [cug(f"c{net}", net + 1) for net in range(4)]
    return Site(FABRIC, *cugs, *(vm(f"v{row:03}", server, member(row)) for row in range(number)))


def member(number: int) -> Interface:
    return nic(2 + number // 4, f"c{number % 4}", number % 4 + 1)


def evacuate(site: Site, *servers: str, id_: str = "b-1", **more: object) -> None:
    site.engine.execute(StartBatch(id_, servers or ("a1",), **more))  # type: ignore[arg-type]


def outcomes(site: Site, id_: str = "b-1") -> Counter[Outcome]:
    return Counter(row.outcome for row in site.state.batch_vms[id_].values())


def under_way(site: Site, *phases: Phase) -> list[str]:
    return sorted(row.id for row in site.state.migrations.values() if row.phase in phases)


def arrive(site: Site, *ids: str) -> None:
    """VMs that are prepared appear at their targets."""
    for id_ in ids or under_way(site, Phase.PREPARED):
        site.engine.execute(Activate(id_))


def see_through(site: Site, limit: int = 1000) -> None:
    """Confirm and arrive until every batch is over."""
    while any(not row.state.is_final for row in site.state.batches.values()):
        site.confirm()
        arrive(site)
        limit -= 1
        assert limit, site.state.batches
    site.confirm()


def as_compiled(site: Site) -> None:
    """What is desired is what a compile from nothing gives, and what is stored makes the same state."""
    fresh = full(site.state)
    for name in site.engine.fleet.names:
        assert site.engine.desired.tables[name].flows == fresh.tables[name].flows
        assert site.engine.desired.tables[name].groups == fresh.tables[name].groups
    same(site.restart().state, site.state)


def test_never_more_at_once_than_it_may_and_the_next_begins_when_one_ends() -> None:
    site = crowd(20)
    evacuate(site, parallel=3)
    seen = []
    while site.state.batches["b-1"].state is BatchState.RUNNING:
        moving = under_way(site, Phase.PREPARING, Phase.PREPARED, Phase.ACTIVATED)
        assert tuple(f"b-1-{number}" for number in site.state.batches["b-1"].moving) == tuple(
            sorted(moving, key=lambda id_: int(id_.rpartition("-")[2]))
        )
        seen.append(len(moving))
        site.confirm()
        arrive(site, *under_way(site, Phase.PREPARED)[:1])
        site.confirm()
    assert max(seen) == 3
    assert seen.count(3) >= 17
    assert outcomes(site) == {Outcome.COMMITTED: 20}
    assert Counter(row.server for row in site.state.vms.values()) == {"a2": 10, "a3": 10}
    as_compiled(site)


def test_many_at_once_begin_in_several_looks() -> None:
    site = crowd(100)
    evacuate(site, parallel=1000)
    assert 0 < len(site.state.batches["b-1"].moving) < 100
    site.confirm()
    site.engine.progress()
    see_through(site)
    assert outcomes(site) == {Outcome.COMMITTED: 100}


@pytest.mark.parametrize("connected", [True, False])
def test_a_restart_goes_on_where_it_was(connected: bool) -> None:
    site = crowd(30)
    evacuate(site, parallel=4)
    for _ in range(3):
        site.confirm()
        arrive(site, *under_way(site, Phase.PREPARED)[:2])
        before = site
        site = before.restart(connected)
        if not connected:
            same(site.state, before.state)
            site.connect()
    see_through(site)
    assert outcomes(site) == {Outcome.COMMITTED: 30}
    assert len({row.id for row in site.state.migrations.values()}) == 30
    as_compiled(site)


def test_one_that_times_out_or_is_aborted_makes_room_and_the_next_evacuation_takes_it() -> None:
    site = crowd(4)
    evacuate(site, parallel=2, timeout=10.0)
    site.confirm()
    site.engine.execute(Abort("b-1-0", "no memory"))
    site.confirm()
    assert under_way(site, Phase.PREPARED) == ["b-1-1", "b-1-2"]
    site.now += 10
    site.silence()
    site.confirm()
    arrive(site)
    see_through(site)
    rows = site.state.batch_vms["b-1"]
    assert [rows[number].outcome.value for number in range(4)] == ["aborted", "aborted", "aborted", "committed"]
    assert (rows[0].reason, rows[1].reason) == ("no memory", "not activated within 10 s, and its VM answers at neither place")
    evacuate(site, id_="b-2")
    see_through(site)
    assert outcomes(site, "b-2") == {Outcome.COMMITTED: 3}
    assert "a1" not in site.state.server_vms
    as_compiled(site)


def test_a_leg_that_a_switch_refuses_takes_back_all_legs() -> None:
    site = Site(FABRIC, cug(), cug("db", 2), vm("v0", "a1", nic(11), nic(11, "db", 2)), vm("v1", "a1", nic(12)))
    before = {name: dict(site.engine.desired.tables[name].flows) for name in site.engine.fleet.names}
    evacuate(site, to=("b1",), parallel=1)
    taken = {name: site.engine.fleet.take(name) for name in ("tor-a", "spine", "tor-b")}
    site.engine.fleet.confirm("tor-b", taken["tor-b"][0], [SwitchFault("TABLE_FULL", "a flow", Owner(OwnerKind.CUG, "db"), 7)])  # type: ignore[index]
    site.engine.progress()
    row = site.state.batch_vms["b-1"][0]
    assert (row.vm, row.outcome) == ("v0", Outcome.FAILED)
    assert row.reason is not None
    assert "TABLE_FULL" in row.reason
    # The other VM has its turn; once it is given up as well, both legs of the first are as if nothing had been.
    assert site.state.batches["b-1"].moving == (1,)
    site.engine.execute(AbortBatch("b-1"))
    assert {name: dict(site.engine.desired.tables[name].flows) for name in before} == before


def test_who_is_gone_or_moved_by_somebody_else_is_passed_by() -> None:
    site = crowd(5)
    evacuate(site, parallel=1)
    site.engine.execute(DeleteVm("v001"))
    site.engine.execute(StartMigration("m-x", "v002", "b1"))
    site.engine.execute(StartMigration("m-y", "v003", "b1"))
    site.confirm()
    site.engine.execute(Activate("m-x"))
    site.confirm()
    arrive(site, "b-1-0")
    site.confirm()
    rows = site.state.batch_vms["b-1"]
    assert [(rows[n].outcome.value, rows[n].reason) for n in range(4)] == [
        ("committed", None),
        ("gone", "VM 'v001' was deleted"),
        ("elsewhere", "VM 'v002' is on server 'b1' by now"),
        ("refused", "VM 'v003' is moving already (migration m-y)"),
    ]
    assert rows[4].outcome is Outcome.MOVING
    see_through(site)
    assert [event["outcome"] for event in site.events("batch.passed")] == ["gone", "elsewhere", "refused"]


def test_a_target_that_is_evacuated_meanwhile_is_given_up() -> None:
    site = crowd(3)
    evacuate(site, parallel=1, to=("a2", "b1"))
    assert [row.target for _, row in sorted(site.state.batch_vms["b-1"].items())] == ["a2", "b1", "a2"]
    evacuate(site, "b1", id_="b-2")
    evacuate(site, "a2", id_="b-3", activate_on="request")
    see_through(site)
    assert site.state.batch_vms["b-1"][0].target == "a2"
    assert outcomes(site)[Outcome.COMMITTED] >= 1
    as_compiled(site)


def test_no_target_is_left() -> None:
    site = crowd(2)
    site.engine.execute(vm("w", "b1", member(40)))
    evacuate(site, parallel=1, to=("b1",))
    evacuate(site, "b1", id_="b-2", to=("b2",))
    site.confirm()
    arrive(site, "b-1-0")
    site.confirm()
    row = site.state.batch_vms["b-1"][1]
    assert (row.outcome, row.reason) == (Outcome.REFUSED, "server 'b1' is being evacuated itself (batch b-2)")
    assert site.state.batches["b-1"].state is BatchState.FINISHED


def test_while_links_change_the_next_waits() -> None:
    fabric = per_interface(two_planes())
    site = Site(fabric, cug(), vm("v0", "a1", nic(11)), vm("v1", "a1", nic(12)))
    evacuate(site, parallel=1, to=("b1",))
    site.confirm()
    site.engine.execute(LinksChanged(frozenset({LEFT_A})))
    site.engine.execute(Abort("b-1-0"))
    assert not site.state.trees_settled
    assert (site.state.batches["b-1"].next, site.state.batches["b-1"].moving) == (1, ())
    site.confirm()
    assert site.state.batches["b-1"].moving == (1,)


def test_a_full_disk_delays_and_loses_nothing() -> None:
    site = crowd(3)
    evacuate(site, parallel=1)
    site.confirm()
    site.engine.execute(Activate("b-1-0"))
    site.store.full = True
    site.confirm()
    assert site.state.batches["b-1"].moving == (0,)
    site.store.full = False
    see_through(site)
    assert outcomes(site) == {Outcome.COMMITTED: 3}
    as_compiled(site)


def test_an_abort_lets_those_that_have_arrived_end() -> None:
    site = crowd(10)
    evacuate(site, parallel=3, commit="request")
    site.confirm()
    arrive(site, "b-1-0")
    site.engine.execute(AbortBatch("b-1", "enough"))
    assert site.state.batches["b-1"].state is BatchState.ABORTING
    site = site.restart(connected=True)
    site.engine.execute(Commit("b-1-0"))
    batch = site.state.batches["b-1"]
    assert (batch.state, batch.reason, batch.ended) == (BatchState.ABORTED, "enough", site.now)
    assert outcomes(site) == {Outcome.COMMITTED: 1, Outcome.ABORTED: 2, Outcome.SKIPPED: 7}
    site.confirm()
    as_compiled(site)


def test_forgotten_batches_are_gone_from_the_store_with_their_rows() -> None:
    site = crowd(1)
    site.engine.execute(StartMigration("m-x", "v000", "b1"))
    for number in range(KEPT + 3):
        evacuate(site, id_=f"b-{number}")
        site.now += 1
    kinds = Counter(kind for kind, _ in site.store.records)
    assert kinds["batch"] == kinds["batch_vm"] == KEPT
    same(site.restart().state, site.state)


PLACES = ("a1", "a2", "b1", "b3")


def randomly(seed: int, vms: int, steps: int, *, aborts: bool, restarts: bool) -> Site:
    """Batches over four crowded servers, with switches that confirm in any order, VMs that arrive in any order, and worse."""
    chance = random.Random(seed)
    cugs: list[Command] = [cug(f"c{net}", net + 1) for net in range(4)]
    site = Site(FABRIC, *cugs, *(vm(f"v{row:03}", PLACES[row % 2], member(row)) for row in range(vms)))
    evacuate(site, "a1", id_="b-1", to=("b1",), parallel=chance.randint(1, 40))
    evacuate(site, "a2", id_="b-2", to=("b3",), parallel=chance.randint(1, 40))
    others = random.Random(seed + 1)
    for _ in range(steps):
        for batch in site.state.batches.values():
            assert len(batch.moving) <= batch.parallel
        match chance.randrange(4):
            case 0:
                site.take(chance.choice(sorted(site.engine.fleet.names)))
            case 1:
                site.confirm()
            case _:
                ready = under_way(site, Phase.PREPARED)
                arrive(site, *chance.sample(ready, min(len(ready), chance.randint(1, 10)))) if ready else None
        if aborts and others.random() < 0.2:
            ready = under_way(site, Phase.PREPARING, Phase.PREPARED)
            if ready:
                site.engine.execute(Abort(others.choice(ready), "given up"))
        if aborts and others.random() < 0.01 and site.state.batches["b-2"].state is BatchState.RUNNING:
            site.engine.execute(AbortBatch("b-2", "enough"))
        if restarts and others.random() < 0.1:
            again = site.restart()
            same(again.state, site.state)
            again.connect()
            site = again
    see_through(site)
    return site


@pytest.mark.parametrize("seed", range(3))
def test_hundreds_interleaved_with_restarts_end_the_same(seed: int) -> None:
    undisturbed = randomly(seed, 240, 60, aborts=False, restarts=False)
    disturbed = randomly(seed, 240, 60, aborts=False, restarts=True)
    for site in (undisturbed, disturbed):
        assert outcomes(site, "b-1") == outcomes(site, "b-2") == {Outcome.COMMITTED: 120}
        as_compiled(site)
    assert {name: row.server for name, row in undisturbed.state.vms.items()} == {
        name: row.server for name, row in disturbed.state.vms.items()
    }
    for name in undisturbed.engine.fleet.names:
        assert undisturbed.engine.desired.tables[name].flows.keys() == disturbed.engine.desired.tables[name].flows.keys()


@pytest.mark.parametrize("seed", range(10, 13))
def test_hundreds_with_aborts_and_restarts_leave_every_vm_in_one_place(seed: int) -> None:
    site = randomly(seed, 240, 150, aborts=True, restarts=True)
    found: Counter[Outcome] = Counter()
    for id_ in ("b-1", "b-2"):
        for row in site.state.batch_vms[id_].values():
            found[row.outcome] += 1
            there = row.target if row.outcome is Outcome.COMMITTED else row.source
            assert (site.state.vms[row.vm].server, site.state.vms[row.vm].migration) == (there, None)
    assert found[Outcome.COMMITTED] > 10
    assert found[Outcome.ABORTED] > 5
    as_compiled(site)
    # Nothing is stuck: a VM that stayed behind leaves with the next evacuation.
    evacuate(site, "a1", "a2", id_="b-3", to=("b1", "b3"), parallel=50)
    see_through(site)
    assert "a1" not in site.state.server_vms
    assert "a2" not in site.state.server_vms
    as_compiled(site)
