"""Which web pages may open a WebSocket: the server has to check the origin, since a browser does not (RFC 6455, 10.2)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from webob import Request

from ryu_vmmob.rest.problems import Problem


def is_websocket(request: Request) -> bool:
    """Whether a request asks for a WebSocket."""
    upgrade: str = request.headers.get("Upgrade", "")
    return bool(request.method == "GET") and upgrade.strip().lower() == "websocket"


class Origins:
    """Pages of this very host, and of the origins ``allowed`` (``https://host:port``).

    Without a token (``guarded`` false) "this very host" must be the loopback by name as well: else a page of a stranger, whose
    name was made to lead here, would be taken for ours.
    """

    def __init__(self, allowed: Iterable[str], *, guarded: bool) -> None:
        self._allowed = frozenset(row.rstrip("/").lower() for row in allowed)
        self._guarded = guarded

    def check(self, request: Request) -> None:
        """Raise a 403 for a page that may not ask. Who sends no ``Origin`` is no browser."""
        origin = request.headers.get("Origin")
        if origin is None or origin.lower() in self._allowed:
            return
        host = _common_host(origin, request.headers.get("Host", ""))
        if host is None or not (self._guarded or _is_loopback(host)):
            raise Problem(
                403, "web pages of this origin may neither write nor listen here; option api_origins names those that may"
            )


def _common_host(origin: str, host: str) -> str | None:
    """Return the host's name when an origin and a ``Host`` header are the same host and port; None otherwise."""
    try:
        page, here = urlsplit(origin), urlsplit(f"//{host}")
        default = {"http": 80, "https": 443}.get(page.scheme)
        same = (page.hostname, page.port or default) == (here.hostname, here.port or default)
    except ValueError:
        return None
    return page.hostname if same and default is not None else None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
