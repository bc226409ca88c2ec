"""VLAN-IDs of vNICs on cables with tagging per interface: which one, who else may have it, and how long it rests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.model.commands import Abort, Activate, Command, Commit, DeleteVm, EndQuarantines, Prepared, StartMigration
from ryu_vmmob.model.fabric_change import FabricReplaced
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import Claim, State
from ryu_vmmob.store.base import StoreError
from tests.support.commands import apply, cug, do, nic, same, start, vm
from tests.support.engine_site import Site
from tests.support.fabrics import per_interface, two_racks
from tests.support.memory_store import MemoryStore

pytestmark = pytest.mark.requirement("R28")

WIDE = per_interface(two_racks(), "a1", "b1", "b3")
EVERYBODY = {"tor-a": 10**6, "tor-b": 10**6, "spine": 10**6}
LONG = 10_000.0


def narrow(**ranges: range) -> Fabric:
    """Two racks in which these servers give their vNICs these numbers."""
    fabric = two_racks()
    for name, vlan_ids in ranges.items():
        fabric = per_interface(fabric, name, vlan_ids=vlan_ids)
    return fabric


def pinned(host: int, vlan_id: int, name: str = "web", net: int = 1) -> Interface:
    return replace(nic(host, name, net), vlan_id=vlan_id)


def tagging(host: int, vlan_id: int, name: str = "web", net: int = 1) -> Interface:
    """A vNIC whose guest sends this tag itself."""
    return replace(nic(host, name, net), guest_vlan_id=vlan_id)


def has(state: State, name: str = "web1") -> Mapping[str, tuple[int, ...]]:
    return state.vms[name].vlan_ids


def rests(state: State) -> dict[tuple[str, int], str]:
    return {pair: row.vm for pair, row in state.resting.items()}


def moved(name: str, to: str, id_: str) -> tuple[Command, ...]:
    return (StartMigration(id_, name, to), Prepared(id_), Activate(id_), Commit(id_))


def refused(state: State, *commands: Command) -> str:
    """Why the last of the commands is refused; nothing has changed."""
    if commands[:-1]:
        state = do(state, *commands[:-1]).state
    with pytest.raises(Refusal) as caught:
        apply(state, commands[-1])
    assert caught.value.status == 409
    return caught.value.detail


# Which number


def test_every_vnic_has_a_number_of_its_own_within_the_range() -> None:
    fabric = narrow(a1=range(10, 30))
    state = start(fabric, cug(), cug("db", 2), *(vm(f"v{n}", "a1", nic(2 + n), nic(2 + n, "db", 2)) for n in range(10)))
    numbers = [number for n in range(10) for number in has(state, f"v{n}")["a1"]]
    assert sorted(numbers) == list(range(10, 30))
    assert {number: claim.cug for number, claim in state.cables["a1"].items()} == {
        number: name for n in range(10) for number, name in zip(has(state, f"v{n}")["a1"], ("web", "db"), strict=True)
    }
    assert "R28: server 'a1' has no free VLAN-ID for VM 'late' in CUG 'web': all 20 are in use or at rest (0)" in refused(
        state, vm("late", "a1", nic(99))
    )


def test_a_server_of_another_kind_gives_no_numbers() -> None:
    state = start(WIDE, cug(), vm("web1", "a2"), vm("web2", "a3", nic(12)))
    assert (has(state, "web1"), has(state, "web2"), dict(state.cables), dict(state.vnics)) == ({}, {}, {}, {})


def test_a_move_keeps_the_number_and_there_and_back_leaves_no_trace() -> None:
    state = start(WIDE, cug(), vm())
    (kept,) = has(state)["a1"]
    there = do(state, StartMigration("m1", "web1", "b1"))
    assert has(there.state) == {"a1": (kept,), "b1": (kept,)}
    assert [(leg.from_vlan_id, leg.to_vlan_id) for leg in there.state.migrations["m1"].legs] == [(kept, kept)]
    state = do(there.state, Prepared("m1"), Activate("m1"), Commit("m1"), now=1.0).state
    assert has(state) == {"b1": (kept,)}
    assert rests(state) == {("a1", kept): "web1"}
    state = do(state, *moved("web1", "a1", "m2")).state
    assert has(state) == {"a1": (kept,)}
    assert rests(state) == {("b1", kept): "web1"}


def test_the_number_where_it_is_goes_along_only_where_it_is_free_and_given() -> None:
    fabric = narrow(a1=range(10, 12), b1=range(11, 13), b3=range(20, 22))
    state = start(fabric, cug(), vm("web1", "a1"), vm("web2", "a1", nic(12)), vm("taker", "b1", pinned(13, 11)))
    mover = next(name for name in ("web1", "web2") if has(state, name)["a1"] == (11,))
    there = do(state, StartMigration("m1", mover, "b1")).state
    assert has(there, mover)["b1"] == (12,)  # 11 is the taker's
    there = do(state, StartMigration("m1", mover, "b3")).state
    assert has(there, mover)["b3"][0] in (20, 21)  # 11 is none that b3 gives


def test_what_rested_there_comes_before_what_it_has_where_it_is() -> None:
    """It had 10 at a1 a moment ago, and has 30 at b1, which a1 gives as well: it gets 10 again."""
    fabric = narrow(a1=range(10, 40), b1=range(30, 31))
    state = start(fabric, cug(), vm("web1", "a1", pinned(11, 10)))
    state = do(state, DeleteVm("web1"), vm("web1", "b1"), now=1.0).state
    assert has(state) == {"b1": (30,)}
    there = do(state, StartMigration("m1", "web1", "a1")).state
    assert has(there)["a1"] == (10,)
    later = apply(state, EndQuarantines(60.0, EVERYBODY), now=LONG).state
    assert has(do(later, StartMigration("m1", "web1", "a1"), now=LONG).state)["a1"] == (30,)


def test_a_new_number_is_a_rare_one_and_no_reserved_one() -> None:
    """What pins and guests need wherever they go is given last, and what nobody has comes first."""
    fabric = narrow(a1=range(10, 14), b1=range(10, 14))
    state = start(fabric, cug(), vm("pin", "a1", pinned(50, 10)), vm("own", "a1", tagging(51, 11)))
    state = do(state, vm("v1", "b1", nic(12)), vm("v2", "b1", nic(13))).state
    assert {has(state, "v1")["b1"][0], has(state, "v2")["b1"][0]} == {12, 13}
    state = do(state, vm("v3", "b1", nic(14)), vm("v4", "b1", nic(15))).state
    assert {has(state, name)["b1"][0] for name in ("v3", "v4")} == {10, 11}
    wide = start(narrow(a1=range(10, 20), b1=range(10, 20)), cug(), *(vm(f"a{n}", "a1", nic(20 + n)) for n in range(5)))
    rare = do(wide, *(vm(f"b{n}", "b1", nic(30 + n)) for n in range(5))).state
    assert sorted(rare.vnic_counts.values()) == [1] * 10
    assert (rare.vnics_in_all, len(rare.vnic_counts)) == (10, 10)


# Guests with a tag of their own


@pytest.mark.requirement("R24")
def test_a_guests_own_tag_is_its_number_whatever_the_server_gives() -> None:
    state = start(narrow(a1=range(10, 20), b1=range(10, 20)), cug(), vm("web1", "a1", tagging(11, 777)))
    assert has(state) == {"a1": (777,)}
    assert state.added_vlan_id(state.vms["web1"], 0, "a1") is None
    assert state.vnic_vlan_id(state.vms["web1"], 0, "a1") == 777
    state = do(state, vm("web2", "a1", tagging(12, 777))).state
    assert state.cables["a1"][777] == Claim("web", 2, guests=True)
    state = do(state, *moved("web1", "b1", "m1")).state
    assert (has(state), state.cables["a1"][777].seats, rests(state)) == ({"b1": (777,)}, 1, {})


@pytest.mark.requirement("R24")
def test_a_guests_own_tag_is_refused_where_it_is_anothers() -> None:
    state = start(narrow(a1=range(10, 11), b1=range(10, 20)), cug(), cug("db", 2), vm("web1", "a1"))
    whose = "R24, R28: VLAN-ID {} is the own tag of VM 'own' in CUG '{}', but at server 'a1' "
    assert refused(state, vm("own", "a1", tagging(12, 10))) == whose.format(10, "web") + "a vNIC in CUG 'web' has it"
    assert (
        refused(state, vm("other", "a1", tagging(13, 50, "db", 2)), vm("own", "a1", tagging(12, 50)))
        == whose.format(50, "web") + "a vNIC in CUG 'db' has it"
    )
    assert refused(state, vm("own", "a1", tagging(12, 50), tagging(12, 50, "db", 2))) == (
        whose.format(50, "db") + "another of its interfaces has it"
    )
    assert refused(state, DeleteVm("web1"), vm("own", "a1", tagging(12, 10))) == (
        whose.format(10, "web") + "another vNIC had it until a moment ago"
    )
    # Also when it comes by a move; and the VM stays as it was.
    state = do(state, vm("own", "b1", tagging(12, 10))).state
    assert refused(state, StartMigration("m1", "own", "a1")) == whose.format(10, "web") + "a vNIC in CUG 'web' has it"


@pytest.mark.requirement("R24")
def test_no_vnic_is_given_a_number_that_a_guest_there_tags_with() -> None:
    state = start(narrow(a1=range(10, 12)), cug(), vm("own", "a1", tagging(12, 10)), vm("web1", "a1"))
    assert has(state)["a1"] == (11,)
    assert "R28" in refused(state, vm("web2", "a1", nic(13)))


# Pins


@pytest.mark.requirement("R27")
def test_a_pin_holds_at_every_server_or_is_refused() -> None:
    fabric = narrow(a1=range(10, 20), b1=range(15, 20), b3=range(10, 20))
    state = start(fabric, cug(), vm("web1", "a1", pinned(11, 12)), vm("web2", "b3", pinned(12, 12)))
    assert (has(state, "web1"), has(state, "web2")) == ({"a1": (12,)}, {"b3": (12,)})
    whose = "VM 'web1' is pinned to VLAN-ID 12 in CUG 'web', "
    assert refused(state, StartMigration("m1", "web1", "b1")) == (
        f"R27: {whose}but at server 'b1' it is not among those that vNICs may get"
    )
    assert refused(state, StartMigration("m1", "web1", "b3")) == f"R27, R28: {whose}but at server 'b3' another vNIC has it"
    assert refused(state, DeleteVm("web2"), StartMigration("m1", "web1", "b3")) == (
        f"R27, R28: {whose}but at server 'b3' another vNIC had it until a moment ago"
    )
    assert refused(state, StartMigration("m1", "web1", "b2")) == f"R27: {whose}and at server 'b2' it would have none"
    assert refused(state, StartMigration("m1", "web1", "a2")) == f"R27: {whose}and at server 'a2' it would have VLAN-ID 100"
    assert refused(start(fabric, cug()), vm("two", "a1", pinned(11, 50))).startswith("R27: VM 'two' is pinned to VLAN-ID 50")


@pytest.mark.requirement("R27")
def test_a_pin_beside_servers_of_the_other_kinds_holds_where_the_domain_has_that_number() -> None:
    state = start(narrow(a1=range(100, 120)), cug(pins={"rack-a": 105, "rack-b": 105}), vm("web1", "a1", pinned(11, 105)))
    there = do(state, StartMigration("m1", "web1", "b3")).state
    assert [(leg.from_vlan_id, leg.to_vlan_id) for leg in there.migrations["m1"].legs] == [(105, 105)]


def test_two_interfaces_of_one_vm_never_share_a_number() -> None:
    fabric = narrow(a1=range(10, 12), b1=range(10, 12))
    state = start(fabric, cug(), cug("db", 2), vm("web1", "a1", nic(11), nic(11, "db", 2)))
    assert sorted(has(state)["a1"]) == [10, 11]
    assert has(do(state, StartMigration("m1", "web1", "b1")).state)["b1"] == has(state)["a1"]
    assert "another vNIC has it" in refused(
        start(fabric, cug(), cug("db", 2)), vm("web1", "a1", pinned(11, 10), pinned(11, 10, "db", 2))
    )


# Rest


def test_a_number_rests_until_time_is_over_and_the_servers_switch_is_past_its_release() -> None:
    state = start(narrow(a1=range(10, 11)), cug(), vm("web1", "a1"))
    state = do(state, DeleteVm("web1"), now=100.0).state
    (row,) = state.resting.values()
    assert (row.vm, row.cug, row.since) == ("web1", "web", 100.0)
    late = vm("late", "a1", nic(12))
    assert "all 1 are in use or at rest (1)" in refused(state, late)
    asleep: tuple[tuple[float, Mapping[str, int]], ...] = (
        (159.9, EVERYBODY),
        (160.0, {}),
        (160.0, {"tor-a": row.revision - 1, "tor-b": 10**6, "spine": 10**6}),
    )
    for now, acknowledged in asleep:
        assert apply(state, EndQuarantines(60.0, acknowledged), now=now).state is state
    woken = apply(state, EndQuarantines(60.0, {"tor-a": row.revision}), now=160.0).state
    assert (dict(woken.resting), dict(woken.rested)) == ({}, {})
    assert has(do(woken, late).state, "late") == {"a1": (10,)}


def test_a_number_at_rest_is_its_own_interfaces_again_at_once() -> None:
    state = start(narrow(a1=range(10, 11)), cug(), cug("db", 2), vm("web1", "a1"))
    state = do(state, DeleteVm("web1"), now=100.0).state
    assert "R28" in refused(state, vm("web1", "a1", nic(11, "db", 2)))  # another interface, though of a VM of this name
    again = do(state, vm("web1", "a1"), now=101.0).state
    assert (has(again), dict(again.resting), dict(again.rested)) == ({"a1": (10,)}, {}, {})


def test_an_aborted_move_lets_the_number_at_the_target_rest() -> None:
    state = start(WIDE, cug(), vm())
    (number,) = has(state)["a1"]
    state = do(state, StartMigration("m1", "web1", "b1"), Prepared("m1"), Abort("m1"), now=2.0).state
    assert (has(state), rests(state)) == ({"a1": (number,)}, {("b1", number): "web1"})


@pytest.mark.parametrize("change", ["another pin", "a guest's tag"])
def test_a_number_rests_also_when_its_interface_takes_another_one_there(change: str) -> None:
    """Its server's switch may go on with the old one for a while: nobody else may be given it."""
    fabric = narrow(a1=range(10, 12))
    state = start(fabric, cug(), vm("web1", "a1", pinned(11, 10)))
    other = pinned(11, 11) if change == "another pin" else tagging(11, 11)
    state = do(state, vm("web1", "a1", other)).state
    assert (has(state), rests(state)) == ({"a1": (11,)}, {("a1", 10): "web1"})
    assert "all 2 are in use or at rest (1)" in refused(state, vm("web2", "a1", nic(12)))
    back = do(state, vm("web1", "a1", pinned(11, 10))).state
    assert has(back) == {"a1": (10,)}
    assert rests(back) == ({("a1", 11): "web1"} if change == "another pin" else {})
    # Two may rest for one interface; each wakes by itself, and the later one comes first.
    gone = do(back, DeleteVm("web1"), now=1.0).state
    if change == "another pin":
        assert gone.rested["a1", "web1", "web"] == (11, 10)
        assert has(do(gone, vm()).state) == {"a1": (10,)}
        awake = apply(gone, EndQuarantines(60.0, {"tor-a": gone.resting["a1", 11].revision}), now=LONG).state
        assert (rests(awake), awake.rested["a1", "web1", "web"]) == ({("a1", 10): "web1"}, (10,))


