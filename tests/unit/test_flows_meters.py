"""Meters: one for each purpose at each port, as many as that makes and no more, and none where the fabric file says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_vmmob.fabric.model import Dialect, Fabric
from ryu_vmmob.flows.compiler import full
from ryu_vmmob.flows.flow import Copy, tells_controller
from ryu_vmmob.flows.meters import meters_of, ports_of
from ryu_vmmob.flows.pipeline import METER_RATES, Meter, Table, meter_id, meter_name, meter_parts
from ryu_vmmob.model.commands import StartMigration, apply
from tests.support.punted_packets import DCS, dcs


def without_meters(fabric: Fabric) -> Fabric:
    return replace(fabric, switches={name: replace(row, meters=False) for name, row in fabric.switches.items()})


def test_every_meter_that_a_flow_names_is_one_of_the_switch() -> None:
    state = apply(dcs(), StartMigration("m", "web1", "srv-c1", activate_on="announcement"), now=1.0).state
    compiled = full(state)
    for switch in DCS.switches:
        named = {flow.meter for flow in compiled.flows(switch) if flow.meter is not None}
        named |= {action.meter for flow in compiled.flows(switch) for action in flow.actions if isinstance(action, Copy)}
        wanted = meters_of(DCS, switch)
        assert named <= wanted.keys()
        assert len(wanted) <= 5 * len(ports_of(DCS, switch))
        for number, rate in wanted.items():
            parts = meter_parts(number)
            assert parts is not None
            assert rate == METER_RATES[parts[0]]


def test_whatever_reaches_the_controller_passes_a_meter_of_its_port() -> None:
    for switch in DCS.switches:
        for flow in full(dcs()).flows(switch):
            if any(map(tells_controller, flow.actions)):
                port = next(value for name, value, _ in flow.match if name == "in_port")
                meters = [flow.meter, *(action.meter for action in flow.actions if isinstance(action, Copy))]
                assert {meter >> 3 for meter in meters if meter is not None} == {port}, flow


def test_a_switch_without_meters_gets_the_same_flows_without_them() -> None:
    bare = without_meters(DCS)
    with_meters, without = full(dcs()), full(dcs(fabric=bare))
    for switch in DCS.switches:
        assert meters_of(bare, switch) == {}
        rows = list(without.flows(switch))
        assert not any(flow.meter is not None or any(isinstance(row, Copy) for row in flow.actions) for flow in rows)
        assert {flow.key for flow in rows} == {flow.key for flow in with_meters.flows(switch)}
        told = [flow.key for flow in with_meters.flows(switch) if any(map(tells_controller, flow.actions))]
        assert told == [flow.key for flow in rows if any(map(tells_controller, flow.actions))]


def test_a_plain_switch_has_none() -> None:
    plain = replace(DCS, switches={name: replace(row, dialect=Dialect.OPENFLOW13) for name, row in DCS.switches.items()})
    assert all(meters_of(plain, switch) == {} for switch in plain.switches)
    assert meters_of(DCS, "gone") == {}


@pytest.mark.parametrize("meter", Meter)
def test_ids(meter: Meter) -> None:
    assert meter_parts(meter_id(meter, 49)) == (meter, 49)
    assert meter_name(meter_id(meter, 49)) == f"{meter.name.lower()}/49"
    assert meter_parts(meter_id(meter, 0x10000)) == (meter, 0)
    assert meter_parts(7) is None
    assert meter_name(7) == "7"


def test_a_flow_to_punt_writes_its_table_into_the_metadata() -> None:
    for switch in DCS.switches:
        for flow in full(dcs()).flows(switch):
            if flow.goto is Table.PUNT:
                assert flow.metadata == (flow.table.id << 24, 0xF << 24)
