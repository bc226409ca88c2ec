"""Answers from the wire of an external network: whom to believe about a neighbour there."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP

from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.routing_domains import NeighbourHeard
from ryu_vmmob.net.addresses import mac_text
from tests.support.punted_packets import HOP_1, ask, dcs, ether, from_member, from_outside, mine

STATE = dcs()
HIM, OTHER = 0x02BB00000001, 0x02BB00000002
MINE = mine(STATE, "border-1")
HOP_6 = "2001:db8:ffff::fe"


def wire(frame: Any) -> list[Any]:
    return ask(STATE, "border-1:10", from_outside(STATE), Table.ADMIT, frame, owner="external")


def arp(spa: str, sha: int = HIM, src: int = HIM, op: int = 2) -> Any:
    said = ARP(op=op, hwsrc=mac_text(sha), psrc=spa, hwdst=mac_text(MINE), pdst="192.0.2.1")
    return ether(MINE, src) / said


def na(target: str, link_layer: int | None = HIM, src: int = HIM, override: int = 1) -> Any:
    said = ether(MINE, src) / IPv6(src=target, dst="2001:db8:ffff::1", hlim=255)
    said /= ICMPv6ND_NA(tgt=target, R=1, S=1, O=override)
    return said if link_layer is None else said / ICMPv6NDOptDstLLAddr(lladdr=mac_text(link_layer))


@pytest.mark.parametrize(
    ("frame", "address"),
    [
        (arp("192.0.2.7"), "192.0.2.7"),
        (na("2001:db8:ffff::7"), "2001:db8:ffff::7"),
        (na("2001:db8:ffff::7", None), "2001:db8:ffff::7"),
        (na(HOP_6), HOP_6),
        (na("2001:db8:ffff::7", override=0), "2001:db8:ffff::7"),
    ],
    ids=["arp", "na", "na without option", "na of a known one", "na without override"],
)
def test_a_neighbour_is_heard(frame: Any, address: str) -> None:
    assert wire(frame) == [NeighbourHeard("internet-1", ip_address(address), HIM)]


def test_without_the_override_flag_a_known_mac_stays() -> None:
    assert wire(na(HOP_6, override=0)) == []
    assert wire(na(HOP_6, HOP_1, HOP_1, override=0)) == [NeighbourHeard("internet-1", ip_address(HOP_6), HOP_1)]


@pytest.mark.parametrize(
    "frame",
    [
        arp("192.0.2.1"),
        arp("192.0.2.0"),
        arp("192.0.2.255"),
        arp("198.51.100.7"),
        arp("192.0.2.7", op=1),
        arp("192.0.2.7", sha=OTHER),
        arp("192.0.2.7", sha=0x01BB00000001, src=0x01BB00000001),
        arp("192.0.2.7", sha=0, src=0),
        na("2001:db8:ffff::1"),
        na("2001:db8:fffe::7"),
        na("2001:db8:ffff::7", OTHER),
        na("fe80::1"),
        ether(MINE, HIM) / b"",
    ],
    ids=["own", "network", "broadcast", "elsewhere", "request", "another mac", "group mac", "no mac", "own6", "elsewhere6",
         "another mac6", "link-local", "nothing"],
)  # fmt: skip
def test_a_frame_that_names_no_neighbour_is_ignored(frame: Any) -> None:
    assert wire(frame) == []


def test_only_the_outside_has_such_neighbours() -> None:
    assert ask(STATE, "tor-a:1", from_member(STATE, "web"), Table.ADMIT, arp("192.0.2.7")) == []
    assert ask(STATE, "border-1:1", from_outside(STATE), Table.ADMIT, arp("192.0.2.7")) == []