def test_numbers_at_rest_on_other_cables_go_on_resting() -> None:
    state = start(WIDE, cug(), vm())
    (number,) = has(state)["a1"]
    state = do(state, *moved("web1", "b1", "m1"), *moved("web1", "b3", "m2")).state
    assert rests(state) == {("a1", number): "web1", ("b1", number): "web1"}


def test_events_tell_what_is_given_and_freed() -> None:
    site = Site(WIDE, cug(), vm())
    (number,) = has(site.state)["a1"]
    (told,) = site.events("vlan_id.allocated")
    assert (told["server"], told["vm"], told["cug"], told["vlan_id"]) == ("a1", "web1", "web", number)
    site.engine.execute(DeleteVm("web1"))
    assert [row["vlan_id"] for row in site.events("vlan_id.released")] == [number]


# Restart


def test_a_restart_keeps_numbers_and_rests() -> None:
    site = Site(narrow(a1=range(10, 14), b1=range(10, 14)), cug(), cug("db", 2), vm("web1", "a1", pinned(11, 10)))
    site.engine.execute(vm("web1", "a1", pinned(11, 11)))
    site.engine.execute(vm("two", "a1", nic(12), tagging(12, 700, "db", 2)))
    site.engine.execute(StartMigration("m1", "two", "b1"))
    site.engine.execute(vm("gone", "b1", nic(13)))
    site.engine.execute(DeleteVm("gone"))
    again = site.restart()
    same(again.state, site.state)
    assert len(again.state.resting) == 2
    again.connect()
    again.confirm()
    again.now += 61
    again.engine.progress()
    assert (dict(again.state.resting), dict(again.state.rested)) == ({}, {})
    same(again.restart().state, again.state)


