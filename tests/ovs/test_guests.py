"""Guests as they are, on real switches: each does with their frames what the simulator does, and that is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import product

import pytest
from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import Ether

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.fabric.loader import load
from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.policies import PutPolicy
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.net.addresses import MAC_BROADCAST, eui64_link_local, mac, mac_text
from ryu_vmmob.net.protocols import UDP
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim import probes
from ryu_vmmob.sim.network import Journey
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.view import Seat
from tests.ovs.twin import FABRIC_FILE, Twin
from tests.support.frames import to_bytes
from tests.support.routed_networks import CUGS, DB, WEB, two_borders
from tests.support.world import cug, interface, vm

FABRIC = load(FABRIC_FILE)
GATEWAY = mac(FABRIC.gateway_mac)


@pytest.fixture
def twins(ovs: PrivateOvs) -> Iterator[Callable[[Fabric], Twin]]:
    """Makes a twin of a fabric; removed in the end."""
    with ExitStack() as stack:

        def make_one(fabric: Fabric) -> Twin:
            twin = Twin(ovs, fabric)
            stack.callback(twin.remove)
            return twin

        yield make_one


def seat_of(twin: Twin, name: str) -> Seat:
    return next(seat for seat in twin.world.view().seats if seat.vm == name)


def send(twin: Twin, one: Seat, packet: Packet) -> Journey:
    """What becomes of a frame of a seat: in the simulator, and in each real switch on its way just so."""
    view = twin.world.view()
    tagged = packet.with_vlans(*one.tags)
    assert twin.follow(view, [(tagged, one.ports[0])]) >= 1
    return view.network.inject(tagged, one.ports[0])


def comes_back(journey: Journey, one: Seat, answer: Packet) -> bool:
    """Whether a seat gets this answer and nothing else comes of it."""
    return [(row.port, row.packet) for row in journey.deliveries] == [(one.ports[0], answer.with_vlans(*one.tags))]


def is_refused(journey: Journey) -> bool:
    """Whether a frame went nowhere, and the operator is shown it."""
    return not journey.deliveries and not journey.crossings and len(journey.shown) == 1


# Duplicate addresses (RFC 5227, RFC 4862)


def test_who_takes_an_address_that_is_taken_learns_it(twins: Callable[[Fabric], Twin]) -> None:
    twin = twins(FABRIC)
    twin.do(cug(0, v6=True))
    twin.do(vm("a", "srv-a1", interface(0, 11, v6=True)), vm("c", "srv-c1", interface(0, 13, v6=True)))
    a, c = seat_of(twin, "a"), seat_of(twin, "c")
    asked = list(probes.duplicates(a, c))
    assert len(asked) == 3  # IPv4, IPv6, and the link-local address made of the MAC
    for probe, answer in asked:
        assert comes_back(send(twin, a, probe), a, answer), probe
    gateway4, gateway6 = (int(ip) for ip in twin.world.view().cugs["cug0"].gateways)
    assert comes_back(send(twin, a, make.arp_probe(a.mac, gateway4)), a, make.arp_reply(GATEWAY, gateway4, a.mac, 0))
    for target in (gateway6, eui64_link_local(GATEWAY)):
        told = probes.told_taken(GATEWAY, target, a.mac, 0x80000000 | make.OVERRIDE)
        assert comes_back(send(twin, a, make.neighbour_solicitation(a.mac, 0, target)), a, told)
    # Its own address: everybody hears the question, and nobody answers.
    for probe in (make.arp_probe(a.mac, a.v4[0]), make.neighbour_solicitation(a.mac, 0, a.v6[0])):
        journey = send(twin, a, probe)
        assert [row.packet for row in journey.deliveries] == [probe.with_vlans(*c.tags)]
    # One that nobody has and that is not its own.
    for probe in (make.arp_probe(a.mac, a.v4[0] + 50), make.neighbour_solicitation(a.mac, 0, a.v6[0] + 50)):
        assert is_refused(send(twin, a, probe))


def test_who_takes_a_borders_address_outside_learns_it(twins: Callable[[Fabric], Twin]) -> None:
    """A host of the network outside asks for the border's own addresses before it takes them, as for any other there."""
    twin = twins(two_borders())
    for command in (*CUGS, WEB, DB):
        twin.do(command)
    view = twin.world.view()
    asked = 0
    for external in view.externals:
        own, theirs = view.router_macs[external.switch], 0x02AA00000001
        for interface_ in external.addresses:
            mine = int(interface_.ip)
            if interface_.version == 4:
                probe, told = make.arp_probe(theirs, mine), make.arp_reply(own, mine, theirs, 0)
                other = make.arp_probe(theirs, mine ^ 1)
            else:
                probe = make.neighbour_solicitation(theirs, 0, mine)
                told = probes.told_taken(own, mine, theirs, 0x80000000 | make.OVERRIDE)
                other = make.neighbour_solicitation(theirs, 0, mine ^ 1)
            for packet, answers in ((probe, [told]), (other, [])):
                tagged = packet.with_vlans(*external.tags)
                assert twin.follow(view, [(tagged, external.port)]) >= 1
                journey = view.network.inject(tagged, external.port)
                wanted = [(external.port, row.with_vlans(*external.tags)) for row in answers]
                assert [(row.port, row.packet) for row in journey.deliveries] == wanted, packet
                asked += 1
    assert asked >= 4


