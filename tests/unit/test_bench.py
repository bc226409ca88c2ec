"""The benchmarks measure what they say, whatever the numbers are."""

from __future__ import annotations

import json
from functools import partial

import pytest

from ryu_vmmob.bench import __main__ as bench
from ryu_vmmob.bench import encode, evacuate, growth, install
from ryu_vmmob.bench.measure import Row, Workload, rates
from ryu_vmmob.fabric import examine
from ryu_vmmob.sim import packet as make
from tests.support.frames import to_bytes


def test_rates_count_the_work_and_keep_the_extremes() -> None:
    done: list[str] = []

    def work(name: str) -> None:
        done.append(name)
        sum(range(20000))

    cases = {name: Workload("counting", 1000, partial(work, name)) for name in ("a", "b")}
    rows = list(rates(cases, runs=3))
    assert done == ["a", "b"] * 4  # once to warm up, then in turns
    assert [(row.case, row.runs) for row in rows] == [("a", 3), ("b", 3)]
    assert all(0 < row.worst <= row.median <= row.best for row in rows)


def test_ryu_and_we_write_the_same_amount(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contenders are held against each other before anything is measured."""
    monkeypatch.setattr(encode, "rates", lambda cases: iter(()))
    assert list(encode.run()) == []
    monkeypatch.setattr(encode, "_ryu", lambda count: lambda: 1)
    with pytest.raises(RuntimeError, match="not the same flows"):
        list(encode.run())


def test_flows_of_one_vm_differ_from_those_of_another() -> None:
    cookies = [flow.cookie for number in range(100) for flow in encode.flows_of(number)]
    assert len(set(cookies)) == len(cookies)


def test_a_vm_announces_itself_as_hypervisors_do() -> None:
    theirs = make.rarp(0x020000010002)
    for tags in ((), (110,)):
        frame = evacuate.rarp("02:00:00:01:00:02", *(tags or (None,)))
        assert len(frame) == 60
        assert frame == to_bytes(theirs.with_vlans(*tags)).ljust(60, b"\0")


def test_one_json_object_a_line_and_a_table_beside_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [Row("one", "what it is", "per second", 2.0, 3.0, 1.0, 5)]
    monkeypatch.setattr(bench, "BENCHMARKS", {"encode": lambda: rows})
    assert bench.main([]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["median"] for line in out.splitlines()] == [2.0]
    assert json.loads(out)["benchmark"] == "encode"
    assert "one" in err


def test_an_unknown_benchmark_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["speed"]) == 2
    assert "no benchmark speed" in capsys.readouterr().err


def test_growth_counts_what_is_sent_and_what_is_refused() -> None:
    edge = list(growth.edge(members=(6,), edges=(3,), runs=2))
    assert len(edge) == (2 + 1) * 2 * 4, "members with caches as they are and empty, edges; routed or not; four numbers each"
    messages = {row.case: row.median for row in edge if row.what.endswith("messages")}
    assert len(messages) == 4
    assert all(number > 6 for case, number in messages.items() if case.startswith("6 members"))
    rows = [*growth.policies(counts=(2, 4), tors=2, runs=1), *growth.domain(counts=(3,), runs=1)]
    rows += growth.refused(counts=(4,), runs=1)
    said = {(row.case, row.what): row.median for row in rows}
    assert said["2 policies of others", "a VM of another CUG comes to an edge new to it: messages"] > 0
    assert said["3 CUGs in one domain", "the controller starts"] > 0
    assert said["4 VMs, accepted", "a bulk: messages"] > 0
    assert said["4 VMs, refused", "a bulk: messages"] == 0


def test_the_server_of_a_full_sync_has_room_for_all_its_vms() -> None:
    """With a VLAN-ID for each vNIC it has not: `make bench ARGS=install` was refused."""
    fabric = examine(evacuate.crowded(), "crowded.yaml").fabric
    assert fabric is not None
    server = fabric.servers[evacuate.HOME]
    assert not server.per_interface
    assert server.l2_domain is not None
    assert len(fabric.l2_domains[server.l2_domain].vlan_ids) >= install.CUGS
    assert install.VMS > 4093
