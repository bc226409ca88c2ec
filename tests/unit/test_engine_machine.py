"""Everything that can happen to a migration, in every stage, through the engine: the table below is what users are promised.

It is written from the product's description, not from the machine's own table, and names for each stage what each input makes
of it. Whatever happened, the next attempt succeeds and leaves what a VM leaves that had always been there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ryu_vmmob.engine.fleet import SwitchFault
from ryu_vmmob.flows.compiler import full
from ryu_vmmob.flows.flow import tells_controller
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.commands import Abort, Activate, Commit, DeleteVm, Prepared, StartMigration
from ryu_vmmob.model.migration_steps import stage
from ryu_vmmob.model.move_options import Delivery
from ryu_vmmob.model.objects import Migration
from ryu_vmmob.model.refusal import Refusal
from tests.support.commands import nic, vm
from tests.support.engine_site import LATER, MOVE, Site, migration, racks

STAGES = ("preparing", "prepared", "activated", "returning", "committed", "aborted", "failed")
SAME, NO = "same", "409"
# fmt: off
PROMISED: dict[str, tuple[str, ...]] = {
    #                   preparing    prepared     activated    returning    committed    aborted      failed
    "start":           (NO,          NO,          NO,          NO,          "again",      "again",      "again"),
    "confirmed":       ("prepared",  SAME,        SAME,        "aborted",   SAME,        SAME,        SAME),
    "announced":       ("activated", "activated", SAME,        SAME,        SAME,        SAME,        SAME),
    "activate":        ("activated", "activated", SAME,        "activated", SAME,        NO,          NO),
    "commit":          (NO,          NO,          "committed", NO,          SAME,        NO,          NO),
    "commit is due":   ("prepared",  SAME,        "committed", "aborted",   SAME,        SAME,        SAME),
    "abort":           ("aborted",   "aborted",   "returning", SAME,        NO,          SAME,        SAME),
    "abort by force":  ("aborted",   "aborted",   "aborted",   "aborted",   NO,          SAME,        SAME),
    "time is over":    ("aborted",   "aborted",   SAME,        SAME,        SAME,        SAME,        SAME),
    "switch refuses":  ("failed",    SAME,        SAME,        "failed",    SAME,        SAME,        SAME),
    "delete the VM":   (NO,          NO,          NO,          NO,          "deleted",   "deleted",   "deleted"),
    "change the VM":   (NO,          NO,          NO,          NO,          "changed",   "changed",   "changed"),
    "late prepared":   ("prepared",  SAME,        SAME,        SAME,        SAME,        SAME,        SAME),
}
# fmt: on


def full_table(made: Site, switch: str) -> None:
    """A switch takes what is pending, and has no room for what is the VM's."""
    taken = made.engine.fleet.take(switch)
    revision = taken[0] if taken is not None else made.state.revision
    fault = SwitchFault("TABLE_FULL", "table=admit ...", Owner(OwnerKind.VM, "web1", "0"))
    made.engine.fleet.confirm(switch, revision, [fault])
    made.engine.progress()


def switch_refuses(made: Site) -> None:
    """tor-a refuses what the others take."""
    full_table(made, "tor-a")
    made.take("spine", "tor-b")


def time_is_over(made: Site) -> None:
    """As long as it takes."""
    made.now += 300
    made.engine.progress()
    if stage(migration(made)) == "prepared":
        made.silence()


def room_again(made: Site) -> None:
    """It is compared again, and has all it should."""
    made.connect("tor-a", "tor-b")


def in_stage(at: str, automatic: bool = False) -> Site:
    made = racks()
    move = MOVE if automatic else LATER
    if at == "failed":
        made.engine.execute(move)
        full_table(made, "tor-b")
        room_again(made)
    else:
        made.engine.execute(move)
        if at != "preparing":
            made.confirm()
        if at in ("activated", "returning", "committed"):
            made.engine.execute(Activate("m1"))
        if at == "returning":
            if not automatic:
                made.confirm()
            made.engine.execute(Abort("m1"))
        if at == "committed":
            made.confirm()
            if not automatic:
                made.engine.execute(Commit("m1"))
        if at == "aborted":
            made.engine.execute(Abort("m1"))
    if at in ("committed", "aborted", "failed"):
        made.confirm()
    assert stage(migration(made)) == at
    return made


def cookie_of_arrival(made: Site) -> int:
    """The flow by which the VM says that it is at b1, taken from when it was awaited there."""
    other = racks(LATER)
    return next(
        row.cookie
        for row in other.engine.desired.flows("tor-b")
        if row.table is Table.ADMIT and any(map(tells_controller, row.actions))
    )


INPUTS: dict[str, Callable[[Site], object]] = {
    "start": lambda made: made.engine.execute(StartMigration("m2", "web1", "b3")),
    "confirmed": lambda made: made.confirm(),
    "announced": lambda made: made.engine.network.frame_seen("tor-b", cookie_of_arrival(made)),
    "activate": lambda made: made.engine.execute(Activate("m1")),
    "commit": lambda made: made.engine.execute(Commit("m1")),
    "commit is due": lambda made: made.confirm(),
    "abort": lambda made: made.engine.execute(Abort("m1")),
    "abort by force": lambda made: made.engine.execute(Abort("m1", force=True)),
    "time is over": time_is_over,
    "switch refuses": lambda made: switch_refuses(made),
    "delete the VM": lambda made: made.engine.execute(DeleteVm("web1")),
    "change the VM": lambda made: made.engine.execute(vm("web1", made.state.vms["web1"].server, nic(11, ips=["10.1.0.99"]))),
    "late prepared": lambda made: made.engine.execute(Prepared("m1")),
}


