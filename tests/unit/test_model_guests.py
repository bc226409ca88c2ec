"""Guests' own tags in the model: which VLAN-ID a domain gets, what is refused, and in which words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.flows.compiler import full
from ryu_vmmob.model.commands import Activate, Commit, DeleteVm, PutVm, StartMigration
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.placement import placements
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import State
from tests.support.commands import apply, cug, do, nic, start, vm
from tests.support.engine_site import Site
from tests.support.fabrics import two_racks

CUGS = (cug(), cug("db", 2))


def translating(*names: str, plan: Fabric | None = None) -> Fabric:
    """The two racks; ports in these domains translate guests' tags."""
    plan = plan or two_racks()
    domains = {name: replace(row, translate_guest_tags=name in names) for name, row in plan.l2_domains.items()}
    return replace(plan, l2_domains=domains)


def tags(own: int, host: int = 11, name: str = "web", number: int = 1) -> Interface:
    return replace(nic(host, name, number), guest_vlan_id=own)


def db(server: str, host: int = 11, own: int | None = None) -> PutVm:
    return vm(f"db{host}", server, replace(nic(host, "db", 2), guest_vlan_id=own))


def numbers(state: State, name: str = "web") -> dict[str, int]:
    return dict(state.vlan_ids(name))


def refused(state: State, *commands: object) -> str:
    with pytest.raises(Refusal) as caught:
        apply(state, *commands)  # type: ignore[arg-type]
    assert caught.value.status == 409
    return caught.value.detail


# The number that a domain gets


@pytest.mark.requirement("R24", "R27")
def test_a_domain_gets_the_guests_number_also_where_ports_would_translate() -> None:
    for plan in (translating(), translating("rack-a")):
        state = start(plan, *CUGS, vm("web1", "a1", tags(107)))
        assert numbers(state) == {"rack-a": 107}
        assert state.vms["web1"].interfaces[0].guest_vlan_id == 107
        assert state.server_vlan_id("web", "a1") == 107
        assert state.added_vlan_id(state.vms["web1"], 0, "a1") is None


def test_the_transit_domain_is_no_matter_of_the_guest() -> None:
    state = start(translating(), *CUGS, vm("web1", "a1", tags(107)), vm("web2", "b1", nic(12)))
    assert numbers(state) == {"rack-a": 107, "core": 200, "rack-b": 100}


@pytest.mark.requirement("R27")
def test_others_take_a_number_that_is_a_guests_last() -> None:
    """So that the guest's CUG finds it free where ports do not translate, and fewer tags are translated where they do."""
    plan = translating("rack-a", plan=two_racks(rack_a=range(100, 103)))
    pinned = (cug(pins={"rack-a": 102}), cug("db", 2), cug("x", 3))
    state = start(plan, *pinned, vm("web1", "a1", tags(100)), db("a2"))
    assert numbers(state, "db") == {"rack-a": 101}
    # The last one left is taken all the same, but not beside the guest, where it would mean two CUGs.
    assert "R28" in refused(state, vm("x1", "a1", nic(11, "x", 3)))
    assert numbers(do(state, vm("x1", "a2", nic(11, "x", 3))).state, "x") == {"rack-a": 100}


def test_no_number_of_its_own_is_needed_for_a_tag_on_an_untagged_server() -> None:
    state = start(translating(), *CUGS, vm("web1", "a3", tags(4094)))
    assert numbers(state) == {}
    state = do(state, StartMigration("m", "web1", "b2")).state
    assert numbers(state) == {"core": 200}
    assert [leg.to_vlan_id for leg in state.migrations["m"].legs] == [None]


# Refusals, each beside its passing twin


@pytest.mark.requirement("R24", "R27", "R28")
@pytest.mark.parametrize(
    ("given", "own", "why"),
    [
        ((), 50, "50 is not among its VLAN-IDs"),
        ((db("a2"),), 100, "100 is that of CUG 'db'"),
        ((db("a2"), DeleteVm("db11")), 100, "100 is in quarantine"),
        ((cug("x", 3, pins={"rack-a": 105}),), 105, "105 is pinned by CUG 'x'"),
        ((vm("web2", "a2", nic(12)),), 105, "the CUG has VLAN-ID 100, does not translate"),
    ],
)
def test_where_the_number_cannot_follow_and_ports_do_not_translate(given: tuple[object, ...], own: int, why: str) -> None:
    comes = StartMigration("m", "web1", "a1")
    for names, possible in (((), False), (("rack-a",), True)):
        state = start(translating(*names), *CUGS, vm("web1", "b2", tags(own)), *given)  # type: ignore[arg-type]
        if possible:
            here = do(state, comes).state
            assert here.translated("web", here.wire(here.vms["web1"].interfaces[0], "a1"))
        else:
            detail = refused(state, comes)
            assert all(word in detail for word in ("R24", "R27", "R28", f"VLAN-ID {own}", "CUG 'web'", "'rack-a'", why))


