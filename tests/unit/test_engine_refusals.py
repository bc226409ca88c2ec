"""Refused frames: one report a second for each offender, told apart from moves that nobody announced; counts by server."""

from __future__ import annotations

from ipaddress import IPv4Address

from ryu_vmmob.engine.refusals import Refusals
from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.flows.pipeline import SEGMENT
from ryu_vmmob.frames.arp_nd import arp_request
from ryu_vmmob.frames.content import Frame
from ryu_vmmob.frames.parse import parse
from ryu_vmmob.net.addresses import mac_text
from tests.support.engine_site import Site, racks

A1, B1 = PortRef("tor-a", 1), PortRef("tor-b", 1)
STRANGER = 0x02DEAD000001


def frame(mac: int, ip: str = "10.1.0.99") -> Frame:
    found = parse(arp_request(mac, int(IPv4Address(ip)), int(IPv4Address("10.1.0.1"))))
    assert found is not None
    return found


def web(site: Site) -> int:
    return SEGMENT.of(site.state.cugs["web"].key)[0]


def test_a_stranger_is_reported_once_a_second() -> None:
    site, refusals = racks(), Refusals()
    told = [refusals.seen(site.state, A1, web(site), frame(STRANGER), now / 10) for now in range(25)]
    events = [event for event in told if event is not None]
    assert [event.kind for event in events] == ["refused.spoofing"] * 3
    assert [event.data["more"] for event in events] == [0, 9, 9]
    assert events[0].data == {
        "switch": "tor-a", "port": 1, "server": "a1", "mac": mac_text(STRANGER), "address": "10.1.0.99", "cug": "web",
        "more": 0,
    }  # fmt: skip


def test_each_offender_by_itself() -> None:
    site, refusals = racks(), Refusals()
    for mac in (STRANGER, STRANGER + 1):
        assert refusals.seen(site.state, A1, web(site), frame(mac), 0.0) is not None
    assert refusals.seen(site.state, B1, web(site), frame(STRANGER), 0.0) is not None


def test_a_known_vm_elsewhere_is_a_move_that_nobody_announced() -> None:
    site = racks()
    mac = site.state.vms["web1"].interfaces[0].mac
    event = Refusals().seen(site.state, B1, web(site), frame(mac, "10.1.0.11"), 0.0)
    assert event is not None
    assert event.kind == "refused.move"
    assert (event.data["vm"], event.data["placed"], event.data["server"]) == ("web1", "a1", "b1")


def test_a_vm_that_lies_at_its_own_place_is_no_move() -> None:
    site = racks()
    mac = site.state.vms["web1"].interfaces[0].mac
    event = Refusals().seen(site.state, A1, web(site), frame(mac), 0.0)
    assert event is not None
    assert event.kind == "refused.spoofing"


def test_a_port_without_server_and_a_segment_that_is_gone() -> None:
    site, refusals = racks(), Refusals()
    assert refusals.seen(site.state, PortRef("tor-a", 49), web(site), frame(STRANGER), 0.0) is None
    event = refusals.seen(site.state, A1, 999, frame(STRANGER), 0.0)
    assert event is not None
    assert event.data["cug"] is None


def test_counts_never_fall() -> None:
    refusals = Refusals()
    refusals.counted({"a1": 7, "a2": 1})
    refusals.counted({"a1": 2, "a2": 4})
    assert dict(refusals.counts) == {"a1": 7, "a2": 4}


def test_memory_is_bounded() -> None:
    site, refusals = racks(), Refusals()
    for number in range(5000):
        refusals.seen(site.state, A1, web(site), frame(STRANGER + number), 0.0)
    assert len(refusals._told) <= 4096


def test_a_frame_refused_a_moment_ago_hides_no_other_news() -> None:
    """A VM whose frame was refused speaks at its target within the same second: that is told all the same."""
    site, refusals = racks(), Refusals()
    assert refusals.seen(site.state, A1, web(site), frame(STRANGER), 0.0) is not None
    assert refusals.due("announced", A1, STRANGER, 0.1) == 0
    assert refusals.due("announced", A1, STRANGER, 0.2) is None
    assert refusals.due("conflict", A1, STRANGER, 0.3) == 0
