"""What requests cost that should delay no other: refused bulks beside accepted ones, bodies that are only read, and
the questions of readers. Processor time of the controller, and how long it is silent meanwhile (fake switches).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]
import requests

from ryu_vmmob.bench import busy, fabrics, pieces
from ryu_vmmob.bench.fabrics import Crowd
from ryu_vmmob.bench.measure import Row
from ryu_vmmob.bench.moves import row
from ryu_vmmob.bench.pieces import longest
from ryu_vmmob.bench.rig import SECONDS, Rig
from ryu_vmmob.bench.silence import SilenceProbe

BULKS: Final = (10, 100, 1000, 10_000, 20_000)
MIB: Final = (1, 4, 15)
CROWDS: Final = (100, 1000, 10_000)
_TORS: Final = 10
JSON, MSGPACK = "application/json", "application/msgpack"


class _Meter:
    """Measures what the controller does for one request."""

    def __init__(self, rig: Rig, probe: SilenceProbe) -> None:
        self._rig, self._probe = rig, probe
        self._session = requests.Session()
        self._session.trust_env = False

    def of(self, case: str, what: str, statuses: Sequence[int], method: str, path: str, **body: Any) -> tuple[float, list[Row]]:
        """Seconds of processor time, and rows. Raises RuntimeError when the answer is another than it should be."""
        rig, probe = self._rig, self._probe
        probe.take()
        seen, used = rig.pieces_seen(), rig.processor_time()
        answer = self._session.request(method, rig.client.url + path, timeout=SECONDS, **body)
        rig.until_in_step()
        used, silence = rig.processor_time() - used, probe.take()
        if answer.status_code not in statuses:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return used, [
            row(f"{case}: processor", what, [used], "ms", 1e3),
            row(f"{case}: /healthz", "longest silence, goal 500", [silence.healthz], "ms", 1e3),
            row(f"{case}: echo", "longest silence of echo replies, goal 500", [silence.echo], "ms", 1e3),
            row(f"{case}: piece", "longest time without a pause, of the processor", [longest(seen())], "ms", 1e3),
        ]


def costs(bulks: Sequence[int] = BULKS, mib: Sequence[int] = MIB, crowds: Sequence[int] = CROWDS) -> Iterator[Row]:
    """All of it."""
    for size in bulks:
        yield from _on_rig(lambda rig, meter: _refused(meter, size))  # noqa: B023 - called here
    yield from _on_rig(lambda rig, meter: _read(meter, mib))
    for size in crowds:
        yield from _on_rig(lambda rig, meter: _asked(rig, meter, size))  # noqa: B023


def _on_rig(run: Callable[[Rig, _Meter], Iterator[Row]]) -> Iterator[Row]:
    with (
        Rig(fabrics.leaf_spine(_TORS), real=False, first=[Path(pieces.__file__)]) as rig,
        SilenceProbe(rig.client.url, rig.controller.openflow[1]) as probe,
    ):
        yield from run(rig, _Meter(rig, probe))


def _refused(meter: _Meter, size: int) -> Iterator[Row]:
    body = busy.bulk(size)
    last = f"many-{size - 1}"
    wrong = {**body, "vms": {**body["vms"], last: {**body["vms"][last], "server": "nowhere"}}}
    case = f"{size:,} VMs"
    refused, rows = meter.of(f"{case}, refused", "a bulk whose last VM is wrong", (409, 422), "POST", "/v1/bulk", json=wrong)
    yield from rows
    accepted, rows = meter.of(f"{case}, accepted", "the same bulk, right", (200,), "POST", "/v1/bulk", json=body)
    yield from rows
    yield row(f"{case}: refused beside accepted", "processor time, goal 1", [refused / accepted], "times")


def _read(meter: _Meter, mib: Sequence[int]) -> Iterator[Row]:
    for size in mib:
        count = size * 2**20 // 100
        rows = {f"v{number}": {"server": "srv-0-0", "interfaces": [{"cug": "x" * 20, "mac": "?"}]} for number in range(count)}
        for kind, data in ((JSON, json.dumps({"vms": rows}).encode()), (MSGPACK, msgpack.packb({"vms": rows}))):
            case = f"{len(data) / 2**20:.1f} MiB of {kind.partition('/')[2]}"
            what = "a bulk is read, and all of it is wrong"
            yield from meter.of(case, what, (422,), "POST", "/v1/bulk", data=data, headers={"Content-Type": kind})[1]


def _asked(rig: Rig, meter: _Meter, size: int) -> Iterator[Row]:
    rig.load(Crowd(_TORS, size, min(size, 100), _TORS, routed=True), 2000)
    trace = {"from": {"vm": "vm-0", "interface": 0}, "to": {"ip": "10.0.0.3"}, "protocol": "icmp"}
    for name, method, path, body in (
        ("placements", "GET", "/v1/vms/vm-0/placements", None), ("trace", "POST", "/v1/trace", trace),
        ("all VMs", "GET", "/v1/vms", None), ("all flows of a switch", "GET", "/v1/switches/tor-0/flows", None),
    ):  # fmt: skip
        what = f"{method} {path}"
        yield from meter.of(f"{name}, {size:,} VMs", what, (200,), method, path, **({} if body is None else {"json": body}))[1]
