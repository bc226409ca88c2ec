"""Many VMs at once: how long until all switches have them, and what they cost the controller in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ryu_vmmob.bench import fabrics
from ryu_vmmob.bench.fabrics import Crowd
from ryu_vmmob.bench.measure import Row
from ryu_vmmob.bench.moves import row
from ryu_vmmob.bench.rig import Rig

REAL: Final = Crowd(3, 5000, 25, 3)
MANY: Final = Crowd(100, 100_000, 100, 10)
RUNS: Final = 3
REAL_ROWS: Final = 500
"""VMs in one request."""
MANY_ROWS: Final = 1000


def load(real: Crowd = REAL, many: Crowd = MANY, runs: int = RUNS) -> Iterator[Row]:
    """Bulk requests one after another, from the first to the last barrier."""
    what = f"VMs in CUGs of {real.together} by bulk requests of {REAL_ROWS}, three bridges of a real Open vSwitch"
    times = []
    for _ in range(runs):
        with Rig(fabrics.row_of_three(), real=True) as rig:
            times.append(rig.load(real, REAL_ROWS))
    yield row(f"{real.vms:,} VMs, 3 bridges: time", what, times, "seconds")
    what = f"VMs in CUGs of {many.together} at {many.spread} edges each, by bulk requests of {MANY_ROWS}, fake switches"
    times, most, each, late = [], [], [], []
    for _ in range(runs):
        with Rig(fabrics.leaf_spine(many.tors), real=False) as rig:
            before = rig.memory("VmRSS")
            rig.fakes.say("all forget_echoes")
            times.append(rig.load(many, MANY_ROWS))
            late.append(rig.slowest_echo())
            most.append(rig.memory("VmHWM"))
            each.append((rig.memory("VmRSS") - before) / (many.vms * many.spread))
    case = f"{many.vms:,} VMs, {many.tors} switches"
    yield row(f"{case}: time", what, times, "seconds")
    yield row(f"{case}: peak memory", what, most, "MiB", 1 / 2**20)
    yield row(f"{case}: memory", what, each, "bytes per VM and edge")
    yield row(f"{case}: slowest echo reply", what, late, "ms", 1e3)
