"""Section 3.1 of the draft: VLAN-IDs that guests send themselves, and what they ask of the domains they come to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.model.commands import PutVm, StartMigration
from ryu_vmmob.model.placement import placements
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim.network import Journey
from tests.conformance.two_dcs import FABRIC, PER_CUG, TwoDcs
from tests.support.world import cug, interface, vm

OWN = 160
"""A guest's own tag that rack-a and rack-b have among their numbers, and pod-c does not."""
ALIEN = 4000
"""One that no domain has."""
PEERS = ("srv-a2", "srv-b2", "srv-c2")


def fabric(*translating: str) -> Fabric:
    """Two data centres with VLAN-IDs per CUG; ports of the named domains may translate guests' tags."""
    domains = {name: replace(row, translate_guest_tags=name in translating) for name, row in PER_CUG.l2_domains.items()}
    return replace(PER_CUG, l2_domains=domains)


EVERYWHERE = fabric("rack-a", "rack-b", "pod-c")
KINDS = {"per_cug": EVERYWHERE, "per_interface": FABRIC}


def tagger(server: str, *guests: int | None) -> PutVm:
    """VM ``tagger`` with an interface in CUG 0, 1, ... for each of ``guests``: its own tag there, or None."""
    return vm("tagger", server, *(interface(number, 99, guest=guest) for number, guest in enumerate(guests)))


def wire(site: TwoDcs, name: str, number: int) -> tuple[int, ...]:
    """The tag of a VM's frames between its server and the switch."""
    return site.tags(name, number)


def said(site: TwoDcs, name: str, peer: str, number: int) -> Journey:
    """A packet from one member to another, as it is on the wire."""
    return site.inject(site.frame(name, peer, number).with_vlans(*wire(site, name, number)), site.engine.state.vms[name].server)


def reach_each_other(site: TwoDcs, name: str, peers: Iterable[str], number: int) -> None:
    """Both ways, each under its own tag; in between, on every link, under the VLAN-ID of that link's domain."""
    numbers = site.engine.state.vlan_ids(f"cug{number}")
    for peer in peers:
        for one, other in ((name, peer), (peer, name)):
            journey = said(site, one, other, number)
            ((port, arrived),) = journey.deliveries
            assert site.fabric.server_at[port].name == site.engine.state.vms[other].server
            assert arrived.vlans == wire(site, other, number)
            assert all(packet.vlans == (numbers[link.l2_domain],) for link, _, packet in journey.crossings)


def refusal(site: TwoDcs, *commands: object) -> str:
    """Why commands are refused, with 409 and without a trace."""
    before = site.engine.state
    with pytest.raises(Refusal) as refused:
        site.do(*commands)  # type: ignore[arg-type]
    assert refused.value.status == 409
    assert site.engine.state is before
    return refused.value.detail


@pytest.mark.requirement("R24", "R25", "R22")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("own", [OWN, ALIEN])
def test_a_guests_tag_is_the_same_wherever_it_goes(own: int, kind: str) -> None:
    """Tagged, untagged, a LAG, another data centre and back; the peers, the domains and the ports between say other numbers."""
    site = TwoDcs(KINDS[kind])
    site.populate(0, PEERS)
    site.do(tagger("srv-a1", own))
    site.settle()
    for to in ("srv-b1", "srv-a3", "srv-c1", "srv-d1", "srv-a1"):
        migration = site.move("tagger", to)
        assert [(leg.from_vlan_id, leg.to_vlan_id) for leg in migration.legs] == [(None, None)]  # nobody adds anything
        assert wire(site, "tagger", 0) == (own,)
        reach_each_other(site, "tagger", [f"{peer}/0" for peer in PEERS], 0)
        bare = site.frame("tagger", f"{PEERS[0]}/0", 0)
        domain = site.fabric.servers[to].l2_domain
        wrongs: list[tuple[int, ...]] = [(), (own + 1,)]
        if domain is not None and own != site.engine.state.vlan_ids("cug0")[domain]:
            wrongs.append((site.engine.state.vlan_ids("cug0")[domain],))
        for wrong in wrongs:
            assert site.inject(bare.with_vlans(*wrong), to).deliveries == []


@pytest.mark.requirement("R24", "R27")
def test_the_domains_vlan_id_follows_the_guest_where_it_can() -> None:
    """Nobody translates: the CUG gets the guest's number in each domain that it comes to with it."""
    site = TwoDcs(fabric())
    site.do(tagger("srv-a1", OWN))
    site.settle()
    site.move("tagger", "srv-b1")
    site.populate(0, ["srv-a2"])
    assert site.engine.state.vlan_ids("cug0")["rack-b"] == OWN
    reach_each_other(site, "tagger", ["srv-a2/0"], 0)
    detail = refusal(site, StartMigration("n", "tagger", "srv-c1"))
    assert all(word in detail for word in ("R24", "R27", "R28", "'pod-c'", "'cug0'", f"{OWN} is not among its VLAN-IDs"))
    site.move("tagger", "srv-a3")  # a trivial domain has no VLAN-ID that the tag could collide with


