"""Policies as objects: commands, the index of who is named, and what is left when a name goes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from ryu_vmmob.model.commands import Command, DeleteCug, DeleteVm
from ryu_vmmob.model.policies import DeletePolicy, PutPolicy, dangling
from ryu_vmmob.model.policy import Policy, Selector, merged, port_masks
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import State
from tests.support.commands import apply, cug, do, nic, start, vm
from tests.support.fabrics import two_racks

WEB, DB, WEB1 = Selector("cug", "web"), Selector("cug", "db"), Selector("vm", "web1")
OUTSIDE, ANY = Selector("prefix", ip_network("192.0.2.0/24")), Selector("any")
ALLOW = PutPolicy("p", True, WEB, DB)


def site(*commands: Command) -> State:
    return start(two_racks(), cug(), cug("db", 2), vm(), *commands)


def test_a_policy_is_written_as_it_was_put() -> None:
    change = apply(site(), replace(ALLOW, protocol=6, ports=((8000, 8099), (80, 80), (8100, 8100)), replies=True))
    expected = Policy("p", 100, True, WEB, DB, 6, ((80, 80), (8000, 8100)), True, change.state.revision)
    assert change.state.policies["p"] == expected
    assert (change.policies, change.cugs, change.vms) == (frozenset({"p"}), frozenset(), frozenset())
    assert [(event.kind, event.data) for event in change.events] == [("policy.created", {"policy": "p"})]


def test_the_same_again_is_nothing() -> None:
    state = site(replace(ALLOW, protocol=6, ports=((80, 81),)))
    change = apply(state, replace(ALLOW, protocol=6, ports=((81, 81), (80, 80))))
    assert change.state is state
    assert (change.policies, change.events) == (frozenset(), ())


@pytest.mark.parametrize(
    ("source", "target", "keys"),
    [
        (WEB, DB, {("cug", "web"), ("cug", "db")}),
        (WEB, WEB, {("cug", "web")}),
        (WEB1, OUTSIDE, {("vm", "web1")}),
        (ANY, WEB1, {("vm", "web1")}),
        (WEB, WEB1, {("cug", "web"), ("vm", "web1")}),
        (ANY, OUTSIDE, {("any", "")}),
        (ANY, ANY, {("any", "")}),
    ],
)
def test_the_index_knows_who_is_named(source: Selector, target: Selector, keys: set[tuple[str, str]]) -> None:
    """Put, replaced by another, put back and deleted: the index is what the policies are."""
    put = PutPolicy("p", False, source, target)
    state = site(put)
    assert {key: set(names) for key, names in state.policies_of.items()} == {key: {"p"} for key in keys}
    both = do(state, replace(put, name="q"), DeletePolicy("p"), put, DeletePolicy("q")).state
    assert both.policies_of == state.policies_of
    assert site(ALLOW, replace(put, name="p")).policies_of == state.policies_of
    assert not apply(state, DeletePolicy("p")).state.policies_of


def test_names_that_are_not_there_are_refused_at_both_ends() -> None:
    state = site()
    with pytest.raises(Refusal) as caught:
        apply(state, PutPolicy("p", True, Selector("cug", "x"), Selector("vm", "web")))
    assert (caught.value.status, [tuple(fault) for fault in caught.value.faults]) == (
        422,
        [("from.cug", "there is no CUG 'x'"), ("to.vm", "there is no VM 'web'")],
    )


def test_a_cug_of_the_same_change_is_there() -> None:
    change = apply(site(), cug("new", 3), PutPolicy("p", True, Selector("cug", "new"), ANY))
    assert (change.cugs, change.policies) == (frozenset({"new"}), frozenset({"p"}))


def test_what_a_deleted_name_leaves() -> None:
    state = site(PutPolicy("p", True, WEB1, DB))
    assert dangling(state, state.policies["p"]) == ()
    state = do(state, DeleteVm("web1"), DeleteCug("db")).state
    assert dangling(state, state.policies["p"]) == ("from.vm", "to.cug")
    back = do(state, vm(), cug("db", 2)).state
    assert dangling(back, back.policies["p"]) == ()


def test_a_policy_that_is_not_there_cannot_be_deleted() -> None:
    with pytest.raises(Refusal, match="no policy 'p'") as caught:
        apply(site(), DeletePolicy("p"))
    assert caught.value.status == 404
    change = apply(site(ALLOW), DeletePolicy("p"))
    assert [(event.kind, event.data) for event in change.events] == [("policy.deleted", {"policy": "p"})]
    assert (change.policies, dict(change.state.policies)) == (frozenset({"p"}), {})


# Which of several commands is refused


def test_the_refused_command_is_told() -> None:
    with pytest.raises(Refusal) as caught:
        apply(site(), cug("x", 3), ALLOW, DeletePolicy("q"), DeletePolicy("r"))
    assert caught.value.command == 2


def test_the_command_with_which_a_domain_is_full_is_told() -> None:
    """Two VLAN-IDs in rack-b: the third CUG there is one too many, whatever comes after and whatever its name."""
    state = start(two_racks(rack_b=range(100, 102)), *(cug(name, number) for number, name in enumerate("dcba", 1)))
    places = [("d", "b1"), ("c", "a1"), ("c", "b3"), ("a", "b1"), ("b", "a1"), ("d", "a2")]
    vms = [vm(f"v{n}", server, nic(20 + n, name, "dcba".index(name) + 1)) for n, (name, server) in enumerate(places)]
    assert set(apply(state, *vms[:3], *vms[4:]).state.vms) == {"v0", "v1", "v2", "v4", "v5"}
    with pytest.raises(Refusal, match="R28: L2 domain 'rack-b' has no free VLAN-ID") as caught:
        apply(state, *vms)
    assert caught.value.command == 3


# Ports


@pytest.mark.parametrize(
    ("ports", "masks"),
    [
        ((), ()),
        (((80, 80),), ((80, 0xFFFF),)),
        (((0, 65535),), ((0, 0),)),
        (((8000, 8099),), ((8000, 0xFFC0), (8064, 0xFFE0), (8096, 0xFFFC))),
        (((8000, 8063), (8064, 8099)), ((8000, 0xFFC0), (8064, 0xFFE0), (8096, 0xFFFC))),
        (((65535, 65535), (1, 1)), ((1, 0xFFFF), (65535, 0xFFFF))),
    ],
)
def test_masks_of_ports(ports: tuple[tuple[int, int], ...], masks: tuple[tuple[int, int], ...]) -> None:
    assert port_masks(ports) == masks


def test_the_worst_range_makes_thirty_masks() -> None:
    assert len(port_masks([(1, 65534)])) == 30


def test_ranges_that_touch_or_overlap_become_one() -> None:
    assert merged([(5, 6), (1, 2), (3, 3), (6, 9), (7, 8), (11, 11)]) == ((1, 3), (5, 9), (11, 11))
