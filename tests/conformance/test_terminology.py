"""Section 2.1 of the draft: ToRs, borders, closed user groups, L2 physical domains and who is in them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from itertools import permutations

import pytest

from ryu_vmmob import fabric
from ryu_vmmob.fabric.model import PortRef, Server
from ryu_vmmob.model.commands import DeleteVm, PutCug, StartMigration
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.net.addresses import mac
from ryu_vmmob.sim import packet as make
from tests.conformance.two_dcs import FABRIC, ONE_PER_KIND, PER_CUG, TwoDcs
from tests.support.fabric_examples import complete
from tests.support.world import interface, vm


@pytest.mark.requirement("R1")
@pytest.mark.parametrize("to", ["srv-a2", "srv-b1", "srv-a3", "srv-c1"])
def test_a_vm_keeps_its_addresses_in_the_same_and_in_another_data_centre(to: str) -> None:
    site = TwoDcs()
    site.populate(0, ["srv-a1", "srv-b2", "srv-d1"])
    before, question = site.card("srv-a1/0", 0), site.frame("srv-b2/0", "srv-a1/0", 0)
    site.move("srv-a1/0", to)
    assert site.engine.state.vms["srv-a1/0"].server == to
    assert site.card("srv-a1/0", 0) == before
    assert site.servers(site.send("srv-b2/0", question, 0)) == [to]  # the very frame that went to the source
    assert site.servers(site.talk("srv-a1/0", "srv-d1/0", 0)) == ["srv-d1"]


@pytest.mark.requirement("R3")
def test_several_tors_in_each_data_centre() -> None:
    tors = {(FABRIC.switches[FABRIC.servers[name].switch].data_center, FABRIC.servers[name].switch) for name in ONE_PER_KIND}
    assert tors == {("dc1", "tor-a"), ("dc1", "tor-b"), ("dc2", "tor-c"), ("dc2", "tor-d")}
    site = TwoDcs()
    site.populate(0)
    for one, other in permutations(ONE_PER_KIND, 2):
        assert site.servers(site.talk(f"{one}/0", f"{other}/0", 0)) == [other]


@pytest.mark.requirement("R4")
def test_a_port_of_a_port_extender_is_a_port_of_its_tor() -> None:
    """802.1BR: the controlling bridge shows a switch's extended ports as logical ports of its own, with large numbers."""
    extended = {f"ext-{n}": Server(f"ext-{n}", (PortRef("tor-a", n << 16 | 1),), "rack-a") for n in (1, 2)}
    rows = ", ".join(f'ext-{n}: {{attach: "tor-a:{n << 16 | 1}", tagging: per_cug}}' for n in (1, 2))
    assert fabric.check(complete(f"servers: {{{rows}}}")) == ()
    site = TwoDcs(replace(FABRIC, servers={**FABRIC.servers, **extended}))
    site.populate(0, ["ext-1", "srv-b2"])
    links, vlan_ids = site.carried(0), dict(site.engine.state.vlan_ids("cug0"))
    migration = site.move("ext-1/0", "ext-2")
    assert {name for entry in migration.timeline for name, count in entry.flow_mods.items() if count} == {"tor-a"}
    assert [(leg.from_vlan_id, leg.to_vlan_id) for leg in migration.legs] == [(vlan_ids["rack-a"], vlan_ids["rack-a"])]
    assert (site.carried(0), dict(site.engine.state.vlan_ids("cug0"))) == (links, vlan_ids)
    ((port, _),) = site.talk("srv-b2/0", "ext-1/0", 0).deliveries
    assert port == PortRef("tor-a", 2 << 16 | 1)


