"""A VM that speaks at its source after it was seen at the target: told, undone, and waited for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_vmmob.engine.conflicts import SETTLING
from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.model.commands import Activate
from ryu_vmmob.model.objects import Phase
from tests.support.commands import cug, nic, vm
from tests.support.engine_site import MOVE, Site, migration, phase
from tests.support.fabrics import two_racks
from tests.unit.forged import MAC, OLD, arrive, site, speak


def per_interface(fabric: Fabric, name: str) -> Fabric:
    servers = dict(fabric.servers)
    servers[name] = replace(servers[name], l2_domain=None, vlan_ids=tuple(range(2, 100)))
    return replace(fabric, servers=servers)


def test_an_activation_whose_vm_still_speaks_at_its_old_place_is_undone() -> None:
    made = site()
    arrive(made)
    speak(made)
    assert migration(made).is_returning
    assert made.state.vms["web1"].server == "a1"
    told = "VM web1 still speaks at a1 after it was seen at b1"
    (event,) = made.events("migration.conflict")
    assert event == {
        "id": "m1", "vm": "web1", "source": "a1", "target": "b1", "switch": "tor-a", "port": 1, "mac": "02:00:00:01:00:0b",
        "reason": told, "undone": True, "more": 0,
    }  # fmt: skip
    assert made.events("refused.move", "refused.spoofing") == []
    made.confirm()
    assert (phase(made), migration(made).reason) == (Phase.ABORTED, told)


def test_an_automatic_commit_waits_for_silence() -> None:
    made = site()
    arrive(made)
    made.confirm()
    made.now += SETTLING - 0.1
    made.engine.look()
    assert phase(made) is Phase.ACTIVATED
    made.now += 0.2
    made.engine.look()
    assert phase(made) is Phase.COMMITTED


@pytest.mark.parametrize("why", ["no neighbour", "another CUG", "per interface", "by request"])
def test_where_no_neighbour_could_have_feigned_it_the_commit_does_not_wait(why: str) -> None:
    move = replace(MOVE, activate_on="request") if why == "by request" else MOVE
    fabric = per_interface(two_racks(), "b1") if why == "per interface" else two_racks()
    made = site(move, fabric, "a2" if why == "no neighbour" else "b1")
    if why == "another CUG":
        made = Site(fabric, cug(), cug("db", 2), vm(), vm("db3", "b1", nic(13, "db", 2)), move)
    if why == "by request":
        made.engine.execute(Activate("m1"))
    else:
        arrive(made)
    made.confirm()
    assert phase(made) is Phase.COMMITTED


def test_where_no_neighbour_could_have_feigned_it_the_old_copy_is_refused_as_ever() -> None:
    made = site(replace(MOVE, commit="request"), per_interface(two_racks(), "b1"))
    arrive(made)
    speak(made)
    assert not migration(made).is_returning
    assert made.events("migration.conflict") == []
    assert [row["vm"] for row in made.events("refused.move")] == ["web1"]


def test_what_a_request_activated_is_told_and_stays() -> None:
    made = site(replace(MOVE, activate_on="request", commit="request"))
    made.engine.execute(Activate("m1"))
    for _ in range(5):
        speak(made)
    made.now += 1
    speak(made)
    assert [(row["undone"], row["more"]) for row in made.events("migration.conflict")] == [(False, 0), (False, 4)]
    assert phase(made) is Phase.ACTIVATED


@pytest.mark.parametrize("what", ["another's address", "another MAC", "elsewhere", "before", "afterwards"])
def test_what_is_no_conflict(what: str) -> None:
    made = site(replace(MOVE, commit="request"))
    if what != "before":
        arrive(made)
    if what == "afterwards":
        speak(made)
    undone = len(made.events("migration.conflict"))
    speak(
        made, ("tor-a", 2) if what == "elsewhere" else OLD, "10.1.0.99" if what == "another's address" else "10.1.0.11",
        nic(77).mac if what == "another MAC" else MAC,
    )  # fmt: skip
    assert len(made.events("migration.conflict")) == undone
    assert migration(made).is_returning is (what == "afterwards")


def test_a_store_that_does_not_take_it_is_tried_again_with_the_next_frame() -> None:
    made = site()
    arrive(made)
    made.store.full = True
    speak(made)
    assert not migration(made).is_returning
    assert [row["undone"] for row in made.events("migration.conflict")] == [False]
    made.store.full = False
    speak(made)
    assert migration(made).is_returning
    assert [row["undone"] for row in made.events("migration.conflict")] == [False, True]


def test_a_restart_in_between_forgets_nothing() -> None:
    made = site()
    arrive(made)
    again = made.restart(connected=True)
    again.confirm()
    assert phase(again) is Phase.ACTIVATED
    speak(again)
    assert migration(again).is_returning
