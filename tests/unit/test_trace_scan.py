"""Flows looked through one by one and flows sorted first say the same."""

from __future__ import annotations

import pytest

from ryu_vmmob.flows.flow import Flow, Output, match
from ryu_vmmob.flows.pipeline import Priority, Table
from ryu_vmmob.sim import probes
from ryu_vmmob.sim.classifier import AmbiguityError, Classifier
from ryu_vmmob.sim.switch import Tables
from ryu_vmmob.sim.trace import Scan, ScannedTables
from tests.support.handmade_tables import FABRIC, view

MAC = 0x020000000001


def test_on_a_whole_network() -> None:
    lab = view()
    compared = 0
    for switch, tables in lab.tables.items():
        scanned = ScannedTables(tables.flows, tables.groups.values())
        ports = {seat.ports[0].port for seat in lab.seats if seat.ports[0].switch == switch}
        ports |= {link.end_at(switch).port for link in FABRIC.links_of[switch]}
        for seat in lab.seats:
            packets = [*probes.to_everybody(seat), *probes.own(seat), *probes.forgeries(lab, seat)]
            packets += [packet for peer in lab.seats for packet in probes.unicast(seat, peer)]
            for packet in packets:
                for tagged in (packet, packet.with_vlans(110), packet.with_vlans(2010)):
                    for port in ports:
                        assert scanned.process(tagged, port) == tables.process(tagged, port)
                        compared += 1
    assert compared > 500


def test_the_highest_priority_wins_and_nothing_is_a_miss() -> None:
    low = Flow.undeclared(Table.BRIDGE, Priority.MISS, match())
    high = Flow.undeclared(Table.BRIDGE, Priority.NORMAL, match(eth_dst=MAC))
    for order in ((low, high), (high, low)):
        assert Scan(order).find({"eth_dst": MAC}) is high
        assert Scan(order).find({"eth_dst": MAC + 1}) is low
    assert Scan((high,)).find({}) is None


@pytest.mark.parametrize("kind", [Scan, Classifier])
def test_contradictions_are_found_and_agreements_are_none(kind: type[Classifier]) -> None:
    one = Flow.undeclared(Table.BRIDGE, Priority.NORMAL, match(eth_dst=MAC), (Output(1),))
    same = Flow.undeclared(Table.BRIDGE, Priority.NORMAL, match(eth_dst=(MAC, 0xFF)), (Output(1),))
    other = Flow.undeclared(Table.BRIDGE, Priority.NORMAL, match(eth_dst=(MAC & 0xF, 0xF)), (Output(2),))
    assert kind([one, same]).find({"eth_dst": MAC}) in (one, same)
    with pytest.raises(AmbiguityError):
        kind([one, same, other]).find({"eth_dst": MAC})


def test_tables_are_the_same_flows() -> None:
    lab = view()
    for tables in lab.tables.values():
        assert sorted(map(str, ScannedTables(tables.flows).flows)) == sorted(map(str, tables.flows))
        assert isinstance(ScannedTables(()), Tables)
