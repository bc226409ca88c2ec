"""Durable before it is adopted, and the same state after a restart, in whatever phase a move was."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

import pytest

from ryu_vmmob.engine.persist import restore
from ryu_vmmob.flows.compiler import full
from ryu_vmmob.flows.flow import tells_controller
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.commands import Abort, Activate, Command, Commit, DeleteCug, DeleteVm, LinksChanged, StartMigration
from ryu_vmmob.model.objects import Phase
from ryu_vmmob.model.policies import DeletePolicy, PutPolicy
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.store.base import Record, StoreError, Write
from tests.support.commands import cug, nic, same, vm
from tests.support.engine_site import LATER, MOVE, Site, migration, phase, racks
from tests.support.fabrics import two_racks


@pytest.mark.parametrize(
    "command",
    [
        cug("db", 2),
        cug(pins={"rack-b": 105}),
        vm("web3", "b1", nic(13)),
        DeleteVm("web1"),
        PutPolicy("p", False, Selector("any"), Selector("vm", "web1")),
        MOVE,
        LinksChanged(frozenset({"spine:1=tor-a:49"})),
    ],
    ids=lambda command: type(command).__name__,
)
def test_nothing_is_adopted_when_the_store_refuses(command: Command) -> None:
    made = racks()
    before, events = made.state, len(made.engine.events)
    tables = {name: (dict(rows.flows), dict(rows.groups)) for name, rows in made.engine.desired.tables.items()}
    made.store.full = True
    with pytest.raises(StoreError, match="disk"):
        made.engine.execute(command)
    assert made.state is before
    assert made.engine.desired.state is before
    assert {name: (rows.flows, rows.groups) for name, rows in made.engine.desired.tables.items()} == tables
    assert [event.kind for event in list(made.engine.events)[events:]] == ["store.failed"]
    assert not made.take()
    assert made.engine.fleet.revision == before.revision
    made.store.full = False
    assert made.engine.execute(command).revision == before.revision + 1
    made.confirm()
    same(made.restart().state, made.state)


def test_due_steps_wait_until_the_store_works_again() -> None:
    made = Site(two_racks(), cug(), vm(), MOVE, Activate("m1"))
    made.now += 61
    made.store.full = True
    made.engine.progress()
    assert made.state.quarantine
    assert made.events("store.failed") == [{"reason": "the disk is full"}]
    made.store.full = False
    made.engine.progress()
    assert not made.state.quarantine


def test_a_failing_store_is_told_at_most_once_a_second_and_tried_by_itself() -> None:
    made = racks()
    made.store.full = True
    for _ in range(50):
        made.now += 0.1
        made.engine.progress()
        with pytest.raises(StoreError, match="full"):
            made.engine.execute(cug("db", 2))
    assert len(made.events("store.failed")) == 5
    assert [row.what for row in made.engine.health().reasons if row.kind == "store.failing"] == [
        "nothing can be changed: the disk is full"
    ]
    made.store.full = False
    made.now += 1
    made.engine.progress()  # nobody wants to store anything
    assert "store.failing" not in {row.kind for row in made.engine.health().reasons}
    assert len(made.events("store.recovered")) == 1


def test_an_announcement_that_could_not_be_stored_is_not_forgotten() -> None:
    made = racks(MOVE)
    flow = next(
        row for row in made.engine.desired.tables["tor-b"].flows.values()
        if row.table is Table.ADMIT and any(map(tells_controller, row.actions))
    )  # fmt: skip
    made.store.full = True
    with pytest.raises(StoreError):
        made.engine.network.frame_seen("tor-b", flow.cookie)
    made.now += 2
    made.engine.progress()
    assert phase(made) is Phase.PREPARED
    made.store.full = False
    made.engine.progress()
    assert phase(made) is Phase.ACTIVATED
    made.confirm()
    assert (phase(made), migration(made).reason) == (Phase.COMMITTED, "seen at tor-b:1")


def test_steps_that_a_look_finds_again_are_not_synced_to_disk() -> None:
    """A request was answered with begun and activated; prepared and committed are found again by the next look."""
    made = racks(MOVE)
    made.confirm()
    made.engine.execute(Activate("m1"))
    made.confirm()
    assert phase(made) is Phase.COMMITTED
    assert made.store.synced[-4:] == [True, False, True, False]


def test_what_is_asked_for_waits_for_the_disk_whatever_it_is() -> None:
    made = racks(LATER, Activate("m1"))
    made.confirm()
    made.engine.execute(Commit("m1"))
    assert made.store.synced[-1] is True


def test_a_command_is_done_although_what_follows_it_cannot_be_stored() -> None:
    """web1 is aborted by time-out in the look that follows another command: its failure is not the command's."""
    made = racks(MOVE)
    made.now += 301
    commit = made.store.commit
    calls = []

    def full_after_one(revision: int | None, writes: Iterable[Write], *, sync: bool = True) -> None:
        calls.append(revision)
        made.store.full = len(calls) > 1
        commit(revision, writes, sync=sync)

    made.store.commit = full_after_one  # type: ignore[method-assign]
    ticket = made.engine.execute(cug("db", 2))
    made.engine.progress()
    assert "db" in made.state.cugs
    assert ticket.revision == made.state.revision
    assert len(calls) > 1
    assert phase(made) is Phase.PREPARED


