"""Sends numbered UDP packets at a steady rate: ``udp_send.py '{"rate": 1000, "streams": [{"id", "from", "to", "port"}]}'``.

Says ``{"ready": true}`` at once; starts with the order ``{"op": "start"}``; ends with ``{"op": "stop"}``, answering how many
were sent, how often the kernel refused one, and how late the sender itself was (the machine's doing, not the network's); with
``"stamps": true`` in the plan, also when each number was sent, in ns since the epoch.
Each packet: stream number (32 bits), sequence number (64), time of sending in ns since the epoch (64), padding to 52 bytes.
"""

from __future__ import annotations

import gc
import json
import math
import os
import select
import socket
import struct
import sys
import time
from contextlib import suppress

FORMAT = struct.Struct("!IQQ")
SIZE = 52
SO_SNDBUFFORCE = 32
SEND_SPACE = 16 << 20
LATE_SECONDS = 0.005


def outlet(own: str) -> socket.socket:
    """Return a socket that sends from this address of ours."""
    out = socket.socket(socket.AF_INET6 if ":" in own else socket.AF_INET, socket.SOCK_DGRAM)
    out.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, SEND_SPACE)
    out.bind((own, 0))
    return out


def main() -> None:
    """Run one sender."""
    plan = json.loads(sys.argv[1])
    interval = 1.0 / float(plan["rate"])
    outlets = {own: outlet(own) for own in {s["from"] for s in plan["streams"]}}
    streams = [(int(s["id"]), outlets[s["from"]], (s["to"], int(s["port"]))) for s in plan["streams"]]
    gc.disable()
    with suppress(PermissionError):  # without, we may be late, and report that
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(30))
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.readline()
    stamps: list[int] | None = [] if plan.get("stamps") else None
    padding = bytes(SIZE - FORMAT.size)
    refused, late, latest, last, number = 0, 0, 0.0, 0.0, 0
    longest_pause = 0.0
    poller = select.poll()
    poller.register(0, select.POLLIN)
    start = math.ceil(time.monotonic() / interval) * interval  # all senders of one rate keep step
    while True:
        wait = start + number * interval - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        elif -wait > LATE_SECONDS:
            late += 1
            latest = max(latest, -wait)
        now = time.monotonic()
        longest_pause = max(longest_pause, now - last if last else 0.0)
        last = now
        if stamps is not None:
            stamps.append(time.time_ns())
        for ident, out, address in streams:
            try:
                out.sendto(FORMAT.pack(ident, number, time.time_ns()) + padding, address)
            except OSError:
                refused += 1
        number += 1
        if poller.poll(0):
            break
    answer = {
        "sent": {str(ident): number for ident, *_ in streams},
        "refused": refused,
        "late": late,
        "latest_ms": latest * 1e3,
        "longest_pause_ms": longest_pause * 1e3,
        "stamps": stamps,
    }
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
