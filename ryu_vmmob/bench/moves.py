"""One move, seen from who asks for it: REST call to all switches having confirmed, and to ``committed``.

`move`: three bridges of a real ``ovs-vswitchd``, and more and more VMs elsewhere in the fabric. `move_wide`: fake switches, and
a CUG at more and more of them. The VM goes to another ToR where its CUG is; activation is requested as soon as it is prepared.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ryu_vmmob.bench import fabrics
from ryu_vmmob.bench.fabrics import Crowd
from ryu_vmmob.bench.measure import Row
from ryu_vmmob.bench.rig import SECONDS, Rig

SIZES: Final = (10, 1000, 5000, 10000, 100000)
EDGES: Final = (10, 100, 1000)
RUNS: Final = 50
_TOGETHER: Final = 50
_MOVERS: Final = 10
_ROWS: Final = 2000


class Times(NamedTuple):
    """Seconds of one move since it was asked for, and how many switches had something to do for it."""

    prepared: float
    committed: float
    switches: int
    processor: float
    """Seconds of the controller's processor time, to ``committed``."""
    disk: float
    """Seconds of one durable write, just before."""


def move(sizes: Sequence[int] = SIZES, runs: int = RUNS) -> Iterator[Row]:
    """With so many VMs there, in one routing domain. Raises RuntimeError when a move does not come to its end."""
    for vms in sizes:
        crowd = Crowd(3, vms, min(vms, _TOGETHER), 3, routed=True)
        with Rig(fabrics.row_of_three(), real=True) as rig:
            rig.load(crowd, _ROWS)
            times = measured(rig, crowd, range(vms), runs)
        what = "a VM moves among three bridges of a real Open vSwitch"
        yield from rows(f"{vms:,} VMs", what, times)


def move_wide(edges: Sequence[int] = EDGES, runs: int = RUNS) -> Iterator[Row]:
    """Yield a CUG with a VM at each of so many edges, with fake switches; of ten more in it, one moves: no edge joins or
    leaves.
    """
    for tors in edges:
        crowd = Crowd(tors, tors + _MOVERS, tors + _MOVERS, tors)
        with Rig(fabrics.leaf_spine(tors), real=False) as rig:
            rig.load(crowd, _ROWS)
            times = measured(rig, crowd, range(tors, crowd.vms), runs)
        what = "a VM moves whose CUG is at so many edges of fake switches"
        yield from rows(f"{tors:,} edges", what, times)
        each = [row.committed / row.switches for row in times]
        yield row(f"{tors:,} edges: committed, for each switch concerned", what, each, "ms", 1e3)


def measured(rig: Rig, crowd: Crowd, vms: Sequence[int], runs: int) -> list[Times]:
    """Move some of these VMs, one after another, each when all switches are in step again."""
    chance = random.Random(1)  # noqa: S311 - a choice, no secret
    rig.until_in_step()
    return [_one(rig, crowd, number) for number in chance.choices(vms, k=runs)]


def _one(rig: Rig, crowd: Crowd, number: int) -> Times:
    vm = f"vm-{number}"
    here = rig.client.get(f"/v1/vms/{vm}")["server"]
    to = next(name for name in (crowd.other(number), fabrics.server_name(*crowd.place(number))) if name != here)
    disk = rig.durable_write()
    used, began = rig.processor_time(), time.perf_counter()
    asked = rig.client.post("/v1/migrations", {"vm": vm, "to": to, "activate_on": "request"}, wait=SECONDS)
    prepared = time.perf_counter()
    ended = rig.client.post(f"/v1/migrations/{asked['id']}/activate", wait=SECONDS)
    committed = time.perf_counter()
    used = rig.processor_time() - used
    if (asked["state"], ended["state"]) != ("prepared", "committed"):
        raise RuntimeError(f"the move of {vm} came to {asked['state']}, then to {ended['state']}")
    rig.until_in_step()
    concerned = {switch for entry in ended["timeline"] for switch in entry["flow_mods"]}
    return Times(prepared - began, committed - began, len(concerned), used, disk)


def rows(case: str, what: str, times: Sequence[Times]) -> Iterator[Row]:
    """Milliseconds to both ends, of the controller's processor time, and of the disk: a whole move has four writes."""
    yield row(f"{case}: prepared", what, [row.prepared for row in times], "ms", 1e3)
    yield row(f"{case}: committed", what, [row.committed for row in times], "ms", 1e3)
    yield row(f"{case}: controller", "processor time of a move", [row.processor for row in times], "ms", 1e3)
    yield row(f"{case}: disk", "one durable write of 4 KiB, for comparison", [row.disk for row in times], "ms", 1e3)


def row(case: str, what: str, values: Sequence[float], unit: str, scale: float = 1.0) -> Row:
    """Values of several runs, the least of which is the best."""
    scaled = [scale * value for value in values]
    return Row(case, what, unit, statistics.median(scaled), min(scaled), max(scaled), len(scaled))