# Other Ethernet types

PTP, PROFINET = 0x88F7, 0x8892


def other(one: Seat, kind: int, dst: int = MAC_BROADCAST) -> Packet:
    return Packet({"eth_dst": dst, "eth_src": one.mac, "eth_type": kind})


def test_other_ethernet_types_pass_inside_a_cug_where_the_interface_says_so(twins: Callable[[Fabric], Twin]) -> None:
    twin = twins(FABRIC)
    twin.do(cug(0, v6=True), cug(1))
    twin.do(
        vm("none", "srv-a1", interface(0, 11, v6=True)),
        vm("some", "srv-a1", replace(interface(0, 12, v6=True), ethertypes=(PTP,))),
        vm("any", "srv-c1", replace(interface(0, 13, v6=True), ethertypes="any")),
        vm("alone", "srv-c1", interface(1, 14)),
    )
    none, some, every = (seat_of(twin, name) for name in ("none", "some", "any"))

    def heard(one: Seat, packet: Packet) -> list[str]:
        ports = {(seat.ports[0], seat.tags): seat.vm for seat in twin.world.view().seats}
        return sorted(ports[row.port, row.packet.vlans] for row in send(twin, one, packet).deliveries)

    assert is_refused(send(twin, none, other(none, PTP)))
    assert heard(some, other(some, PTP)) == ["any", "none"]
    assert heard(some, other(some, PTP, every.mac)) == ["any"]
    assert is_refused(send(twin, some, other(some, PROFINET)))
    for kind in (PTP, PROFINET, 0x0600):
        assert heard(every, other(every, kind)) == ["none", "some"]
        assert heard(every, other(every, kind, some.mac)) == ["some"]
    # Whatever it may send: with its own MAC, its own addresses, one tag, and to nobody but its CUG.
    stranger = seat_of(twin, "alone")
    assert heard(every, other(every, PTP, stranger.mac)) == []
    assert heard(every, other(every, PTP, GATEWAY)) == []
    for one in (some, every):
        assert is_refused(send(twin, one, other(one, PTP).with_fields(eth_src=none.mac)))
        assert is_refused(send(twin, one, make.broadcast(one.mac, none.v4[0])))
        assert is_refused(send(twin, one, make.gratuitous_arp(one.mac, none.v4[0])))
        assert is_refused(send(twin, one, other(one, PTP, 0x0180C200000E)))
        assert is_refused(send(twin, one, make.udp6(none.mac, one.mac, none.v6[0], none.v6[0])))
    assert second_tag_is_refused(twin, every)


def second_tag_is_refused(twin: Twin, one: Seat) -> bool:
    """A frame with two tags, as bytes: what is below the first would be a tag at an untagged server."""
    frame = to_bytes(make.broadcast(one.mac, one.v4[0]).with_vlans(*one.tags, 7)).hex()
    text = twin.bridges[one.switch].ovs.appctl("ofproto/trace", one.switch, f"in_port={one.ports[0].port}", frame)
    return f"\n{Table.REFUSE.id:2}. " in text


# What announcements and neighbour discovery contain


