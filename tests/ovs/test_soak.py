"""The soak, short: nothing goes wrong, switches end as a fresh compile says, and the controller lets go of what it opened.

How it goes over twenty minutes, and what memory does, `make soak` says (docs/performance.md). Bounds are small here, so that
events, moves and cached results go all the time.
"""

from __future__ import annotations

from pathlib import Path

from mininet_topos.ovs import PrivateOvs
from tests.ovs.soak import soaked

SECONDS = 30.0


def test_everything_at_once(ovs: PrivateOvs, tmp_path: Path) -> None:
    found = soaked(ovs, tmp_path, SECONDS, small=True)
    assert found.faults == []
    assert found.tally["kills"] >= 1
    assert found.tally["steps of the clock"] + found.tally["cables pulled or plugged"] >= 1
    assert found.caches["ryu_vmmob.flows.decode.match/0"][0] > 0
    for what in ("descriptors", "green_threads"):
        assert found.rest[what] <= found.fresh[what] + 4, f"{what}: {found.rest} and {found.fresh}"