def test_rests_on_cables_that_are_no_more_are_forgotten_at_a_restart() -> None:
    site = Site(narrow(a1=range(10, 14)), cug(), vm())
    site.engine.execute(DeleteVm("web1"))
    assert site.state.resting
    again = Site(two_racks(), store=site.store, connected=False)
    assert (dict(again.state.resting), dict(again.state.rested)) == ({}, {})


KINDS = ("per_interface", "per_cug", "untagged")


def stored(fabric: Fabric, server: str) -> MemoryStore:
    return Site(fabric, cug(), vm("web1", server)).store


@pytest.mark.parametrize(
    ("before", "after", "then", "now"),
    [
        (per_interface(two_racks(), "a1"), two_racks(), "per_interface", "per_cug"),
        (per_interface(two_racks(), "a3"), two_racks(), "per_interface", "untagged"),
        (two_racks(), per_interface(two_racks(), "a1", "a3"), "per_cug or untagged", "per_interface"),
    ],
)
def test_a_store_of_another_tagging_is_refused(before: Fabric, after: Fabric, then: str, now: str) -> None:
    server = "a3" if "untagged" in (then, now) else "a1"
    store = stored(before, server)
    records = dict(store.records)
    with pytest.raises(StoreError) as caught:
        Engine(after, store, lambda: 1000.0)
    assert str(caught.value) == (
        f"server {server!r} had tagging {then} when VM 'web1' came to it, and the fabric file says {now}: "
        "what tags the VM's frames would not follow; put the old tagging back, and change it when the server is empty"
    )
    assert store.records == records
    assert Engine(before, store, lambda: 1000.0).state.vms["web1"].server == server