def test_an_announcement_names_the_sender_and_nobody_else(twins: Callable[[Fabric], Twin]) -> None:
    twin = twins(FABRIC)
    twin.do(cug(0, v6=True))
    twin.do(vm("a", "srv-a1", interface(0, 11, v6=True)), vm("c", "srv-c1", interface(0, 13, v6=True)))
    a, c = seat_of(twin, "a"), seat_of(twin, "c")
    assert [row.packet for row in send(twin, a, make.rarp(a.mac)).deliveries] == [make.rarp(a.mac).with_vlans(*c.tags)]
    for lie in ({"arp_sha": c.mac}, {"arp_tha": c.mac}, {"arp_op": 4}):
        assert is_refused(send(twin, a, make.rarp(a.mac).with_fields(**lie))), lie
    # With another code than 0, or with two link-layer options, a switch finds no target in it.
    asks = make.neighbour_solicitation(a.mac, a.v6[0], c.v6[0])
    unread = Packet({k: v for k, v in asks if k not in ("ipv6_nd_sll", "nd_options_type", "nd_reserved")})
    journey = twin.world.view().network.inject(unread.with_fields(ipv6_nd_target=0).with_vlans(*a.tags), a.ports[0])
    assert is_refused(journey)
    assert journey.visits[0].result.path[-1].table is Table.REFUSE


def test_a_real_switch_reads_no_target_where_a_solicitation_has_two_options(twins: Callable[[Fabric], Twin]) -> None:
    """The simulator has one option; so the frame itself goes through ``ofproto/trace``."""
    twin = twins(FABRIC)
    twin.do(cug(0, v6=True))
    twin.do(vm("a", "srv-a1", interface(0, 11, v6=True)), vm("c", "srv-c1", interface(0, 13, v6=True)))
    a, c = seat_of(twin, "a"), seat_of(twin, "c")
    good = Ether(to_bytes(make.neighbour_solicitation(a.mac, a.v6[0], a.v6[0] + 9).with_vlans(*a.tags)))
    two = good / ICMPv6NDOptSrcLLAddr(lladdr=mac_text(c.mac))
    coded = good.copy()
    coded[ICMPv6ND_NS].code = 1
    for frame, admitted in ((good, True), (two, False), (coded, False)):
        del frame[IPv6].plen, frame[ICMPv6ND_NS].cksum
        text = twin.bridges[a.switch].ovs.appctl("ofproto/trace", a.switch, f"in_port={a.ports[0].port}", bytes(frame).hex())
        assert (f"\n{Table.REFUSE.id:2}. " not in text) is admitted, bytes(frame).hex() + text


# Link-local addresses that are not made of the MAC (RFC 7217)


def test_a_link_local_address_of_its_own_choice_works_unless_it_is_anothers(twins: Callable[[Fabric], Twin]) -> None:
    twin = twins(FABRIC)
    put = cug(0, v6=True)
    twin.do(replace(put, routing_domain="red"))
    twin.do(vm("a", "srv-a1", interface(0, 11, v6=True)), vm("c", "srv-c1", interface(0, 13, v6=True)))
    a, c = seat_of(twin, "a"), seat_of(twin, "c")
    near, far = probes.chosen(a.mac), probes.chosen(c.mac)
    for packet in (*probes.by_choice(a, c), *probes.by_choice_to_everybody(a), make.neighbour_solicitation(a.mac, 0, near)):
        assert [row.packet for row in send(twin, a, packet).deliveries] == [packet.with_vlans(*c.tags)], packet
    # Its router answers: to a solicitation (the controller does), and for its own addresses.
    journey = send(twin, a, make.router_solicitation(a.mac, near))
    assert [copied.switch for copied in journey.controller] == [a.switch]
    link = eui64_link_local(GATEWAY)
    told = make.neighbour_advertisement(GATEWAY, link, a.mac, near).with_fields(nd_reserved=0xE0000000)
    assert comes_back(send(twin, a, make.neighbour_solicitation(a.mac, near, link)), a, told)
    # Another member's, and the gateway's, are not to be had; nor is anything but a link-local one.
    for packet in probes.stolen(a, c, [eui64_link_local(c.mac), link]):
        assert is_refused(send(twin, a, packet)), packet
    assert is_refused(send(twin, a, make.udp6(c.mac, a.mac, far, a.v6[0] + 1)))


