"""Moves that nobody announced: asked for at the source first, carried out as migrations, dampened."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from ryu_vmmob.engine.fleet import SwitchFault
from ryu_vmmob.fabric.loader import VNIC_VLAN_IDS
from ryu_vmmob.fabric.model import Fabric, PortRef
from ryu_vmmob.flows.flow import tells_controller
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.frames.content import Arp, NeighbourSolicitation
from ryu_vmmob.frames.parse import parse
from ryu_vmmob.model.commands import DeleteVm, StartMigration
from ryu_vmmob.model.objects import Phase
from ryu_vmmob.punt.ask_vm import ask_vm
from ryu_vmmob.sim import packet as make
from tests.support.commands import cug, nic, vm
from tests.support.engine_site import MOVE, Site, phase
from tests.support.fabrics import two_racks
from tests.support.simulated_frames import send
from tests.unit.unannounced import B1, B2, NIC, RARP, Lab, accepting


def listening(made: Site, switch: str) -> list[int]:
    flows = made.engine.desired.flows(switch)
    return [
        row.cookie for row in flows
        if row.table is Table.ADMIT and any(map(tells_controller, row.actions))
    ]  # fmt: skip


@pytest.mark.parametrize("port", [B1, B2], ids=["tagged", "untagged"])
def test_silence_at_the_old_place_makes_it_a_move(port: PortRef) -> None:
    made = Lab()
    made.speak(port)
    assert made.asked == ["web1"]
    assert made.events("move.questioned")[0]["placed"] == "a1"
    assert made.state.vms["web1"].migration is None
    made.wait(0.5)
    assert (made.asked, made.unannounced()) == (["web1", "web1"], [])
    made.wait(0.5)
    (id_,) = made.unannounced()
    row = made.state.migrations[id_]
    assert (row.phase, row.reason) == (Phase.COMMITTED, f"unannounced, seen at {port}")
    assert [entry.phase.value for entry in row.timeline] == ["preparing", "prepared", "activated", "committed"]
    assert made.state.vms["web1"].server == made.fabric.server_at[port].name
    assert made.reasons() == []
    assert not made.state.questioned
    made.right()


@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_whoever_answers_at_the_old_place_is_the_vm(delay: float) -> None:
    made = Lab()
    before = {name: set(rows.flows) for name, rows in made.engine.desired.tables.items()}
    made.speak()
    made.wait(delay)
    assert listening(made, "tor-a")
    send(made, PortRef("tor-a", 1), make.arp_reply(NIC.mac, int(NIC.ips[0]), 0x02005E000001, 0x0A010001).with_vlans(100))
    made.confirm()
    made.wait(3)
    assert made.reasons() == ["the VM answers at its place"]
    assert made.state.vms["web1"].server == "a1"
    assert not made.state.migrations
    assert before == {name: set(rows.flows) for name, rows in made.engine.desired.tables.items()}
    # For a while it is not asked again, however loud the other is; then it is.
    made.speak()
    assert made.reasons()[1:] == ["the VM answers at its place"]
    assert not made.state.questioned
    made.wait(10)
    made.speak()
    assert made.state.questioned


def test_the_question_goes_to_each_address_at_the_old_port() -> None:
    made = Lab()
    packets = list(ask_vm(made.state, "web1"))
    assert {(row.switch, *map(str, row.actions)) for row in packets} == {("tor-a", "push_vlan", "set_vlan_vid:100", "output:1")}
    arp, solicitation = (parse(row.frame) for row in packets)
    assert arp is not None
    assert solicitation is not None
    assert arp.dst == solicitation.dst == NIC.mac
    assert isinstance(arp.content, Arp)
    assert (arp.content.op, ip_address(arp.content.spa), ip_address(arp.content.tpa)) == (
        1, ip_address("10.1.0.1"), NIC.ips[0],
    )  # fmt: skip
    assert isinstance(solicitation.message, NeighbourSolicitation)
    assert ip_address(solicitation.message.target) == NIC.ips[1]
    assert list(ask_vm(made.state, "nobody")) == []


def test_by_default_nothing_is_asked_and_no_switch_is_told() -> None:
    made = Lab(fabric=two_racks())
    before, commits = made.state, made.store.commits
    made.speak()
    made.wait(3)
    assert made.state is before
    assert made.store.commits == commits
    assert made.asked == []
    assert made.reasons() == ["the VM is neither placed nor prepared here"]


def test_the_domain_of_the_new_place_decides() -> None:
    made = Lab(fabric=accepting("rack-a"))
    made.speak()
    assert made.asked == []
    back = Lab(DeleteVm("web1"), vm("web1", "b1", NIC), fabric=accepting("rack-a"))
    back.speak(PortRef("tor-a", 1))
    back.wait(1)
    assert back.state.vms["web1"].server == "a1"


def test_a_move_is_refused_where_the_source_cannot_be_asked_or_the_vm_cannot_go() -> None:
    mute = Lab()
    numbers = mute.state.allocations[mute.state.cugs["web"].key]
    without = mute.state.allocations.set(mute.state.cugs["web"].key, numbers.delete("rack-a"))
    mute.engine.state = replace(mute.state, allocations=without)
    send(mute, B1, RARP.with_vlans(100))
    assert mute.reasons() == ["its user group has no number at its place, so it cannot be asked there"]
    away = Lab()
    away.engine.fleet.connected("tor-a", wake := lambda: None, away.now)
    away.engine.fleet.disconnected("tor-a", wake)
    away.speak()
    assert away.reasons() == ["the VM cannot be asked at its place: switch tor-a is away"]
    # One of its interfaces cannot go: on an untagged server nobody could tell it from another there (R23).
    two = Lab(
        cug("db", 2), vm("other", "b2", nic(50, "web", 1, mac=0x02AA)), DeleteVm("web1"),
        vm("web1", "a1", NIC, nic(11, "db", 2, mac=0x02AA)),
    )  # fmt: skip
    two.speak(B2)
    assert "R23" in str(two.reasons()[0])
    wrong = Lab()
    send(wrong, B1, RARP.with_vlans(104))
    assert wrong.reasons() == ["its tag is not that of its user group here"]
    liar = Lab()
    send(liar, B1, make.gratuitous_arp(NIC.mac, 0x0A010063).with_vlans(100))
    assert liar.reasons() == ["it claims 10.1.0.99, which is not the VM's"]
    for made in (mute, away, two, wrong, liar):
        assert made.asked == []
        assert not made.state.questioned
        assert not made.state.migrations


def test_a_switch_that_does_not_confirm_or_refuses_to_listen() -> None:
    slow = Lab()
    send(slow, B1, RARP.with_vlans(100))
    slow.now += 4.9
    slow.engine.progress()
    assert slow.state.questioned
    slow.now += 0.1
    slow.engine.progress()
    assert slow.reasons() == ["the VM cannot be asked at its place: switch tor-a does not confirm"]
    full_one = Lab()
    send(full_one, B1, RARP.with_vlans(100))
    taken = full_one.engine.fleet.take("tor-a")
    assert taken is not None
    fault = SwitchFault("TABLE_FULL", "table=ingress", Owner(OwnerKind.VM, "web1", "0"))
    full_one.engine.fleet.confirm("tor-a", taken[0], [fault])
    full_one.engine.progress()
    assert full_one.reasons() == ["the VM cannot be listened for at its place: switch tor-a refuses"]
    gone = Lab()
    gone.speak()
    gone.engine.fleet.connected("tor-a", wake := lambda: None, gone.now)
    gone.engine.fleet.disconnected("tor-a", wake)
    gone.engine.progress()
    assert gone.reasons() == ["the VM cannot be asked at its place: switch tor-a is away"]
    for made in (slow, full_one, gone):
        assert not made.state.questioned
        assert not made.unannounced()


def test_whatever_else_is_done_with_the_vm_ends_the_question() -> None:
    moved = Lab()
    moved.speak()
    moved.engine.execute(replace(MOVE, to="b3"))
    assert not moved.state.questioned
    moved.confirm()
    moved.wait(2)
    assert phase(moved) is Phase.PREPARED
    deleted = Lab()
    deleted.speak()
    deleted.engine.execute(DeleteVm("web1"))
    deleted.wait(2)
    for made in (moved, deleted):
        assert not made.unannounced()
        made.right()


def to_and_fro(made: Lab, times: int) -> None:
    for number in range(times):
        made.speak(PortRef("tor-b", 1) if number % 2 == 0 else PortRef("tor-a", 1))
        made.wait(2)


def test_dampened_after_five_in_three_minutes_but_not_moves_asked_for() -> None:
    made = Lab(fabric=accepting("rack-a", "rack-b"))
    # Asked for: as many as anybody likes, and none of them counts.
    for number in range(8):
        to = "b1" if made.state.vms["web1"].server == "a1" else "a1"
        made.engine.execute(StartMigration(f"m{number}", "web1", to))
        made.confirm()
        send(made, made.fabric.servers[to].attach[0], RARP.with_vlans(100))
        made.confirm()
    assert made.state.vms["web1"].server == "a1"
    to_and_fro(made, 5)
    assert len(made.unannounced()) == 5
    assert made.state.vms["web1"].server == "b1"
    assert made.events("move.dampened") == []
    made.speak(PortRef("tor-a", 1))
    made.wait(2)
    assert [row["vm"] for row in made.events("move.dampened")] == ["web1"]
    assert len(made.unannounced()) == 5
    # A restart forgets nothing of it.
    again = made.restart(connected=True)
    again.now += 1
    send(again, PortRef("tor-a", 1), RARP.with_vlans(100))
    assert len(again.events("move.dampened")) == 1
    # The orchestrator's word counts at any time.
    made.engine.execute(StartMigration("mine", "web1", "a1"))
    made.confirm()
    send(made, PortRef("tor-a", 1), RARP.with_vlans(100))
    made.confirm()
    assert made.state.vms["web1"].server == "a1"
    made.now += 180
    made.speak(B1)
    made.wait(2)
    assert len(made.unannounced()) == 6


def test_a_store_that_is_full_loses_no_question() -> None:
    made = Lab()
    made.store.full = True
    made.speak()
    assert made.reasons() == ["the disk is full"]
    made.store.full = False
    made.wait(1)
    made.speak()
    assert made.state.questioned
    made.store.full = True
    made.wait(1.5)
    made.store.full = False
    made.wait(1)
    assert not made.state.questioned
    assert made.state.vms["web1"].server == "a1"


def test_a_store_that_is_full_is_told_of_once_a_second_however_often_it_is_tried() -> None:
    made = Lab()
    made.speak()
    made.store.full = True
    made.engine.arrivals.heard("web1", made.now)
    for _ in range(5):
        made.engine.progress()
    assert "web1" in made.state.questioned
    assert len(made.events("store.failed")) == 1
    made.store.full = False
    made.engine.progress()
    assert "web1" not in made.state.questioned


def cables(*servers: str) -> Fabric:
    """Two racks that accept VMs unannounced, where these servers give each vNIC a VLAN-ID of its own."""
    plan = accepting("rack-b")
    own = {name: replace(plan.servers[name], l2_domain=None, vlan_ids=VNIC_VLAN_IDS) for name in servers}
    return replace(plan, servers={**plan.servers, **own})


def test_with_a_vlan_id_for_each_vnic_it_comes_with_the_one_it_has() -> None:
    made = Lab(fabric=cables("a1", "b1"))
    own = made.state.vms["web1"].vlan_ids["a1"][0]
    send(made, B1, RARP.with_vlans(own))
    made.confirm()
    made.wait(1.5)
    assert made.state.vms["web1"].server == "b1"
    assert made.state.vms["web1"].vlan_ids == {"b1": (own,)}


def test_a_vlan_id_that_it_cannot_keep_there_is_no_arrival() -> None:
    """It would have no network: its server's switch tags it with a number that is another vNIC's on that cable."""
    made = Lab(fabric=cables("a1", "b1"))
    own = made.state.vms["web1"].vlan_ids["a1"][0]
    made.engine.execute(vm("web4", "b1", replace(nic(14), vlan_id=own)))
    made.confirm()
    for tag in (own, own + 1, 100):
        send(made, B1, RARP.with_vlans(tag))
        made.confirm()
        made.wait(1.5)
    assert made.state.vms["web1"].server == "a1"
    assert made.asked == []
    first, *others = made.reasons()
    assert str(first).startswith(f"it is tagged with VLAN-ID {own}, and would have VLAN-ID ")
    assert set(others) == {"its tag is not that of its user group here"}
