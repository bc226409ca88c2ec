"""Where a CUG is present: extension, pruning, who is flooded, and which links and domains that takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.fabric.trees import build_trees
from ryu_vmmob.model.commands import Activate, Command, Commit, DeleteVm, LinksChanged, SettleTrees, StartMigration
from ryu_vmmob.model.extent import presence
from ryu_vmmob.model.move_options import Delivery
from ryu_vmmob.model.objects import Seat, Vm
from ryu_vmmob.model.presence import Presence, Wire, domains, links_of
from ryu_vmmob.model.state import State, index_vm, seat_vm, unindex_vm
from tests.support.commands import cug, do, nic, start, vm
from tests.support.fabrics import LEFT_A, rooted, two_planes, two_racks

A, B = "spine:1=tor-a:49", "spine:2=tor-b:49"
MOVE = StartMigration("m1", "web1", "b1", commit="request")


def bare(*servers: str) -> set[Wire]:
    """Wires of guests that send no tag."""
    return {Wire(server, None) for server in servers}


def of(*commands: Command, fabric: Fabric | None = None, name: str = "web") -> tuple[State, Presence]:
    state = start(fabric or two_racks(), cug(name), *commands)
    assert state.presences[name] == presence(state, name)
    return state, state.presences[name]


def test_a_cug_without_members_is_nowhere() -> None:
    state = start(two_racks(), cug())
    assert "web" not in state.presences
    assert "web" not in do(state, vm(), DeleteVm("web1")).state.presences


def test_on_one_switch_no_link_is_needed() -> None:
    state, found = of(vm(), vm("web2", "a2", nic(12)))
    assert found.edges == {"tor-a"}
    assert found.local["tor-a"].servers == ("a1", "a2")
    assert links_of(state.fabric, found) == frozenset()
    assert domains(state.fabric, found) == {"rack-a"}


def test_extension_takes_every_link_between_the_edges_and_no_other() -> None:
    state, found = of(vm(), vm("web2", "b1", nic(12)))
    assert found.edges == {"tor-a", "tor-b"}
    assert links_of(state.fabric, found) == {A, B}
    assert domains(state.fabric, found) == {"rack-a", "core", "rack-b"}
    assert not found.local["spine"].edge
    fabric = two_planes()
    name = rooted(fabric, "spine-1")[0]
    state, found = of(vm("x", "a1", nic(11, name)), vm("y", "b1", nic(12, name)), fabric=fabric, name=name)
    assert links_of(fabric, found) == {LEFT_A, "spine-1:2=tor-b:49"}
    assert domains(fabric, found) == {"rack-a", "plane-1", "rack-b"}


def test_pruning_is_one_step_after_the_last_member_leaves() -> None:
    """R37. Two members in rack b: the first that leaves changes nothing."""
    state, found = of(vm(), vm("web2", "b1", nic(12)), vm("web3", "b1", nic(13)))
    state = do(state, DeleteVm("web2")).state
    assert state.presences["web"] == found
    state = do(state, DeleteVm("web3")).state
    assert links_of(state.fabric, state.presences["web"]) == frozenset()


def test_a_trivial_domain_needs_no_number_but_its_switch_is_an_edge() -> None:
    state, found = of(vm("web1", "a3"))
    assert found.edges == {"tor-a"}
    assert domains(state.fabric, found) == frozenset()


def test_flooded_are_those_who_can_tell_what_they_hear() -> None:
    """R23: an untagged server that hosts two CUGs gets no broadcast of either; a tagged one gets both."""
    state, found = of(vm("web1", "a3"), vm("web2", "a1", nic(12)))
    assert found.local["tor-a"].flooded == bare("a1", "a3")
    state = do(state, cug("db", 2), vm("db1", "a3", nic(11, "db", 2)), vm("db2", "a1", nic(12, "db", 2))).state
    assert state.presences["web"].local["tor-a"].flooded == bare("a1")
    assert state.presences["db"].local["tor-a"].flooded == bare("a1")
    state = do(state, DeleteVm("db1")).state
    assert state.presences["web"].local["tor-a"].flooded == bare("a1", "a3")


def test_an_untagged_server_is_shared_as_long_as_somebody_sits_there() -> None:
    """Also by one who is only prepared to come, or closed and about to leave."""
    state, _ = of(vm("web1", "a3"), cug("db", 2), vm("db1", "b1", nic(11, "db", 2)))
    state = do(state, replace(MOVE, vm="db1", to="a3", delivery="on_activation")).state
    assert state.presences["web"].local["tor-a"].flooded == frozenset()
    state = do(state, Activate("m1"), Commit("m1"), replace(MOVE, id="m2", vm="db1"), Activate("m2")).state
    assert state.presences["web"].local["tor-a"].flooded == frozenset()
    state = do(state, Commit("m2")).state
    assert state.presences["web"].local["tor-a"].flooded == bare("a3")


@pytest.mark.parametrize(("delivery", "open_"), [("early", ["b1"]), ("on_activation", [])])
def test_broadcasts_go_to_open_seats(delivery: Delivery, open_: list[str]) -> None:
    state, found = of(vm(), replace(MOVE, delivery=delivery))
    assert found.edges == {"tor-a", "tor-b"}
    assert found.local["tor-b"].flooded == bare(*open_)
    moved = do(state, Activate("m1")).state.presences["web"]
    assert moved.local["tor-b"].flooded == bare("b1")
    assert moved.local["tor-a"].flooded == frozenset()
    assert moved.local["tor-a"].edge


def test_a_lag_is_one_server() -> None:
    _, found = of(vm("web1", "b3"))
    assert found.local["tor-b"].servers == ("b3",)


def test_links_that_fail_and_come_back() -> None:
    """Broadcasts keep to what old and new tree share until all switches have shrunk; then they grow."""
    fabric = two_planes()
    name = rooted(fabric, "spine-1")[0]
    state, before = of(vm("x", "a1", nic(11, name)), vm("y", "b1", nic(12, name)), fabric=fabric, name=name)
    down = frozenset({LEFT_A})
    shrunk = do(state, LinksChanged(down)).state
    assert shrunk.presences[name].local["tor-a"].neighbours == ()
    assert shrunk.presences[name].local["tor-b"].neighbours == ()
    assert shrunk.trees == state.trees.common(build_trees(fabric, down))
    grown = do(shrunk, SettleTrees()).state
    assert grown.presences[name].local["tor-a"].neighbours == ("spine-2",)
    assert LEFT_A not in links_of(fabric, grown.presences[name])
    healed = do(grown, LinksChanged(frozenset()), SettleTrees()).state
    assert healed.presences[name] == before


def test_both_ends_cut_off_are_present_each_for_itself() -> None:
    state, _ = of(vm(), vm("web2", "b1", nic(12)))
    cut = do(state, LinksChanged(frozenset({A})), SettleTrees()).state
    found = cut.presences["web"]
    assert found.edges == {"tor-a", "tor-b"}
    assert links_of(cut.fabric, found) == frozenset()
    assert set(found.local) == {"tor-a", "tor-b"}


# The indexes that presence is made of


def test_indexes_go_back_to_what_they_were() -> None:
    state = start(two_racks(), cug(), cug("db", 2), vm())
    made = Vm("both", "a3", (nic(12, ips=["10.1.0.12", "2001:db8:1::c"]), nic(12, "db", 2)))
    entered = index_vm(state, made)
    places = (Seat("a3", True, True), Seat("b3", False, False))
    for seat in places:
        entered = seat_vm(entered, made, seat, +1)
    assert dict(entered.occupancy["web"]) == dict.fromkeys(bare("a1", "a3", "b3"), 1)
    assert dict(entered.receivers["db"]) == {Wire("a3", None): 1}
    assert set(entered.server_vms["b3"]) == {"both"}
    for seat in places:
        entered = seat_vm(entered, made, seat, -1)
    assert unindex_vm(entered, made) == state
