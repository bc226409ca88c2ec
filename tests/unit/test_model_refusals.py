"""Every refusal beside its passing twin: status, the path and the rule it names, and a state that is as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

import pytest
from immutables import Map

from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.model import allocation
from ryu_vmmob.model.commands import (
    Abort,
    Activate,
    Command,
    Commit,
    DeleteCug,
    DeleteVm,
    LinksChanged,
    PutCug,
    SettleTrees,
    StartMigration,
    apply,
)
from ryu_vmmob.model.membership import refuse_untagged_clash
from ryu_vmmob.model.objects import Vm
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.net.addresses import eui64_link_local, mac
from tests.unit.core_support import LEFT_A, Site, cug, nic, start, two_planes, two_racks, vm

WEB_MAC = "02:00:00:01:00:0b"
OTHER = PutCug("other", (ip_network("10.9.0.0/24"),))
MOVE = StartMigration("m1", "web1", "b1", timeout=1e9)
LINK_LOCAL = str(IPv6Address(eui64_link_local(nic(11).mac)))


RACKS = two_racks()


@dataclass(frozen=True)
class Case:
    """``refused`` is refused after ``given`` with all of ``words`` in the detail; ``passes`` is not."""

    name: str
    given: Sequence[Command]
    refused: Command
    passes: Command
    status: int
    words: Sequence[str]
    paths: Sequence[str] = ()
    title: str | None = None
    fabric: Fabric = RACKS


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
            Activate("m0", 1),
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
    Case("activation of an unknown one", [cug(), vm(), MOVE], Activate("m2", 1), Activate("m1", 1), 404, ["'m2'"]),
    Case(
        "commit of one that is not activated", [cug(), vm(), MOVE], Commit("m1", 1), Abort("m1", 1), 409, ["prepared", "commit"]
    ),
    Case(
        "commit of one that was taken back",
        [cug(), vm(), replace(MOVE, commit="request"), Activate("m1", 1), Abort("m1", 1)],
        Commit("m1", 1),
        replace(MOVE, id="m2"),
        409,
        ["aborted", "commit"],
    ),
)


@pytest.mark.parametrize("case", [*CUGS, *VMS, *MIGRATIONS], ids=lambda case: case.name)
def test_refused_and_its_passing_twin(case: Case) -> None:
    site = Site(case.fabric, *case.given)
    before, records, tables = site.state, dict(site.store.records), site.engine.desired.tables
    flows = {name: dict(rows.flows) for name, rows in tables.items()}
    with pytest.raises(Refusal) as raised:
        site.engine.execute(case.refused)
    refusal = raised.value
    assert refusal.status == case.status, refusal.detail
    assert sorted(fault.path for fault in refusal.faults) == sorted(case.paths), refusal.detail
    assert [word for word in case.words if word not in refusal.detail] == [], refusal.detail
    if case.title is not None:
        assert refusal.title == case.title
    assert site.state is before
    assert site.store.records == records
    assert {name: rows.flows for name, rows in site.engine.desired.tables.items()} == flows
    assert not site.take()
    site.engine.execute(case.passes)
    assert site.state.revision > before.revision


def test_as_many_cugs_as_there_are_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each CUG and each routing domain has a segment, and a key of its own for it."""
    monkeypatch.setattr(allocation, "MAX_SEGMENT_KEY", 2)
    state = start(two_racks(), cug("a", 1), cug("b", 2))
    for one_more in (cug("c", 3), cug("a", 1, routing_domain="red")):
        with pytest.raises(Refusal, match="2 CUGs and routing domains already") as raised:
            apply(state, one_more)
        assert raised.value.status == 409
    assert apply(apply(state, DeleteCug("a")).state, cug("c", 3)).state.cugs["c"].key == 1
    with pytest.raises(Refusal, match="2 CUGs and routing domains already"):
        apply(start(two_racks(), cug("a", 1)), cug("b", 2, routing_domain="red"))


def test_no_move_begins_while_links_change() -> None:
    """Until the trees have settled; what is asked again in a moment is then carried out."""
    state = start(two_planes(), cug(), vm(), vm("web2", "b1", nic(12)), LinksChanged(frozenset({LEFT_A}), 1.0))
    with pytest.raises(Refusal, match="try again") as raised:
        apply(state, MOVE)
    assert (raised.value.status, raised.value.title) == (503, "links are changing")
    assert apply(apply(state, SettleTrees(2.0)).state, MOVE).state.migrations["m1"].vm == "web1"


def test_very_many_vms_on_an_untagged_server() -> None:
    """Each MAC is looked up, and not held against all VMs there: 20,000 took a minute."""
    state = start(two_racks(), cug())
    looked: list[str] = []

    class Vms(dict[str, None]):
        def __iter__(self) -> Iterator[str]:
            looked.append("all of them")
            return super().__iter__()

    here: Any = Vms({f"other-{number}": None for number in range(100)})
    state = replace(state, server_vms=Map({"a3": here}))
    refuse_untagged_clash(state, Vm("new", "a3", (nic(11),)), "a3")
    assert not looked
