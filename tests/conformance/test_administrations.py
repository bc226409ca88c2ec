"""Section 2.1 of the draft: data centres under two administrations, each with its controller, and no word between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from itertools import permutations
from random import Random

import pytest

from ryu_vmmob import fabric
from ryu_vmmob.engine.conflicts import SETTLING
from ryu_vmmob.flows.router import router_mac
from ryu_vmmob.model.commands import Command, DeleteCug, DeleteVm, StartMigration
from ryu_vmmob.model.migrations import Deliver
from ryu_vmmob.model.move_options import Delivery
from ryu_vmmob.model.objects import Interface, Phase
from ryu_vmmob.model.routing_domains import NeighbourHeard
from ryu_vmmob.net.addresses import mac
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim.packet import Packet
from tests.conformance.administrations import Administrations, Passage, documented, fabrics
from tests.support.routed_networks import allow
from tests.support.world import cug, interface, vm

HOMES = {"mover": "srv-n1", "here": "srv-n2", "there": "srv-s1"}
"""VMs of cug3, which both sides have, by where they run."""
WAYS = {"north to south": ("srv-n1", "srv-s2"), "south to north": ("srv-s2", "srv-n1")}


class Shared(Administrations):
    """cug3 with its three VMs is registered on both sides, under VLAN-ID 701 on the cable; so is cug4, with one VM on each."""

    def __init__(self, **homes: str) -> None:
        super().__init__()
        self.homes = HOMES | homes
        self.cards = {name: interface(3, host, v6=True) for host, name in enumerate(HOMES, 11)}
        for side, site in self.sides.items():
            site.do(*(replace(cug(number, v6=True), pins={"peering": 698 + number}) for number in (3, 4)))
            for name, server in self.homes.items():
                site.do(vm(name, self.seen_from(side, server), self.cards[name]))
            for host, server in enumerate(("srv-n1", "srv-s1"), 21):
                site.do(vm(f"other-{server}", self.seen_from(side, server), interface(4, host, v6=True)))
        self.settle()

    def seen_from(self, side: str, server: str) -> str:
        """A server as a side knows it: its own, or the one that stands for the other side."""
        there = self.side_of(server)
        return server if there == side else there

    def tags(self, name: str, server: str, cug_number: int = 3) -> tuple[int, ...]:
        """What the server's own switch was told to tag frames of a VM with."""
        return self.sides[self.side_of(server)].tags(name, cug_number, at=server)

    def send(self, packet: Packet, name: str, server: str | None = None, cug_number: int = 3) -> Passage:
        """A frame of a guest, where it runs or at ``server``, under the VLAN-ID that this server was told to use."""
        where = server or self.homes[name]
        return self.inject(packet.with_vlans(*self.tags(name, where, cug_number)), where)

    def start(self, side: str, to: str, delivery: Delivery = "at_pause") -> None:
        """The mover's migration on one side."""
        site = self.sides[side]
        site.do(StartMigration("m", "mover", self.seen_from(side, to), delivery=delivery))

    def wait(self, seconds: float) -> None:
        """Time goes by on both sides."""
        for site in self.sides.values():
            site.now += seconds
            site.engine.progress()

    def phases(self) -> set[Phase]:
        """Those of the mover's migration on both sides."""
        return {site.engine.state.migrations["m"].phase for site in self.sides.values()}

    def check(self, spare: tuple[str, ...] = (), going: tuple[str, ...] = ()) -> None:
        """Each reaches each, once, with the MACs it was sent with; ``spare`` is where a copy for the mover may be in vain.

        While it is ``going`` from the one of two places to the other it stands still: each frame for it comes to one of them.
        """
        for one, other in permutations(self.homes, 2):
            if one == "mover" and going:
                continue
            for packet in probes_between(self.cards[one], self.cards[other]):
                self.exchange(one, other, packet, spare, going)
            asks = make.arp_request(self.cards[one].mac, v4(self.cards[one]), v4(self.cards[other]))
            ((server, answer),) = self.send(asks, one).arrivals
            assert (server, answer["arp_sha"]) == (self.homes[one], self.cards[other].mac)
        for one, server in self.homes.items():
            if one == "mover" and going:
                continue
            for packet in (make.broadcast(self.cards[one].mac, v4(self.cards[one])), make.rarp(self.cards[one].mac)):
                passage = self.send(packet, one)
                copies = Counter(passage.servers)
                there = {home for name, home in self.homes.items() if name != one and not (name == "mover" and going)}
                assert all(copies[home] == 1 for home in there), str(passage)
                assert copies[server] == 0, str(passage)
                assert set(copies) <= {*self.homes.values(), *spare, *going}, str(passage)
                assert max(copies.values()) == 1, str(passage)
                self.check_copies(passage, packet)

    def exchange(self, one: str, other: str, packet: Packet, spare: tuple[str, ...], going: tuple[str, ...]) -> None:
        """One frame arrives once where the other runs, and nowhere else but for what is in vain."""
        passage = self.send(packet, one)
        found = passage.servers
        if other == "mover" and going:
            assert len(found) == 1, str(passage)
            assert set(found) <= set(going), str(passage)
        else:
            assert found.count(self.homes[other]) == 1, str(passage)
            found.remove(self.homes[other])
            assert len(found) == len(set(found)), str(passage)
            assert set(found) <= (set(spare) if other == "mover" else set()), str(passage)
        self.check_copies(passage, packet)

    def check_copies(self, passage: Passage, sent: Packet) -> None:
        """Unchanged but for the tags; over the cable once, under the number agreed upon."""
        names = {home: name for name, home in self.homes.items()}
        for server, packet in passage.arrivals:
            assert packet == sent.with_vlans(*self.tags(names.get(server, "mover"), server)), str(passage)
        assert len(passage.crossings) <= 1, str(passage)
        assert all(packet == sent.with_vlans(701) for _, packet in passage.crossings), str(passage)


