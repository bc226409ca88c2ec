"""How everything is measured: several runs of each case, taken in turns, the median reported with both extremes."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

RUNS = 7


@dataclass(frozen=True, slots=True)
class Row:
    """One case. ``median``, ``best`` and ``worst`` are in ``unit``; ``runs`` is how many there were."""

    case: str
    what: str
    unit: str
    median: float
    best: float
    worst: float
    runs: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def row(case: str, what: str, unit: str, values: Sequence[float], *, more_is_better: bool = False) -> Row:
    """Return the median and both extremes of several runs."""
    low, high = min(values), max(values)
    best, worst = (high, low) if more_is_better else (low, high)
    return Row(case, what, unit, statistics.median(values), best, worst, len(values))


@dataclass(frozen=True, slots=True)
class Workload:
    """Something to do ``count`` times over in one call; ``what`` says in words what that is."""

    what: str
    count: int
    work: Callable[[], object]


def rates(cases: Mapping[str, Workload], runs: int = RUNS) -> Iterator[Row]:
    """Measure times a second of processor time, for each case: other processes on the machine do not count.

    The cases take turns all the same, so that a slow moment hits all of them.
    """
    found: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        case.work()  # imports, caches and branch predictors of a first run are not the rate
    for _ in range(runs):
        for name, case in cases.items():
            gc.collect()
            began = time.process_time()
            case.work()
            found[name].append(case.count / (time.process_time() - began))
    for name, values in found.items():
        yield Row(name, cases[name].what, "per CPU second", statistics.median(values), max(values), min(values), len(values))
