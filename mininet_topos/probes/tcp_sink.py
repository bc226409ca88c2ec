"""Takes what one TCP connection brings and counts it: ``tcp_sink.py ADDRESS PORT``.

Says ``{"ready": true}`` when it listens. ``{"op": "count"}`` is answered with the bytes so far, the longest time without any,
and how the connection ended ("closed": in good order; null: it has not); ``{"op": "stop"}`` with the same, then it ends.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

AT_A_TIME = 1 << 20


def main() -> None:
    """Run one sink."""
    address, port = sys.argv[1], int(sys.argv[2])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    inlet = socket.create_server((address, port), family=family)
    poller = select.poll()
    poller.register(inlet, select.POLLIN)
    poller.register(0, select.POLLIN)
    print(json.dumps({"ready": True}), flush=True)
    connection: socket.socket | None = None
    taken, gap, last, ended = 0, 0.0, 0.0, None
    while True:
        for fd, _ in poller.poll():
            if fd == inlet.fileno():
                connection, _ = inlet.accept()
                poller.register(connection, select.POLLIN)
                poller.unregister(inlet)
            elif connection is not None and fd == connection.fileno():
                try:
                    data = connection.recv(AT_A_TIME)
                except OSError as error:
                    data, ended = b"", str(error)
                now = time.monotonic()
                gap = max(gap, now - last if last else 0.0)
                last = now
                taken += len(data)
                if not data:
                    ended = ended or "closed"
                    poller.unregister(connection)
            elif fd == 0:
                line = sys.stdin.readline()
                stop = not line or json.loads(line).get("op") == "stop"
                answer = {"bytes": taken, "ended": ended, "longest_gap_ms": gap * 1e3}
                print(json.dumps(answer), flush=True)
                if stop:
                    return


if __name__ == "__main__":
    main()
