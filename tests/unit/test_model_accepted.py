"""What commands accept: repetitions, replacements, addresses that are the VM's own, facts about links."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from ryu_vmmob.model.commands import Command, LinksChanged, PutCug, SettleTrees
from tests.support.commands import apply, cug, nic, start, vm
from tests.support.engine_site import Site
from tests.support.fabrics import two_racks


@pytest.mark.parametrize("repeated", [cug(), vm(), LinksChanged(frozenset())], ids=["cug", "vm", "links"])
def test_a_repetition_changes_nothing(repeated: Command) -> None:
    """PUT is idempotent: no revision, no write, no flow."""
    site = Site(two_racks(), cug(), vm())
    before, commits = site.state, site.store.commits
    assert site.engine.execute(repeated).state is before
    assert site.store.commits == commits


def test_a_cug_that_is_replaced_keeps_key_and_numbers() -> None:
    state = start(two_racks(), cug(), vm())
    after = apply(state, replace(cug(), routing_domain="red", gateways=(ip_address("10.1.0.254"),))).state
    assert after.cugs["web"].key == state.cugs["web"].key
    assert after.allocations == state.allocations
    assert after.cugs["web"].revision == after.revision == state.revision + 1


def test_default_gateways_are_the_first_hosts() -> None:
    assert start(two_racks(), cug()).cugs["web"].gateways == (ip_address("10.1.0.1"), ip_address("2001:db8:1::1"))


def test_one_mac_and_one_address_in_different_cugs() -> None:
    """CUGs are closed: addresses of one mean nothing in another, on one tagged server too."""
    same = PutCug("db", (ip_network("10.1.0.0/24"),))
    state = start(two_racks(), cug(), same, vm(), vm("db1", "a1", nic(11, "db", mac=nic(11).mac, ips=["10.1.0.11"])))
    assert state.macs["web", nic(11).mac] == "web1"
    assert state.macs["db", nic(11).mac] == "db1"


def test_a_vm_takes_over_its_own_addresses() -> None:
    """Replacing interfaces may keep any of them, in another order too."""
    state = start(two_racks(), cug(), cug("db", 2), vm("both", "a1", nic(11), nic(11, "db", 2)))
    after = apply(state, vm("both", "a1", nic(11, "db", 2), nic(11, ips=["10.1.0.11", "2001:db8:1::b"]))).state
    assert {member.number for member in after.members["db"]} == {0}
    assert after.ips["web", ip_address("2001:db8:1::b")] == "both"


def test_link_changes_are_never_refused() -> None:
    site = Site(two_racks(), cug(), vm(), vm("web2", "b1", nic(12)))
    down = frozenset({"spine:1=tor-a:49"})
    state = apply(site.state, LinksChanged(down), now=1.0).state
    assert state.presences["web"].edges == {"tor-a", "tor-b"}
    assert not state.trees.of_segment("web").neighbours["tor-a"]
    back = apply(apply(state, LinksChanged(frozenset()), now=2.0).state, SettleTrees(), now=3.0).state
    assert back.trees == site.state.trees
    assert back.allocations == site.state.allocations
