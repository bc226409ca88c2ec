"""Section 3.5 of the draft: a VM's policies are the same wherever it is, and it goes only where they can be kept."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from random import Random

import pytest

from ryu_vmmob.fabric.model import Dialect, Fabric
from ryu_vmmob.model.commands import Abort, DeleteVm, StartMigration
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.policies import DeletePolicy, PutPolicy
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim import policy as oracle
from ryu_vmmob.sim.policy import Talk
from tests.conformance.routed_two_dcs import RoutedTwoDcs
from tests.conformance.two_dcs import FABRIC, PER_CUG
from tests.support.routed_networks import allow, deny
from tests.support.world import cug, interface, vm

POLICIES = (
    allow("database", "cug:cug0", "cug:cug1", protocol=make.TCP, ports=((5432, 5433),), replies=True),
    deny("not-all", "vm:srv-c2/0", "cug:cug1", protocol=make.TCP, ports=((5433, 5433),), priority=200),
    allow("names", "cug:cug1", "cug:cug0", protocol=make.UDP, ports=((53, 53),)),
    allow("pings", "cug:cug0", "cug:cug1", protocol="icmp"),
    allow("for-one", "vm:mover/0", "any", protocol=make.UDP, ports=((123, 123),)),
    allow("public", "0.0.0.0/0", "vm:mover/0", protocol=make.TCP, ports=((443, 443),), priority=50, replies=True),
    allow("surfing", "cug:cug0", "0.0.0.0/0", protocol=make.TCP, ports=((443, 443),), priority=50),
    deny("not-there", "cug:cug0", "203.0.113.0/24", protocol=make.TCP, ports=((443, 443),), priority=60),
    deny("inside", "cug:cug0", "cug:cug0", protocol=make.TCP, ports=((23, 23),)),
)
"""Of every kind, by CUG, by VM and by prefix; some of them overrule others."""
TALKS = (
    Talk(make.TCP, 5432), Talk(make.TCP, 5433), Talk(make.TCP, 40000, 5432, make.TCP_SYN | 0x10), Talk(make.TCP, 40000, 5432),
    Talk(make.TCP, 443), Talk(make.TCP, 40000, 443, 0x10), Talk(make.TCP, 23), Talk(make.UDP, 53), Talk(make.UDP, 123),
    Talk(make.UDP, 9), Talk(make.ICMP), Talk(make.EXPERIMENT),
)  # fmt: skip
MOVES = [
    ("srv-a1", "srv-a2"), ("srv-a1", "srv-a3"), ("srv-a1", "srv-b1"), ("srv-a2", "srv-c1"), ("srv-c1", "srv-d1"),
    ("srv-a3", "srv-d1"), ("srv-b1", "srv-a3"), ("srv-b1", "srv-c1"),
]  # fmt: skip
"""Within a domain, on one switch and between two; between domains and data centres; from and to tagged servers, untagged ones
(trivial domains) and LAGs."""
KINDS = {"trivial": FABRIC, "non-trivial": PER_CUG}
"""What most servers are (R48): domains of their own, each vNIC with a VLAN-ID, or in the domain of their switch."""
MOVER = "mover/0"
PEERS = ("srv-b2/0", "srv-c2/0", "srv-a1/1", "srv-a3/1", "srv-b1/1", "srv-c1/1", *FABRIC.externals)

Decisions = dict[tuple[str, str, Talk], bool]


class PolicedSite(RoutedTwoDcs):
    """VMs of cug0 and cug1 all over the place, under `POLICIES`; the mover is one of cug0."""

    def __init__(self, server: str, fabric: Fabric = FABRIC) -> None:
        super().__init__(fabric, policies=())
        self.do(vm(MOVER, server, interface(0, 200, v6=True)))
        self.do(*(self.host(name[:-2], int(name[-1])) for name in PEERS if name not in self.fabric.externals))
        self.do(*POLICIES)
        self.settle()

    def passes(self, source: str, target: str, talk: Talk, version: int, at: str | None = None) -> bool:
        """Whether it arrives; nobody else may get it."""
        journey = self.say(source, target, talk, version, at)
        if not journey.deliveries:
            return False
        self.arrival(journey, target)
        return True

    def decisions(self, version: int = 4) -> Decisions:
        """For all pairs of ends and everything they might say, whether it passes."""
        return {
            (source, target, talk): self.passes(source, target, talk, version)
            for source, target in permutations((MOVER, *PEERS), 2)
            if not {source, target} <= self.fabric.externals.keys()
            for talk in TALKS
        }

    def wanted(self, version: int = 4) -> Decisions:
        """The same by the rules in docs/rest.md."""
        view = self.view()
        ends: dict[str, oracle.End] = {seat.vm: seat for seat in view.seats} | {row.name: row for row in view.externals}
        return {
            (source, target, talk): oracle.decide(view, self.packet(source, target, talk, version), ends[source], ends[target])
            for source, target, talk in self.decisions(version)
        }

    def check_movers(self, before: Decisions) -> None:
        """What the mover says and is said to, from where it runs; what is denied is denied at its other place as well."""
        for (source, target, talk), allowed in before.items():
            if MOVER in (source, target):
                assert self.passes(source, target, talk, 4) is allowed, (source, target, talk)
            if source == MOVER and not allowed:
                for place in self.places(MOVER)[1:]:
                    assert self.say(source, target, talk, at=place).deliveries == [], (target, talk, place)


@pytest.mark.requirement("R46a", "R48a", "R48b")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("source", "target"), MOVES)
def test_every_decision_is_the_same_in_every_state_of_a_move(source: str, target: str, kind: str) -> None:
    """All of them at rest, in every state of the move; the mover's after each switch's update, in some order."""
    site = PolicedSite(source, KINDS[kind])
    before = {version: site.decisions(version) for version in (4, 6)}
    assert before == {version: site.wanted(version) for version in (4, 6)}
    for version, rows in before.items():
        for group in (rows, {key: row for key, row in rows.items() if MOVER in key}):
            assert 20 < sum(group.values()) < len(group) - 20, version
    for stage in site.stages(MOVER, target, Random(f"{source} {target} {kind}").choice):
        site.check_movers(before[4])
        if stage in ("prepared", "delivered", "activated"):
            assert site.decisions() == before[4]
    assert {version: site.decisions(version) for version in (4, 6)} == before
    assert site.edge(MOVER) == FABRIC.servers[target].switch


@pytest.mark.requirement("R46a")
@pytest.mark.parametrize("to", ["srv-a3", "srv-c1"])
def test_a_move_that_is_given_up_changes_no_decision(to: str) -> None:
    site = PolicedSite("srv-b1")
    before, tables = site.decisions(), site.tables()
    site.do(StartMigration("m", MOVER, to))
    site.update(site.waiting()[0])
    site.check_movers(before)
    site.do(Abort("m"))
    while waiting := site.waiting():
        site.check_movers(before)
        site.update(waiting[-1])
    assert (site.decisions(), site.tables()) == (before, tables)


# What a domain does of its own


@pytest.mark.requirement("R47", "R48a", "R48b")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("source", "target"), [("srv-a1", "srv-b1"), ("srv-b1", "srv-a3"), ("srv-a3", "srv-c1")])
def test_what_others_have_in_a_domain_precludes_nothing(source: str, target: str, kind: str) -> None:
    """CUGs with the same addresses and every policy turned round, and other CUGs under the numbers of the mover's elsewhere."""
    alone, site = PolicedSite(source, KINDS[kind]), PolicedSite(source, KINDS[kind])
    numbers = site.engine.state.vlan_ids("cug0")
    pins = {"rack-a": numbers["rack-b"]} if kind == "non-trivial" else {"core-1": numbers["core-1"] + 50}
    site.do(
        *(replace(cug(n, v6=True), name=f"blue{n}", routing_domain="blue", pins=pins if n else {}) for n in (0, 1)),
        *(vm(f"blue{n}/{server}", server, _blue(n, host)) for n in (0, 1) for host, server in enumerate(BLUE[n:], 2)),
    )
    for policy in POLICIES:
        source_end, target_end = _blue_end(policy.source), _blue_end(policy.target)
        if (source_end, target_end) != (policy.source, policy.target):
            turned = replace(policy, name=f"blue-{policy.name}", allow=not policy.allow, priority=10000, replies=False)
            site.do(replace(turned, source=source_end, target=target_end))
    site.settle()
    before = alone.decisions()
    assert site.decisions() == before
    for _ in site.stages(MOVER, target):
        site.check_movers(before)
    assert site.decisions() == before


