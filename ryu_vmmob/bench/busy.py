"""What traffic waits for while a bulk is worked out, and how long the controller is silent meanwhile (real bridges).

VMs are announced at their targets, and a link is lost, while a bulk of so many VMs is worked out. Times are from the
frame, or the cable, to the time in the migration's timeline or of the event.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from ryu_vmmob.bench import fabrics, pieces
from ryu_vmmob.bench.evacuate import rarp
from ryu_vmmob.bench.fabrics import Crowd
from ryu_vmmob.bench.measure import Row
from ryu_vmmob.bench.moves import row
from ryu_vmmob.bench.pieces import longest
from ryu_vmmob.bench.rig import SECONDS, Rig
from ryu_vmmob.bench.silence import SilenceProbe
from ryu_vmmob.client import Client

SIZES: Final = (1000, 5000, 20_000)
WHEN: Final = (0.5, 1.0, 2.0, 4.0, 7.0, 11.0)
"""Seconds after the bulk was posted: each comes late enough after the one before to overtake (`engine/precedence.py`)."""
_MOVERS: Final = Crowd(3, 30, 30, 3)
_LINK: Final = ("tor-0", 48)
_POLL: Final = 0.02


def busy(sizes: Sequence[int] = SIZES, when: Sequence[float] = WHEN) -> Iterator[Row]:
    """Measure each size. Raises RuntimeError when the bulk is refused, or over before anything happened."""
    for size in sizes:
        with Rig(fabrics.row_of_three(), real=True, first=[Path(pieces.__file__)]) as rig:
            yield from _busy(rig, size, when)


def _busy(rig: Rig, size: int, when: Sequence[float]) -> Iterator[Row]:
    rig.load(_MOVERS, _MOVERS.vms)
    moves = [_prepared(rig, number) for number in range(len(when))]
    answers: list[Any] = []

    def post() -> None:
        client = Client(rig.client.url, timeout=SECONDS)
        answers.append(client.post("/v1/bulk", bulk(size)))

    bulk_thread = threading.Thread(target=post)
    activated: list[float] = []
    down: list[float] = []
    up: list[float] = []
    with SilenceProbe(rig.client.url, rig.controller.openflow[1]) as probe:
        seen = rig.pieces_seen()
        began = time.monotonic()
        bulk_thread.start()
        for number, (at, move) in enumerate(zip(when, moves, strict=True)):
            time.sleep(max(0.0, began + at - time.monotonic()))
            if answers:
                break
            if number % 2:
                is_up = number % 4 == 3
                (up if is_up else down).append(_link(rig, up=is_up))
            else:
                activated.append(_announce(rig, move))
        bulk_thread.join()
        took = time.monotonic() - began
        rig.until_in_step()
        silence = probe.take()
    if not answers or len(answers[0]["created"]["vms"]) != size or not activated:
        raise RuntimeError(f"the bulk of {size} VMs is not as it should be, or was over at once")
    case = f"{size:,} VMs"
    yield row(f"{case}: the bulk", "a bulk is worked out, overtaken several times", [took], "s")
    yield row(f"{case}: activation", "a VM announced meanwhile: frame to activated, goal 100", activated, "ms", 1e3)
    if down:
        yield row(f"{case}: link lost", "meanwhile: cable to the event, goal 1000", down, "ms", 1e3)
    if up:
        yield row(f"{case}: link back", "meanwhile: cable to the event, the wait for a stable link included", up, "ms", 1e3)
    yield row(f"{case}: /healthz", "longest silence, goal 500", [silence.healthz], "ms", 1e3)
    yield row(f"{case}: echo", "longest silence of echo replies, goal 500", [silence.echo], "ms", 1e3)
    yield row(f"{case}: piece", "longest time without a pause, of the processor", [longest(seen())], "ms", 1e3)


def bulk(size: int) -> dict[str, Any]:
    """VMs in CUGs of 100, that have nothing to do with those that move."""
    cugs, vms = {}, {}
    for number in range(size):
        cug, at = divmod(number, 100)
        cugs[f"many-{cug}"] = {"subnets": [f"172.{16 + cug // 256}.{cug % 256}.0/24"]}
        mac = f"02:01:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        nic = {"cug": f"many-{cug}", "mac": mac, "ips": [f"172.{16 + cug // 256}.{cug % 256}.{at + 2}"]}
        vms[f"many-{number}"] = {"server": fabrics.server_name(at % 3, cug % 10), "interfaces": [nic]}
    return {"cugs": cugs, "vms": vms}


def _prepared(rig: Rig, number: int) -> dict[str, Any]:
    body = {"vm": f"vm-{number}", "to": _MOVERS.other(number), "commit": "request", "timeout": SECONDS}
    found: dict[str, Any] = rig.client.post("/v1/migrations", body, wait=SECONDS)
    if found["state"] != "prepared":
        raise RuntimeError(f"the move of vm-{number} came to {found['state']}")
    return found


def _announce(rig: Rig, move: dict[str, Any]) -> float:
    """Seconds until a move is activated after its VM has spoken."""
    vm = rig.client.get(f"/v1/vms/{move['vm']}")
    tor, port = move["to"].removeprefix("srv-").split("-")
    frame = rarp(vm["interfaces"][0]["mac"], move["interfaces"][0]["to_vlan_id"])
    began = time.time()
    rig.bridges[f"tor-{tor}"].receive(int(port) + 1, frame)

    def activated() -> float | None:
        timeline = rig.client.get(f"/v1/migrations/{move['id']}")["timeline"]
        times = [entry["time"] for entry in timeline if entry["state"] == "activated"]
        return _time(times[0]) if times else None

    return _until(activated) - began


def _link(rig: Rig, *, up: bool) -> float:
    """Seconds until the controller says that a link is down, or up again, after the cable was pulled, or put in."""
    kind = "link.up" if up else "link.down"
    last = rig.client.get("/v1/events")["last"]
    began = time.time()
    rig.bridges[_LINK[0]].set_link(_LINK[1], up=up)

    def told() -> float | None:
        rows = [entry for entry in rig.client.get("/v1/events")["items"] if entry["id"] > last and entry["event"] == kind]
        return _time(rows[0]["time"]) if rows else None

    return _until(told) - began


def _until(look: Callable[[], float | None]) -> float:
    deadline = time.monotonic() + SECONDS
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise RuntimeError("waited in vain for what should have overtaken the bulk")
        time.sleep(_POLL)
    return found


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
