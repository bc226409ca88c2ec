"""What is refused of a CUG, and what passes instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

from ryu_vmmob.model.commands import (
    DeleteCug,
    DeleteVm,
    PutCug,
)
from tests.support.commands import cug, nic, vm
from tests.unit.refusal_cases import Case

OTHER = PutCug("other", (ip_network("10.9.0.0/24"),))


def two(name: str, *subnets: str, gateways: Sequence[str] = ()) -> PutCug:
    return PutCug(name, tuple(map(ip_network, subnets)), tuple(map(ip_address, gateways)))


DUAL = ("10.1.0.0/24", "2001:db8:1::/64")
CUGS = (
    Case("no subnet", [], two("web"), two("web", *DUAL), 422, ["R9"], ["subnets"]),
    Case(
        "two subnets of one family", [], two("web", "10.1.0.0/24", "10.2.0.0/24"), two("web", *DUAL), 422, ["R9"], ["subnets"]
    ),
    Case(
        "gateway outside",
        [],
        two("web", *DUAL, gateways=["10.2.0.1"]),
        two("web", *DUAL, gateways=["10.1.0.254"]),
        422,
        ["10.2.0.1"],
        ["gateways[0]"],
    ),
    Case(
        "gateway is the network address",
        [],
        two("web", *DUAL, gateways=["2001:db8:1::1", "10.1.0.0"]),
        two("web", *DUAL, gateways=["2001:db8:1::", "10.1.0.1"]),
        422,
        ["network or broadcast"],
        ["gateways[1]"],
    ),
    Case(
        "gateway is the broadcast address",
        [],
        two("web", *DUAL, gateways=["10.1.0.255"]),
        two("web", "10.1.0.0/31", gateways=["10.1.0.1"]),
        422,
        ["network or broadcast"],
        ["gateways[0]"],
    ),
    Case(
        "gateway is a link-local address",
        [],
        two("web", "fe00::/8", gateways=["fe80::1"]),
        two("web", "fe00::/8", gateways=["fe00::1"]),
        422,
        ["fe80::1", "link-local"],
        ["gateways[0]"],
    ),
    Case(
        "guests are to take addresses out of a prefix that has no room for their identifiers",
        [],
        replace(two("web", "2001:db8:1::/80"), ipv6_ra_mode="slaac"),
        replace(two("web", "2001:db8:1::/64"), ipv6_ra_mode="slaac"),
        422,
        ["RFC 4862", "/80"],
        ["ipv6_ra_mode"],
    ),
    Case(
        "an advertisement that no gateway makes",
        [],
        replace(two("web", "10.1.0.0/24"), ipv6_ra_mode="dhcpv6_stateful"),
        replace(two("web", "2001:db8:1::/80"), ipv6_ra_mode="dhcpv6_stateful"),
        422,
        ["only an IPv6 gateway advertises"],
        ["ipv6_ra_mode"],
    ),
    Case(
        "two gateways of one family",
        [],
        two("web", *DUAL, gateways=["10.1.0.1", "10.1.0.2"]),
        two("web", *DUAL, gateways=["10.1.0.1", "2001:db8:1::2"]),
        422,
        ["one gateway per address family"],
        ["gateways"],
    ),
    Case(
        "pin in an unknown domain",
        [],
        cug(pins={"rack-z": 100}),
        cug(pins={"rack-a": 100}),
        422,
        ["'rack-z'"],
        ["vlan_ids.rack-z"],
    ),
    Case(
        "pin outside the domain's range",
        [],
        cug(pins={"rack-a": 110}),
        cug(pins={"rack-a": 109}),
        422,
        ["110", "'rack-a'"],
        ["vlan_ids.rack-a"],
    ),
    Case(
        "several faults at once",
        [],
        replace(cug(pins={"rack-z": 1, "rack-a": 1}), gateways=(ip_address("10.2.0.1"),)),
        cug(),
        422,
        ["10.2.0.1"],
        ["gateways[0]", "vlan_ids.rack-a", "vlan_ids.rack-z"],
    ),
    Case(
        "pin of another CUG",
        [cug("db", 2, {"rack-a": 105})],
        cug(pins={"rack-a": 105}),
        cug(pins={"rack-b": 105}),
        409,
        ["R28", "105", "'rack-a'", "pinned by CUG 'db'"],
    ),
    Case(
        "pin on a number in use",
        [cug("db", 2), vm("db1", "a1", nic(11, "db", 2))],
        cug(pins={"rack-a": 100}),
        cug(pins={"rack-a": 101}),
        409,
        ["R28", "in use by CUG 'db'"],
    ),
    Case(
        "pin on a number at rest",
        [cug("db", 2), vm("db1", "a1", nic(11, "db", 2)), DeleteVm("db1"), DeleteCug("db")],
        cug(pins={"rack-a": 100}),
        cug(pins={"rack-a": 101}),
        409,
        ["R28", "in quarantine"],
    ),
    Case(
        "pin that changes a number in use",
        [cug(), vm()],
        cug(pins={"rack-a": 105}),
        cug(pins={"rack-a": 100, "rack-b": 105}),
        409,
        ["R21", "100"],
    ),
    Case(
        "pin that changes a number at rest",
        [cug(), vm(), DeleteVm("web1")],
        cug(pins={"rack-a": 105}),
        cug(pins={"rack-a": 100}),
        409,
        ["R28", "100", "quarantine"],
    ),
    Case(
        "subnet without a member's address",
        [cug(), vm()],
        two("web", "10.2.0.0/24"),
        two("web", "10.1.0.0/16"),
        422,
        ["R9", "10.1.0.11"],
        ["vms.web1.interfaces[0].ips[0]"],
    ),
    Case(
        "gateway that is a member's address",
        [cug(), vm()],
        two("web", *DUAL, gateways=["10.1.0.11"]),
        two("web", *DUAL, gateways=["10.1.0.12"]),
        422,
        ["gateway"],
        ["vms.web1.interfaces[0].ips[0]"],
    ),
    Case("deletion of an unknown CUG", [cug()], DeleteCug("db"), DeleteCug("web"), 404, ["CUG 'db'"]),
    Case(
        "deletion of a CUG with members",
        [cug(), OTHER, vm()],
        DeleteCug("web"),
        DeleteCug("other"),
        409,
        ["1 interfaces", "web1"],
    ),
)
