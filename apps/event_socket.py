"""``/v1/events`` as a WebSocket (RFC 6455): one connection, written by one green thread and read by another.

The `websockets` library has the protocol; this file has the socket, the waiting and the limits. A client that reads slowly
delays only itself: it holds a place in the stream of events and no queue, and the engine only wakes its thread.
"""

from __future__ import annotations

import contextlib
import logging
import math
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from eventlet import wsgi
from ryu.lib import hub
from websockets.datastructures import Headers
from websockets.frames import DATA_OPCODES, CloseCode, Frame
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from ryu_vmmob.engine.events import Cursor, TooManyListenersError
from ryu_vmmob.rest.auth import SUBPROTOCOL
from ryu_vmmob.rest.events import heartbeat, message
from ryu_vmmob.rest.problems import Problem

LOG = logging.getLogger(__name__)
_PROTOCOL_LOG = LOG.getChild("protocol")
# It would tell of every connection, which the server does.
_PROTOCOL_LOG.setLevel(logging.WARNING)

BATCH: Final = 256
"""Events that are sent at one go; then others get their turn."""
_LOOKS: Final = 1024
"""Events that are looked at for them."""
MAX_MESSAGE: Final = 4096
"""Bytes of a message of the client's. It has nothing to say, but pings and an end."""
_RECEIVE: Final = 4096
_PATH: Final = "/v1/events"


class Pace(NamedTuple):
    """Seconds. ``ping``: between two pings, and the time to answer one.

    ``take``: for `BATCH` events to be taken. ``close``: for the client to close when we have.
    """

    ping: float = 20.0
    take: float = 30.0
    close: float = 5.0


class EventSocket:
    """Tells the events of a cursor until the client leaves, falls silent or breaks the rules.

    A WSGI application for eventlet's server: it takes the connection over, and returns when that has ended.
    """

    def __init__(self, cursor: Cursor, pace: Pace = Pace()) -> None:  # noqa: B008 - a constant
        self._cursor = cursor
        self._pace = pace
        self._protocol = ServerProtocol(select_subprotocol=_agreed, max_size=MAX_MESSAGE, logger=_PROTOCOL_LOG)
        self._news = hub.Event()
        self._flushed = hub.Event()
        self._ended = hub.Event()
        self._out: list[bytes] = []
        self._heard = self._pinged = 0.0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer the handshake, and stay."""
        try:
            answer = self._handshake(environ)
        except Problem as problem:
            refused: Iterable[bytes] = problem.response()(environ, start_response)
            return refused
        stream = self._cursor.stream
        try:
            stream.listen(self._news.set)
        except TooManyListenersError as error:
            full: Iterable[bytes] = Problem(503, str(error)).response()(environ, start_response)
            return full
        self._sock = environ["eventlet.input"].get_socket()
        try:
            self._protocol.send_response(answer)
            self._talk()
        finally:
            stream.leave(self._news.set)
        # The server is told that nothing is left to be answered.
        wsgi.WSGI_LOCAL.already_handled = True
        return []

    def _handshake(self, environ: dict[str, Any]) -> Response:
        """Return what agrees to the request. Raises Problem."""
        # The library reads what follows as frames only after it has read the request itself.
        self._protocol.receive_data(Request(_PATH, _headers(environ)).serialize())
        for request in self._protocol.events_received():
            if isinstance(request, Request):
                answer = self._protocol.accept(request)
                if answer.status_code == 101:
                    return answer
        raise Problem(400, f"no WebSocket handshake: {self._protocol.handshake_exc}")

    def _talk(self) -> None:
        reader = hub.spawn(self._read)
        try:
            self._write()
            # Both sides have said their last word, or we have: it may still be on its way.
            self._ended.wait(self._pace.close)
        except OSError as error:
            LOG.debug("a client of /v1/events disconnected: %s", error)
        finally:
            _shut(self._sock, socket.SHUT_RDWR)
            reader.wait()

    # The green thread of the request: everything that is sent

    def _write(self) -> None:
        stream, cursor, protocol = self._cursor.stream, self._cursor, self._protocol
        next_ping = time.monotonic() + self._pace.ping
        beat = cursor.heartbeat
        next_beat = time.monotonic() + beat if beat is not None else math.inf
        while True:
            self._news.clear()
            if protocol.state is OPEN:
                for row in cursor.take(BATCH, _LOOKS):
                    protocol.send_text(message(row).encode())
                if beat is not None and time.monotonic() >= next_beat:
                    next_beat = time.monotonic() + beat
                    protocol.send_text(heartbeat(cursor).encode())
            self._flush()
            if protocol.state is not OPEN:
                return
            now = time.monotonic()
            if now >= next_ping:
                if self._pinged > self._heard:
                    protocol.fail(CloseCode.INTERNAL_ERROR, "no answer to a ping")
                    continue
                self._pinged, next_ping = now, now + self._pace.ping
                protocol.send_ping(b"")
            elif cursor.position < stream.next_id:
                hub.sleep(0)
            else:
                self._news.wait(max(0.0, min(next_ping, next_beat) - now))

    def _flush(self) -> None:
        """Send what there is to send. Raises OSError, also when the client does not take it."""
        self._out += self._protocol.data_to_send()
        while self._out:
            parts, self._out = self._out, []
            timer = hub.Timeout(self._pace.take)
            try:
                self._sock.sendall(b"".join(parts))
            except hub.Timeout as over:
                if over is not timer:
                    raise
                raise OSError("it takes nothing") from None
            finally:
                timer.cancel()
            # The library asks with an empty piece for the end of what we send.
            if b"" in parts:
                _shut(self._sock, socket.SHUT_WR)
        self._flushed.set()

    # The other one: everything that is heard

    def _read(self) -> None:
        protocol = self._protocol
        try:
            while data := self._sock.recv(_RECEIVE):
                self._heard = time.monotonic()
                protocol.receive_data(data)
                events = protocol.events_received()
                if any(isinstance(row, Frame) and row.opcode in DATA_OPCODES for row in events):
                    protocol.fail(CloseCode.UNSUPPORTED_DATA, "events are told here, and nothing is taken")
                self._out += protocol.data_to_send()
                if self._out:
                    # What it makes us answer goes out before more is heard of it.
                    self._flushed.clear()
                    self._news.set()
                    self._flushed.wait(self._pace.take)
        except OSError as error:
            LOG.debug("a client of /v1/events disconnected: %s", error)
        finally:
            protocol.receive_eof()
            self._ended.set()
            self._news.set()


def _agreed(protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Ours, if the client offers it. It need not; and the other one that it may offer is its token."""
    ours = Subprotocol(SUBPROTOCOL)
    return ours if ours in offered else None


def _headers(environ: dict[str, Any]) -> Headers:
    """Return the headers that the handshake is made of; what else the request has is no concern of the library's."""
    names = [key for key in environ if key in ("HTTP_CONNECTION", "HTTP_UPGRADE") or key.startswith("HTTP_SEC_WEBSOCKET_")]
    return Headers({key.removeprefix("HTTP_").replace("_", "-").title(): environ[key] for key in names})


def _shut(sock: Any, how: int) -> None:
    # The other side may have been faster.
    with contextlib.suppress(OSError):
        sock.shutdown(how)