@pytest.mark.requirement("R5a")
@pytest.mark.parametrize("lost", ["border-1:48=border-3:48", "border-2:48=border-3:49"])
def test_either_border_connects_the_data_centres(lost: str) -> None:
    site = TwoDcs(cugs=12)  # some of them lead over either border
    for number in range(12):
        site.populate(number, ["srv-a1", "srv-c1"])
    ways = {number: {name for name in site.carried(number) if "border-3:4" in name} for number in range(12)}
    assert set.union(*ways.values()) == {"border-1:48=border-3:48", "border-2:48=border-3:49"}
    site.links(frozenset({lost}))
    site.settle()
    for number in range(12):
        for one, other in permutations(("srv-a1", "srv-c1")):
            assert site.servers(site.talk(f"{one}/{number}", f"{other}/{number}", number)) == [other]
        assert lost not in site.carried(number)


@pytest.mark.requirement("R7", "R36", "R41")
def test_a_frame_inside_a_cug_arrives_as_it_was_sent() -> None:
    """Between all kinds of servers and domains: the whole header but for the tag, on every link too; nothing routes it."""
    site = TwoDcs()
    site.populate(0)
    crossed = set()
    for one, other in permutations(ONE_PER_KIND, 2):
        sent = site.frame(f"{one}/0", f"{other}/0", 0)
        journey = site.talk(f"{one}/0", f"{other}/0", 0)
        ((_, arrived),) = journey.deliveries
        assert arrived == sent.with_vlans(*site.tags(f"{other}/0", 0))
        assert all(crossing.packet.same_frame(sent) for crossing in journey.crossings)
        assert "route" not in {step.table.label for visit in journey.visits for step in visit.result.path}
        crossed |= {crossing.link.l2_domain for crossing in journey.crossings}
    assert {"core-1", "wan", "core-2"} <= crossed


@pytest.mark.requirement("R8", "R10")
def test_a_vm_in_three_cugs_has_an_interface_in_each_and_moves_as_a_whole() -> None:
    site = TwoDcs(cugs=4)
    for number in range(4):
        site.populate(number, ["srv-b2"])
    site.do(vm("three", "srv-a1", *(interface(number, 99) for number in range(3))))
    site.settle()
    migration = site.move("three", "srv-c1")
    assert [leg.cug for leg in migration.legs] == ["cug0", "cug1", "cug2"]
    assert len({leg.to_vlan_id for leg in migration.legs}) == 3
    for number in range(3):
        ((port, arrived),) = site.talk(f"srv-b2/{number}", "three", number).deliveries
        assert (port, arrived.vlans) == (PortRef("tor-c", 1), site.tags("three", number))
        assert site.servers(site.shout("three", number)) == ["srv-b2"]
    assert site.shout("srv-b2/3", 3).deliveries == []


@pytest.mark.requirement("R10")
def test_one_logical_interface_and_an_address_in_each_cug() -> None:
    site = TwoDcs()
    before = site.engine.state
    for faulty in ((interface(0, 2), interface(0, 3)), (replace(interface(0, 2), ips=()),), ()):
        with pytest.raises(Refusal, match="R10"):
            site.do(vm("x", "srv-a1", *faulty))
    assert site.engine.state is before
    site.do(vm("x", "srv-a1", interface(0, 2), interface(1, 2)))


@pytest.mark.requirement("R9a")
def test_one_prefix_of_each_address_family_and_every_address_in_it() -> None:
    site = TwoDcs()
    for subnets in ((), ("10.7.0.0/24", "10.8.0.0/24"), ("2001:db8:7::/64", "2001:db8:8::/64")):
        with pytest.raises(Refusal, match="R9"):
            site.do(PutCug("x", tuple(map(ip_network, subnets))))
    site.do(PutCug("x", (ip_network("10.7.0.0/24"), ip_network("2001:db8:7::/64"))))
    with pytest.raises(Refusal, match=r"R9: 10\.1\.0\.2 is in none of the subnets"):
        site.do(vm("y", "srv-a1", replace(interface(1, 2), cug="x")))
    site.do(vm("y", "srv-a1", replace(interface(7, 2), cug="x")))
    with pytest.raises(Refusal, match="R9"):  # nor can the prefix be drawn away under its members
        site.do(PutCug("x", (ip_network("10.8.0.0/24"),)))


