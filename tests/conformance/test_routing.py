"""Sections 2.1 and 3.4 of the draft: what is routed, where it is routed, and that it stays so while a VM moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product

import pytest

from ryu_vmmob.model.commands import PutVm
from ryu_vmmob.model.move_options import Delivery
from ryu_vmmob.model.policies import DeletePolicy
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.sim import packet as make
from tests.conformance.routed_two_dcs import GATEWAY, NEXT_HOP, OPEN, REFUSED, RoutedTwoDcs, routers
from tests.conformance.two_dcs import FABRIC, ONE_PER_KIND
from tests.support.rest_service import Service, problem
from tests.support.routed_networks import allow
from tests.support.world import cug, interface, vm

MOVER = "srv-a1/0"
PEERS = ("srv-a1/1", "srv-a2/1", "srv-b1/1", "srv-c1/1", *FABRIC.externals)
"""Of another CUG beside it, under the same ToR, in another domain and in the other data centre; and both networks outside."""
MOVES = ("srv-a2", "srv-a3", "srv-b1", "srv-c1", "srv-d1")
"""To the same ToR, to a trivial domain, to a LAG in another domain, to either switch of a domain in the other data centre."""
ORDERS: dict[str, Callable[[Sequence[str]], str]] = {"forwards": lambda names: names[0], "backwards": lambda names: names[-1]}


@pytest.fixture
def site() -> RoutedTwoDcs:
    made = RoutedTwoDcs()
    made.populate(0, ["srv-a1"])
    made.populate(1, ["srv-a1", "srv-a2", "srv-b1", "srv-c1"])
    return made


def checked(site: RoutedTwoDcs, source: str, target: str, version: int) -> None:
    """A packet that policy allows arrives, routed at the two ends and nowhere else; one that it does not is silent."""
    journey = site.say(source, target, version=version)
    port, arrived = site.arrival(journey, target)
    first, running = site.edge(source), port.switch
    if target in site.fabric.externals:  # by one of those that lead there
        last, wanted = {running}, (site.router(running), NEXT_HOP)
    else:
        last = {site.fabric.servers[place].switch for place in site.places(target)}
        wanted = (GATEWAY, site.card(target, int(target[-1])).mac)
    site.check_way(journey, first, last)
    assert (arrived["eth_src"], arrived["eth_dst"]) == wanted
    assert wanted[0] != journey.packet["eth_src"]
    assert arrived["nw_ttl"] == make.DEFAULT_TTL - (1 if running == first else 2)
    same = {"eth_src": arrived["eth_src"], "eth_dst": arrived["eth_dst"], "nw_ttl": arrived["nw_ttl"]}
    assert arrived.same_frame(journey.packet.with_fields(**same))
    denied = site.say(source, target, REFUSED, version)
    assert (denied.deliveries, denied.crossings, denied.controller) == ([], [], []), str(denied)


@pytest.mark.requirement("R11b", "R41")
@pytest.mark.parametrize("version", [4, 6])
def test_what_a_policy_allows_is_routed_between_cugs(version: int) -> None:
    """On one server, under one ToR, between domains of every kind and between data centres: the MACs change, the TTL falls."""
    site = RoutedTwoDcs()
    for number in (0, 1):
        site.populate(number)
    crossed = set()
    for one, other in product(ONE_PER_KIND, repeat=2):
        checked(site, f"{one}/0", f"{other}/1", version)
        checked(site, f"{one}/1", f"{other}/0", version)
        crossed |= {row.link.l2_domain for row in site.say(f"{one}/0", f"{other}/1", version=version).crossings}
    assert {"core-1", "wan", "core-2"} <= crossed
    site.do(*(DeletePolicy(policy.name) for policy in OPEN))
    site.settle()
    for one, other in product(ONE_PER_KIND, repeat=2):
        assert site.say(f"{one}/0", f"{other}/1", version=version).deliveries == []


@pytest.mark.requirement("R5b", "R11b")
@pytest.mark.parametrize("version", [4, 6])
def test_vms_reach_hosts_outside_over_the_borders_and_are_reached(version: int) -> None:
    site = RoutedTwoDcs()
    site.populate(0)
    used = set()
    for server in ONE_PER_KIND:
        for outside in FABRIC.externals:
            checked(site, outside, f"{server}/0", version)
        checked(site, f"{server}/0", "internet-1", version)
        (left,) = site.say(f"{server}/0", "internet-1", version=version).deliveries
        used.add((site.fabric.switches[site.edge(f"{server}/0")].data_center, left.port.switch))
    assert used == {("dc1", "border-1"), ("dc2", "border-3")}  # each by the border of its own data centre
    for one, other in (("internet-1", "internet-2"), ("internet-2", "internet-1")):
        assert site.say(one, other).deliveries == []  # the fabric carries nothing from outside to outside


@pytest.mark.requirement("R30b", "R43")
@pytest.mark.parametrize("delivery", ["at_pause", "early"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("to", MOVES)
def test_routed_traffic_goes_on_in_every_state_of_a_move(site: RoutedTwoDcs, to: str, order: str, delivery: Delivery) -> None:
    """With hosts outside and VMs of another CUG, both ways. Only with `early` two places are served, one in vain."""
    doubled = 0
    for _ in site.stages(MOVER, to, ORDERS[order], delivery):
        for peer in PEERS:
            checked(site, MOVER, peer, 4)
            checked(site, peer, MOVER, 4)
            doubled += len(site.say(peer, MOVER).deliveries) > 1
    assert bool(doubled) is (delivery == "early")
    for peer, version in product(PEERS, (4, 6)):  # and in the end none is
        checked(site, peer, MOVER, version)
        assert len(site.say(peer, MOVER, version=version).deliveries) == 1


@pytest.mark.requirement("R40", "R41")
@pytest.mark.parametrize("to", MOVES)
def test_the_first_router_is_the_tor_beside_the_vm(site: RoutedTwoDcs, to: str) -> None:
    """Its gateway has one MAC and answers from the ToR that the VM hangs on, all through a move, at both places."""
    site.populate(0, ["srv-b2"])
    homes = set()
    for stage in site.stages(MOVER, to):
        ready = [seat.server for seat in site.engine.state.seats_of(site.engine.state.vms[MOVER]) if seat.sends]
        for server in ready if stage in ("before", "prepared", "committed") else ready[:1]:
            edge = FABRIC.servers[server].switch
            answers = site.ask_gateway(MOVER, server)
            ((port, answer),) = answers.deliveries
            assert (answers.crossings, FABRIC.server_at[port].name, answer["arp_sha"]) == ([], server, GATEWAY)
            for peer, version in product(PEERS, (4, 6)):
                assert routers(site.say(MOVER, peer, version=version, at=server))[0] == edge
            homes.add(edge)
            assert routers(site.say(MOVER, "srv-b2/0", at=server)) == []  # inside its CUG nothing is routed
    assert homes == {"tor-a", FABRIC.servers[to].switch}


@pytest.mark.requirement("R42")
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("to", MOVES)
def test_inbound_goes_straight_to_the_tor_where_the_vm_is(site: RoutedTwoDcs, to: str, order: str) -> None:
    """From either border, and from VMs of another CUG: the next router is that ToR, though others route for the CUG too."""
    site.populate(0, ["srv-b2", "srv-c2"])  # so tor-b, tor-c and both borders route for cug0
    for _ in site.stages(MOVER, to, ORDERS[order]):
        for peer, version in product(PEERS, (4, 6)):
            journey = site.say(peer, MOVER, version=version)
            arrived = site.arrival(journey, MOVER)
            both = dict.fromkeys((site.edge(peer), arrived.port.switch))
            assert arrived.packet["nw_ttl"] == make.DEFAULT_TTL - len(both)
            awaited = {FABRIC.servers[server].switch for server in site.places(MOVER)}
            assert set(both) <= set(routers(journey)) <= {site.edge(peer), *awaited}, str(journey)
    assert site.edge(MOVER) == FABRIC.servers[to].switch
    for peer, version in product(PEERS, (4, 6)):
        assert routers(site.say(peer, MOVER, version=version)) == list(dict.fromkeys((site.edge(peer), site.edge(MOVER))))


@pytest.mark.requirement("R42", "R43")
@pytest.mark.parametrize("to", MOVES)
def test_after_a_move_the_way_is_as_if_the_vm_had_always_been_there(site: RoutedTwoDcs, to: str) -> None:
    """Nothing of the source is left on any way, to or from the outside and the other CUG."""
    for _ in site.stages(MOVER, to):
        pass
    always = RoutedTwoDcs()
    always.do(replace(always.host("srv-a1", 0), server=to))
    always.populate(1, ["srv-a1", "srv-a2", "srv-b1", "srv-c1"])
    for peer, version in product(PEERS, (4, 6)):
        for source, target in ((peer, MOVER), (MOVER, peer)):
            ways = [[visit.switch for visit in one.say(source, target, version=version).visits] for one in (site, always)]
            assert ways[0] == ways[1], (source, target)


@pytest.mark.requirement("R43")
def test_who_is_connected_need_not_be_so_by_the_best_way(site: RoutedTwoDcs) -> None:
    """Without the near border's network traffic leaves by the far one; in by the far border it came anyhow."""

    def exit_of(name: str) -> str:
        checked(site, name, "internet-1", 4)
        return site.say(name, "internet-1").deliveries[0].port.switch

    assert exit_of(MOVER) == "border-1"
    site.engine.network.externals_seen(frozenset({"internet-1"}))
    site.settle()
    assert exit_of(MOVER) == "border-3"
    checked(site, "internet-2", MOVER, 4)
    for _ in site.stages(MOVER, "srv-c1"):
        assert exit_of(MOVER) == "border-3"
    site.engine.network.externals_seen(frozenset())
    site.settle()
    assert exit_of(MOVER) == "border-3"  # now the near one


