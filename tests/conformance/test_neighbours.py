"""Section 3.5 of the draft between any two servers, a server and itself included: what is denied, allowed and forged."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product

import pytest

from ryu_vmmob.model.policies import PutPolicy
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim import probes
from ryu_vmmob.sim.network import Journey
from ryu_vmmob.sim.policy import Talk
from ryu_vmmob.sim.view import Seat
from ryu_vmmob.trace import Question, trace
from tests.conformance.routed_two_dcs import RoutedTwoDcs
from tests.conformance.two_dcs import FABRIC, PER_CUG
from tests.support.routed_networks import allow, deny
from tests.support.world import interface, vm

SERVERS = sorted(FABRIC.servers)
APART = [name for name in SERVERS if FABRIC.servers[name].per_interface]
"""Servers on which the ToR is the only switch between VMs."""
DENIED, ALLOWED = Talk(make.TCP, 23), Talk(make.TCP, 22)
POLICIES: tuple[PutPolicy, ...] = (
    deny("no-telnet", "cug:cug0", "cug:cug0", protocol=make.TCP, ports=((23, 23),)),
    allow("across", "cug:cug0", "cug:cug1", protocol=make.TCP, ports=((22, 23),)),
    allow("back", "cug:cug1", "cug:cug0", protocol=make.TCP, ports=((22, 23),)),
    deny("no-telnet-across", "cug:cug0", "cug:cug1", priority=200, protocol=make.TCP, ports=((23, 23),)),
    deny("no-telnet-back", "cug:cug1", "cug:cug0", priority=200, protocol=make.TCP, ports=((23, 23),)),
)


class Neighbours(RoutedTwoDcs):
    """On each server two VMs of cug0 and one of cug1; on the untagged one, whose own switch joins all of them, one in all."""

    def __init__(self) -> None:
        super().__init__(policies=POLICIES)
        for number, server in enumerate(SERVERS):
            for member in (0, 1) if server in APART else (0,):
                self.do(vm(f"{server}.{member}/0", server, interface(0, 10 + 2 * number + member, v6=True)))
            if server in APART:
                self.do(vm(f"{server}.2/1", server, interface(1, 10 + number, v6=True)))
        self.settle()

    def pairs(self) -> Iterator[tuple[str, str]]:
        """All VMs to all others; not cug1 to itself, of which there is one on each server."""
        names = sorted(self.engine.state.vms)
        return ((one, other) for one, other in permutations(names, 2) if not one.endswith("/1") or not other.endswith("/1"))

    def asked(self, source: str, target: str, talk: Talk, version: int) -> str:
        """What the trace says becomes of it."""
        question = Question(source, ip=self.address(target, version), protocol=talk.protocol, port=talk.dst_port)
        found = trace(self.engine.state, self.engine.desired.tables, question)
        assert found.neighbours == ()
        return found.verdict.kind


@pytest.fixture(scope="module")
def crowd() -> Neighbours:
    return Neighbours()


@pytest.mark.requirement("R46b", "R48b")
@pytest.mark.parametrize("version", [4, 6])
def test_a_policy_holds_between_all_pairs_of_servers(crowd: Neighbours, version: int) -> None:
    """Neighbours on one server included. Nothing of what is denied leaves the first switch, and the trace says so."""
    met = set()
    for source, target in crowd.pairs():
        met.add((crowd.engine.state.vms[source].server, crowd.engine.state.vms[target].server))
        silent = crowd.say(source, target, DENIED, version)
        assert (silent.deliveries, silent.crossings, silent.controller) == ([], [], []), str(silent)
        heard = crowd.say(source, target, ALLOWED, version)
        arrived = crowd.arrival(heard, target).packet
        assert arrived.vlans == crowd.tags(target, int(target[-1])), str(heard)
        said = crowd.asked(source, target, DENIED, version), crowd.asked(source, target, ALLOWED, version)
        assert said == ("denied", "delivered"), (source, target)
    assert met >= set(product(APART, repeat=2)) | set(permutations(SERVERS, 2))


@pytest.mark.requirement("R46b", "R48b")
def test_a_policy_put_later_holds_between_neighbours_from_then_on() -> None:
    """Both ways it is in force when its switches have it, wherever the two have come to be together."""
    site = RoutedTwoDcs(policies=())
    site.do(vm("one/0", "srv-a1", interface(0, 10)), vm("other/0", "srv-b1", interface(0, 11)))
    site.settle()
    go(site, "one/0", "srv-b1")

    def arrives(talk: Talk) -> set[int]:
        return {len(site.say(a, b, talk).deliveries) for a, b in permutations(("one/0", "other/0"))}

    assert arrives(DENIED) == arrives(ALLOWED) == {1}
    site.do(POLICIES[0])
    site.settle()
    assert (arrives(DENIED), arrives(ALLOWED)) == ({0}, {1})
    go(site, "other/0", "srv-c2")
    go(site, "one/0", "srv-c2")
    assert (arrives(DENIED), arrives(ALLOWED)) == ({0}, {1})


def go(site: RoutedTwoDcs, name: str, to: str) -> None:
    """A whole move."""
    for _ in site.stages(name, to):
        pass


@pytest.mark.requirement("R45", "R48a", "R48b")
@pytest.mark.parametrize("server", ["srv-a1", "srv-a3"], ids=["per_cug", "untagged"])
def test_where_the_servers_own_switch_decides_no_policy_is_promised(server: str) -> None:
    """Whichever comes second, the placement or the policy, it is refused; neighbours whom no policy parts are welcome."""
    site = RoutedTwoDcs(PER_CUG, policies=POLICIES[:1])
    site.do(vm("one/0", server, interface(0, 10)))
    with pytest.raises(Refusal, match=f"R45: on server '{server}' VM 'other/0' and VM 'one/0' meet behind one wire"):
        site.do(vm("other/0", server, interface(0, 11)))
    site = RoutedTwoDcs(PER_CUG, policies=())
    site.do(vm("one/0", server, interface(0, 10)), vm("other/0", server, interface(0, 11)))
    with pytest.raises(Refusal, match=f"R45: on server '{server}' VM 'one/0' and VM 'other/0' meet behind one wire"):
        site.do(POLICIES[0])
    site.settle()
    site.check()


@pytest.mark.requirement("R49a")
@pytest.mark.parametrize("server", APART)
def test_neighbours_speak_in_nobodys_name_but_their_own(crowd: Neighbours, server: str) -> None:
    """ARP, neighbour discovery and RARP of each on the server in the name of each other one: no switch sends any of it on."""
    view = crowd.view()
    here = [seat for seat in view.seats if seat.server == server]
    lies = 0
    for liar, victim in permutations(here, 2):
        for packet in forged(liar, victim):
            for port in liar.ports:
                journey: Journey = view.network.inject(packet.with_vlans(*liar.tags), port)
                assert (journey.deliveries, journey.crossings, journey.controller) == ([], [], []), str(journey)
                lies += 1
        question = Question(liar.vm, claimed_mac=victim.mac, ip=victim.ips[0], mac=victim.mac)
        assert trace(crowd.engine.state, crowd.engine.desired.tables, question).verdict.kind == "dropped"
    for seat in here:  # each in its own name is heard
        for packet in probes.to_everybody(seat):
            assert view.network.inject(packet.with_vlans(*seat.tags), seat.ports[0]).deliveries
    assert lies >= 6 * 16


def forged(liar: Seat, victim: Seat) -> Iterator[make.Packet]:
    """That the victim's addresses are the liar's, or the liar's the victim's; under either's MAC, to all and to one.

    Of a RARP frame switches learn the source MAC, and that alone is its lie: no host believes its body.
    """
    v4, v6 = victim.v4[0], victim.v6[0]
    yield make.rarp(victim.mac)
    yield make.rarp(liar.mac).with_fields(eth_src=victim.mac)
    for mac in (liar.mac, victim.mac):
        yield make.gratuitous_arp(mac, v4)
        yield make.arp_request(mac, v4, liar.v4[0])
        yield make.arp_reply(mac, v4, victim.mac, v4)
        yield make.neighbour_advertisement(mac, v6)
        yield make.neighbour_solicitation(mac, v6, liar.v6[0])
    yield make.gratuitous_arp(victim.mac, liar.v4[0])
    yield make.gratuitous_arp(liar.mac, liar.v4[0]).with_fields(arp_sha=victim.mac)
    yield make.neighbour_advertisement(victim.mac, liar.v6[0])
    yield make.neighbour_advertisement(liar.mac, liar.v6[0]).with_fields(ipv6_nd_tll=victim.mac)
    yield make.neighbour_advertisement(liar.mac, liar.v6[0]).with_fields(ipv6_nd_target=v6)
