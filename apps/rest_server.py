"""The server below REST: TLS, and limits on what one client may hold.

Ryu's WSGI server knows neither. It waits for ever for a client that sends its request a byte at a time, reads to the end
whatever body it is sent, and shows a client the traceback of what went wrong.
"""

from __future__ import annotations

import json
import logging
import os
import re
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import eventlet.wsgi
from ryu.app import wsgi
from ryu.lib import hub

from ryu_vmmob.compat.connections import PAUSE_SECONDS, most_rest_connections
from ryu_vmmob.compat.tls import handshake
from ryu_vmmob.exposure import usable_context
from ryu_vmmob.logs import Sparing
from ryu_vmmob.options import OptionError, RestSettings
from ryu_vmmob.rest.problems import CONTENT_TYPE

LOG = logging.getLogger("ryu_vmmob.rest.access")

_TOO_MANY, _NO_TLS, _NO_HTTP = (Sparing(LOG) for _ in range(3))
_NO_ACCEPT = Sparing(LOG, logging.ERROR)
_STRANGERS_LINES: Final = 200
"""Of requests that came without a good token, a minute."""
_OF_STRANGER: Final = re.compile(r'" (401|429) ')
"""The status in eventlet's line of a request."""
LEFT_OVER: Final = 2**20
"""Bytes of an unused body that are still read, so that the client can read its answer."""
_SECRET: Final = re.compile(r"(token=)[^&\s\"]*", re.IGNORECASE)


class Pace(NamedTuple):
    """Seconds a client has for each thing. ``handshake``: of TLS. ``head``: all headers. ``body``: the whole body.

    ``idle``: between two requests of one connection, the first line of the next one included. ``silent``: without a byte in
    either direction while something is to come. ``left_over``: for what is left of an unused body.
    """

    handshake: float = 10.0
    idle: float = 75.0
    head: float = 10.0
    body: float = 60.0
    silent: float = 60.0
    left_over: float = 5.0


class Certificates:
    """The TLS side of a server; files that are renewed count from the next connection on."""

    def __init__(self, certificate: str, key: str, client_ca: str | None) -> None:
        """Raise OptionError."""
        self._files = (certificate, key, client_ca)
        self._seen = self._stamps()
        self._context = usable_context(*self._files, "REST over TLS")

    def context(self) -> ssl.SSLContext:
        """As the files are now; if they cannot be used, as they were."""
        stamps = self._stamps()
        if stamps != self._seen:
            self._seen = stamps
            try:
                self._context = usable_context(*self._files, "REST over TLS")
                LOG.info("REST over TLS: the renewed certificate is used")
            except OptionError as error:
                LOG.error("%s; the certificate that was read before stays", error)
        return self._context

    def _stamps(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(name) for name in self._files]


def _stamp(name: str | None) -> tuple[int, int, int] | None:
    try:
        status = None if name is None else os.stat(name)
    except OSError:
        return None
    return status and (status.st_mtime_ns, status.st_ino, status.st_size)


class Door:
    """Who is in, by address. One address may have half of all ``connections``, so that it cannot keep the others out."""

    def __init__(self, connections: int, certificates: Certificates | None, pace: Pace = Pace()) -> None:  # noqa: B008
        self.pace = pace
        self.connections = connections
        self.certificates = certificates
        self._inside: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Admit a connection of this address if there is room; return whether it was admitted."""
        if self._inside[address] >= self.connections // 2:
            return False
        self._inside[address] += 1
        return True

    def leave(self, address: str) -> None:
        """One less."""
        self._inside[address] -= 1
        if not self._inside[address]:
            del self._inside[address]


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the middle of it when it takes longer."""
    timer = hub.Timeout(seconds, TimeoutError("timed out"))
    try:
        yield
    finally:
        timer.cancel()


def _problem(status: int, title: str, detail: str, headers: str = "") -> bytes:
    """Return an answer that is given before there is a request; the connection ends with it."""
    body = json.dumps({"title": title.lower(), "status": status, "detail": detail})
    head = f"HTTP/1.1 {status} {title}\r\n{headers}Connection: close\r\nContent-Type: {CONTENT_TYPE}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode("ascii")