def v4(card: Interface) -> int:
    return next(int(ip) for ip in card.ips if ip.version == 4)


def probes_between(one: Interface, other: Interface) -> Iterator[Packet]:
    for version in (4, 6):
        src, dst = (next(ip for ip in card.ips if ip.version == version) for card in (one, other))
        yield (make.udp if version == 4 else make.udp6)(other.mac, one.mac, int(dst), int(src))


def test_the_documented_fabrics_are_sound_and_agree() -> None:
    assert [fabric.check(text) for text in documented()] == [(), ()]
    found = fabrics()
    assert set(found) == {"north", "south"}
    north, south = found.values()
    assert north.gateway_mac == south.gateway_mac
    assert north.l2_domains["peering"].vlan_ids == south.l2_domains["peering"].vlan_ids
    assert north.servers["south"].l2_domain == south.servers["north"].l2_domain == "peering"
    dpids = [{row.dpid for row in one.switches.values()} for one in (north, south)]
    assert dpids[0] == dpids[1]  # each side numbers as it likes


@pytest.mark.requirement("R6", "R7")
def test_a_cug_spans_two_administrations() -> None:
    """Its VMs hear each other as inside one fabric; no frame of one CUG is another's; nobody lies over the cable."""
    pair = Shared()
    pair.check()
    for site in pair.sides.values():
        site.check()
    for server, other in (("srv-n1", "srv-s1"), ("srv-s1", "srv-n1")):
        card = pair.sides["north"].card(f"other-{server}", 4)
        passage = pair.send(make.broadcast(card.mac, v4(card)), f"other-{server}", server, 4)
        assert (passage.servers, [packet.vlans for _, packet in passage.crossings]) == ([other], [(702,)])
    # South's border believes of north only what is registered there.
    for liar in (pair.cards["there"], interface(3, 99)):
        for packet in (make.broadcast(liar.mac, v4(liar)), make.gratuitous_arp(liar.mac, v4(liar)), make.rarp(liar.mac)):
            site = pair.sides["south"]
            journey = site.network.inject(packet.with_vlans(701), site.fabric.servers["north"].attach[0])
            assert (journey.deliveries, journey.crossings) == ([], [])


