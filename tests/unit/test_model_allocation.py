"""VLAN-IDs: pinned, lowest free, refused when a domain is full, at rest after use, never lost."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from ryu_vmmob.fabric.model import Fabric, L2Domain, Link, PortRef, Role, Server, Switch
from ryu_vmmob.model import allocation
from ryu_vmmob.model.commands import Activate, Commit, DeleteCug, DeleteVm, EndQuarantines, PutCug, PutVm, StartMigration
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import State, with_fabric
from tests.support.commands import apply, cug, do, nic, start, vm
from tests.support.engine_site import Site
from tests.support.fabrics import LEFT_A, rooted, two_planes, two_racks

LONG = 1e9
EVERYBODY = {"tor-a": 10**6, "tor-b": 10**6, "spine": 10**6}


def numbers(state: State, name: str = "web") -> dict[str, int]:
    return dict(state.vlan_ids(name))


def holders_are_right(state: State) -> None:
    """`holders` is exactly what is in use and what is at rest, and nobody shares a number."""
    used = {(domain, number): key for key, row in state.allocations.items() for domain, number in row.items()}
    resting = {(domain, row.vlan_id): key for (domain, key), row in state.quarantine.items()}
    assert not used.keys() & resting.keys()
    assert dict(state.holders) == {**used, **resting}


# What is given


@pytest.mark.requirement("R28")
def test_the_lowest_free_number_of_each_domain_on_the_way() -> None:
    state = start(two_racks(), cug("web"), cug("db", 2), vm(), vm("web2", "b1", nic(12)))
    assert numbers(state) == {"rack-a": 100, "core": 200, "rack-b": 100}
    state = do(state, vm("db1", "a1", nic(11, "db", 2))).state
    assert numbers(state, "db") == {"rack-a": 101}
    holders_are_right(state)


@pytest.mark.requirement("R23")
def test_a_trivial_domain_has_no_number() -> None:
    state = start(two_racks(), cug(), vm("web1", "a3"))
    assert numbers(state) == {}
    assert state.server_vlan_id("web", "a3") is None


@pytest.mark.requirement("R28")
def test_a_pin_is_used_and_passed_over_by_others() -> None:
    state = start(two_racks(), cug("web", pins={"rack-a": 100}), cug("db", 2), vm("db1", "a1", nic(11, "db", 2)), vm())
    assert numbers(state, "db") == {"rack-a": 101}
    assert numbers(state) == {"rack-a": 100}


@pytest.mark.requirement("R20")
def test_numbers_are_reused_between_domains() -> None:
    fabric = two_racks(rack_a=range(100, 102), rack_b=range(100, 102))
    state = start(
        fabric, *(cug(f"c{n}", n) for n in range(1, 5)),
        *(vm(f"v{n}", "a1" if n < 3 else "b1", nic(11, f"c{n}", n)) for n in range(1, 5)),
    )  # fmt: skip
    assert [numbers(state, f"c{n}") for n in range(1, 5)] == [
        {"rack-a": 100}, {"rack-a": 101}, {"rack-b": 100}, {"rack-b": 101},
    ]  # fmt: skip


@pytest.mark.requirement("R29")
def test_more_cugs_than_one_domain_has_numbers() -> None:
    """R29: the fabric as a whole holds more CUGs than the 4,094 VLAN-IDs of one domain."""
    racks, each = 3, 1500
    domains = {f"rack-{r}": L2Domain(f"rack-{r}", tuple(range(1, 4095))) for r in range(racks)}
    domains["core"] = L2Domain("core", (1,))
    fabric = Fabric(
        "many", "02:00:5e:00:00:01", {}, domains,
        {"spine": Switch("spine", 99, Role.SPINE, "core")}
        | {f"tor-{r}": Switch(f"tor-{r}", r + 1, Role.TOR, f"rack-{r}") for r in range(racks)},
        tuple(Link(PortRef(f"tor-{r}", 49), PortRef("spine", r + 1), "core") for r in range(racks)),
        {f"s{r}": Server(f"s{r}", (PortRef(f"tor-{r}", 1),), f"rack-{r}") for r in range(racks)},
    )  # fmt: skip
    total = racks * each
    assert total > 4094
    put: list[PutCug | PutVm] = []
    for n in range(total):
        subnet = ip_network((0x0A000000 + n * 256, 24))
        put.append(PutCug(f"c{n}", (subnet,)))
        put.append(PutVm(f"v{n}", f"s{n % racks}", (Interface(f"c{n}", 0x020000000000 + n, (subnet[2],)),)))
    state = apply(with_fabric(None, fabric), *put).state
    for rack in range(racks):
        given = [numbers(state, f"c{n}") for n in range(rack, total, racks)]
        assert {domain for row in given for domain in row} == {f"rack-{rack}"}
        assert sorted(row[f"rack-{rack}"] for row in given) == list(range(1, each + 1))
    assert len(state.segment_names) == total
    holders_are_right(state)


# A full domain


@pytest.mark.requirement("R28")
def test_a_full_domain_refuses_and_leaves_everything_as_it_was() -> None:
    """R28, and the 409 says which domain, which CUG, and where its numbers are."""
    site = Site(two_racks(rack_b=[100]), cug("web"), cug("db", 2), vm("web1", "b1"), vm("db1", "a1", nic(11, "db", 2)))
    before, records = site.state, dict(site.store.records)
    with pytest.raises(Refusal) as refused:
        site.engine.execute(StartMigration("m1", "db1", "b1"))
    assert (refused.value.status, refused.value.title) == (409, "no VLAN-ID free")
    assert "R28" in refused.value.detail
    assert "'rack-b'" in refused.value.detail
    assert "'db'" in refused.value.detail
    assert site.state is before
    assert site.store.records == records
    site.engine.execute(StartMigration("m1", "db1", "b2"))


def test_a_transit_domain_that_is_full_refuses_too() -> None:
    fabric = two_racks(core=[200])
    state = start(fabric, cug("web"), cug("db", 2), vm(), vm("web2", "b1", nic(12)), vm("db1", "a1", nic(11, "db", 2)))
    with pytest.raises(Refusal, match=r"R28: L2 domain 'core'.*'db'.*all 1 are in use"):
        apply(state, vm("db2", "b1", nic(12, "db", 2)))
    apply(state, vm("db2", "a2", nic(12, "db", 2)))


@pytest.mark.requirement("R10")
def test_a_vm_in_two_cugs_moves_whole_or_not_at_all() -> None:
    """R10: one of its two CUGs finds no number in the target's domain, so neither gets one."""
    fabric = two_racks(rack_b=[100, 101])
    both = (nic(11), nic(11, "db", 2))
    before = start(fabric, cug("web"), cug("db", 2), cug("full", 3), vm("x", "b1", nic(11, "full", 3)), vm("both", "a1", *both))
    with pytest.raises(Refusal, match="R28"):
        apply(before, StartMigration("m1", "both", "b1"))
    assert numbers(before) == {"rack-a": 101}
    assert ("rack-b", 101) not in before.holders
    assert before.vms["both"].migration is None
    after = apply(before, StartMigration("m1", "both", "a2")).state
    assert after.vms["both"].migration == "m1"