@pytest.mark.requirement("R24", "R27", "R28")
def test_a_collision_is_refused_and_names_the_other_cug() -> None:
    site = TwoDcs(fabric(), cugs=0)
    site.do(replace(cug(0), pins={"rack-b": OWN}), cug(1))
    site.populate(0, ["srv-b2"])
    site.do(vm("tagger", "srv-a1", interface(1, 99, guest=OWN)))
    site.settle()
    detail = refusal(site, StartMigration("n", "tagger", "srv-b1"))
    assert all(word in detail for word in ("R24", "R27", "R28", "CUG 'cug1'", "'rack-b'", f"{OWN} is that of CUG 'cug0'"))
    assert site.engine.state.vms["tagger"].migration is None


@pytest.mark.requirement("R24", "R25", "R28")
def test_where_the_port_translates_a_tag_collides_at_the_server_only() -> None:
    """The domain's number may be another CUG's; on the cable of one server it cannot be two CUGs'."""
    site = TwoDcs(EVERYWHERE, cugs=0)
    site.do(replace(cug(0), pins={"rack-b": OWN}), cug(1))
    site.populate(0, ["srv-b2", "srv-a2"])
    site.populate(1, ["srv-b2", "srv-a2"])
    site.do(vm("tagger", "srv-a1", interface(1, 99, guest=OWN)))
    site.settle()
    detail = refusal(site, StartMigration("n", "tagger", "srv-b2"))
    assert all(word in detail for word in ("R24", "R28", "'srv-b2'", "'cug0'", "'cug1'", str(OWN)))
    site.move("tagger", "srv-b1")
    assert site.engine.state.vlan_ids("cug1")["rack-b"] != OWN
    reach_each_other(site, "tagger", ["srv-b2/1", "srv-a2/1"], 1)
    detail = refusal(site, site.host("srv-b1", 0))  # nor can the other CUG come to the guest
    assert all(word in detail for word in ("R24", "R28", "'srv-b1'", "'cug0'", "'cug1'"))


@pytest.mark.requirement("R24", "R27", "R28")
def test_with_a_tag_per_interface_a_guests_tag_collides_with_one_vnic_and_nothing_else() -> None:
    """The number that is another's is refused, and that vNIC is not numbered again under its owner."""
    site = TwoDcs(FABRIC)
    site.do(vm("pinned", "srv-b2", replace(interface(0, 98), vlan_id=OWN)))
    site.do(vm("tagger", "srv-a1", interface(1, 99, guest=OWN)))
    site.settle()
    detail = refusal(site, StartMigration("n", "tagger", "srv-b2"))
    assert detail.startswith("R24, R28: ")
    assert all(word in detail for word in ("'tagger'", "'cug1'", "'srv-b2'", "'cug0'", str(OWN)))
    detail = refusal(site, StartMigration("n", "pinned", "srv-a1"))
    assert detail.startswith("R27, R28: ")
    site.populate(1, ["srv-b2"])
    site.move("tagger", "srv-b1")  # the same switch, and the same domain: each cable has numbers of its own
    reach_each_other(site, "tagger", ["srv-b2/1"], 1)


@pytest.mark.requirement("R28")
def test_two_cugs_whose_guests_use_one_tag_are_apart_in_one_domain() -> None:
    site = TwoDcs(EVERYWHERE)
    for number, server in ((0, "srv-a1"), (1, "srv-a2")):
        site.do(vm(f"t{number}", server, interface(number, 90 + number, guest=OWN)))
        site.populate(number, ["srv-b2"])
    numbers = [site.engine.state.vlan_ids(f"cug{number}")["rack-a"] for number in (0, 1)]
    assert numbers[0] != numbers[1]
    for number in (0, 1):
        reach_each_other(site, f"t{number}", [f"srv-b2/{number}"], number)
    assert refusal(site, StartMigration("n", "t0", "srv-a2")).startswith("R24, R28: at server 'srv-a2'")
    site.check()


