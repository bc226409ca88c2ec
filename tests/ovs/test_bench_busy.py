"""The benchmarks of a busy controller measure what they say, in small: real controller, real bridges or fake switches."""

from __future__ import annotations

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.bench import busy, costs


def test_what_overtakes_a_bulk(ovs: PrivateOvs) -> None:
    rows = {row.case: row for row in busy.busy(sizes=(1500,), when=(0.1, 0.6))}
    assert {"1,500 VMs: activation", "1,500 VMs: /healthz", "1,500 VMs: echo"} <= rows.keys()
    assert all(row.median > 0 for row in rows.values())


def test_what_requests_cost() -> None:
    rows = {row.case: row for row in costs.costs(bulks=(10,), mib=(1,), crowds=(20,))}
    assert rows["10 VMs: refused beside accepted"].median > 0
    assert {"placements, 20 VMs: /healthz", "trace, 20 VMs: processor"} <= rows.keys()
    assert sum(case.endswith(("of json: echo", "of msgpack: echo")) for case in rows) == 2