def test_all_or_nothing_over_several_commands() -> None:
    before = start(two_racks(rack_a=[100]), cug("web"), cug("db", 2))
    with pytest.raises(Refusal, match="R28"):
        apply(before, vm(), vm("db1", "a2", nic(11, "db", 2)))
    assert not before.vms
    assert not before.holders


# Rest after use


def test_its_own_number_comes_back_within_the_quarantine() -> None:
    state = start(two_racks(), cug("web"), cug("db", 2), vm())
    state = do(state, DeleteVm("web1"), now=10.0).state
    assert state.quarantine["rack-a", 1].vlan_id == 100
    state = do(state, vm("db1", "a1", nic(11, "db", 2))).state
    assert numbers(state, "db") == {"rack-a": 101}
    state = do(state, vm()).state
    assert numbers(state) == {"rack-a": 100}
    assert not state.quarantine
    holders_are_right(state)


@pytest.mark.parametrize(
    ("now", "confirmed", "over"),
    [
        pytest.param(69.9, EVERYBODY, False, id="too early"),
        pytest.param(70.0, {"tor-a": 10**6}, True, id="every switch of the domain, others do not matter"),
        pytest.param(LONG, {"tor-b": 10**6, "spine": 10**6}, False, id="the domain's switch is away"),
        pytest.param(LONG, {**EVERYBODY, "tor-a": 0}, False, id="the domain's switch has not confirmed the release"),
    ],
)
def test_others_wait_for_time_and_for_every_switch_of_the_domain(now: float, confirmed: dict[str, int], over: bool) -> None:
    state = start(two_racks(rack_a=[100]), cug("web"), cug("db", 2), vm())
    state = do(state, DeleteVm("web1"), now=10.0).state
    with pytest.raises(Refusal, match=r"quarantine \(1\)"):
        apply(state, vm("db1", "a1", nic(11, "db", 2)))
    state = apply(state, EndQuarantines(60.0, confirmed), now=now).state
    assert bool(state.quarantine) is not over
    holders_are_right(state)
    if over:
        state = apply(state, vm("db1", "a1", nic(11, "db", 2))).state
        assert numbers(state, "db") == {"rack-a": 100}
    else:
        with pytest.raises(Refusal, match="R28"):
            apply(state, vm("db1", "a1", nic(11, "db", 2)))