@pytest.mark.requirement("R24", "R28")
def test_one_tag_of_two_cugs_on_the_cable_of_one_server() -> None:
    plan = translating("rack-a", "rack-b")
    by_guests = start(plan, *CUGS, vm("web1", "a1", tags(300)), db("a2", own=300))
    detail = refused(by_guests, StartMigration("m", "web1", "a2"))
    assert all(word in detail for word in ("R24", "R28", "'a2'", "'web'", "'db'", "300"))
    by_hypervisor = start(plan, *CUGS, db("a2"), vm("web1", "a1", tags(100)))
    detail = refused(by_hypervisor, StartMigration("m", "web1", "a2"))
    assert all(word in detail for word in ("R24", "R28", "'a2'", "'web'", "'db'", "100"))
    assert "R24, R28" in refused(by_hypervisor, db("a1", 12))
    # On an untagged server the MAC tells them apart.
    do(by_guests, StartMigration("m", "web1", "a3"), StartMigration("n", "db11", "a3"))


def test_while_a_vm_may_come_its_tag_is_taken() -> None:
    """Prepared is as good as there: what would collide with it is refused until it is aborted or has gone on."""
    plan = translating("rack-a", "rack-b")
    state = start(plan, *CUGS, vm("web1", "a1", tags(300)), StartMigration("m", "web1", "b1", commit="request"))
    assert "R24, R28" in refused(state, db("b1", own=300))
    assert "R24, R28" in refused(state, db("a1", own=300))
    state = do(state, Activate("m"), Commit("m")).state
    assert "R24, R28" in refused(state, db("b1", own=300))
    do(state, db("a1", own=300))


def test_a_pin_that_a_guest_beside_would_be_mistaken_for() -> None:
    plan = translating("rack-a")
    state = start(plan, cug(pins={"rack-a": 105}), cug("db", 2), db("a1", own=105))
    detail = refused(state, vm("web1", "a1"))
    assert all(word in detail for word in ("R24, R28", "CUG 'web' is pinned to VLAN-ID 105", "'a1'", "CUG 'db'"))
    do(state, vm("web1", "a2"))


def test_there_and_back_the_guest_finds_its_number_again() -> None:
    site = Site(translating(), *CUGS, vm("web1", "a1", tags(107)))
    for to in ("b1", "a3", "a1"):
        site.engine.execute(StartMigration(f"to-{to}", "web1", to, commit="request"))
        site.confirm()
        site.engine.execute(Activate(f"to-{to}"))
        site.confirm()
        site.engine.execute(Commit(f"to-{to}"))
        site.confirm()
        found = full(site.state)
        for switch in site.fabric.switches:
            assert site.engine.desired.tables[switch].flows.keys() == found.tables[switch].flows.keys()
    assert numbers(site.state) == {"rack-a": 107}


# The fabric file changes under the guests


def test_a_guest_whose_tag_the_file_no_longer_lets_translate_is_cut_off_and_nobody_else() -> None:
    site = Site(translating("rack-a"), *CUGS, vm("web2", "a1", nic(12)), vm("web1", "a2", tags(300)), db("a1"))
    again = Site(translating(), store=site.store)
    wire = again.state.wire(again.state.vms["web1"].interfaces[0], "a2")
    assert not again.state.speaks("web", wire)
    flows = [str(flow) for flow in again.engine.desired.flows("tor-a")]
    assert not any("vlan_vid=300" in flow or "set_vlan_vid:300" in flow for flow in flows)
    assert any("in_port=1,vlan_vid=100" in flow for flow in flows)


# Where a VM may go


@pytest.mark.requirement("R27")
def test_placements_name_every_server_with_its_tags_or_the_reason() -> None:
    plan = translating("rack-b", plan=two_racks(rack_b=range(110, 120)))
    site = Site(plan, *CUGS, db("b3", 20, own=105), db("a2"), vm("both", "a1", tags(105), nic(13, "db", 2)))
    before = site.state
    rows = {row.server: row for row in placements(site.state, "both", site.engine.dry_run)}
    assert list(rows) == ["a1", "a2", "a3", "b1", "b2", "b3"]
    assert rows["a1"].reason == "VM 'both' is on server 'a1' already"
    assert [tuple(one) for one in rows["a2"].interfaces] == [("web", None, None, 105, False), ("db", 100, 100, None, False)]
    assert [tuple(one) for one in rows["a3"].interfaces] == [("web", None, None, 105, False), ("db", 100, None, None, False)]
    assert [one.translated for one in rows["b1"].interfaces] == [True, False]
    assert all(word in str(rows["b3"].reason) for word in ("R24", "R28", "'b3'", "'db'", "'web'"))
    assert site.state is before
    with pytest.raises(Refusal) as caught:
        placements(site.state, "nobody", site.engine.dry_run)
    assert caught.value.status == 404
