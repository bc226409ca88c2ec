"""The gate before every resource: authentication, rate limit, origin and role; and the audit log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from time import process_time
from typing import Final
from urllib.parse import urlsplit

from webob import Request

from ryu_vmmob import logs
from ryu_vmmob.fabric.findings import quote
from ryu_vmmob.model.breath import Breath, no_pause
from ryu_vmmob.rest.auth import Guard
from ryu_vmmob.rest.origins import Origins, is_websocket
from ryu_vmmob.rest.problems import Problem
from ryu_vmmob.rest.rates import Rates
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.tokens import Token, TokenFile, TokenRole

_LOG = logging.getLogger(__name__)
AUDIT: Final = logging.getLogger("ryu_vmmob.audit")
"""One line for each request that would change something, also when it is refused: who, from where, what, what came of it."""

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer that has no other value for them: whatever a browser is shown here, it runs none of it."""
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_CALLER: Final = "vmmob.caller"
_CLIENT: Final = "vmmob.client"
"""Key of the WSGI environment with the name under which a request is counted."""


class Gate:
    """``tokens`` None: everyone may do everything, if it asks from this machine and is no stranger's web page.

    ``origins``: further web pages that may open a WebSocket (`Origins`).
    """

    def __init__(self, tokens: TokenFile | None, rates: Rates | None = None, origins: Iterable[str] = ()) -> None:
        self._guard = Guard(tokens)
        self._rates = rates
        self._pages = Origins(origins, guarded=not self._guard.is_open)

    @property
    def is_open(self) -> bool:
        """Whether no token is asked for."""
        return self._guard.is_open

    def admit(self, request: Request, *, open_to_all: bool, brief: bool = False) -> bool:
        """Let a request in; whether it is to be answered in brief. Raises 401, 403 (a web page's), 429 and 503.

        ``brief``: of who shows no token, or asks from elsewhere while none is needed, no token is wanted either.
        """
        in_brief = brief and self._is_stranger(request)
        self._identify(request, open_to_all=open_to_all or in_brief)
        if is_websocket(request):
            self._pages.check(request)
        return in_brief

    def _is_stranger(self, request: Request) -> bool:
        if not self._guard.is_open:
            return "Authorization" not in request.headers
        host = request.headers.get("Host")
        return host is not None and not _is_loopback(host)

    def _identify(self, request: Request, *, open_to_all: bool) -> None:
        address = request.remote_addr or "-"
        if open_to_all:
            self._count(request, address)
            return
        if self._guard.is_open:
            self._count(request, address)
            self._refuse_pages(request)
            return
        try:
            found = self._guard.check(request)
        except Problem as problem:
            if problem.status == 401:
                if self._rates is not None:
                    self._rates.failure(address)
                _LOG.warning("%s %s from %s: %s", request.method, quote(_path(request)), address, problem.detail)
            raise
        if found is not None:
            request.environ[_CALLER] = found
            self._count(request, f"token {found.name}")

    def authorize(self, request: Request, route: Route) -> None:
        """Raise a 403 when the token is not good for what is asked (RFC 6750, 3.1)."""
        asks = caller(request)
        if asks is not None and asks.role is TokenRole.READER and not route.reads:
            challenge = 'Bearer realm="vmmob", error="insufficient_scope", scope="operator"'
            raise Problem(403, "the token is a reader's; this takes an operator's", headers={"WWW-Authenticate": challenge})

    def audit(self, request: Request, status: int, revision: str | None) -> None:
        """Write down who asked for what, when it is more than to look at something."""
        if request.method in _SAFE:
            return
        asks = caller(request)
        AUDIT.info(
            "token=%s role=%s from=%s method=%s path=%s status=%d revision=%s",
            asks.name if asks else "-", asks.role if asks else "-", request.remote_addr or "-",
            quote(request.method), quote(_path(request)), status, (revision or "-").strip('"'),
            extra=logs.fields(
                token=asks.name if asks else None, role=asks.role if asks else None, client=request.remote_addr,
                method=request.method, path=_path(request), status=status,
            ),
        )  # fmt: skip

    @contextmanager
    def weighed(self, request: Request, pause: Callable[[], None] = no_pause) -> Iterator[Breath]:
        """Count what is done inside as its client's, by the time that it takes of the processor.

        The pauses of what it gives are ``pause``; what the others do in them does not count.
        """
        began = process_time()

        def paused() -> None:
            nonlocal began
            left = process_time()
            pause()
            began += process_time() - left

        try:
            yield Breath(paused)
        finally:
            client = request.environ.get(_CLIENT)
            if self._rates is not None and client is not None:
                self._rates.charge(client, process_time() - began)

    def _count(self, request: Request, client: str) -> None:
        request.environ[_CLIENT] = client
        if self._rates is not None:
            self._rates.request(client)

    def _refuse_pages(self, request: Request) -> None:
        """Refuse what a foreign web page may have made a browser on this machine send, where no token is needed.

        A page whose host name was made to lead here would be taken for ours (DNS rebinding), hence the ``Host``. A form or a
        ``fetch`` of any page may send a request without a body, hence the ``Origin``.
        """
        host = request.headers.get("Host")
        if host is not None and not _is_loopback(host):
            raise Problem(403, "without a token this is for this machine only: ask it by localhost or its loopback address")
        if request.method not in _SAFE:
            self._pages.check(request)


def caller(request: Request) -> Token | None:
    """Return the token of a request; None where none is needed."""
    found = request.environ.get(_CALLER)
    return found if isinstance(found, Token) else None


def _path(request: Request) -> str:
    """Without the query, where a client may have put its token by mistake."""
    path: str = request.environ.get("PATH_INFO", "")
    return path


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
