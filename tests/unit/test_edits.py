"""Edits of a CUG, a policy or a routing domain: what was allowed and stays allowed passes in every mixture of switches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import permutations

import pytest

from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.model.commands import Command, PutCug
from ryu_vmmob.model.policies import DeletePolicy, PutPolicy
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.model.routing_domains import NeighbourHeard
from ryu_vmmob.sim.invariants import edits
from tests.support.commands import do, start
from tests.support.commands import vm as core_vm
from tests.support.fabrics import two_racks
from tests.support.facts import facts
from tests.support.routed_networks import NEIGHBOUR, with_externals
from tests.support.world import World, cug, interface, vm

RED = replace(cug(0), routing_domain="red")
BESIDE = replace(cug(1), routing_domain="red")
OPEN = PutPolicy("open", True, Selector("any"), Selector("any"))
ORDERS = list(permutations(("tor-a", "spine", "tor-b")))


def fabric(core: range = range(200, 210)) -> Fabric:
    """Two racks; external networks of red at both edges."""
    return with_externals(two_racks(core=core))


def world(*more: Command, core: range = range(200, 210)) -> World:
    """CUG 0 is the only one of red, with a VM in each rack; everything that is routed is allowed."""
    made = World(fabric(core))
    made.do(RED)
    made.do(vm("one", "a1", interface(0, 11)), vm("two", "b1", interface(0, 12)), OPEN)
    for command in more:
        made.do(command)
    for name, row in made.fabric.externals.items():
        for hop in row.next_hops:
            made.do(NeighbourHeard(name, hop, NEIGHBOUR))
    made.settle()
    made.check()
    return made


V6 = replace(cug(0, v6=True), routing_domain="red")
EDITS = {
    "a prefix of IPv6": [V6],
    "another gateway": [replace(RED, gateways=(ip_address("10.0.0.254"),))],
    "a wider subnet": [PutCug("cug0", (ip_network("10.0.0.0/23"),), routing_domain="red")],
    "a pin where it is not": [replace(RED, pins={"core": 200})],
    "the policy by another name": [PutPolicy("again", True, Selector("any"), Selector("any")), DeletePolicy("open")],
    "the policy at another priority": [replace(OPEN, priority=7)],
    "the policy for one protocol too": [PutPolicy("tcp", True, Selector("cug", "cug0"), Selector("any"), 200, 6)],
    "another CUG comes": [BESIDE],
    "another CUG takes its place in the routing domain": [replace(RED, routing_domain=None), BESIDE],
}


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
@pytest.mark.parametrize("commands", EDITS.values(), ids=EDITS.keys())
def test_an_edit_interrupts_nothing_that_it_leaves_alone(commands: list[Command], order: tuple[str, ...]) -> None:
    made = world()
    made.do(*commands)
    made.check()
    for name in order:
        made.update(name)
        made.check()
    made.settle()
    made.check()
    made.check_oracles()


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_a_routing_domain_that_changes_its_only_cug_in_one_bulk_is_the_same(order: tuple[str, ...]) -> None:
    """The last CUG leaves and another comes, by one change: what is routed for the one that comes needs no new segment."""
    made = world(cug(1), vm("three", "a2", interface(1, 13)), vm("four", "b3", interface(1, 14)))
    before = made.engine.state.routing_domains["red"]
    made.do(replace(RED, routing_domain=None), BESIDE)
    assert made.engine.state.routing_domains["red"] == before
    for name in order:
        made.update(name)
        made.check()
    made.settle()
    made.check_oracles()


def test_an_edit_of_the_only_cug_keeps_key_and_vlan_ids_and_quarantines_none() -> None:
    made = world()
    before = made.engine.state
    made.do(V6)
    after = made.engine.state
    assert after.routing_domains["red"].key == before.routing_domains["red"].key
    assert after.allocations == before.allocations
    assert not after.quarantine


def test_an_edit_that_needs_nothing_new_is_admitted_where_everything_is_taken() -> None:
    """Two numbers in the core: one for the CUG, one for its routing domain."""
    state = start(two_racks(core=range(200, 202)), RED, vm("one", "a1", interface(0, 11)), vm("two", "b1", interface(0, 12)))
    assert do(state, V6).state.cugs["cug0"].subnets == V6.subnets


def test_the_last_cug_that_leaves_ends_its_routing_domain() -> None:
    state = do(start(two_racks(), RED, core_vm("one", "a1", interface(0, 11))), replace(RED, routing_domain=None)).state
    assert not state.routing_domains
    assert {key for _, key in state.quarantine} <= {2}
    assert 2 not in state.allocations


# The judge


def _without_routes(made: World) -> Iterator[str]:
    """Take the routed segment's doors away at tor-b, as a domain that is torn down does."""
    rows = made.installed["tor-b"].flows
    gone = [cookie for cookie, flow in rows.items() if flow.owner[:2] in (("routing_domain", "red"), ("route", "one"))]
    for cookie in gone:
        yield str(rows.pop(cookie))


@pytest.mark.parametrize(
    "change", [lambda made: made.do(V6), lambda made: made.do(replace(RED, gateways=(ip_address("10.0.0.254"),)))]
)
def test_the_judge_sees_an_edit_that_interrupts(change: Callable[[World], object]) -> None:
    made = world(BESIDE, vm("three", "b3", interface(1, 13)))
    change(made)
    assert not list(edits(made.view()))
    assert list(_without_routes(made))
    assert [row.invariant for row in edits(made.view())][:1] == [13]


def test_the_judge_promises_nothing_to_a_cug_whose_routing_domain_is_changed() -> None:
    made = world(BESIDE, vm("three", "b3", interface(1, 13)))
    made.do(replace(BESIDE, routing_domain="blue"))
    found = facts(made.window)["cugs"]
    assert not found["cug1"].stays
    assert found["cug0"].settled