def test_a_store_with_numbers_that_the_fabric_file_no_longer_gives_is_refused() -> None:
    store = stored(narrow(a1=range(10, 12)), "a1")
    (number,) = Engine(narrow(a1=range(10, 12)), store, lambda: 1000.0).state.vms["web1"].vlan_ids["a1"]
    with pytest.raises(StoreError) as caught:
        Engine(narrow(a1=range(50, 60)), store, lambda: 1000.0)
    assert str(caught.value) == (
        f"VM 'web1' has VLAN-ID {number} in CUG 'web' on the cable of server 'a1', which is no longer in the fabric file"
    )
    own = Site(narrow(a1=range(10, 12)), cug(), vm("web1", "a1", tagging(11, 10))).store
    assert has(Engine(narrow(a1=range(50, 60)), own, lambda: 1000.0).state) == {"a1": (10,)}  # it is the guest's, not given


# The fabric file read again


def reloaded(state: State, fabric: Fabric) -> dict[str, str]:
    """What is refused of another fabric: path -> message."""
    with pytest.raises(Refusal) as caught:
        apply(state, FabricReplaced(fabric), now=1.0)
    assert caught.value.status == 409
    return {fault.path: fault.message for fault in caught.value.faults}


@pytest.mark.parametrize("after", KINDS)
@pytest.mark.parametrize("before", KINDS)
def test_a_server_with_vms_keeps_its_tagging(before: str, after: str) -> None:
    """Also one to which a VM is on its way. An empty one may change."""

    def fabric(kind: str) -> Fabric:
        kinds: dict[str, Any] = {
            "per_interface": {"l2_domain": None, "vlan_ids": tuple(range(10, 20))},
            "per_cug": {"l2_domain": "rack-b"},
            "untagged": {"l2_domain": None},
        }
        base = two_racks()
        return replace(base, servers={**base.servers, "b1": replace(base.servers["b1"], **kinds[kind])})

    state = start(fabric(before), cug(), vm("web1", "a1"))
    assert apply(state, FabricReplaced(fabric(after)), now=1.0).state.fabric.servers["b1"].tagging.value == after
    there = do(state, vm("web2", "b1", nic(12))).state
    coming = do(state, StartMigration("m1", "web1", "b1")).state
    if before == after:
        return
    for its, users in ((there, "VM 'web2' is there"), (coming, "VM 'web1' is moving there")):
        found = reloaded(its, fabric(after))
        assert found == {"servers.b1.tagging": f"tagging of server 'b1' cannot change: {users}"}


