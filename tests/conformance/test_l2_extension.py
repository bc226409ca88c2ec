"""Section 3.3 of the draft: domains join and leave a CUG as its VMs come and go."""

from __future__ import annotations

import pytest

from ryu_vmmob.model.commands import DeleteVm
from tests.conformance.two_dcs import FABRIC, PER_CUG, TwoDcs


def at(*domains: str) -> set[str]:
    """Links of L2 domains."""
    return {link.name for link in FABRIC.links if link.l2_domain in domains}


@pytest.mark.requirement("R35", "R36")
def test_a_move_interconnects_the_new_domain_with_the_others() -> None:
    site = TwoDcs()
    site.populate(0, ["srv-a1", "srv-a2", "srv-b2"])
    assert site.carried(0) <= at("core-1")
    sent = site.frame("srv-a2/0", "srv-a1/0", 0)
    migration = site.move("srv-a1/0", "srv-c1")
    assert {"wan", "core-2"} <= {FABRIC.link_by_name[name].l2_domain for name in site.carried(0)}
    leg = migration.legs[0]
    assert leg.to_vlan_id == leg.from_vlan_id  # on the cable of the server, which is a domain of its own
    journey = site.send("srv-a2/0", sent, 0)
    for domain in ("wan", "core-2"):
        vlan_id = site.engine.state.vlan_ids("cug0")[domain]
        assert vlan_id in FABRIC.l2_domains[domain].vlan_ids
        assert {row.packet.vlans for row in journey.crossings if row.link.l2_domain == domain} == {(vlan_id,)}
    ((port, arrived),) = journey.deliveries
    assert (FABRIC.server_at[port].name, arrived.same_frame(sent)) == ("srv-c1", True)
    assert site.servers(site.shout("srv-a1/0", 0)) == ["srv-a2", "srv-b2"]


@pytest.mark.requirement("R37", "R38")
def test_a_domain_without_members_is_cut_off() -> None:
    """No frame of the CUG, from any sender, crosses its links any more or is let in over them."""
    site = TwoDcs()
    site.populate(0, ["srv-a1", "srv-c1", "srv-c2"])
    extended = site.carried(0)
    site.move("srv-a1/0", "srv-d1")
    assert site.carried(0) <= at("pod-c", "core-2")
    assert extended - site.carried(0) >= {name for name in extended if name in at("core-1", "wan")} != set()
    site.populate(0, ["srv-b2"])
    assert site.carried(0) & at("wan")
    site.do(DeleteVm("srv-b2/0"))
    site.settle(checked=True)
    site.check()
    assert site.carried(0) <= at("pod-c", "core-2")


@pytest.mark.requirement("R35", "R36")
def test_a_move_to_a_server_that_is_in_the_domain_itself() -> None:
    """With tagging per CUG the domain reaches into the server: its cable carries the number that the domain has for the CUG."""
    site = TwoDcs(PER_CUG)
    site.populate(0, ["srv-a1", "srv-a2"])
    leg = site.move("srv-a1/0", "srv-c1").legs[0]
    assert leg.to_vlan_id == site.engine.state.vlan_ids("cug0")["pod-c"]
    assert leg.to_vlan_id in PER_CUG.l2_domains["pod-c"].vlan_ids


@pytest.mark.requirement("R39")
def test_extension_is_of_one_cug_alone() -> None:
    site = TwoDcs()
    site.populate(0, ["srv-a1", "srv-a2"])
    site.populate(1, ["srv-a1", "srv-a2"])
    vlan_ids, presence = site.engine.state.vlan_ids("cug1"), site.engine.state.presences["cug1"]
    site.move("srv-a1/0", "srv-c1")
    assert site.carried(0) & at("wan")
    assert site.carried(1) == set()
    assert (site.engine.state.vlan_ids("cug1"), site.engine.state.presences["cug1"]) == (vlan_ids, presence)
    assert site.servers(site.shout("srv-a1/1", 1)) == ["srv-a2"]