@pytest.mark.requirement("R1", "R6", "R35")
@pytest.mark.parametrize("delivery", ["at_pause", "early"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("way", WAYS)
def test_a_vm_moves_from_one_administration_to_the_other(way: str, seed: int, delivery: Delivery) -> None:
    """Prepared on both sides, paused, resumed, heard of by both: in every state of all switches one copy of all comes to it.

    At the pause the side that it comes to lets its traffic go over first, then the side that it leaves.
    """
    source, target = WAYS[way]
    spare = delivery == "early"
    pair, chance = Shared(mover=source), Random(seed)
    pair.check()

    def to_rest(in_vain: str, going: tuple[str, ...] = ()) -> None:
        while waiting := pair.waiting():
            side, switch = chance.choice(waiting)
            pair.sides[side].update(switch)
            pair.check((in_vain,) if spare else (), going)

    first, second = chance.sample(sorted(pair.sides), 2)
    pair.start(first, target, delivery)
    for _ in range(chance.randrange(3)):
        if waiting := pair.waiting():
            pair.sides[first].update(chance.choice(waiting)[1])
            pair.check((target,) if spare else ())
    pair.start(second, target, delivery)
    to_rest(target)
    assert pair.phases() == {Phase.PREPARED}
    if delivery == "at_pause":
        for server in (target, source):
            site = pair.sides[pair.side_of(server)]
            site.do(Deliver("m"))
            pair.check(going=(source, target))
            to_rest(source, (source, target))
    pair.homes["mover"] = target  # it is resumed: no flow changes for that
    pair.check((source,) if spare else ())
    announcement = pair.send(make.rarp(pair.cards["mover"].mac), "mover")
    pair.hear(announcement)
    assert pair.phases() == {Phase.ACTIVATED}
    pair.check((source,) if spare else ())
    to_rest(source)
    # At the cable a neighbour can forge what announces it; nothing was heard from its source.
    pair.wait(SETTLING)
    to_rest(source)
    assert pair.phases() == {Phase.COMMITTED}
    pair.check()
    for side, site in pair.sides.items():
        assert site.engine.state.vms["mover"].server == pair.seen_from(side, target)
        site.check()


@pytest.mark.requirement("R6", "R49b")
def test_resumed_too_early_it_is_not_believed() -> None:
    """The order is that of the documentation: the side that it leaves has to be prepared as well."""
    pair = Shared()
    pair.start("south", "srv-s2")
    pair.settle()
    passage = pair.send(make.broadcast(pair.cards["mover"].mac, v4(pair.cards["mover"])), "mover", "srv-s2")
    assert passage.servers == ["srv-s1"]
    pair.start("north", "srv-s2")
    pair.settle()
    passage = pair.send(make.broadcast(pair.cards["mover"].mac, v4(pair.cards["mover"])), "mover", "srv-s2")
    assert set(passage.servers) >= {"srv-s1", "srv-n2"}


@pytest.mark.requirement("R6", "R37")
def test_when_the_last_vm_has_left_a_side_nothing_is_on_the_cable() -> None:
    pair = Shared(here="srv-s1")
    for side in pair.sides:
        pair.start(side, "srv-s2")
    pair.settle()
    assert pair.send(make.broadcast(pair.cards["here"].mac, v4(pair.cards["here"])), "here").crossings
    pair.homes["mover"] = "srv-s2"
    pair.hear(pair.send(make.rarp(pair.cards["mover"].mac), "mover"))
    pair.settle()
    pair.wait(SETTLING)
    pair.settle()
    assert pair.phases() == {Phase.COMMITTED}
    for name, card in pair.cards.items():
        assert pair.send(make.broadcast(card.mac, v4(card)), name).crossings == []
    north = pair.sides["north"]
    assert north.engine.state.presences["cug3"].local.keys() == {"border-n"}  # on no link
    north.do(*(DeleteVm(name) for name in pair.cards), DeleteCug("cug3"))
    north.settle()
    bare = Shared().sides["north"]
    bare.do(*(DeleteVm(name) for name in pair.cards), DeleteCug("cug3"))
    bare.settle()
    assert north.tables() == bare.tables()
    pair.sides["south"].check()


@pytest.mark.requirement("R6", "R11b")
def test_cugs_of_one_side_are_routed_to_those_of_the_other() -> None:
    """As networks outside, under the policies of both; neither is extended to the other side."""
    pair = Administrations()
    routers = {side: router_mac(site.engine.state, f"border-{side[0]}") for side, site in pair.sides.items()}
    assert len(set(routers.values())) == 2
    cards = {}
    for number, (side, site) in enumerate(pair.sides.items(), 1):
        other = "south" if side == "north" else "north"
        own, server = f"cug{number}", f"srv-{side[0]}1"
        cards[server] = replace(interface(number, 11), ips=(ip_address(f"10.{number}.0.11"),))
        hop = site.fabric.externals[f"to-{other}"].next_hops[0]
        commands: list[Command] = [
            replace(cug(number), routing_domain="red"),
            vm(server, server, cards[server]),
            NeighbourHeard(f"to-{other}", hop, routers[other]),
            allow("out", f"cug:{own}", "any", protocol=make.UDP, ports=((9, 9),)),
        ]
        site.do(*commands)
    pair.settle()

    def said(one: str, other: str) -> Passage:
        gateway = mac(pair.sides["north"].fabric.gateway_mac)
        packet = make.udp(gateway, cards[one].mac, v4(cards[other]), v4(cards[one]))
        site = pair.sides[pair.side_of(one)]
        return pair.inject(packet.with_vlans(*site.tags(one, int(cards[one].cug[-1]), at=one)), one)

    passage = said("srv-n1", "srv-s1")
    assert len(passage.crossings) == 1
    assert passage.arrivals == []  # north lets it out, south has not said that it may come in
    for side, site in pair.sides.items():
        site.do(allow("in", "any", f"cug:cug{1 if side == 'north' else 2}", protocol=make.UDP, ports=((9, 9),)))
    pair.settle()
    for one, other in permutations(cards):
        ((server, packet),) = said(one, other).arrivals
        assert (server, packet["eth_dst"], packet["nw_ttl"]) == (other, cards[other].mac, make.DEFAULT_TTL - 4)
        assert packet["eth_src"] == mac(pair.sides["south"].fabric.gateway_mac)


def test_what_a_cug_on_both_sides_says_to_another_does_not_cross() -> None:
    """A known limit: routed by the one side it would come to the other from the gateway's MAC, which nobody may use."""
    pair = Shared()
    for site in pair.sides.values():
        site.do(*(replace(cug(n, v6=True), pins={"peering": 698 + n}, routing_domain="red") for n in (3, 4)))
        site.do(allow("all", "cug:cug3", "cug:cug4"))
    pair.settle()
    mover, gateway = pair.cards["mover"], mac(pair.sides["north"].fabric.gateway_mac)
    arrivals = {
        server: pair.send(make.udp(gateway, mover.mac, v4(pair.sides["north"].card(f"other-{server}", 4)), v4(mover)), "mover")
        for server in ("srv-n1", "srv-s1")
    }
    assert arrivals["srv-n1"].servers == ["srv-n1"]  # within its side
    assert (arrivals["srv-s1"].servers, len(arrivals["srv-s1"].crossings)) == ([], 1)