class Connection(eventlet.wsgi.HttpProtocol):  # type: ignore[misc]
    """One client, with a time for everything."""

    def __init__(self, door: Door, state: list[Any], server: Any) -> None:
        self._door = door
        self._taken: Any = None
        # A Unix socket's clients have no address; they count together.
        address = state[0][0] if isinstance(state[0], tuple) else "unix"
        if not door.enter(address):
            _TOO_MANY("%s has %d connections, the most for one address; no more are taken", address, door.connections // 2)
            if door.certificates is None:
                with suppress(OSError):
                    state[1].sendall(_problem(503, "Service Unavailable", "too many connections", "Retry-After: 5\r\n"))
            state[1].close()
            return
        try:
            super().__init__(state, server)
        except ssl.SSLError as error:
            _NO_TLS("TLS connection from %s refused: %s", address, error)
        finally:
            door.leave(address)

    def setup(self) -> None:
        """Do the TLS handshake here, where no other connection waits for it."""
        if self._door.certificates is not None:
            secured = handshake(self._door.certificates.context(), self.conn_state[1], self._door.pace.handshake, hub)
            # What is closed at the end is the secured one.
            self.request = self.conn_state[1] = secured
        super().setup()

    def _read_request_line(self) -> Any:
        with _within(self._door.pace.idle):
            return super()._read_request_line()

    def handle_one_request(self) -> None:
        """Answer the next request, and let go of it: it refers to this connection, which refers to it.

        What is in such a cycle when the `Freezer` freezes is never freed, and requests are under way all the time.
        """
        try:
            super().handle_one_request()
        finally:
            self.environ = None
            if self._taken is not None:
                del self._taken.discard
                self._taken = None

    def parse_request(self) -> Any:
        """Return the headers."""
        with _within(self._door.pace.head):
            parsed = super().parse_request()
        # A proxy may take one and we another, and then what one has for a body is a request to the other (RFC 9112, 6.3).
        if parsed and len({length.strip() for length in self.headers.get_all("Content-Length", ())}) > 1:
            self.send_error(400, "two lengths")
            return False
        return parsed

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that is not HTTP. Python's own answer would quote it, and tell the version of Python."""
        self.log_message("code %d, %s", code, message)
        self.wfile.write(_problem(code, HTTPStatus(code).phrase, "the request's head cannot be read"))
        self.close_connection = 1

    def log_message(self, format: str, *arguments: Any) -> None:
        """Python's would go to standard error as it is."""
        _NO_HTTP("%s %s", self.get_client_address()[0], _clean(format % arguments))

    def get_environ(self) -> dict[str, Any]:
        """WSGI's environment, its body with a time limit."""
        environ: dict[str, Any] = super().get_environ()
        taken = environ["eventlet.input"]
        environ["wsgi.input"] = _Body(taken, self, self._door.pace.body)
        taken.discard = partial(self._discard, taken)
        self._taken = taken
        return environ

    def _discard(self, taken: Any) -> None:
        """Read what is left of a body, within reason."""
        left = LEFT_OVER
        with suppress(TimeoutError), _within(self._door.pace.left_over):
            while left > 0:
                part = taken.read(1 << 14)
                if not part:
                    return
                left -= len(part)
        self.close_connection = 1


class _Body:
    """A request's body."""

    def __init__(self, taken: Any, connection: Connection, seconds: float) -> None:
        self._seconds = seconds
        self._taken = taken
        self._connection = connection

    def read(self, size: int = -1) -> bytes:
        try:
            with _within(self._seconds):
                data: bytes = self._taken.read(None if size < 0 else size)
        except OSError:
            # It is unknown where the next request would begin.
            self._connection.close_connection = 1
            raise
        return data


class _Log:
    """eventlet's log in Python's: one line each, whatever a client sends, and no token that came in a URL."""

    def __init__(self) -> None:
        self._strangers = Sparing(LOG, logging.INFO, lines=_STRANGERS_LINES)

    def info(self, text: str, *arguments: Any) -> None:
        line = _clean(text % arguments if arguments else text)
        (self._strangers if _OF_STRANGER.search(line) else LOG.info)("%s", line)

    def error(self, text: str, *arguments: Any) -> None:
        LOG.error("%s", _clean(text % arguments if arguments else text))

    def debug(self, text: str, *arguments: Any) -> None:
        LOG.debug("%s", _clean(text % arguments if arguments else text))


def _clean(text: str) -> str:
    hidden = _SECRET.sub(r"\1...", text)
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in hidden)


class _Listener:
    """A listening socket whose accept never fails while it is open: eventlet's server ends with the first failure.

    A connection that was closed again meanwhile is one (ECONNABORTED), descriptors that are used up another (EMFILE, ENFILE).
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def accept(self) -> Any:
        while True:
            try:
                return self._sock.accept()
            except OSError as error:
                if self._sock.fileno() == -1:
                    raise
                _NO_ACCEPT("no connection to REST can be accepted: %s", error)
                hub.sleep(PAUSE_SECONDS)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class RestServer(hub.WSGIServer):  # type: ignore[misc]
    """In place of Ryu's."""

    def __init__(self, where: tuple[str, int], application: Any, door: Door) -> None:
        super().__init__(where, application)
        self._door = door

    def __call__(self) -> None:
        """Serve until the process ends."""
        self.serve_forever()

    def serve_forever(self) -> None:
        """Answer the same way as above."""
        tls, pace = self._door.certificates is not None, self._door.pace
        if tls:
            LOG.info("REST speaks TLS only")
        eventlet.wsgi.server(
            _Listener(self.server), self.handle, _Log(),
            environ={"wsgi.url_scheme": "https", "HTTPS": "on"} if tls else None,
            protocol=partial(Connection, self._door), max_size=self._door.connections,
            keepalive=pace.idle, socket_timeout=pace.silent, log_x_forwarded_for=False, debug=False,
        )  # fmt: skip


def install(conf: Any, settings: RestSettings) -> None:
    """Let Ryu start our server where it would start its own. Raises OptionError when TLS is asked for and cannot be had."""
    certificates = None
    if settings.certificate is not None and settings.private_key is not None:
        certificates = Certificates(settings.certificate, settings.private_key, settings.client_ca)
    elif (settings.certificate, settings.private_key, settings.client_ca) != (None, None, None):
        raise OptionError("REST over TLS needs --vmmob-rest_certificate and --vmmob-rest_private_key; only a part is set")
    connections = min(settings.connections, most_rest_connections())
    if connections < settings.connections:
        LOG.warning("REST takes %d connections, not %d: the process may open too few files", connections, settings.connections)
    door = Door(connections, certificates)

    def server(application: Any, **config: Any) -> RestServer:
        return RestServer((conf.wsapi_host, conf.wsapi_port), application, door)

    wsgi.WSGIServer = server