# One prefix, one CUG


def overlapping() -> Iterator[tuple[str, list[str]]]:
    for text in ("10.0.0.0/24", "10.0.0.0/23", "10.0.0.128/25"):
        yield text, [text]
    yield "2001:db8::/48", ["10.9.0.0/24", "2001:db8::/48"]


@pytest.mark.requirement("R9b")
@pytest.mark.parametrize(("named", "subnets"), list(overlapping()), ids=str)
def test_cugs_of_one_routing_domain_do_not_share_addresses(named: str, subnets: list[str]) -> None:
    """Refused whichever comes second, and when a CUG would come into the domain; the answer says which prefix, and the rule."""
    service = Service()
    first = {"subnets": ["10.0.0.0/24", "2001:db8::/64"], "routing_domain": "red"}
    second = {"subnets": subnets, "routing_domain": "red"}
    for one, other in ((first, second), (second, first)):
        service.put("/v1/cugs/one", one)
        detail = problem(service.ask("PUT", "/v1/cugs/other", other), 409)
        assert detail.startswith("R9: ")
        assert all(text in detail for text in (named, "'one'", "'red'"))
        assert service.ask("GET", "/v1/cugs/other").status_int == 404
        service.put("/v1/cugs/other", {**other, "routing_domain": "blue"})
        assert problem(service.ask("PUT", "/v1/cugs/other", other), 409) == detail
        assert service.get("/v1/cugs/other")["routing_domain"] == "blue"
        for name in ("one", "other"):
            assert service.ask("DELETE", f"/v1/cugs/{name}").status_int == 204


