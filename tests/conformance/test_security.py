"""Section 5 of the draft, which it leaves open: who may speak as whom, and what a frame in the wrong place brings about."""

from __future__ import annotations

import pytest

from ryu_vmmob.model.commands import Activate, Commit, StartMigration
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim import probes
from tests.conformance.two_dcs import ONE_PER_KIND, TwoDcs


@pytest.fixture
def site() -> TwoDcs:
    made = TwoDcs()
    made.populate(0)
    made.populate(1, ["srv-a1", "srv-c1"])
    return made


@pytest.mark.requirement("R49a")
def test_nobody_speaks_with_anothers_mac_or_address(site: TwoDcs) -> None:
    """ARP and neighbour discovery included: no such frame leaves the switch where it comes in."""
    view, tried = site.view(), 0
    for seat in view.seats:
        tags = () if seat.vlan_id is None else (seat.vlan_id,)
        for port in seat.ports:
            for packet in probes.forgeries(view, seat):
                journey = view.network.inject(packet.with_vlans(*tags), port)
                assert (journey.deliveries, journey.crossings, journey.controller) == ([], [], []), f"{seat}: {packet}"
                tried += 1
            for packet in probes.own(seat):  # what it may say is heard: the check can fail
                assert view.network.inject(packet.with_vlans(*tags), port).deliveries
    assert tried > 100


@pytest.mark.requirement("R49b")
def test_a_frame_elsewhere_moves_nobody(site: TwoDcs) -> None:
    """Neither before a move is prepared nor when it is over; nor at a third place while one is under way."""
    card = site.card("srv-a1/0", 0)
    tags = {server: site.tags(f"{server}/0", 0) for server in ONE_PER_KIND}
    announcements = (make.rarp(card.mac), make.gratuitous_arp(card.mac, int(card.ips[0])))

    def believed(server: str) -> bool:
        journeys = [site.inject(packet.with_vlans(*tags[server]), server) for packet in announcements]
        results = {bool(journey.controller) for journey in journeys}
        assert len(results) == 1
        heard = {bool(journey.deliveries or journey.crossings) for journey in journeys}
        assert heard == ({True} if results == {True} or server == site.engine.state.vms["srv-a1/0"].server else {False})
        return results.pop()

    elsewhere = [server for server in ONE_PER_KIND if server != "srv-a1"]
    assert not any(believed(server) for server in elsewhere)
    site.do(StartMigration("m", "srv-a1/0", "srv-c1", commit="request"))
    site.settle()
    assert not any(believed(server) for server in elsewhere)  # under the tag of a neighbour: it is not the VM
    tags["srv-c1"] = site.tags("srv-a1/0", 0, "srv-c1")
    assert [server for server in elsewhere if believed(server)] == ["srv-c1"]
    site.do(Activate("m"))
    site.settle()
    assert not any(believed(server) for server in ("srv-a1", *elsewhere))
    site.do(Commit("m"))
    site.settle()
    assert not any(believed(server) for server in ("srv-a1", *elsewhere))
    assert site.engine.state.vms["srv-a1/0"].server == "srv-c1"
