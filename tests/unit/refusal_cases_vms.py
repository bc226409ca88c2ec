"""What is refused of a VM and of its moves, and what passes instead."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address

from ryu_vmmob.model.commands import (
    Abort,
    Activate,
    Command,
    Commit,
    DeleteVm,
    StartMigration,
)
from ryu_vmmob.net.addresses import eui64_link_local, mac
from tests.support.commands import cug, nic, vm
from tests.support.fabrics import two_racks
from tests.unit.refusal_cases import Case
from tests.unit.refusal_cases_cugs import DUAL, two

WEB_MAC = "02:00:00:01:00:0b"
MOVE = StartMigration("m1", "web1", "b1", timeout=1e9)
LINK_LOCAL = str(IPv6Address(eui64_link_local(nic(11).mac)))


def one_nic(**more: object) -> Command:
    return vm("web2", "a1", replace(nic(12), **more))  # type: ignore[arg-type]


def ips(*texts: str) -> Command:
    return vm("web2", "a1", nic(12, ips=texts))


GOOD = vm("web2", "a1", nic(12))
VMS = (
    Case("unknown server", [cug()], vm("web1", "z9"), vm(), 422, ["'z9'"], ["server"]),
    Case(
        "PUT that moves",
        [cug(), vm()],
        vm("web1", "a2"),
        vm("web1", "a1", nic(12)),
        409,
        ["'a1'", "migration"],
        title="moves are migrations",
    ),
    Case("change of a VM that moves", [cug(), vm(), MOVE], vm("web1", "a1", nic(12)), GOOD, 409, ["web1", "m1"]),
    Case("no interface", [cug()], replace(vm(), interfaces=()), vm(), 422, ["R10"], ["interfaces"]),
    Case(
        "two interfaces in one CUG",
        [cug(), cug("db", 2)],
        vm("web1", "a1", nic(11), nic(12)),
        vm("web1", "a1", nic(11), nic(12, "db", 2)),
        422,
        ["R10", "'web'"],
        ["interfaces[1].cug"],
    ),
    Case("multicast MAC", [cug()], one_nic(mac=0x010000000001), GOOD, 422, ["unicast"], ["interfaces[0].mac"]),
    Case("MAC zero", [cug()], one_nic(mac=0), GOOD, 422, ["unicast"], ["interfaces[0].mac"]),
    Case("the gateways' MAC", [cug()], one_nic(mac=mac("02:00:5e:00:00:01")), GOOD, 422, ["gateway"], ["interfaces[0].mac"]),
    Case(
        "a guest's tag that is none of the domain's",
        [cug()],
        one_nic(guest_vlan_id=7),
        one_nic(guest_vlan_id=107),
        409,
        ["R24", "R27", "R28", "7 is not among its VLAN-IDs"],
        title="a guest's own tag",
    ),
    Case("unknown CUG", [cug()], one_nic(cug="db"), GOOD, 422, ["'db'"], ["interfaces[0].cug"]),
    Case("no address", [cug()], ips(), GOOD, 422, ["R10"], ["interfaces[0].ips"]),
    Case(
        "an address twice",
        [cug()],
        ips("10.1.0.9", "10.1.0.9"),
        ips("10.1.0.9", "10.1.0.10"),
        422,
        ["twice"],
        ["interfaces[0].ips"],
    ),
    Case(
        "an address outside",
        [cug()],
        ips("10.1.0.9", "10.2.0.9"),
        ips("10.1.0.9", "fe80::9"),
        422,
        ["R9", "10.2.0.9"],
        ["interfaces[0].ips[1]"],
    ),
    Case("IPv6 in an IPv4 CUG", [cug(v6=False)], ips("2001:db8:1::9"), ips("fe80::9"), 422, ["R9"], ["interfaces[0].ips[0]"]),
    Case(
        "the gateway's address", [cug()], ips("2001:db8:1::1"), ips("2001:db8:1::2"), 422, ["gateway"], ["interfaces[0].ips[0]"]
    ),
    Case(
        "the network address",
        [cug()],
        ips("10.1.0.0"),
        ips("10.1.0.2"),
        422,
        ["network or broadcast"],
        ["interfaces[0].ips[0]"],
    ),
    Case(
        "the broadcast address",
        [cug()],
        ips("10.1.0.255"),
        ips("10.1.0.254"),
        422,
        ["network or broadcast"],
        ["interfaces[0].ips[0]"],
    ),
    Case(
        "several faults at once",
        [cug()],
        vm("web2", "a1", nic(12, mac=1 << 40, ips=["10.2.0.1"]), nic(12, "db")),
        GOOD,
        422,
        ["R9", "'db'", "unicast"],
        ["interfaces[0].mac", "interfaces[0].ips[0]", "interfaces[1].cug"],
    ),
    Case("a MAC that is taken", [cug(), vm()], one_nic(mac=nic(11).mac), GOOD, 409, [WEB_MAC, "'web'", "'web1'"]),
    Case("an address that is taken", [cug(), vm()], ips("10.1.0.12", "10.1.0.11"), GOOD, 409, ["10.1.0.11", "'web'", "'web1'"]),
    Case(
        "another's link-local address",
        [cug(), vm("web1", "a1", nic(11, ips=["2001:db8:1::b"]))],
        ips(LINK_LOCAL),
        ips("fe80::1"),
        409,
        [LINK_LOCAL, "'web1'"],
    ),
    Case(
        "a link-local address that another has chosen",
        [cug(), vm("web1", "a1", nic(12, mac=7, ips=[LINK_LOCAL]))],
        vm("web2", "a1", nic(11, ips=["2001:db8:1::b"])),
        vm("web2", "a1", nic(11)),
        409,
        [LINK_LOCAL, "'web1'"],
    ),
    Case(
        "Ethernet types that have rules of their own, or are none",
        [cug()],
        vm("web2", "a1", replace(nic(12), ethertypes=(0x0800, 0x88F7, 0x8100, 0x05FF))),
        vm("web2", "a1", replace(nic(12), ethertypes=(0x0600, 0x88F7))),
        422,
        ["0x0800 is IPv4", "0x8100 is a VLAN tag", "0x05ff is a length"],
        ["interfaces[0].ethertypes[0]", "interfaces[0].ethertypes[2]", "interfaces[0].ethertypes[3]"],
    ),
    Case(
        "the gateway's link-local address",
        [cug()],
        ips("10.1.0.11", "fe80::5eff:fe00:1"),
        ips("10.1.0.11", "fe80::5eff:fe00:2"),
        422,
        ["fe80::5eff:fe00:1 is the gateway of CUG 'web'"],
        ["interfaces[0].ips[1]"],
    ),
    Case(
        "a gateway whose link-local address a member has",
        [two("web", *DUAL, gateways=["10.1.0.1"]), ips("10.1.0.11", "fe80::5eff:fe00:1")],
        two("web", *DUAL),
        two("web", *DUAL, gateways=["10.1.0.2"]),
        422,
        ["fe80::5eff:fe00:1 is the gateway of CUG 'web'"],
        ["vms.web2.interfaces[0].ips[1]"],
    ),
    Case(
        "one MAC twice on an untagged server",
        [cug(), cug("db", 2), vm("web1", "a3")],
        vm("db1", "a3", nic(11, "db", 2, nic(11).mac)),
        vm("db1", "a1", nic(11, "db", 2, nic(11).mac)),
        409,
        ["R23", "'a3'", "'web1'", "'web'"],
    ),
    Case(
        "one MAC for both interfaces on an untagged server",
        [cug(), cug("db", 2)],
        vm("both", "a3", nic(11, mac=7), nic(11, "db", 2, mac=7)),
        vm("both", "a1", nic(11, mac=7), nic(11, "db", 2, mac=7)),
        409,
        ["R23", "'a3'", "'both'"],
    ),
    Case("deletion of an unknown VM", [cug(), vm()], DeleteVm("web2"), DeleteVm("web1"), 404, ["VM 'web2'"]),
    Case("deletion of a VM that moves", [cug(), vm(), GOOD, MOVE], DeleteVm("web1"), DeleteVm("web2"), 409, ["m1"]),
)

MIGRATIONS = (
    Case("of an unknown VM", [cug(), vm()], replace(MOVE, vm="web2"), MOVE, 422, ["'web2'"], ["vm"]),
    Case("to an unknown server", [cug(), vm()], replace(MOVE, to="z9"), MOVE, 422, ["'z9'"], ["to"]),
    Case(
        "of a VM that moves", [cug(), vm(), GOOD, MOVE], replace(MOVE, id="m2"), replace(MOVE, id="m2", vm="web2"), 409, ["m1"]
    ),
    Case("to where it is", [cug(), vm()], replace(MOVE, to="a1"), replace(MOVE, to="a2"), 409, ["'a1' already"]),
    Case(
        "to an untagged server with its MAC",
        [cug(), cug("db", 2), vm(), vm("db1", "b2", nic(11, "db", 2, nic(11).mac))],
        replace(MOVE, to="b2"),
        replace(MOVE, to="b1"),
        409,
        ["R23", "'b2'", "'db1'"],
    ),
    Case(
        "of two interfaces with one MAC to an untagged server",
        [cug(), cug("db", 2), vm("web1", "a1", nic(11, mac=7), nic(11, "db", 2, mac=7))],
        replace(MOVE, to="b2"),
        replace(MOVE, to="b1"),
        409,
        ["R23", "'b2'", "'web1'"],
    ),
    Case(
        "to an untagged server that another one with its MAC is still leaving",
        [
            cug(),
            cug("db", 2),
            vm(),
            vm("db1", "b2", nic(11, "db", 2, nic(11).mac)),
            replace(MOVE, id="m0", vm="db1", commit="request"),
            Activate("m0"),
        ],
        replace(MOVE, to="b2"),
        replace(MOVE, to="b3"),
        409,
        ["R23", "'b2'"],
    ),
    Case(
        "into a full domain",
        [cug(), cug("db", 2), vm(), vm("db1", "b1", nic(11, "db", 2))],
        MOVE,
        replace(MOVE, to="b2"),
        409,
        ["R28", "'rack-b'"],
        title="no VLAN-ID free",
        fabric=two_racks(rack_b=[100]),
    ),
    Case("activation of an unknown one", [cug(), vm(), MOVE], Activate("m2"), Activate("m1"), 404, ["'m2'"]),
    Case("commit of one that is not activated", [cug(), vm(), MOVE], Commit("m1"), Abort("m1"), 409, ["prepared", "commit"]),
    Case(
        "commit of one that was taken back",
        [cug(), vm(), replace(MOVE, commit="request"), Activate("m1"), Abort("m1")],
        Commit("m1"),
        replace(MOVE, id="m2"),
        409,
        ["aborted", "commit"],
    ),
)