@pytest.mark.requirement("R11a")
def test_without_a_policy_nothing_crosses_from_one_cug_to_another() -> None:
    """Addressed to the other's MAC, to the gateway's, or to everybody; at rest and in the middle of a move."""
    site = TwoDcs()
    site.populate(0)
    site.populate(1)

    tags: dict[str, set[tuple[int, ...]]] = {}
    """On the cable of each server, those of cug0."""

    def silent() -> None:
        for member in site.engine.state.vms.values():
            if member.interfaces[0].cug == "cug0":
                for seat in site.engine.state.seats_of(member):
                    tags.setdefault(seat.server, set()).add(site.tags(member.name, 0, seat.server))
        for one in ONE_PER_KIND:
            card = site.card(f"{one}/0", 0)
            for other in ONE_PER_KIND:
                target = site.card(f"{other}/1", 1)
                for eth_dst in (target.mac, mac(FABRIC.gateway_mac)):
                    packet = make.udp(eth_dst, card.mac, int(target.ips[0]), int(card.ips[0]))
                    assert site.send(f"{one}/0", packet, 0).deliveries == []
                asks = make.arp_request(card.mac, int(card.ips[0]), int(target.ips[0]))
                for port, packet in site.send(f"{one}/0", asks, 0).deliveries:
                    assert packet.vlans in tags[site.fabric.server_at[port].name]
                    assert packet == asks.with_vlans(*packet.vlans)  # heard by its own CUG, answered by nobody

    silent()
    site.do(StartMigration("m", "srv-a1/0", "srv-c1"), StartMigration("n", "srv-c1/1", "srv-b2"))
    while waiting := site.waiting():
        silent()
        site.update(waiting[0])
    silent()


@pytest.mark.requirement("R12", "R23")
def test_a_trivial_domain_is_one_server_and_has_no_vlan_ids() -> None:
    site = TwoDcs(PER_CUG)
    site.populate(0)
    trivial = FABRIC.servers["srv-a3"]
    assert trivial.l2_domain is None
    assert all(PER_CUG.servers[name].l2_domain in FABRIC.l2_domains for name in ONE_PER_KIND if name != "srv-a3")
    for other in ("srv-a1", "srv-c1"):
        ((_, arrived),) = site.talk(f"{other}/0", "srv-a3/0", 0).deliveries
        assert arrived.vlans == ()
        ((_, arrived),) = site.talk("srv-a3/0", f"{other}/0", 0).deliveries
        assert arrived.vlans == site.tags(f"{other}/0", 0) != ()
    tagged = site.frame("srv-a3/0", "srv-a1/0", 0).with_vlans(*site.tags("srv-a1/0", 0))
    assert site.inject(tagged, "srv-a3").deliveries == []  # no VLAN-ID means anything there


@pytest.mark.requirement("R12", "R20", "R23")
def test_a_server_with_a_tag_for_each_vnic_is_a_domain_of_its_own() -> None:
    """The numbers say which vNIC, and nothing beyond the cable: the same one at another server is another vNIC, or none."""
    site = TwoDcs()
    site.do(*(vm(name, server, replace(interface(number, host), vlan_id=160)) for name, server, number, host in TWINS))
    site.populate(0, ["srv-b2"])
    site.populate(1, ["srv-b2"])
    for name, server, number, _ in TWINS:
        assert (FABRIC.servers[server].l2_domain, site.tags(name, number)) == (None, (160,))
        ((port, arrived),) = site.talk(f"srv-b2/{number}", name, number).deliveries
        assert (FABRIC.server_at[port].name, arrived.vlans) == (server, (160,))
        assert site.servers(site.talk(name, f"srv-b2/{number}", number)) == ["srv-b2"]
        assert site.servers(site.shout(name, number)) == ["srv-b2"]
    site.check()


TWINS = (("one", "srv-a1", 0, 90), ("other", "srv-a2", 1, 91))
"""VMs of two CUGs whose vNICs have one number on their servers' cables."""


