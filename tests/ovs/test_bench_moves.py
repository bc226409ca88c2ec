"""Each benchmark of moves and loads does what it says, small: real controller, real bridges or fake switches."""

from __future__ import annotations

import pytest

from ryu_vmmob.bench import fabrics, loads, moves, storms
from ryu_vmmob.bench.fabrics import Crowd
from ryu_vmmob.bench.rig import Rig


def test_moves_among_real_bridges() -> None:
    rows = list(moves.move(sizes=(6,), runs=2))
    assert [row.case for row in rows] == [f"6 VMs: {what}" for what in ("prepared", "committed", "controller", "disk")]
    prepared, committed, controller, _ = rows
    assert 0 < prepared.median < committed.median
    assert 0 < controller.median < committed.median
    assert prepared.runs == 2


def test_moves_of_a_wide_cug() -> None:
    rows = list(moves.move_wide(edges=(3,), runs=2))
    assert [row.case for row in rows][-1] == "3 edges: committed, for each switch concerned"
    assert all(row.median > 0 for row in rows)


def test_loads() -> None:
    rows = list(loads.load(Crowd(3, 12, 4, 3), Crowd(4, 16, 4, 2), runs=1))
    assert [row.unit for row in rows] == ["seconds", "seconds", "MiB", "bytes per VM and edge", "ms"]
    assert all(row.median > 0 for row in rows[:3])


def test_a_storm() -> None:
    rows = list(storms.storm(Crowd(4, 40, 4, 2), moves=8, runs=2))
    assert [row.runs for row in rows] == [2, 2, 2, 2]
    assert all(row.median > 0 for row in rows[:3])


def test_a_site_holds_what_was_loaded() -> None:
    """41 ToRs: there is a core above the spines, and moves go over it."""
    crowd = Crowd(41, 42, 42, 41)
    with Rig(fabrics.leaf_spine(41), real=False) as rig:
        rig.load(crowd, 20)
        assert len(rig.client.get("/v1/vms")["items"]) == 42
        assert len(rig.fakes.state()) == 44
        (time,) = moves.measured(rig, crowd, [41], 1)
    assert time.switches == 44, "one CUG at all edges: every switch hears of the move"


@pytest.mark.parametrize(("share", "value"), [(95, 19), (100, 20), (1, 1), (50, 10)])
def test_percentiles(share: int, value: int) -> None:
    assert storms.percentile(list(range(20, 0, -1)), share) == value
