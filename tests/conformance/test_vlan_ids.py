"""Sections 2.1 and 3.1 of the draft: what VLAN-IDs mean in a domain, between domains, and on a move."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_vmmob.model.commands import DeleteVm, PutCug
from ryu_vmmob.model.refusal import Refusal
from tests.conformance.two_dcs import PER_CUG, TwoDcs
from tests.support.world import cug

SHARED = 160
"""A VLAN-ID that rack-a and rack-b both have."""


def pinned(number: int, **vlan_ids: int) -> PutCug:
    """The CUG with VLAN-IDs asked for, by domain (`rack_a` for ``rack-a``)."""
    return replace(cug(number), pins={domain.replace("_", "-"): vlan_id for domain, vlan_id in vlan_ids.items()})


@pytest.mark.requirement("R20")
def test_one_number_is_two_cugs_in_two_domains_at_once() -> None:
    site = TwoDcs(PER_CUG, cugs=0)
    site.do(pinned(0, rack_a=SHARED, rack_b=SHARED + 1), pinned(1, rack_a=SHARED + 1, rack_b=SHARED))
    for number in (0, 1):
        site.populate(number, ["srv-a1", "srv-b2"])
    assert site.tags("srv-a1/0", 0) == site.tags("srv-b2/1", 1) == (SHARED,)
    for number in (0, 1):
        for one, other in (("srv-a1", "srv-b2"), ("srv-b2", "srv-a1")):
            ((_, arrived),) = site.talk(f"{one}/{number}", f"{other}/{number}", number).deliveries
            assert arrived.vlans == site.tags(f"{other}/{number}", number) != site.tags(f"{one}/{number}", number)
    site.check()


@pytest.mark.requirement("R22")
@pytest.mark.parametrize("there", [SHARED, SHARED + 1], ids=["same", "different"])
def test_a_move_between_domains_with_the_same_or_with_different_vlan_ids(there: int) -> None:
    site = TwoDcs(PER_CUG, cugs=0)
    site.do(pinned(0, rack_a=SHARED, rack_b=there))
    site.populate(0, ["srv-a1", "srv-a2", "srv-b2"])
    migration = site.move("srv-a1/0", "srv-b1")
    assert [(leg.from_vlan_id, leg.to_vlan_id) for leg in migration.legs] == [(SHARED, there)]
    ((port, arrived),) = site.talk("srv-a2/0", "srv-a1/0", 0).deliveries
    assert (site.fabric.server_at[port].name, arrived.vlans) == ("srv-b1", (there,))
    # What it was before counts for nothing.
    old = site.frame("srv-a1/0", "srv-a2/0", 0).with_vlans(SHARED)
    assert (site.servers(site.inject(old, "srv-b1")) == ["srv-a2"]) is (there == SHARED)


@pytest.mark.requirement("R26")
def test_the_tag_that_the_hypervisor_adds_follows_the_domain_and_the_guest_knows_nothing_of_it() -> None:
    site = TwoDcs(PER_CUG, cugs=0)
    site.do(pinned(0, rack_a=SHARED, pod_c=510))
    site.populate(0, ["srv-a1", "srv-b2"])
    guest, tags = site.card("srv-a1/0", 0), []
    for to in ("srv-c1", "srv-a3", "srv-a2"):
        tags.append(site.tags("srv-a1/0", 0))
        site.move("srv-a1/0", to)
        site.now += 1000  # the number it gave back is not in quarantine any more
        site.engine.progress()
        assert site.card("srv-a1/0", 0) == guest
        assert site.servers(site.talk("srv-a1/0", "srv-b2/0", 0)) == ["srv-b2"]
    assert [*tags, site.tags("srv-a1/0", 0)] == [(SHARED,), (510,), (), (SHARED,)]


@pytest.mark.requirement("R17", "R28")
def test_cugs_of_one_domain_never_share_a_vlan_id() -> None:
    """As many as the domain has numbers, no more; each frame is delivered under its own, to its own."""
    site = TwoDcs(PER_CUG, cugs=101)
    for number in range(100):
        site.do(site.host("srv-b2", number))
    numbers = [site.tags(f"srv-b2/{number}", number) for number in range(100)]
    assert sorted(numbers) == [(vlan_id,) for vlan_id in range(150, 250)]
    with pytest.raises(Refusal, match=r"R28: L2 domain 'rack-b'"):
        site.do(site.host("srv-b2", 100))
    with pytest.raises(Refusal, match="R28"):
        site.do(pinned(100, rack_b=SHARED))
    for number in range(99):
        site.do(DeleteVm(f"srv-b2/{number}"))
    with pytest.raises(Refusal, match="R28"):  # those given back are not given on at once
        site.do(site.host("srv-b2", 100))
    for number in range(98, 100):
        site.do(site.host("srv-b2", number), site.host("srv-b1", number))
    site.settle()
    for number in range(98, 100):
        journey = site.shout(f"srv-b1/{number}", number)
        assert site.servers(journey) == ["srv-b2"]
        assert journey.deliveries[0].packet.vlans == numbers[number]


@pytest.mark.requirement("R14")
@pytest.mark.parametrize("dead", ["tor-b:1", "tor-b:2"])
def test_a_lag_inside_a_domain_is_one_way_to_one_server(dead: str) -> None:
    """Frames may come by any of its ports and go by one; when a port dies the switch itself takes the other."""
    site = TwoDcs(PER_CUG)
    site.populate(0, ["srv-a1", "srv-b2", "srv-c1"])
    site.move("srv-c1/0", "srv-b1")
    both = site.fabric.servers["srv-b1"].attach
    assert {site.fabric.port_domain(port) for port in both} == {"rack-b"}
    whole, cut = site.view().network, replace(site.view(), links_down=frozenset({dead})).network
    for network, ports in ((whole, both), (cut, [port for port in both if str(port) != dead])):
        for port in ports:
            for frame in (site.frame("srv-c1/0", "srv-a1/0", 0), site.frame("srv-c1/0", "srv-b2/0", 0)):
                (there,) = network.inject(frame.with_vlans(*site.tags("srv-c1/0", 0)), port).deliveries
                assert there.port not in both
        for one in ("srv-a1/0", "srv-b2/0"):
            sent = site.frame(one, "srv-c1/0", 0).with_vlans(*site.tags(one, 0))
            ((port, arrived),) = network.inject(sent, site.fabric.servers[one.split("/")[0]].attach[0]).deliveries
            assert port in ports
            assert arrived.vlans == site.tags("srv-c1/0", 0)
