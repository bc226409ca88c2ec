"""Every stage of a move has a way out that an operator can take with any switch dead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_vmmob.flows.compiler import full
from ryu_vmmob.model.commands import Abort, Activate, Command, Commit, DeleteVm, StartMigration
from ryu_vmmob.model.migration_steps import Stage, stage
from ryu_vmmob.model.migrations import Deliver
from ryu_vmmob.model.move_options import Delivery
from tests.support.commands import cug, nic, vm
from tests.support.engine_site import LATER, Site, migration, racks
from tests.support.fabrics import two_racks
from tests.support.rest_service import Service, problem
from tests.support.world import World

SWITCHES = ("tor-a", "spine", "tor-b")
HOURS = 5 * 24


def die(made: Site, switch: str) -> None:
    """The switch is away from now on."""
    made.engine.fleet.connected(switch, wake := lambda: None, made.now)
    made.engine.fleet.disconnected(switch, wake)
    made.engine.progress()


def with_dead(at: Stage, dead: str, delivery: Delivery = "at_pause") -> Site:
    """A move from tor-a to tor-b in this stage, and one switch that has died in it; days ago."""
    made = racks()
    if at is Stage.PREPARING:
        die(made, dead)
    made.engine.execute(replace(LATER, delivery=delivery, timeout=86400.0 * 7))
    others = [name for name in SWITCHES if name != dead]
    if at is not Stage.PREPARING:
        made.confirm()
    if at is Stage.DELIVERED:
        made.engine.execute(Deliver("m1"))
    if at in (Stage.ACTIVATED, Stage.RETURNING):
        made.engine.execute(Activate("m1"))
        made.confirm()
    if at is not Stage.PREPARING:
        die(made, dead)
    if at is Stage.RETURNING:
        # The other switches do not confirm yet: else it is over, or waits for the dead one alone.
        made.engine.execute(Abort("m1"))
    if at is Stage.RETURNING and dead == "tor-a":
        for _ in range(5):
            made.take(*others)
    made.now += HOURS * 3600
    made.engine.progress()
    assert stage(migration(made)) is at
    return made


WAYS_OUT: dict[Stage, tuple[tuple[Command, str], ...]] = {
    Stage.PREPARING: ((Abort("m1"), "a1"), (Abort("m1", force=True), "a1")),
    Stage.PREPARED: ((Abort("m1"), "a1"), (Abort("m1", force=True), "a1")),
    Stage.DELIVERED: ((Abort("m1", force=True), "a1"),),
    Stage.ACTIVATED: ((Commit("m1"), "b1"), (Abort("m1", force=True), "a1")),
    Stage.RETURNING: ((Abort("m1", force=True), "a1"),),
}


@pytest.mark.parametrize("dead", SWITCHES)
@pytest.mark.parametrize("at", WAYS_OUT)
def test_there_is_a_way_out_at_once(at: Stage, dead: str) -> None:
    for command, server in WAYS_OUT[at]:
        made = with_dead(at, dead)
        made.engine.execute(command)
        row = migration(made)
        assert row.phase.is_final
        assert made.state.vms["web1"].server == server
        fresh = full(made.state)
        for name, tables in made.engine.desired.tables.items():
            assert tables.flows.keys() == fresh.tables[name].flows.keys()
        made.engine.execute(DeleteVm("web1"))


@pytest.mark.parametrize("at", [Stage.PREPARED, Stage.DELIVERED, Stage.ACTIVATED, Stage.RETURNING])
def test_there_is_a_way_on_with_the_source_dead(at: Stage) -> None:
    """Who lost the rack of the source wants the VM where it was going to."""
    made = with_dead(at, "tor-a")
    if at is not Stage.ACTIVATED:
        made.engine.execute(Activate("m1"))
    made.engine.execute(Commit("m1"))
    assert stage(migration(made)) is Stage.COMMITTED
    assert made.state.vms["web1"].server == "b1"
    made.engine.execute(StartMigration("m2", "web1", "b3"))


@pytest.mark.parametrize("delivery", ["at_pause", "early", "on_activation"])
@pytest.mark.parametrize("command", [Abort("m", force=True), Activate("m")], ids=["force", "activate"])
def test_the_judge_has_nothing_against_a_forced_end_or_a_turn_on_the_way_back(delivery: Delivery, command: Command) -> None:
    """In each mixture: isolation, no loop, no double."""
    made = World(two_racks())
    made.do(cug(v6=False), vm(), vm("web2", "a2", nic(12)), vm("web3", "b3", nic(13)))
    made.settle()
    made.do(StartMigration("m", "web1", "b1", delivery=delivery, commit="request"))
    made.settle()
    made.do(Activate("m"))
    made.settle()
    made.do(Abort("m"))
    for name in ("spine", "tor-b"):
        made.update(name)
        made.check()
    made.do(command)
    made.check()
    for name in ("tor-b", "tor-a", "spine"):
        made.update(name)
        made.check()
    made.settle(checked=True)
    made.check_oracles()


def test_force_by_rest() -> None:
    """As the operator asks for it: once more says the same, and a move that is committed is refused."""
    service = Service().with_web()
    service.connect()
    id_ = service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1", "commit": "request"}).json["id"]
    service.confirm()
    service.ask("POST", f"/v1/migrations/{id_}/activate")
    service.ask("POST", f"/v1/migrations/{id_}/abort", {"reason": "the rack burns"})
    assert service.get(f"/v1/migrations/{id_}")["returning"] is True
    for _ in range(2):
        answer = service.ask("POST", f"/v1/migrations/{id_}/abort", {"reason": "the rack burns", "force": True})
        assert (answer.status_int, answer.json["state"], answer.json["returning"]) == (200, "aborted", False)
    answer = service.ask("POST", f"/v1/migrations/{id_}/abort", {"force": "yes"})
    assert problem(answer, 422, "force")