@pytest.mark.requirement("R13", "R21")
def test_a_domain_of_two_switches_has_one_vlan_id_for_a_cug() -> None:
    assert FABRIC.switches_of_domain["pod-c"] == {"tor-c", "tor-d"}
    # Without the borders' cables the domain's own is the only way.
    up = tuple(link for link in FABRIC.links if "tor-d:49" not in link.name)
    site = TwoDcs(replace(PER_CUG, links=up))
    site.populate(0, ["srv-c1", "srv-c2", "srv-d1", "srv-a1"])
    seen = set()
    for one, other in permutations(("srv-c1", "srv-c2", "srv-d1"), 2):
        journey = site.talk(f"{one}/0", f"{other}/0", 0)
        assert {crossing.link.l2_domain for crossing in journey.crossings} <= {"pod-c"}
        seen |= {packet.vlans for _, _, packet in journey.crossings} | {packet.vlans for _, packet in journey.deliveries}
        seen.add(site.tags(f"{one}/0", 0))
    from_outside = site.talk("srv-a1/0", "srv-d1/0", 0)
    seen |= {packet.vlans for link, _, packet in from_outside.crossings if link.l2_domain == "pod-c"}
    assert seen == {(site.engine.state.vlan_ids("cug0")["pod-c"],)}


@pytest.mark.requirement("R15")
def test_there_is_no_third_kind_of_domain() -> None:
    """An access port is in a domain of the fabric or is a trivial one; the file knows no other word for it."""
    for plan in (FABRIC, PER_CUG):
        assert {server.l2_domain for server in plan.servers.values()} <= {None, *plan.l2_domains}
    assert {server.l2_domain for server in FABRIC.servers.values()} == {None}
    assert {server.l2_domain for server in PER_CUG.servers.values()} == {None, "rack-a", "rack-b", "pod-c"}
    for other in ("access_domains: {a: {}}", "servers: {srv-c1: {access_domain: rack-a}}"):
        assert [finding.rule for finding in fabric.check(complete(other))] == ["unknown-key"]


@pytest.mark.requirement("R16", "R17")
def test_two_cugs_on_one_server_port_each_over_several_domains() -> None:
    site = TwoDcs()
    site.populate(0, ["srv-a1", "srv-a2", "srv-c1"])
    site.populate(1, ["srv-a1", "srv-b2", "srv-c1"])
    assert site.tags("srv-a1/0", 0) != site.tags("srv-a1/1", 1)
    for number, others in ((0, ["srv-a2", "srv-c1"]), (1, ["srv-b2", "srv-c1"])):
        journey = site.shout(f"srv-a1/{number}", number)
        assert site.servers(journey) == others
        for port, packet in journey.deliveries:
            assert packet.vlans == site.tags(f"{site.fabric.server_at[port].name}/{number}", number)
        # Under the other CUG's VLAN-ID the same frame belongs to no VM.
        wrong = journey.packet.with_vlans(*site.tags(f"srv-a1/{1 - number}", 1 - number))
        assert site.inject(wrong, "srv-a1").deliveries == []
    site.check()


@pytest.mark.requirement("R19")
def test_a_cug_is_in_a_data_centre_from_its_first_vm_there_to_its_last() -> None:
    def there() -> set[str | None]:
        found = site.engine.state.presences.get("cug0")
        return {FABRIC.switches[edge].data_center for edge in found.edges} if found else set()

    site = TwoDcs()
    assert there() == set()
    expected: list[tuple[str, set[str | None]]] = [
        ("+srv-a1", {"dc1"}), ("+srv-b2", {"dc1"}), ("+srv-c1", {"dc1", "dc2"}), ("+srv-d1", {"dc1", "dc2"}),
        ("-srv-c1", {"dc1", "dc2"}), ("-srv-d1", {"dc1"}), ("-srv-a1", {"dc1"}), ("-srv-b2", set()),
    ]  # fmt: skip
    for step, centres in expected:
        host = site.host(step[1:], 0)
        site.do(host if step[0] == "+" else DeleteVm(host.name))
        assert there() == centres, step
    site.populate(0, ["srv-a1"])
    site.move("srv-a1/0", "srv-c1")
    assert there() == {"dc2"}
