"""Whose a switch is: what follows from its generation and role, for this start of a controller and for others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_vmmob.engine.roles import (
    MOST_KEPT,
    Heard,
    Role,
    Roles,
    Told,
    Verdict,
    after,
    is_ours,
    judge,
    newer,
    shown,
)
from ryu_vmmob.store.base import StoreError
from tests.support.commands import cug
from tests.support.engine_site import Site, racks
from tests.support.fabrics import two_racks
from tests.support.memory_store import MemoryStore
from tests.unit.role_records import Records

GENERATIONS = st.integers(0, (1 << 64) - 1)
LIVES = st.integers(0, (1 << 32) - 1)


class Switch:
    """What a switch keeps of roles (6.3.6), with any number of controllers connected."""

    def __init__(self) -> None:
        self.generation: int | None = None
        self.master: str | None = None
        self.deposed: frozenset[str] = frozenset()
        """Controllers that are connected and lost it."""

    def heard(self, who: str) -> Heard:
        role = Told.MASTER if who == self.master else Told.SLAVE if who in self.deposed else Told.EQUAL
        return Heard(role, self.generation)

    def meet(self, who: str, roles: Roles, *, met: bool = True) -> Verdict:
        """As a session does it: ask, and become the master where that is nobody else's."""
        found = self.heard(who)
        verdict = roles.judge("s", found, met=met)
        if verdict is Verdict.YIELD:
            roles.yields("s", found.generation)
        if verdict is Verdict.COMMAND:
            offered = roles.offer(found)
            assert self.generation is None or not newer(self.generation, offered), "the switch would refuse it"
            self.generation = offered
            if self.master not in (None, who):
                self.deposed |= {self.master}
            self.master, self.deposed = who, self.deposed - {who}
            roles.commands("s")
        return verdict

    def reconnect(self, who: str) -> None:
        self.deposed -= {who}
        self.master = None if self.master == who else self.master


def test_every_start_has_a_newer_generation_of_its_own() -> None:
    store = Records()
    first, second = store.start(7), store.start(7)
    assert newer(second.generation, first.generation)
    assert store.rows["generations"] == [1 << 32 | 7, 2 << 32 | 7]
    assert shown(second.generation) == "2-00000007"
    assert shown(None) == "none"


def test_a_restart_and_a_reconnection_keep_the_switch() -> None:
    store, switch = Records(), Switch()
    for life in range(5):
        roles = store.start(life)
        for _ in range(3):
            assert switch.meet("a", roles) is Verdict.COMMAND
            switch.reconnect("a")
    assert switch.generation == 5 << 32 | 4


def test_a_copy_that_was_left_behind_yields_and_goes_on_yielding() -> None:
    store, switch = Records(), Switch()
    switch.meet("a", store.start(1))
    copy = store.copy()
    switch.reconnect("a")
    first = store.start(2)
    assert switch.meet("a", first) is Verdict.COMMAND
    for life in range(10, 20):  # however often it is started
        late = copy.start(life)
        assert switch.meet("b", late) is Verdict.YIELD
        assert late.role("s") is Role.SLAVE
    assert late.generation > first.generation
    switch.generation = switch.master = None  # the switch has forgotten
    assert switch.meet("b", copy.start(30)) is Verdict.YIELD


def test_a_copy_of_a_store_in_use_takes_the_switch_and_the_first_does_not_take_it_back() -> None:
    store, switch = Records(), Switch()
    first = store.start(1)
    switch.meet("a", first)
    second = store.copy().start(2)
    assert switch.meet("b", second) is Verdict.COMMAND
    for _ in range(3):
        assert switch.meet("a", first) is Verdict.YIELD
        switch.reconnect("a")
    assert switch.meet("a", store.start(3)) is Verdict.YIELD
    assert switch.meet("b", second) is Verdict.COMMAND


def test_a_take_over_holds_until_the_next_one() -> None:
    store, switch = Records(), Switch()
    first = store.start(1)
    switch.meet("a", first)
    second_store = store.copy()
    second = second_store.start(2)
    switch.meet("b", second)
    switch.meet("a", first)
    trouble = first.held["s"]
    assert "another controller is its master (generation 2-00000002, ours is 1-00000001)" in trouble
    first.take_over("s")
    assert first.is_claimed("s")
    assert switch.meet("a", first) is Verdict.COMMAND
    assert (dict(first.held), first.is_claimed("s"), first.role("s")) == ({}, False, Role.MASTER)
    switch.reconnect("a")
    assert switch.meet("a", store.start(5)) is Verdict.COMMAND
    assert switch.meet("b", second) is Verdict.YIELD
    assert switch.meet("b", second_store.start(6)) is Verdict.YIELD


def test_a_word_for_a_switch_that_is_ours_is_not_kept_for_later() -> None:
    store, switch = Records(), Switch()
    roles = store.start(1)
    switch.meet("a", roles)
    roles.take_over("s")
    assert not roles.is_claimed("s")


def test_a_new_store_looks_at_the_flows_first() -> None:
    """The store was lost, and the switch says who was its master."""
    switch = Switch()
    switch.meet("a", Records().start(1))
    new = Records().start(2)
    assert switch.meet("b", new, met=False) is Verdict.COMPARE
    new.waits("s")
    assert new.role("s") is Role.SLAVE
    assert not new.held  # its flows are reported
    assert Switch().meet("b", new, met=False) is Verdict.COMMAND