def test_the_release_is_confirmed_by_the_very_revision_that_made_it() -> None:
    """A switch that has confirmed only what came before the release may still use the number."""
    state = start(two_racks(rack_a=[100]), cug("web"), vm())
    earlier = state.revision
    state = do(state, DeleteVm("web1"), now=10.0).state
    assert apply(state, EndQuarantines(60.0, {"tor-a": earlier}), now=LONG).state is state
    assert not apply(state, EndQuarantines(60.0, {"tor-a": state.revision}), now=LONG).state.quarantine


def test_a_cug_made_anew_under_the_same_name_is_another_segment() -> None:
    """Its key and its VLAN-ID are not those a switch that was away may still know."""
    state = start(two_racks(), cug(), vm())
    first = state.cugs["web"].key
    state = do(state, DeleteVm("web1"), DeleteCug("web"), cug(), vm()).state
    assert state.cugs["web"].key != first
    assert numbers(state) == {"rack-a": 101}
    holders_are_right(state)


def test_a_move_there_and_back_gets_the_same_numbers() -> None:
    state = start(two_racks(), cug("web"), cug("db", 2), vm(), vm("web2", "a2", nic(12)))
    state = do(state, StartMigration("m1", "web1", "b1"), Activate("m1"), Commit("m1"), now=1).state
    there = numbers(state)
    state = do(state, StartMigration("m2", "web1", "a1"), Activate("m2"), Commit("m2"), now=2).state
    state = do(state, vm("db1", "b1", nic(11, "db", 2))).state
    state = do(state, StartMigration("m3", "web1", "b1"), Activate("m3"), Commit("m3"), now=3).state
    assert numbers(state) == there == {"rack-a": 100, "core": 200, "rack-b": 100}
    holders_are_right(state)


# Pins


def test_a_number_at_rest_is_not_lost_when_its_cug_is_pinned_to_another() -> None:
    """A pin that differs from the number the CUG gave back waits until that is free: one rest per CUG and domain."""
    state = start(two_racks(), cug(), vm())
    state = do(state, DeleteVm("web1"), now=10.0).state
    with pytest.raises(Refusal) as refused:
        apply(state, cug(pins={"rack-a": 105}))
    assert refused.value.status == 409
    assert "R28" in refused.value.detail
    assert "quarantine" in refused.value.detail
    same = do(state, cug(pins={"rack-a": 100}), vm()).state
    assert numbers(same) == {"rack-a": 100}
    rested = apply(state, EndQuarantines(60.0, EVERYBODY), now=LONG).state
    rested = do(rested, cug(pins={"rack-a": 105}), vm()).state
    assert numbers(rested) == {"rack-a": 105}
    rested = do(rested, DeleteVm("web1"), now=LONG).state
    rested = apply(rested, EndQuarantines(60.0, EVERYBODY), now=2 * LONG).state
    assert not rested.holders


