"""Gateways, routing, external networks and policies: real switches treat random packets exactly as the simulator does."""

from __future__ import annotations

import pytest

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.sim.network import Visit
from tests.ovs.trace import all_bridges, assert_agrees
from tests.support.mutation_networks import Sample, samples
from tests.support.mutation_traffic import Traffic

PACKETS = 6000
SAMPLES = {sample.name: sample for sample in samples() if not sample.view.links_down}


def visits(sample: Sample) -> list[Visit]:
    """Of random packets from every port, at every switch they come to, one for each way through a switch's tables."""
    found: dict[tuple[str, ...], Visit] = {}
    for port, packet in Traffic(sample.view, seed=5).packets(PACKETS):
        for visit in sample.view.network.inject(packet, port).visits:
            found.setdefault((visit.switch, *map(str, visit.result.path)), visit)
    return list(found.values())


@pytest.mark.parametrize("name", SAMPLES)
def test_random_packets_go_the_same_way(ovs: PrivateOvs, name: str) -> None:
    """Honest ones, half-true ones and lies."""
    sample = SAMPLES[name]
    tried = visits(sample)
    unused = {Table.ROUTE} if name == "bridged" else set()
    assert {step.table for visit in tried for step in visit.result.path} >= set(Table) - unused
    assert len(tried) > 100
    bridges = all_bridges(ovs, sample.view.fabric)
    try:
        for switch, (flows, groups) in sample.entries.items():
            with bridges[switch].client() as client:
                assert client.install(flows, groups) == []
        for visit in tried:
            assert_agrees(bridges[visit.switch], sample.view.tables[visit.switch], visit.packet, visit.in_port)
    finally:
        for bridge in bridges.values():
            bridge.remove()