@pytest.mark.requirement("R9b")
def test_cugs_of_different_routing_domains_may_have_the_same_addresses() -> None:
    """Even the same hosts on the same servers: each hears its own, bridged and routed, in every state of a move."""
    site = RoutedTwoDcs()
    twins = {2: 0, 3: 1}
    site.do(
        *(replace(cug(twin, v6=True), name=f"cug{number}", routing_domain="blue") for number, twin in twins.items()),
        allow("blue", "cug:cug2", "cug:cug3", protocol=make.UDP, ports=((5000, 5000),)),
    )
    with pytest.raises(Refusal, match=r"R9: 10\.1\.0\.0/24 overlaps 10\.1\.0\.0/24 of CUG 'cug1'"):
        site.do(replace(cug(1, v6=True), name="more", routing_domain="red"))
    for number, server in product(range(4), ("srv-a1", "srv-b1", "srv-c1")):
        site.do(_host(site, server, number))
    site.settle()

    def apart() -> None:
        for one, other in product(("srv-a1", "srv-c1"), ("srv-b1", "srv-c1")):
            packets = [site.packet(f"{one}/{number}", f"{other}/{number + 1}") for number in (0, 2)]
            assert packets[0].with_fields(eth_src=0) == packets[1].with_fields(eth_src=0)
            for number, to in product((0, 2), (0, 1)):
                source, target = f"{one}/{number}", f"{other}/{number + to}"
                if source == target:
                    continue
                port, arrived = site.arrival(site.say(source, target), target)
                assert arrived.vlans == site.tags(target, number + to, site.fabric.server_at[port].name)
                assert arrived["eth_dst"] == site.card(target, number + to).mac

    for name, to in (("srv-a1/0", "srv-c1"), ("srv-c1/3", "srv-a3")):
        for _ in site.stages(name, to):
            apart()
    site.check()


def _host(site: RoutedTwoDcs, server: str, number: int) -> PutVm:
    """Twins have the same addresses, and MACs of their own."""
    name, twin = f"{server}/{number}", number % 2
    card = interface(twin, site.hosts.setdefault(f"{server}/{twin}", len(site.hosts) + 2), v6=True)
    return vm(name, server, replace(card, cug=f"cug{number}", mac=card.mac | number << 16))
