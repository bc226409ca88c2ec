"""What one connection, or very many, can do to the controller: the seam around Ryu's OpenFlow server.

Ryu's own handlers run inside the loop that receives. Some of them raise for messages that are well formed: a hello that failed
with a text that is no ASCII, ports before the features. That ends the connection, which is right, with two tracebacks, which
are of no use; here it is one line, and counted.

A process has a limited number of open files. Without one left, accepting a connection fails, and Ryu's server ends with the
first failure. So the files are shared out, accepting is tried again, and neither server can starve the other: OpenFlow has
three quarters at most, REST what is left but for some that the controller itself needs (store, logs, fabric file).
"""

from __future__ import annotations

import logging
import resource
from types import ModuleType
from typing import Any

from ryu_vmmob.compat.state import STATE
from ryu_vmmob.logs import Sparing

LOG = logging.getLogger(__name__)

_CLOSED = Sparing(LOG, logging.ERROR)
_NO_ACCEPT = Sparing(LOG, logging.ERROR)
OWN_FILES = 64
"""That the controller itself has open: store, fabric file, logs, sockets that listen."""
PAUSE_SECONDS = 0.2
"""Before a connection is accepted again, after one could not be."""


def most_connections() -> int:
    """Return how many OpenFlow connections may be open at once: three quarters of the files that this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft * 3 // 4


def most_rest_connections() -> int:
    """Return how many REST connections may be open at once, at least 2."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else max(2, soft - most_connections() - min(OWN_FILES, soft // 8))


def guard(controller: ModuleType) -> str:
    """Put both around ``ryu.controller.controller``; returns what was done."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _guard_receiving(controller.Datapath)
    _guard_accepting(controller)
    return f"one line for a handler that fails, {most_connections()} connections at most"


def _guard_receiving(datapath: type[Any]) -> None:
    receive = datapath._recv_loop

    def _recv_loop(self: Any) -> None:
        try:
            receive(self)
        except Exception as error:  # whatever a handler of Ryu's happens to stumble over
            STATE.malformed += 1
            dpid = "unknown" if self.id is None else f"{self.id:#018x}"
            _CLOSED("switch %s at %s: connection closed: %.200r", dpid, self.address, error)

    datapath._recv_loop = _recv_loop


def _guard_accepting(controller: ModuleType) -> None:
    # The class itself, not the name in the module: `ryu_vmmob.compat.tls` puts a class derived from it there, or has already.
    server = controller.hub.StreamServer

    def serve_forever(self: Any) -> None:
        """Accept connections until the process ends."""
        open_now, full = 0, False

        def counted(sock: Any, address: Any) -> None:
            nonlocal open_now
            try:
                self.handle(sock, address)
            finally:
                open_now -= 1

        while True:
            try:
                sock, address = self.server.accept()
            except OSError as error:
                _NO_ACCEPT("no connection can be accepted: %s", error)
                controller.hub.sleep(PAUSE_SECONDS)
                continue
            if open_now >= most_connections():
                if not full:  # told once, until there is room again
                    LOG.error("connection from %s and others refused: %d are open", address, open_now)
                full = True
                sock.close()
                controller.hub.sleep(0)
                continue
            full = False
            open_now += 1
            controller.hub.spawn(counted, sock, address)

    serve_forever.unguarded = server.serve_forever  # type: ignore[attr-defined]
    server.serve_forever = serve_forever