def test_what_a_policy_says_of_a_vm_holds_for_its_link_local_addresses(twins: Callable[[Fabric], Twin]) -> None:
    twin = twins(FABRIC)
    twin.do(cug(0, v6=True))
    for name, server, host in (("a", "srv-a1", 11), ("b", "srv-a1", 12), ("c", "srv-c1", 13)):
        twin.do(vm(name, server, interface(0, host, v6=True)))
    twin.do(PutPolicy("no", False, Selector("vm", "a"), Selector("vm", "c"), protocol=UDP, ports=((9, 9),)))
    a, b, c = (seat_of(twin, name) for name in "abc")
    for source, target in product((a.v6[0], eui64_link_local(a.mac), probes.chosen(a.mac)), (c.v6[0], probes.chosen(c.mac))):
        assert not send(twin, a, make.udp6(c.mac, a.mac, target, source)).deliveries
        assert send(twin, a, make.udp6(c.mac, a.mac, target, source, 10)).deliveries
    assert send(twin, b, make.udp6(c.mac, b.mac, probes.chosen(c.mac), probes.chosen(b.mac))).deliveries
    assert send(twin, a, make.udp6(b.mac, a.mac, probes.chosen(b.mac), probes.chosen(a.mac))).deliveries


# Priorities (IEEE 802.1Q, 6.9 and 9.6)


@pytest.mark.parametrize("priority", [0, 3, 5, 7])
def test_the_priority_of_a_tag_survives_the_fabric(twins: Callable[[Fabric], Twin], priority: int) -> None:
    """Bridged and flooded, to a neighbour on the cable, over trunks, and to a guest that tags its own frames."""
    twin = twins(FABRIC)
    twin.do(cug(0, v6=True))
    twin.do(vm("a", "srv-a1", interface(0, 11, v6=True)), vm("b", "srv-a1", interface(0, 12, v6=True)))
    twin.do(vm("c", "srv-c1", interface(0, 13, v6=True, guest=45)))
    a, b, c = (seat_of(twin, name) for name in "abc")
    view = twin.world.view()

    def marked(packet: Packet, one: Seat) -> Packet:
        return packet.with_vlans(*(make.tag(row, priority) for row in one.tags))

    for packet, receivers in (
        (make.broadcast(a.mac, a.v4[0]), (b, c)),
        (make.udp(b.mac, a.mac, b.v4[0], a.v4[0]), (b,)),
        (make.udp(c.mac, a.mac, c.v4[0], a.v4[0]), (c,)),
    ):
        sent = marked(packet, a)
        assert twin.follow(view, [(sent, a.ports[0])]) >= 1
        found = view.network.inject(sent, a.ports[0]).deliveries
        assert sorted(str(row.packet) for row in found) == sorted(str(marked(packet, one)) for one in receivers)


def test_a_priority_tag_is_no_vlan_tag(twins: Callable[[Fabric], Twin]) -> None:
    twin = twins(FABRIC)
    server = next(row.name for row in FABRIC.servers.values() if not row.tagged)
    twin.do(cug(0, v6=True), vm("u", server, interface(0, 11, v6=True)), vm("c", "srv-c1", interface(0, 13, v6=True)))
    u, c = seat_of(twin, "u"), seat_of(twin, "c")
    assert u.tags == ()
    view = twin.world.view()
    for packet in (make.broadcast(u.mac, u.v4[0]), make.udp(c.mac, u.mac, c.v4[0], u.v4[0]), make.rarp(u.mac)):
        for tags in ((), (0,)):
            sent = packet.with_vlans(*tags)
            assert twin.follow(view, [(sent, u.ports[0])]) >= 1
            assert [row.packet for row in view.network.inject(sent, u.ports[0]).deliveries] == [packet.with_vlans(*c.tags)]
    # On a cable with a VLAN-ID for each vNIC it means nobody, as an untagged frame does.
    assert is_refused(view.network.inject(make.rarp(c.mac).with_vlans(0), c.ports[0]))
    # Whatever the priority: the frame itself, as bytes.
    for control in (0x6000, 0xE000, 0x1000):
        frame = bytearray(to_bytes(make.broadcast(u.mac, u.v4[0]).with_vlans(0)))
        frame[14:16] = control.to_bytes(2, "big")
        text = twin.bridges[u.switch].ovs.appctl("ofproto/trace", u.switch, f"in_port={u.ports[0].port}", frame.hex())
        assert f"\n{Table.REFUSE.id:2}. " not in text
        assert "Datapath actions: drop" not in text
