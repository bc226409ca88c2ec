"""A thousand migrations asked for at once, and what becomes of all others meanwhile: clients that read by REST, and
switches that ask whether the controller is alive.
"""

from __future__ import annotations

import multiprocessing
import queue
import random
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from ryu_vmmob.bench import fabrics
from ryu_vmmob.bench.fabrics import Crowd
from ryu_vmmob.bench.measure import Row
from ryu_vmmob.bench.moves import row
from ryu_vmmob.bench.rig import SECONDS, Rig
from ryu_vmmob.client import Client

CROWD: Final = Crowd(100, 100_000, 100, 10)
MOVES: Final = 1000
CONNECTIONS: Final = 32
"""Connections over which migrations are asked for at the same time."""
READ_INTERVAL: Final = 0.02
RUNS: Final = 3
_ROWS: Final = 1000
_POLL: Final = 0.25


def storm(crowd: Crowd = CROWD, moves: int = MOVES, runs: int = RUNS) -> Iterator[Row]:
    """Raise RuntimeError when a migration does not get prepared."""
    rates, prepared, reads, late = [], [], [], []
    chance = random.Random(1)  # noqa: S311 - a choice, no secret
    chosen = iter(chance.sample(range(crowd.vms), k=moves * runs))
    with Rig(fabrics.leaf_spine(crowd.tors), real=False) as rig:
        rig.load(crowd, _ROWS)
        for _ in range(runs):
            vms = [next(chosen) for _ in range(moves)]
            rig.fakes.say("all forget_echoes")
            with Reader(rig.client.url, [f"/v1/vms/vm-{number}" for number in vms]) as reader:
                seconds, each = _one(rig, crowd, vms)
            rates.append(moves / seconds)
            prepared.append(percentile(each, 95))
            reads.append(percentile(reader.times, 95))
            late.append(rig.slowest_echo())
    case = f"{moves:,} at once, {crowd.vms:,} VMs"
    what = f"migrations asked for over {CONNECTIONS} connections, {crowd.tors} fake switches"
    rate = row(f"{case}: rate", what, rates, "migrations per second prepared")
    yield Row(rate.case, rate.what, rate.unit, rate.median, rate.worst, rate.best, rate.runs)
    yield row(f"{case}: request to prepared, 95 %", what, prepared, "ms", 1e3)
    yield row(f"{case}: a VM read meanwhile, 95 %", f"GET, every {READ_INTERVAL:g} s", reads, "ms", 1e3)
    yield row(f"{case}: slowest echo reply", "each switch asks every second", late, "ms", 1e3)


def _one(rig: Rig, crowd: Crowd, vms: Sequence[int]) -> tuple[float, list[float]]:
    """Seconds until all are prepared, and those that each took since it was asked for."""
    asked: dict[str, float] = {}
    faults: list[Exception] = []
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in vms:
        waiting.put(number)

    def work() -> None:
        client = Client(rig.client.url, timeout=SECONDS)
        try:
            while True:
                number = waiting.get_nowait()
                began = time.time()
                body = {"vm": f"vm-{number}", "to": crowd.other(number), "activate_on": "request", "timeout": SECONDS}
                asked[client.post("/v1/migrations", body)["id"]] = began
        except queue.Empty:
            pass
        except Exception as error:  # told where it is seen
            faults.append(error)

    began = time.time()
    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise RuntimeError(f"a migration was not taken: {faults[0]}") from faults[0]
    ready = _until_prepared(rig, asked)
    return max(ready.values()) - began, [ready[id_] - then for id_, then in asked.items()]


def _until_prepared(rig: Rig, ids: dict[str, float]) -> dict[str, float]:
    """Return when each was prepared, in seconds since the epoch."""
    deadline = time.monotonic() + SECONDS
    while True:
        rig.until_in_step()
        rows = {row["id"]: row for row in rig.client.get("/v1/migrations")["items"] if row["id"] in ids}
        if states := {row["state"] for row in rows.values()} - {"prepared", "preparing"}:
            raise RuntimeError(f"migrations came to {', '.join(sorted(states))}")
        if all(row["state"] == "prepared" for row in rows.values()):
            return {id_: _when(row, "prepared") for id_, row in rows.items()}
        if time.monotonic() > deadline:
            raise RuntimeError("not all migrations were prepared")
        time.sleep(_POLL)


def _when(row: dict[str, Any], state: str) -> float:
    (found,) = (entry["time"] for entry in row["timeline"] if entry["state"] == state)
    return datetime.fromisoformat(found).timestamp()


class Reader:
    """A process of its own that reads all the time; ``times`` are seconds of each answer, known when the context is left."""

    def __init__(self, url: str, paths: Sequence[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._over = context.Event()
        self._results = context.SimpleQueue()
        self._process = context.Process(target=_read, args=(url, list(paths), self._over, self._results), daemon=True)
        self.times: list[float] = []

    def __enter__(self) -> Reader:
        self._process.start()
        self._results.get()  # it has had its first answer
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.times = self._results.get()
        self._process.join()


def _read(url: str, paths: list[str], over: Any, results: Any) -> None:
    client, times = Client(url, timeout=SECONDS), list[float]()
    client.get(paths[0])
    results.put(None)
    number = 0
    while not over.is_set() or not times:
        began = time.perf_counter()
        client.get(paths[number % len(paths)])
        times.append(time.perf_counter() - began)
        number += 1
        over.wait(READ_INTERVAL)
    results.put(times)


def percentile(values: Sequence[float], share: int) -> float:
    """Return the least value that ``share`` per cent do not exceed. ``values`` must not be empty."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]
