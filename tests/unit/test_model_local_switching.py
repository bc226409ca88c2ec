"""Policies that a server's own switch cannot keep: refused where they would be needed, placement or policy (R45, R46)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network

import pytest

from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.model.batches.commands import StartBatch
from ryu_vmmob.model.commands import Command, StartMigration
from ryu_vmmob.model.fabric_change import FabricReplaced
from ryu_vmmob.model.local_switching import meetings, peers, separated, together
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.placement import placements
from ryu_vmmob.model.policies import DeletePolicy, PutPolicy
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import Member, State
from tests.support.commands import apply, cug, nic, start, vm
from tests.support.fabrics import two_racks

WEB1, WEB2, WEB, DB = Selector("vm", "web1"), Selector("vm", "web2"), Selector("cug", "web"), Selector("cug", "db")
DENY = PutPolicy("apart", False, WEB1, WEB2)
ALLOW = PutPolicy("but", True, WEB1, WEB2, priority=200)
MOVE = StartMigration("m1", "web2", "a1")


def fabric(*trusted: str, **kinds: str) -> Fabric:
    """Two racks: a1, a2, b1 and b3 tagged per CUG, a3 and b2 untagged, but as ``kinds`` say."""
    found = two_racks()
    rows = {}
    for name, row in found.servers.items():
        own = kinds.get(name) == "per_interface"
        row = replace(row, l2_domain=None, vlan_ids=tuple(range(2, 100))) if own else row
        rows[name] = replace(row, trusts_local_switching=name in trusted)
    domains = {name: replace(row, translate_guest_tags=True) for name, row in found.l2_domains.items()}
    return replace(found, servers=rows, l2_domains=domains)


def site(*commands: Command, on: Fabric | None = None) -> State:
    """web1 on a1 and web2 on a2."""
    return start(on or fabric(), cug(), cug("db", 2), vm(), vm("web2", "a2", nic(12)), *commands)


def refused(state: State, *commands: Command) -> Refusal:
    with pytest.raises(Refusal) as caught:
        apply(state, *commands)
    assert caught.value.status == 409
    return caught.value


SENTENCE = (
    "R45: on server 'a1' VM '{}' and VM '{}' meet behind one wire, and policy 'apart' separates them; what they send to each "
    "other the server's own switch decides: choose another server, or tagging: per_interface, or trust that switch with "
    "local_switching: trusted"
)


def test_a_move_to_a_peer_that_a_policy_separates_is_refused() -> None:
    assert refused(site(DENY), MOVE).detail == SENTENCE.format("web2", "web1")


def test_a_vm_beside_such_a_peer_is_refused() -> None:
    state = start(fabric(), cug(), vm(), vm("web2", "a2", nic(12)), DENY)
    state = apply(state, PutPolicy("apart", False, WEB, WEB)).state
    assert refused(state, vm("web3", "a1", nic(13))).detail == SENTENCE.format("web3", "web1")
    assert apply(state, vm("web3", "b1", nic(13))).state.vms["web3"].server == "b1"


def test_a_policy_between_two_that_are_together_is_refused() -> None:
    state = site(vm("web3", "a1", nic(13)))
    apart = replace(DENY, target=Selector("vm", "web3"))
    assert refused(state, apart).detail == SENTENCE.format("web1", "web3")
    assert refused(state, replace(apart, source=WEB)).detail == SENTENCE.format("web1", "web3")
    assert refused(state, replace(apart, source=Selector("any"), target=Selector("any"))).status == 409
    prefix = Selector("prefix", ip_network("10.1.0.13/32"))
    assert refused(state, replace(apart, source=prefix, target=WEB1)).status == 409
    assert "apart" in apply(state, replace(apart, source=DB)).state.policies
    assert "apart" in apply(state, DENY).state.policies


def test_the_allowing_policy_above_a_denial_cannot_be_deleted() -> None:
    """A policy that denies below one that allows separates no pair until the one above goes or denies less."""
    state = apply(site(ALLOW, DENY), MOVE).state
    assert refused(state, DeletePolicy("but")).detail == SENTENCE.format("web1", "web2")
    assert refused(state, replace(ALLOW, priority=50)).status == 409
    assert refused(state, replace(ALLOW, protocol=6)).status == 409
    assert "more" in apply(state, DeletePolicy("but"), replace(ALLOW, name="more")).state.policies


def test_one_change_that_leaves_them_together_allowed_passes() -> None:
    """Bulk: what counts is what all commands come to."""
    state = site(vm("web3", "a1", nic(13)))
    third = replace(DENY, target=Selector("vm", "web3"))
    assert apply(state, third, replace(ALLOW, target=Selector("vm", "web3"))).state.revision > state.revision


@pytest.mark.parametrize(
    ("deny", "allow", "is_separated"),
    [
        (replace(DENY, protocol=6), replace(ALLOW, protocol=6), False),
        (replace(DENY, protocol=6), replace(ALLOW, protocol=17), True),
        (replace(DENY, protocol=6, ports=((80, 90),)), replace(ALLOW, protocol=6, ports=((80, 90),)), False),
        (replace(DENY, protocol=6, ports=((80, 90),)), replace(ALLOW, protocol=6, ports=((80, 89),)), True),
        (replace(DENY, protocol=6, ports=((80, 90),)), replace(ALLOW, protocol=6, ports=((81, 90),)), True),
        (replace(DENY, protocol=6), replace(ALLOW, protocol=6, ports=((1, 65535),)), True),
        (replace(DENY, protocol=6), replace(ALLOW, source=WEB2, target=WEB1, protocol=6, replies=True), True),
        (replace(DENY, protocol="icmp"), replace(ALLOW, protocol=1), False),
        (DENY, replace(ALLOW, protocol=6), True),
        (DENY, replace(ALLOW, priority=100), True),
        (DENY, ALLOW, False),
    ],
)
def test_shadowed_or_not(deny: PutPolicy, allow: PutPolicy, is_separated: bool) -> None:
    state = site(deny, allow)
    rows = [state.vms[name].interfaces[0] for name in ("web1", "web2")]
    found = separated(state, rows[0], rows[1])
    assert (found.name if found is not None else None) == ("apart" if is_separated else None)
    assert separated(state, rows[1], rows[0]) == found


def guest(interface: Interface, tag: int) -> Interface:
    return replace(interface, guest_vlan_id=tag)


@pytest.mark.parametrize(
    ("kind", "one", "other", "meet"),
    [
        ("a1", nic(11), nic(12), True),
        ("a1", nic(11), nic(12, "db", 2), False),
        ("a1", guest(nic(11), 55), nic(12), False),
        ("a1", guest(nic(11), 55), guest(nic(12), 55), True),
        ("a3", nic(11), nic(12, "db", 2), True),
        ("a3", guest(nic(11), 55), nic(12), False),
        ("b1", nic(11), nic(12), False),
        ("b1", guest(nic(11), 55), guest(nic(12), 55), True),
        ("b1", guest(nic(11), 55), guest(nic(12), 56), False),
    ],
)
def test_who_meets(kind: str, one: Interface, other: Interface, meet: bool) -> None:
    """a1 is tagged per CUG, a3 untagged, b1 per interface."""
    state = start(fabric(b1="per_interface"), cug(), cug("db", 2), vm("one", kind, one), vm("other", kind, other))
    assert together(state, kind, one, other) is meet
    assert list(peers(state, kind, "one")) == ([(0, Member("other", 0))] if meet else [])


def test_a_guests_tag_that_is_the_cugs_number_is_the_same_wire() -> None:
    state = start(fabric(), cug(pins={"rack-a": 105}), vm(), vm("web2", "a1", guest(nic(12), 105)))
    assert list(peers(state, "a1", "web1")) == [(0, Member("web2", 0))]


def test_untagged_servers_join_cugs_of_one_routing_domain() -> None:
    """Between other CUGs no policy is asked; the refusal comes when a CUG's routing domain makes it one."""
    rows: Sequence[Command] = (
        cug(), cug("db", 2, routing_domain="red"), vm("web1", "a3"), vm("db1", "a3", nic(12, "db", 2)),
        PutPolicy("apart", False, WEB, DB),
    )  # fmt: skip
    state = start(fabric(), *rows)
    assert list(meetings(state, "a3")) == []
    assert "on server 'a3' VM 'db1' and VM 'web1' meet" in refused(state, cug(routing_domain="red")).detail
    assert apply(state, cug(routing_domain="blue")).state.cugs["web"].routing_domain == "blue"
    trusting = start(fabric("a3"), *rows)
    assert apply(trusting, cug(routing_domain="red")).state.cugs["web"].routing_domain == "red"