def test_a_slave_that_nobody_of_another_generation_made_one_yields_as_well() -> None:
    """Two with the very same generation: a copy started twice with the same numbers by chance."""
    assert judge(Heard(Told.SLAVE, 5), [5], met=True, yielded=False, claimed=False) is Verdict.YIELD


def test_a_full_store_keeps_nobody_from_starting_and_keeps_nobody_else_out() -> None:
    store, switch = Records(), Switch()
    switch.meet("a", store.start(1))
    store.full = True
    again = store.start(2)
    assert again.generation == 1 << 32 | 1
    switch.reconnect("a")
    assert switch.meet("a", again) is Verdict.COMMAND
    strange = Heard(Told.EQUAL, 9 << 32)
    with pytest.raises(StoreError):
        again.offer(strange)
    again.yields("t", 9 << 32)  # not kept, and done all the same
    assert again.is_yielded("t")
    with pytest.raises(StoreError):
        again.take_over("t")
    assert again.is_yielded("t")
    assert not again.is_claimed("t")


def test_reasons_go_with_the_switch() -> None:
    roles = Records().start(1)
    assert roles.yields("s", 9 << 32) is not None
    assert roles.yields("s", 9 << 32) is None, "told once"
    roles.use({"t"})
    assert not roles.held


@given(GENERATIONS, LIVES)
def test_the_next_generation_is_newer(generation: int, life: int) -> None:
    assert newer(after(generation, life), generation)
    assert not newer(generation, after(generation, life))
    assert not newer(generation, generation)


@given(GENERATIONS | st.none(), st.lists(LIVES, min_size=1, max_size=6), st.booleans())
def test_an_offered_generation_is_never_stale(generation: int | None, lives: list[int], taken: bool) -> None:
    """Whatever number a switch has heard, be it of another kind of controller."""
    store = Records()
    for life in lives:
        roles = store.start(life)
    if taken:
        roles.take_over("s")
    offered = roles.offer(Heard(Told.EQUAL, generation))
    assert generation is None or not newer(generation, offered)
    assert is_ours(offered, store.rows["generations"])
    if generation is not None and not taken and not is_ours(generation, store.rows["generations"]):
        assert roles.judge("s", Heard(Told.EQUAL, generation), met=True) is Verdict.YIELD


@given(st.data())
def test_one_at_most_changes_a_switch_and_nobody_takes_back_what_he_lost(data: st.DataObject) -> None:
    """Any number of copies of one store, started, connected and connected again in any order."""
    switch, life = Switch(), 100
    stores = {"a": Records()}
    running = {"a": stores["a"].start(1)}
    lost: set[str] = set()
    for _ in range(data.draw(st.integers(1, 25))):
        who = data.draw(st.sampled_from(sorted(running)))
        what = data.draw(st.sampled_from(["copy", "restart", "reconnect", "meet", "take over", "forget"]))
        life += 1
        if what == "copy" and len(stores) < 4:
            name = f"c{life}"
            stores[name] = stores[who].copy()
            running[name] = stores[name].start(life)
        elif what == "restart":
            switch.reconnect(who)
            running[who] = stores[who].start(life)
        elif what == "reconnect":
            switch.reconnect(who)
        elif what == "forget":
            switch.generation, switch.master, switch.deposed = None, None, frozenset()
        elif what == "take over":
            running[who].take_over("s")
            lost.discard(who)
        before, verdict = switch.master, switch.meet(who, running[who])
        assert (verdict is Verdict.COMMAND) == (switch.master == who)
        assert not (verdict is Verdict.COMMAND and who in lost), f"{who} took back what it had lost"
        if verdict is Verdict.YIELD:
            lost.add(who)
            assert switch.master == before
        assert running[who].role("s") is (Role.MASTER if verdict is Verdict.COMMAND else Role.SLAVE)


def test_only_so_many_are_kept_and_older_ones_are_nobodys() -> None:
    store = Records()
    for life in range(MOST_KEPT + 5):
        roles = store.start(life)
    assert len(store.rows["generations"]) == MOST_KEPT
    assert roles.judge("s", Heard(Told.EQUAL, 2 << 32 | 1), met=True) is Verdict.COMMAND
    assert roles.judge("s", Heard(Told.EQUAL, 50 << 32 | 4711), met=True) is Verdict.YIELD


# In the engine


def test_a_switch_of_another_controller_is_out_of_step_and_says_why() -> None:
    made = racks()
    made.engine.yields("tor-a", 9 << 32 | 0xABC)
    status = made.engine.switch_status("tor-a")
    assert (status.in_step, len(status.faults)) == (False, 1)
    (event,) = made.events("switch.other_controller")
    assert (event["switch"], event["generation"]) == ("tor-a", "9-00000abc")
    (reason,) = [row for row in made.engine.health().reasons if row.kind == "switch.held"]
    assert reason.what == event["reason"]
    made.engine.execute(cug("late"))
    assert made.engine.fleet.take("tor-a") is None, "nothing is kept for it"
    made.engine.yields("tor-a", 9 << 32 | 0xABC)
    assert len(made.events("switch.other_controller")) == 1
    made.engine.take_over("tor-a")
    assert made.events("switch.taken_over") == [{"switch": "tor-a"}]
    assert made.engine.roles.is_claimed("tor-a")


def test_a_store_of_before_there_were_generations_begins_to_count() -> None:
    store = MemoryStore()
    made = Site(two_racks(), store=store, connected=False)
    made.engine.execute(cug())
    del store.records["meta", "generations"]
    assert made.restart().engine.roles.generation >> 32 == 1
