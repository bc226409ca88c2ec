"""Receives the numbered packets of ``udp_send.py``: ``udp_receive.py ADDRESS PORT``.

Says ``{"ready": true}`` when bound. ``{"op": "count"}`` is answered with packets so far per stream; ``{"op": "stop"}`` with
the whole account: received, doubled, reordered, what is missing between, the longest gap (kernel time stamps), and packets
that the kernel dropped here because this program was slow (not the network's doing).
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import struct
import sys
import time
from array import array
from contextlib import suppress
from typing import Any

FORMAT = struct.Struct("!IQQ")
TIME = struct.Struct("@qq")
COUNT = struct.Struct("@I")
SO_TIMESTAMPNS, SO_RXQ_OVFL, SO_RCVBUFFORCE = 35, 40, 33
RECEIVE_SPACE = 64 << 20
LISTED_AT_MOST = 50
READ_EVERY = 0.02  # the kernel stamps and keeps packets meanwhile; a wake-up for each would cost what the network needs


def account(numbers: array[int], arrived: array[int], sent_at: array[int]) -> dict[str, Any]:
    """Return what one stream's arrivals, in their order, say."""
    seen: dict[int, int] = {}
    doubled: list[int] = []
    reordered, highest = 0, -1
    gap, gap_after, excess = 0, None, 0
    delays = array("q")
    for i, number in enumerate(numbers):
        if number in seen:
            doubled.append(number)
        seen[number] = seen.get(number, 0) + 1
        if number < highest:
            reordered += 1
        highest = max(highest, number)
        delays.append(arrived[i] - sent_at[i])
        if i:
            pause = arrived[i] - arrived[i - 1]
            excess = max(excess, pause - max(0, sent_at[i] - sent_at[i - 1]))
            if pause > gap:
                gap, gap_after = pause, numbers[i - 1]
    missing = [n for n in range(highest + 1) if n not in seen] if highest >= 0 else []
    ordered = sorted(delays)
    return {
        "received": len(seen),
        "packets": len(numbers),
        "doubled": len(doubled),
        "doubled_numbers": doubled[:LISTED_AT_MOST],
        "reordered": reordered,
        "highest": highest,
        "missing": len(missing),
        "missing_numbers": missing[:LISTED_AT_MOST],
        "longest_gap_ms": gap / 1e6,
        "longest_gap_after": gap_after,
        "longest_gap_beyond_sender_ms": excess / 1e6,
        "delay_ms": {
            "min": ordered[0] / 1e6,
            "median": ordered[len(ordered) // 2] / 1e6,
            "max": ordered[-1] / 1e6,
        }
        if ordered
        else None,
    }


def main() -> None:
    """Run one receiver."""
    address, port = sys.argv[1], int(sys.argv[2])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    inlet = socket.socket(family, socket.SOCK_DGRAM)
    inlet.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_SPACE)
    inlet.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    inlet.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
    inlet.bind((address, port))
    inlet.settimeout(0)
    gc.disable()
    with suppress(PermissionError):  # without, only the buffer fills further: the time stamps are the kernel's
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    streams: dict[int, tuple[array[int], array[int], array[int]]] = {}
    overflow = 0
    poller = select.poll()
    poller.register(inlet, select.POLLIN)
    poller.register(0, select.POLLIN)
    print(json.dumps({"ready": True}), flush=True)
    while True:
        ready = {fd for fd, _ in poller.poll()}
        if 0 not in ready:
            time.sleep(READ_EVERY)
        while inlet.fileno() in ready:
            try:
                data, extra, _, _ = inlet.recvmsg(2048, 128)
            except BlockingIOError:
                break
            stamp = 0
            for level, kind, value in extra:
                if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                    seconds, nanoseconds = TIME.unpack(value)
                    stamp = seconds * 1_000_000_000 + nanoseconds
                elif level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL:
                    (overflow,) = COUNT.unpack(value)
            if len(data) < FORMAT.size:
                continue
            ident, number, sent_at = FORMAT.unpack_from(data)
            if ident not in streams:
                streams[ident] = (array("Q"), array("q"), array("q"))
            for column, value in zip(streams[ident], (number, stamp, sent_at), strict=True):
                column.append(value)
        if 0 not in ready:
            continue
        line = sys.stdin.readline()
        if line and json.loads(line).get("op") == "count":
            print(json.dumps({"received": {str(i): len(s[0]) for i, s in streams.items()}}), flush=True)
            continue
        result = {str(ident): account(*columns) for ident, columns in streams.items()}
        print(json.dumps({"streams": result, "overflow": overflow}), flush=True)
        return


if __name__ == "__main__":
    main()