def test_a_server_that_is_trusted_takes_them() -> None:
    state = apply(site(DENY, on=fabric("a1")), MOVE).state
    assert [str(row) for row in meetings(state, "a1")]
    assert apply(state, replace(DENY, priority=7)).state.policies["apart"].priority == 7


def test_a_server_tagged_per_interface_takes_them() -> None:
    assert apply(site(DENY, on=fabric(a1="per_interface")), MOVE).state.vms["web2"].migration == "m1"


def test_trust_may_not_go_while_a_policy_leans_on_it() -> None:
    state = apply(site(DENY, on=fabric("a1")), MOVE).state
    refusal = refused(state, FabricReplaced(fabric()))
    assert refusal.detail == (
        "servers.a1.local_switching: R45: local_switching of server 'a1' must stay trusted: on server 'a1' VM 'web1' and VM "
        "'web2' meet behind one wire, and policy 'apart' separates them"
    )
    apart = start(fabric("a1"), cug(), vm(), vm("web2", "a2", nic(12)), DENY)
    assert not apply(apart, FabricReplaced(fabric())).state.fabric.servers["a1"].trusts_local_switching


def test_a_violation_that_was_there_before_does_not_block_other_changes() -> None:
    """A fabric file may have lost the trust while the controller was down: then only what makes it worse is refused."""
    state = apply(site(DENY, on=fabric("a1")), MOVE).state
    state = replace(state, fabric=fabric())
    assert apply(state, replace(DENY, protocol=6)).state.policies["apart"].protocol == 6
    assert apply(state, DeletePolicy("apart")).state.policies.get("apart") is None


def test_the_planner_says_so_and_evacuations_pass_by() -> None:
    state = site(DENY)
    found = {row.server: row.reason for row in placements(state, "web2", lambda command: apply(state, command).state)}
    assert found["a1"] == SENTENCE.format("web2", "web1")
    assert found["a3"] is None
    batch = StartBatch("b1", ("a2",), None, ("a1", "b1"))
    assert apply(state, batch).state.batches["b1"].servers == ("a2",)