BLUE = ("srv-a3", "srv-a1", "srv-b1", "srv-c1")
"""The first for one CUG only: its own switch joins all that are there, and policies between two CUGs would not hold (R45)."""


def _blue(number: int, host: int) -> Interface:
    card = interface(number, host, v6=True)
    return replace(card, cug=f"blue{number}", mac=card.mac | 0xB << 16)


def _blue_end(selector: Selector) -> Selector:
    return Selector("cug", f"blue{str(selector.value)[-1]}") if selector.kind == "cug" else selector


@pytest.mark.requirement("R47")
def test_a_domain_that_cannot_take_a_cug_says_so_before_anything_moves() -> None:
    """All its numbers are others', or the one that is asked for is: refused with the rule, and nothing has changed."""
    small = replace(PER_CUG.l2_domains["rack-b"], vlan_ids=(150, 151))
    site = RoutedTwoDcs(replace(PER_CUG, l2_domains={**PER_CUG.l2_domains, "rack-b": small}), cugs=3)
    site.do(replace(cug(0, v6=True), routing_domain="red", pins={"pod-c": 510}))
    site.populate(0, ["srv-a1"])
    site.populate(1, ["srv-b2"])
    site.populate(2, ["srv-b2"])
    with pytest.raises(Refusal, match=r"R28: VLAN-ID 510 of L2 domain 'pod-c' is pinned by CUG 'cug0'"):
        site.do(replace(cug(3), pins={"pod-c": 510}))
    refused(site, "srv-a1/0", "srv-b1", r"R28: L2 domain 'rack-b' has no free VLAN-ID for CUG 'cug0'")
    site.do(DeleteVm("srv-b2/2"))
    site.settle()
    site.now += 100
    site.engine.progress()
    site.settle()
    site.move("srv-a1/0", "srv-b1")