def test_numbers_in_use_stay_in_the_range() -> None:
    fabric = narrow(a1=range(10, 30))
    state = start(fabric, cug(), cug("db", 2), *(vm(f"v{n}", "a1", pinned(20 + n, 20 + n)) for n in range(7)))
    state = do(state, vm("own", "a1", tagging(50, 29)), vm("gone", "a1", pinned(51, 28))).state
    state = do(state, DeleteVm("gone"), now=1.0).state
    assert reloaded(state, narrow(a1=range(10, 22))) == {
        "servers.a1.vlan_ids": ("server 'a1' cannot lose VLAN-IDs that vNICs have on its cable: 22, 23, 24, 25, 26")
    }
    after = apply(state, FabricReplaced(narrow(a1=range(20, 27))), now=1.0).state  # neither the guest's own nor one at rest
    assert after.fabric.servers["a1"].vlan_ids == tuple(range(20, 27))
    assert "R28" in refused(after, vm("more", "a1", nic(60)))
    wider = apply(after, FabricReplaced(narrow(a1=range(20, 28))), now=1.0).state
    assert has(do(wider, vm("more", "a1", nic(60))).state, "more") == {"a1": (27,)}


def test_rests_end_with_the_cable() -> None:
    state = start(narrow(a1=range(10, 14), b1=range(10, 14)), cug(), vm("web1", "a1"), vm("web2", "b1", nic(12)))
    (kept,) = has(state, "web2")["b1"]
    state = do(state, DeleteVm("web1"), DeleteVm("web2"), now=1.0).state
    after = apply(state, FabricReplaced(narrow(b1=range(10, 14))), now=1.0).state
    assert (rests(after), dict(after.rested)) == ({("b1", kept): "web2"}, {("b1", "web2", "web"): (kept,)})
