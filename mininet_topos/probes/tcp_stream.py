"""One long TCP connection with numbered lines, echoed: ``tcp_stream.py listen ADDRESS PORT`` or ``connect ADDRESS PORT OWN``.

Both say ``{"ready": true}`` (the connecting side once it is connected). The connecting side writes a numbered line every 5 ms
and reads the echo; ``{"op": "stop"}`` on its standard input ends it with the account: lines written and echoed, whether all
came back in order, how the connection ended if it did, retransmissions and the longest time without an echo.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from typing import Any

INTERVAL = 0.005
DRAIN_SECONDS = 10.0
TCP_INFO_RETRANSMITS = struct.Struct("@100xI")


def listen(address: str, port: int) -> None:
    """Echo whatever one client writes."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family) as server:
        print(json.dumps({"ready": True}), flush=True)
        connection, _ = server.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := connection.recv(65536):
                connection.sendall(data)


class Client:
    """The connecting side."""

    def __init__(self, address: str, port: int, own: str) -> None:
        self.socket = socket.create_connection((address, port), timeout=10, source_address=(own, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(0)
        self.fd = self.socket.fileno()
        self.written = self.echoed = self.wrong = 0
        self.unsent = self.unread = b""
        self.ended: str | None = None
        self.last_echo = time.monotonic()
        self.longest_silence = 0.0

    def read(self) -> None:
        """Take in what was echoed and check its order."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed by the other side")
        now = time.monotonic()
        self.longest_silence = max(self.longest_silence, now - self.last_echo)
        self.last_echo = now
        *lines, self.unread = (self.unread + data).split(b"\n")
        for line in lines:
            if line != str(self.echoed).encode():
                self.wrong += 1
            self.echoed += 1

    def step(self, until: float) -> bool:
        """Read and write until that time; whether the order to stop has come."""
        while (wait := until - time.monotonic()) > 0:
            writers = [self.fd] if self.unsent else []
            readable, writable, _ = select.select([self.fd, 0], writers, [], wait)
            if self.fd in readable:
                self.read()
            if writable:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
            if 0 in readable:
                return True
        return False

    def run(self) -> dict[str, Any]:
        """Write lines until told to stop, then wait for the last echoes; the account."""
        retransmits = 0
        try:
            while True:
                self.unsent += f"{self.written}\n".encode()
                self.written += 1
                if self.step(time.monotonic() + INTERVAL):
                    break
            deadline = time.monotonic() + DRAIN_SECONDS
            while self.echoed < self.written and time.monotonic() < deadline:
                if select.select([self.fd], [], [], 0.1)[0]:
                    self.read()
                if self.unsent:
                    self.unsent = self.unsent[self.socket.send(self.unsent) :]
            info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_RETRANSMITS.size)
            (retransmits,) = TCP_INFO_RETRANSMITS.unpack(info)
        except OSError as error:
            self.ended = f"{type(error).__name__}: {error}"
        return {
            "written": self.written,
            "echoed": self.echoed,
            "out_of_order": self.wrong,
            "ended": self.ended,
            "retransmits": retransmits,
            "longest_silence_ms": self.longest_silence * 1e3,
        }


def main() -> None:
    """Run one side."""
    side, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if side == "listen":
        listen(address, port)
        return
    client = Client(address, port, sys.argv[4])
    print(json.dumps({"ready": True}), flush=True)
    print(json.dumps(client.run()), flush=True)


if __name__ == "__main__":
    main()
