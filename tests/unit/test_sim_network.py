"""A packet over the whole laboratory: deliveries, VLAN-IDs on each link, failures, loops."""

from __future__ import annotations

from dataclasses import replace

from ryu_vmmob.fabric.model import External, PortRef
from ryu_vmmob.flows.flow import IN_PORT, Flow, Output, PushVlan, match
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.sim.network import MAX_VISITS, Network
from ryu_vmmob.sim.packet import broadcast, udp
from ryu_vmmob.sim.switch import Tables
from tests.support.handmade_tables import FABRIC, LINK_A, LINK_B, W1, W2, W3, P, build, entries

FRAME = udp(W2.mac, W1.mac, W2.v4[0], W1.v4[0])
LAB = build(entries())


def test_unicast_crosses_the_core_under_each_domains_own_vlan_id() -> None:
    journey = Network(FABRIC, LAB).inject(FRAME.with_vlans(110), P("tor-a", 1))
    assert [(c.link.name, c.sender, c.packet.vlans) for c in journey.crossings] == [
        (LINK_A.name, "tor-a", (2010,)),
        (LINK_B.name, "core", (2010,)),
    ]
    assert journey.deliveries == [(P("tor-b", 1), FRAME.with_vlans(120))]
    assert [visit.switch for visit in journey.visits] == ["tor-a", "core", "tor-b"]
    tables = [step.table for step in journey.visits[0].result.path]
    assert tables == [Table.INGRESS, Table.ADMIT, Table.BRIDGE]
    assert not journey.loop


def test_broadcast_reaches_every_member_once_and_a_lag_by_one_leg() -> None:
    journey = Network(FABRIC, LAB).inject(broadcast(W1.mac, W1.v4[0]).with_vlans(110), P("tor-a", 1))
    assert sorted(port for port, _ in journey.deliveries) == [P("tor-b", 1), P("tor-b", 3)]
    journey = Network(FABRIC, LAB).inject(broadcast(W2.mac, W2.v4[0]).with_vlans(120), P("tor-b", 2))
    assert sorted(port for port, _ in journey.deliveries) == [P("tor-a", 1), P("tor-b", 3)]


def test_a_dead_leg_of_a_lag_hands_over_to_the_other_and_a_dead_link_drops() -> None:
    journey = Network(FABRIC, LAB, {"tor-b:1"}).inject(FRAME.with_vlans(110), P("tor-a", 1))
    assert [port for port, _ in journey.deliveries] == [P("tor-b", 2)]
    journey = Network(FABRIC, LAB, {LINK_B.name}).inject(FRAME.with_vlans(110), P("tor-a", 1))
    assert journey.deliveries == []
    assert [(drop.switch, drop.reason) for drop in journey.drops] == [("core", "port 2 is down")]


def test_a_switch_without_tables_and_a_port_without_cable_are_told() -> None:
    journey = Network(FABRIC, {}).inject(FRAME, P("tor-a", 1))
    assert [drop.reason for drop in journey.drops] == ["the switch has no tables"]
    tables = {"tor-a": Tables([Flow.undeclared(Table.INGRESS, 1, (), (Output(77),))])}
    journey = Network(FABRIC, tables).inject(FRAME, P("tor-a", 1))
    assert [drop.reason for drop in journey.drops] == ["nothing hangs on port 77"]


def test_an_external_port_delivers() -> None:
    outside = External("internet", PortRef("core", 9), "red", ())
    fabric = replace(FABRIC, externals={"internet": outside})
    tables = {"core": Tables([Flow.undeclared(Table.INGRESS, 1, (), (Output(9),))])}
    assert Network(fabric, tables).inject(FRAME, P("core", 1)).deliveries == [(P("core", 9), FRAME)]


def test_a_loop_is_a_result_and_not_an_endless_run() -> None:
    turn = Flow.undeclared(Table.INGRESS, 1, match(in_port=49), (Output(IN_PORT),))
    out = Flow.undeclared(Table.INGRESS, 0, (), (Output(49),))
    bounce = Tables([turn, out])
    back = Tables([Flow.undeclared(Table.INGRESS, 1, (), (Output(IN_PORT),))])
    journey = Network(FABRIC, {"tor-a": bounce, "core": back}).inject(FRAME, P("tor-a", 1))
    assert journey.loop
    assert "LOOP" in str(journey)
    assert len(journey.visits) == 3  # tor-a, core, tor-a; then the same frame again at the same port


def test_a_storm_of_growing_frames_ends_too() -> None:
    double = Flow.undeclared(Table.INGRESS, 1, (), (PushVlan(), Output(IN_PORT), PushVlan(), Output(IN_PORT)))
    start = Flow.undeclared(Table.INGRESS, 2, match(in_port=1), (Output(49),))
    tables = {"tor-a": Tables([double, start]), "core": Tables([double])}
    journey = Network(FABRIC, tables).inject(FRAME, P("tor-a", 1))
    assert journey.loop
    assert len(journey.visits) == MAX_VISITS


def test_tables_of_different_ages_mix() -> None:
    """Half an update: the core does not know the way any more."""
    mixed = {**LAB, "core": Tables([])}
    journey = Network(FABRIC, mixed).inject(FRAME.with_vlans(110), P("tor-a", 1))
    assert journey.deliveries == []
    assert len(journey.crossings) == 1
    assert [drop.reason for drop in journey.drops] == ["no flow in ingress"]


def test_the_trace_names_every_step() -> None:
    text = str(Network(FABRIC, LAB).inject(udp(W3.mac, W1.mac, W3.v4[0], W1.v4[0]).with_vlans(110), P("tor-a", 1)))
    assert "tor-a:1 vlan=110," in text
    assert "table=ingress priority=1000 in_port=1,vlan_vid=110" in text
    assert "delivered at tor-b:3: vlan=120," in text