def test_a_pin_taken_back_leaves_the_number_in_use() -> None:
    state = do(start(two_racks(), cug(pins={"rack-a": 105}), vm()), cug()).state
    assert numbers(state) == {"rack-a": 105}
    assert not state.pins


# Segment keys


def test_keys_go_round_before_one_is_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deleted CUG's key rests as long as possible, also after the last key has been given."""
    monkeypatch.setattr(allocation, "MAX_SEGMENT_KEY", 4)
    state = start(two_racks(), *(cug(f"c{n}", n) for n in range(1, 5)))
    state = do(state, DeleteCug("c1"), DeleteCug("c2"), DeleteCug("c3")).state
    given = []
    for n in range(5, 9):
        state = do(state, cug(f"c{n}", n)).state
        given.append(state.cugs[f"c{n}"].key)
        state = do(state, DeleteCug(f"c{n}")).state
    assert given == [1, 2, 3, 1]


def test_a_key_with_a_number_at_rest_is_not_given_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the new CUG would get the old one's VLAN-ID back, which a switch that is away still knows."""
    monkeypatch.setattr(allocation, "MAX_SEGMENT_KEY", 2)
    state = start(two_racks(), cug("c1"), vm("v", "a1", nic(11, "c1")), DeleteVm("v"), DeleteCug("c1"), cug("c2", 2))
    with pytest.raises(Refusal, match="the most this controller can tell apart"):
        apply(state, cug("c3", 3))
    state = apply(state, EndQuarantines(60.0, EVERYBODY), now=LONG).state
    assert do(state, cug("c3", 3)).state.cugs["c3"].key == 1


# Starved after a link failure


def starving() -> tuple[Site, str, str]:
    """Two CUGs lose their way over plane-1; plane-2 has one number, so the second CUG finds none."""
    fabric = two_planes(second=[300])
    one, two = sorted(rooted(fabric, "spine-1", 2))
    hosts = [(f"{name}-{host}", server, nic(host, name, n)) for n, name in ((1, one), (2, two))
             for host, server in ((11, "a1"), (12, "b1"), (13, "b1"))]  # fmt: skip
    site = Site(fabric, cug(one, 1), cug(two, 2), *(vm(name, server, row) for name, server, row in hosts))
    site.engine.network.links_seen(frozenset({LEFT_A}))
    site.confirm()
    assert site.state.starved == {(two, "plane-2")}
    assert numbers(site.state, one) == {"rack-a": 100, "rack-b": 100, "plane-2": 300}
    return site, one, two


def test_a_link_failure_starves_and_the_next_free_number_heals() -> None:
    site, one, two = starving()
    for host in (12, 13):
        site.engine.execute(DeleteVm(f"{one}-{host}"))
    site.confirm()
    assert site.state.starved
    site.now += 61
    site.engine.progress()
    site.confirm()
    assert not site.state.starved
    assert numbers(site.state, two) == {"rack-a": 101, "rack-b": 101, "plane-2": 300}


def test_the_links_return_ends_the_starving() -> None:
    site, one, two = starving()
    site.engine.network.links_seen(frozenset())
    site.confirm()
    assert not site.state.starved
    assert numbers(site.state, two) == {"rack-a": 101, "rack-b": 101, "plane-1": 201}
    assert numbers(site.state, one) == {"rack-a": 100, "rack-b": 100, "plane-1": 200}


def test_a_starved_cug_can_still_be_worked_with() -> None:
    """What does not need another number is not refused for the one that is missing already: VMs go, moves end."""
    site, _, two = starving()
    site.engine.execute(DeleteVm(f"{two}-13"))
    site.engine.execute(StartMigration("m1", f"{two}-12", "b2"))
    site.confirm()
    site.engine.execute(Activate("m1"))
    site.confirm()
    assert site.state.migrations["m1"].phase.value == "committed"
    assert site.state.starved == {(two, "plane-2")}


def test_starving_survives_a_restart() -> None:
    site, _, two = starving()
    again = site.restart(connected=True)
    assert again.state.starved == {(two, "plane-2")}
    again.engine.execute(DeleteVm(f"{two}-13"))