@pytest.mark.requirement("R8", "R10", "R24", "R25")
@pytest.mark.parametrize("kind", KINDS)
def test_a_vm_in_three_cugs_of_every_kind_moves_as_a_whole(kind: str) -> None:
    """One interface that the hypervisor tags, one whose guest's tag is the domain's, one that is translated."""
    site = TwoDcs(KINDS[kind], cugs=4)
    for number in range(4):
        site.populate(number, ["srv-b2"])
    site.do(tagger("srv-a1", None, OWN, ALIEN))
    site.settle()
    for to in ("srv-c1", "srv-a3", "srv-b1", "srv-a1"):
        migration = site.move("tagger", to)
        assert [leg.cug for leg in migration.legs] == ["cug0", "cug1", "cug2"]
        assert [leg.to_vlan_id for leg in migration.legs] == [next(iter(site.tags("tagger", 0)), None), None, None]
        for number in range(3):
            reach_each_other(site, "tagger", [f"srv-b2/{number}"], number)
    before = site.engine.state
    site.do(vm("other", "srv-c1", interface(3, 98, guest=ALIEN)))
    site.settle()
    detail = refusal(site, StartMigration("n", "tagger", "srv-c1"))
    assert "'cug3'" in detail
    assert site.engine.state.vms["tagger"] is before.vms["tagger"]  # and none of the three has gone ahead


@pytest.mark.requirement("R25")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("server", ["srv-a1", "srv-a3", "srv-b1"], ids=["tagged", "untagged", "lag"])
def test_guests_of_one_cug_on_one_server_reach_each_other_under_different_tags(server: str, kind: str) -> None:
    """To their virtual switch they are in different VLANs: the fabric carries their frames from one to the other."""
    site = TwoDcs(KINDS[kind])
    site.populate(0, ["srv-a2"])
    tags = (None, OWN, ALIEN)
    for host, own in enumerate(tags):
        site.do(vm(f"t{host}", server, interface(0, 90 + host, guest=own)))
    site.settle(checked=True)
    site.check()
    for host in range(3):
        reach_each_other(site, f"t{host}", [*(f"t{other}" for other in range(3) if other != host), "srv-a2/0"], 0)
        one = site.card(f"t{host}", 0)
        shout = make.broadcast(one.mac, int(one.ips[0])).with_vlans(*wire(site, f"t{host}", 0))
        copies = site.inject(shout, server).deliveries
        heard = sorted((site.fabric.server_at[port].name, packet.vlans) for port, packet in copies)
        others = [(server, wire(site, f"t{other}", 0)) for other in range(3) if other != host]
        assert heard == sorted([*others, ("srv-a2", wire(site, "srv-a2/0", 0))])
        # Under a tag that is another guest's nobody is admitted with its own MAC.
        lie = site.frame(f"t{host}", "srv-a2/0", 0).with_vlans(*wire(site, f"t{(host + 1) % 3}", 0))
        assert site.inject(lie, server).deliveries == []


@pytest.mark.requirement("R27")
@pytest.mark.parametrize(
    ("plan", "possible"),
    [
        (fabric(), {"srv-a2", "srv-a3"}),
        (fabric("rack-b"), {"srv-a2", "srv-a3", "srv-b1"}),
        (EVERYWHERE, {"srv-a2", "srv-a3", "srv-b1", "srv-c1", "srv-c2", "srv-d1"}),
        (FABRIC, {"srv-a2", "srv-a3", "srv-b1", "srv-b2", "srv-c1", "srv-c2", "srv-d1"}),
    ],
    ids=["nobody translates", "rack-b does", "all do", "per interface"],
)
def test_the_planner_names_exactly_the_servers_a_vm_can_move_to(plan: Fabric, possible: set[str]) -> None:
    """Where it says yes the move is carried out with every invariant in every step; where no, the reason is the move's own."""
    yes = set()
    for target in sorted(plan.servers):
        site = TwoDcs(plan, cugs=0)
        site.do(replace(cug(0), pins={"rack-b": OWN}), cug(1), cug(2))
        site.populate(0, ["srv-b2", "srv-c1"])
        site.populate(2, ["srv-a2"])
        site.do(vm("tagger", "srv-a1", interface(1, 99, guest=OWN), interface(2, 99)))
        site.settle()
        row = {row.server: row for row in placements(site.engine.state, "tagger", site.engine.dry_run)}[target]
        if row.reason is None:
            yes.add(target)
            migration = site.move("tagger", target)
            assert [(one.from_vlan_id, one.to_vlan_id) for one in row.interfaces] == [
                (leg.from_vlan_id, leg.to_vlan_id) for leg in migration.legs
            ]
            number = site.engine.state.vlan_id("cug1", plan.servers[target].l2_domain or "")
            assert [one.translated for one in row.interfaces] == [number not in (None, OWN), False]
        else:
            assert refusal(site, StartMigration("n", "tagger", target)) == row.reason
    assert yes == possible