def test_every_input_is_in_the_table() -> None:
    assert PROMISED.keys() == INPUTS.keys()
    assert {len(row) for row in PROMISED.values()} == {len(STAGES)}


def unconfirmed(row: Migration) -> Migration:
    """A migration without the times at which its switches confirmed: they are written down whenever something else is."""
    return replace(row, timeline=tuple(entry._replace(acknowledged={}) for entry in row.timeline))


@pytest.mark.parametrize("at", STAGES)
@pytest.mark.parametrize("given", INPUTS)
def test_what_is_promised(at: str, given: str) -> None:
    promised = PROMISED[given][STAGES.index(at)]
    made = in_stage(at, automatic=given == "commit is due")
    before, server = made.state, made.state.vms["web1"].server
    if promised == NO:
        with pytest.raises(Refusal) as raised:
            INPUTS[given](made)
        assert raised.value.status == 409
        assert made.state is before
        return
    INPUTS[given](made)
    row = migration(made)
    if promised == SAME:
        assert unconfirmed(row) == unconfirmed(before.migrations["m1"])
        assert made.state.vms["web1"].server == server
    elif promised == "again":
        assert made.state.vms["web1"].migration == "m2"
    elif promised == "deleted":
        assert "web1" not in made.state.vms
    elif promised == "changed":
        assert str(made.state.vms["web1"].interfaces[0].ips[0]) == "10.1.0.99"
    else:
        assert stage(row) == promised
        at_target = promised in ("activated", "committed")
        assert made.state.vms["web1"].server == ("b1" if at_target else "a1")
        assert made.events(f"migration.{promised}")[-1]["id"] == "m1"
        again = made.state
        if given not in ("start", "confirmed", "commit is due", "switch refuses"):
            INPUTS[given](made)  # said twice, it means the same
            assert made.state.migrations["m1"].phase is row.phase
            assert made.state is again or given == "time is over"


ENDINGS: dict[str, Callable[[], Site]] = {
    "aborted while preparing": lambda: in_stage("aborted"),
    "aborted after activation": lambda: _then(in_stage("returning"), Site.confirm),
    "not activated in time": lambda: _then(in_stage("prepared"), INPUTS["time is over"], Site.confirm),
    "refused by the target": lambda: in_stage("failed"),
    "refused on the way back": lambda: _then(in_stage("returning"), INPUTS["switch refuses"], room_again, Site.confirm),
    "a switch away on the way back": lambda: _away_on_the_way_back(),
    "committed": lambda: in_stage("committed"),
}


def _then(made: Site, *what: Callable[[Site], object]) -> Site:
    for one in what:
        one(made)
    return made


def _away_on_the_way_back() -> Site:
    """The source's edge is away: the target stays open until it is back and has opened the source."""
    made = in_stage("returning")
    made.engine.fleet.connected("tor-a", wake := lambda: None, made.now)
    made.engine.fleet.disconnected("tor-a", wake)
    made.confirm()
    assert stage(migration(made)) == "returning"
    assert made.engine.migration_switches(migration(made)).pending == ["tor-a"]
    made.connect("tor-a")
    made.confirm()
    assert stage(migration(made)) == "aborted"
    return made


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("to", ["b1", "b2", "b3", "a3"])
def test_the_next_attempt_succeeds_at_once(ending: str, to: str) -> None:
    made = ENDINGS[ending]()
    assert not made.engine.fleet.faults("tor-a") + made.engine.fleet.faults("tor-b")
    if ending == "committed" and to == "b1":
        to = "a1"
    made.engine.execute(StartMigration("m2", "web1", to))
    made.confirm()
    assert migration(made, "m2").phase.value == "prepared"
    made.engine.execute(Activate("m2"))
    made.confirm()
    assert migration(made, "m2").phase.value == "committed"
    fresh = full(made.state)
    straight = racks()
    straight.engine.execute(DeleteVm("web1"))
    straight.engine.execute(vm("web1", to))
    for name, rows in made.engine.desired.tables.items():
        assert rows.flows.keys() == fresh.tables[name].flows.keys()
        assert rows.groups == fresh.tables[name].groups
    assert made.state.presences == straight.state.presences


@pytest.mark.parametrize("delivery", ["at_pause", "early", "on_activation"])
def test_the_way_back_first_adds_and_then_takes_away(delivery: Delivery) -> None:
    """With a copy at both places nothing is taken from the target before the source is open everywhere.

    Otherwise the target loses at once what it received: each frame goes to one place.
    """
    made = racks(replace(LATER, delivery=delivery), Activate("m1"))
    made.engine.execute(Abort("m1"))
    deltas = {name: made.engine.fleet.take(name) for name in made.engine.fleet.names}
    gone = [row for _, delta in filter(None, deltas.values()) for row in delta.deleted]
    assert bool(gone) is (delivery != "early")
    for name, taken in deltas.items():
        if taken is not None:
            assert stage(migration(made)) == "returning"
            made.engine.fleet.confirm(name, taken[0])
            made.engine.progress()
    made.confirm()
    assert stage(migration(made)) == "aborted"


def test_a_restart_on_the_way_back_goes_on() -> None:
    made = in_stage("returning")
    again = made.restart()
    assert stage(migration(again)) == "returning"
    again.connect()
    assert stage(migration(again)) == "aborted"