# What an edge cannot do


def refused(site: RoutedTwoDcs, name: str, to: str, why: str) -> None:
    """Assert that a move is refused with this reason, in a dry run too, and that all is as it was."""
    before, tables, records = site.engine.state, site.tables(), dict(site.store.records)
    move = StartMigration("m", name, to, activate_on="request")
    for attempt in (site.engine.dry_run, site.do):
        with pytest.raises(Refusal, match=why) as caught:
            attempt(move)
        assert caught.value.status == 409
    assert site.engine.state is before
    assert (site.tables(), site.store.records, site.waiting()) == (tables, records, [])


def limited(**more: object) -> Fabric:
    """tor-a has fewer abilities than others. Its servers are of all kinds: srv-a1 is in its domain."""
    tor = replace(FABRIC.switches["tor-a"], **more)  # type: ignore[arg-type]
    servers = {**FABRIC.servers, "srv-a1": PER_CUG.servers["srv-a1"]}
    return replace(FABRIC, switches={**FABRIC.switches, "tor-a": tor}, servers=servers)


def with_members(fabric: Fabric, *policies: PutPolicy) -> RoutedTwoDcs:
    site = RoutedTwoDcs(fabric, policies=policies)
    site.populate(0, ["srv-c1", "srv-b2"])
    site.populate(1, ["srv-d1"])
    return site


TARGETS = ("srv-a1", "srv-a2", "srv-a3")
"""In the domain of its switch, and trivial ones: with a VLAN-ID for each vNIC, and without any."""


@pytest.mark.requirement("R45", "R48a", "R48b")
@pytest.mark.parametrize("to", TARGETS)
def test_an_edge_without_room_for_the_policies_takes_no_vm(to: str) -> None:
    """Without the policies there would be room."""
    many = allow("many", "cug:cug0", "cug:cug1", protocol=make.TCP, ports=((1, 1000),))

    def flows(*policies: PutPolicy) -> int:
        site = with_members(limited(), *policies)
        site.do(StartMigration("m", "srv-c1/0", to, activate_on="request"))
        site.settle()
        return len(site.installed["tor-a"].flows)

    bare, needed = flows(), flows(many)
    assert bare < needed - 1
    site = with_members(limited(max_flows=needed - 1), many)
    refused(site, "srv-c1/0", to, f"R45: switch 'tor-a' takes {needed - 1} flows, and this would make {needed}")
    site.do(DeletePolicy("many"))
    site.settle()
    site.move("srv-c1/0", to)
    before = site.engine.state
    with pytest.raises(Refusal, match="R45: switch 'tor-a'"):  # nor does it get more than it can carry afterwards
        site.do(replace(many, ports=((1, 1000), (2001, 3000), (4001, 5000))))
    assert site.engine.state is before
    with_members(limited(max_flows=needed), many).move("srv-c1/0", to)


@pytest.mark.requirement("R45", "R48a", "R48b")
@pytest.mark.parametrize("to", TARGETS)
def test_an_edge_that_lacks_an_ability_takes_no_vm_that_needs_it(to: str) -> None:
    """A switch of plain OpenFlow 1.3 cannot tell replies by TCP flags."""
    replies = POLICIES[0]
    site = with_members(limited(dialect=Dialect.OPENFLOW13), replies)
    refused(site, "srv-c1/0", to, "R45: switch 'tor-a' cannot match tcp_flags, which policy database needs there")
    site.move("srv-c1/0", "srv-b1")  # another edge can
    site.do(replace(replies, replies=False))
    site.settle()
    site.do(StartMigration("m", "srv-c1/0", to))
    with pytest.raises(Refusal, match="R45: switch 'tor-a' cannot match tcp_flags"):  # while it is on its way there
        site.do(replies)
    site.settle()
    site.do(Abort("m"))
    site.settle()
    site.do(replies)
    site.settle()
    refused(site, "srv-c1/0", to, "R45: switch 'tor-a' cannot match tcp_flags")
