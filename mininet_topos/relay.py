"""A TCP port of the machine that leads into a laboratory's network namespace, so that a browser outside sees what is inside."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType

CHUNK = 1 << 16


class Relay:
    """Listens on ``port`` of this machine's loopback at once, and joins each connection to the same port in there.

    Made outside and started (``with``) inside: a socket stays in the namespace where it was made, and a thread begins in
    that of the thread that starts it. Raises OSError when the port is taken.
    """

    def __init__(self, port: int) -> None:
        self._outside = socket.create_server(("127.0.0.1", port))
        self._port = port

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, name="relay", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more. Connections that stand end with their ends."""
        with suppress(OSError):  # wakes accept
            self._outside.shutdown(socket.SHUT_RDWR)
        self._outside.close()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._outside.accept()
            except OSError:
                return
            try:
                inner = socket.create_connection(("127.0.0.1", self._port))
            except OSError:  # the controller is away: the caller is told by the end of the connection
                caller.close()
                continue
            for source, sink in ((caller, inner), (inner, caller)):
                threading.Thread(target=_pump, args=(source, sink), name="relay", daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Hand on what comes until it ends; then say so to the other side."""
    with suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
