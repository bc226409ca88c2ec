"""The periodic router advertisements of an edge: each CUG at each server, and nothing that another CUG would hear."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptPrefixInfo, IPv6
from scapy.layers.l2 import Ether

from ryu_vmmob.model.commands import Activate, Prepared, StartMigration
from ryu_vmmob.model.migrations import Deliver
from ryu_vmmob.model.move_options import Delivery
from ryu_vmmob.model.objects import RaMode
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import eui64_link_local, mac_text
from ryu_vmmob.punt.advertise import advertisements, router_advertisement_of
from tests.support.commands import cug, do, start, vm
from tests.support.fabrics import two_racks
from tests.support.punted_packets import GATEWAY_LOCAL, dcs, nic, place

W1, W2, D1 = nic("web", 1, 11), nic("web", 1, 12), nic("db", 2, 11)
OLD1 = replace(nic("old", 4, 11), ips=(ip_address("10.4.0.11"),))
CUGS = (cug("web", 1, routing_domain="red"), cug("db", 2), cug("old", 4, v6=False))
ALL = "33:33:00:00:00:01"


def _read(frame: bytes) -> Any:
    return Ether(frame)


def told(state: State, switch: str) -> list[tuple[str, str, str, int]]:
    """(where it leaves, to which MAC, of which prefix, lifetime) of each advertisement, in order."""
    found = []
    for out in advertisements(state, switch):
        frame = _read(out.frame)
        assert (frame[IPv6].src, frame[IPv6].hlim) == (GATEWAY_LOCAL, 255)
        assert frame[IPv6].dst == "ff02::1"  # which link-local address a guest has, it decides
        found.append((place(out), frame.dst, frame[ICMPv6NDOptPrefixInfo].prefix, frame[ICMPv6ND_RA].routerlifetime))
    return sorted(found)


def test_one_for_each_cug_at_each_tagged_server() -> None:
    state = start(two_racks(), *CUGS, vm("one", "a1", W1, D1), vm("two", "a1", W2), vm("three", "a2", nic("web", 1, 13)))
    assert told(state, "tor-a") == [
        ("tor-a:1/100", ALL, "2001:db8:2::", 0),
        ("tor-a:1/101", ALL, "2001:db8:1::", 1800),
        ("tor-a:2/101", ALL, "2001:db8:1::", 1800),
    ]
    assert told(state, "tor-b") == told(state, "spine") == []


@pytest.mark.parametrize(
    ("mode", "flags"),
    [(None, (0, 0, 0)), ("slaac", (0, 0, 1)), ("dhcpv6_stateful", (1, 1, 0)), ("dhcpv6_stateless", (0, 1, 1))],
)
def test_each_mode_sets_the_flags_of_the_advertisement(mode: RaMode | None, flags: tuple[int, int, int]) -> None:
    """M, O and A of the periodic advertisement and of the one that is asked for are the CUG's (RFC 4861)."""
    state = start(two_racks(), cug("web", 1, routing_domain="red", ipv6_ra_mode=mode), vm("one", "a1", W1))
    ((out),) = advertisements(state, "tor-a")
    for data in (out.frame, router_advertisement_of(state, state.cugs["web"], W1.mac, eui64_link_local(W1.mac))):
        frame = _read(data)
        assert flags == (frame[ICMPv6ND_RA].M, frame[ICMPv6ND_RA].O, frame[ICMPv6NDOptPrefixInfo].A)
        assert frame[ICMPv6NDOptPrefixInfo].L == 1


def test_under_each_tag_that_a_cug_has_at_a_server() -> None:
    plan = two_racks()
    rack = replace(plan.l2_domains["rack-a"], translate_guest_tags=True)
    plan = replace(plan, l2_domains={**plan.l2_domains, "rack-a": rack})
    guests = [vm(f"g{host}", "a1", replace(nic("web", 1, host), guest_vlan_id=own)) for host, own in ((11, 300), (12, None))]
    state = start(plan, *CUGS, *guests, vm("g13", "a1", replace(nic("web", 1, 13), guest_vlan_id=300)))
    both = sorted([300, state.vlan_ids("web")["rack-a"]])
    assert told(state, "tor-a") == [(f"tor-a:1/{tag}", ALL, "2001:db8:1::", 1800) for tag in both]
    state = start(plan, *CUGS, *(replace(put, server="a3") for put in guests), vm("db", "a3", D1))
    assert [row[:2] for row in told(state, "tor-a")] == [
        ("tor-a:3", mac_text(W2.mac)), ("tor-a:3", mac_text(D1.mac)), ("tor-a:3/300", ALL),
    ]  # fmt: skip


def test_to_each_member_where_a_multicast_could_not_be_told_apart() -> None:
    state = start(two_racks(), *CUGS, vm("one", "a3", W1, D1), vm("two", "a3", W2))
    assert told(state, "tor-a") == [
        ("tor-a:3", mac_text(W1.mac), "2001:db8:1::", 1800),
        ("tor-a:3", mac_text(W2.mac), "2001:db8:1::", 1800),
        ("tor-a:3", mac_text(D1.mac), "2001:db8:2::", 0),
    ]
    to = {(frame.dst, frame[IPv6].dst) for out in advertisements(state, "tor-a") for frame in [_read(out.frame)]}
    assert to == {(mac_text(row.mac), "ff02::1") for row in (W1, W2, D1)}


def test_an_untagged_server_of_one_cug_gets_a_multicast() -> None:
    state = start(two_racks(), *CUGS, vm("one", "a3", W1), vm("two", "b3", W2))
    assert told(state, "tor-a") == [("tor-a:3", ALL, "2001:db8:1::", 1800)]
    ((where, *_),) = told(state, "tor-b")
    assert where.startswith("tor-b:group:lag/")


def test_a_cug_without_ipv6_is_silent() -> None:
    assert told(start(two_racks(), *CUGS, vm("one", "a1", OLD1)), "tor-a") == []


def test_a_place_that_is_closed_hears_nothing() -> None:
    """A VM that is to come: nothing is delivered at its target before its pause, and after that only there."""

    def heard(state: State) -> list[str]:
        """Where web's advertisements leave; at srv-a1 they go to all its vNICs of the CUG."""
        rows = [row for row in told(state, "tor-a") if row[2] == "2001:db8:1::"]
        assert all((to, lifetime) == (ALL, 1800) for _, to, _, lifetime in rows)
        return [row[0] for row in rows]

    old, new = "tor-a:group:cable/1/0", "tor-a:3"
    wanted: tuple[tuple[Delivery, list[str]], ...] = (("on_activation", [old]), ("at_pause", [old]), ("early", [new, old]))
    for delivery, places in wanted:
        assert heard(dcs(StartMigration("m1", "web1", "srv-a3", delivery=delivery))) == places, delivery
    delivered = do(dcs(StartMigration("m1", "web1", "srv-a3")), Prepared("m1"), Deliver("m1")).state
    # It shares its wire with what its CUG says to everybody, and hears none of that before the activation.
    to = [(row[0], row[1]) for row in told(delivered, "tor-a") if row[2] == "2001:db8:1::"]
    assert to == [(new, mac_text(delivered.vms["web1"].interfaces[0].mac))]
    assert heard(do(delivered, Activate("m1")).state) == [new]