def test_a_dry_run_changes_nothing() -> None:
    made = racks()
    before, commits = made.state, made.store.commits
    wanted = made.engine.dry_run(MOVE)
    assert wanted.migrations["m1"].legs[0].to_vlan_id == 100
    assert made.state is before
    assert made.store.commits == commits
    assert not made.take()


# A restart


def busy() -> Site:
    """A bit of everything: pins, two interfaces, numbers at rest, a deleted CUG, policies, moves in several phases."""
    made = racks(
        cug("db", 2, {"rack-b": 105}), vm("both", "b3", nic(21, ips=["10.1.0.21", "2001:db8:1::15"]), nic(21, "db", 2))
    )
    made.engine.execute(cug("gone", 3))
    made.engine.execute(vm("gone1", "b1", nic(11, "gone", 3)))
    made.engine.execute(
        PutPolicy("in", True, Selector("prefix", ip_network("::/0")), Selector("cug", "web"), 200, 6, ((80, 89),), True),
        PutPolicy("gone", False, Selector("vm", "gone1"), Selector("cug", "gone"), protocol="icmp"),
        PutPolicy("all", False, Selector("any"), Selector("any")),
    )
    made.engine.execute(DeleteVm("gone1"))
    made.engine.execute(DeleteCug("gone"))
    made.engine.execute(DeletePolicy("all"))
    made.engine.execute(LATER)
    made.engine.execute(StartMigration("m2", "both", "a3", delivery="on_activation", commit="request"))
    made.confirm()
    made.engine.execute(Activate("m2"))
    made.confirm()
    return made


def test_what_the_store_holds_is_the_state() -> None:
    made = busy()
    assert made.state.quarantine
    assert set(made.state.policies) == {"in", "gone"}
    again = made.restart()
    same(again.state, made.state)
    for name, rows in made.engine.desired.tables.items():
        assert again.engine.desired.tables[name].flows.keys() == rows.flows.keys()
        assert again.engine.desired.tables[name].groups == rows.groups


def test_a_restart_writes_nothing_and_costs_no_revision() -> None:
    """But for the ids of events that it sets aside, and the generation of this start (OpenFlow roles)."""
    made = busy()
    revision, records = made.store.revision, dict(made.store.records)
    made.restart(connected=True)
    assert made.store.revision == revision
    aside = {("meta", "event_ids"): None, ("meta", "generations"): None}
    assert {**made.store.records, **aside} == {**records, **aside}


def test_a_restart_in_preparing_goes_on() -> None:
    made = racks()
    made.engine.execute(MOVE)
    assert phase(made) is Phase.PREPARING
    again = made.restart()
    assert phase(again) is Phase.PREPARING
    again.connect("tor-a", "spine")
    assert phase(again) is Phase.PREPARING
    assert again.engine.migration_switches(migration(again)).pending == ["tor-b"]
    again.connect("tor-b")
    assert phase(again) is Phase.PREPARED


def test_a_restart_in_prepared_can_be_activated() -> None:
    made = racks(LATER)
    assert phase(made) is Phase.PREPARED
    again = made.restart(connected=True)
    assert phase(again) is Phase.PREPARED
    again.engine.execute(Activate("m1"))
    again.confirm()
    assert phase(again) is Phase.ACTIVATED


def test_a_restart_in_activated_commits_by_itself_when_the_switches_are_back() -> None:
    made = racks(MOVE)
    made.engine.execute(Activate("m1"))
    again = made.restart()
    again.engine.progress()
    assert phase(again) is Phase.ACTIVATED
    again.connect()
    again.confirm()
    assert phase(again) is Phase.COMMITTED
    assert again.state.vms["web1"].server == "b1"


def test_a_restart_after_the_end_has_nothing_to_do() -> None:
    made = racks(MOVE, Activate("m1"))
    assert phase(made) is Phase.COMMITTED
    again = made.restart(connected=True)
    assert not again.take()
    assert not again.events("migration.committed")


def test_a_restart_keeps_the_time_of_a_timeout_and_of_a_quarantine() -> None:
    made = racks(MOVE)
    again = made.restart(connected=True)
    again.now += 299
    again.engine.progress()
    assert phase(again) is Phase.PREPARED
    again.now += 1
    again.silence()
    assert phase(again) is Phase.ABORTED
    again.confirm()
    third = again.restart(connected=True)
    third.now += 60
    third.engine.progress()
    assert not third.state.quarantine


def test_incremental_equals_full_after_a_busy_day() -> None:
    made = busy()
    made.engine.execute(Commit("m2"))
    made.engine.execute(Abort("m1"))
    made.engine.execute(vm("both", "a3", nic(21, "db", 2), nic(22)))
    made.engine.execute(cug("gone", 3))
    made.engine.execute(vm("gone1", "b2", nic(11, "gone", 3)))
    fresh = full(made.state)
    for name, rows in made.engine.desired.tables.items():
        assert rows.flows.keys() == fresh.tables[name].flows.keys()
        assert rows.groups == fresh.tables[name].groups


def test_more_switches_than_group_ids_can_name_are_refused() -> None:
    """A switch keeps its key for good; the one after 4,095 names would share the bits of another's groups."""
    fabric = two_racks()
    known = [Record("switch_key", "long-gone", {"value": 4095})]
    with pytest.raises(StoreError, match="more than 4095 switches"):
        restore(known, fabric, 1)
    restore([Record("switch_key", "long-gone", {"value": 4095 - len(fabric.switches)})], fabric, 1)
