"""The first contact of a store with a switch: what already forwards is not wiped by a store that knows nothing of it."""

from __future__ import annotations

import pytest

from ryu_vmmob.store.base import StoreError
from tests.support.commands import cug
from tests.support.engine_site import Site, racks
from tests.support.fabrics import two_racks
from tests.support.memory_store import MemoryStore


def test_a_new_store_holds_a_switch_with_flows_of_ours() -> None:
    made = Site(two_racks(), connected=False)
    made.engine.fleet.connected("tor-a", lambda: None, 1.0)
    assert not made.engine.first_contact("tor-a", 7)
    status = made.engine.switch_status("tor-a")
    assert (status.in_step, len(status.faults)) == (False, 1)
    (trouble,) = [row.what for row in made.engine.health().reasons if row.kind == "switch.held"]
    assert "tor-a is held: it has 7 flows" in trouble
    assert made.events("switch.held") == [{"switch": "tor-a", "foreign": 7}]
    made.engine.execute(cug())
    assert made.engine.fleet.take("tor-a") is None


def test_it_stays_held_after_a_restart_and_until_it_is_taken_over() -> None:
    made = Site(two_racks(), connected=False)
    made.engine.execute(cug())
    again = made.restart()
    woken: list[str] = []
    again.engine.fleet.connected("tor-a", lambda: woken.append("tor-a"), 1.0)
    assert not again.engine.first_contact("tor-a", 7)
    again.engine.take_over("tor-a")
    again.engine.take_over("tor-a")
    assert woken == ["tor-a", "tor-a"]
    assert again.engine.first_contact("tor-a", 7)
    assert "switch.held" not in {row.kind for row in again.engine.health().reasons}
    third = again.restart()
    assert third.engine.first_contact("tor-a", 7)
    assert not third.engine.first_contact("tor-b", 1)


def test_a_switch_without_anything_foreign_is_met_for_good() -> None:
    made = Site(two_racks(), connected=False)
    assert made.engine.first_contact("tor-a", 0)
    assert made.restart().engine.first_contact("tor-a", 99)


def test_a_store_that_knows_the_switches_and_has_no_list_has_met_them_all() -> None:
    """A store of a version that kept none."""
    made = racks()
    del made.store.records["meta", "unmet_switches"]
    again = made.restart()
    assert all(again.engine.first_contact(name, 5) for name in again.engine.fleet.names)


def test_nothing_is_taken_over_when_the_store_does_not_take_it() -> None:
    store = MemoryStore()
    made = Site(two_racks(), store=store, connected=False)
    assert not made.engine.first_contact("tor-a", 7)
    store.full = True
    with pytest.raises(StoreError):
        made.engine.take_over("tor-a")
    assert not made.engine.contacts.is_met("tor-a")
    assert made.engine.first_contact("tor-b", 0), "nothing foreign: it is put right, and met another time"
    store.full = False
    assert not made.restart().engine.first_contact("tor-b", 3)
