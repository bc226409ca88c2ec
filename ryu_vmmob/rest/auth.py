"""Who may ask: bearer tokens (RFC 6750), compared in constant time.

A web page cannot give its WebSocket an ``Authorization`` header, and a token in the URL would stand in logs. So the token may
come as a subprotocol, ``bearer.`` and its base64url form, beside `SUBPROTOCOL`, the one that is agreed on.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from os import PathLike, fspath
from typing import Final

from webob import Request

from ryu_vmmob.rest.origins import is_websocket
from ryu_vmmob.rest.problems import Problem

SUBPROTOCOL: Final = "vmmob.events"
_BEARER: Final = "bearer."
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_CHALLENGE = 'Bearer realm="vmmob"'


class TokenFileError(ValueError):
    """A token file that cannot be used."""


def read_tokens(path: str | PathLike[str]) -> tuple[str, ...]:
    """The tokens in a file, one a line (several while one is being replaced); TokenFileError when there is none.

    Empty lines and lines that begin with ``#`` say nothing.
    """
    name = fspath(path)
    try:
        with open(name, encoding="ascii") as file:
            lines = [line.strip() for line in file]
    except (OSError, ValueError) as error:
        raise TokenFileError(f"token file {name}: {getattr(error, 'strerror', None) or 'not ASCII text'}") from error
    tokens = []
    for number, line in enumerate(lines, 1):
        if line and not line.startswith("#"):
            if _TOKEN.fullmatch(line) is None:
                raise TokenFileError(f"token file {name}, line {number}: letters, digits and -._~+/ with = at the end only")
            tokens.append(line)
    if not tokens:
        raise TokenFileError(f"token file {name}: it holds no token")
    return tuple(tokens)


class Guard:
    """Lets requests with one of ``tokens`` pass; without any token configured, all of them."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._known = tuple(map(_digest, tokens))

    @property
    def is_open(self) -> bool:
        """Whether everyone may pass."""
        return not self._known

    def check(self, request: Request) -> None:
        """Raise a 401 for who may not ask."""
        if not self._known:
            return
        header = request.headers.get("Authorization")
        if header is None and is_websocket(request):
            header = _offered(request.headers.get("Sec-WebSocket-Protocol", ""))
        if header is None:
            raise Problem(401, "a bearer token is required", headers={"WWW-Authenticate": _CHALLENGE})
        scheme, _, token = header.partition(" ")
        given = _digest(token.strip())
        # Digests of one length, and every one compared: the time tells nothing about a token.
        matches = [hmac.compare_digest(given, known) for known in self._known]
        if scheme.lower() != "bearer" or not any(matches):
            challenge = f'{_CHALLENGE}, error="invalid_token"'
            raise Problem(401, "the token is not valid", headers={"WWW-Authenticate": challenge})


def _offered(subprotocols: str) -> str | None:
    """What the header would be for a token among the subprotocols that a client offers."""
    for offer in (row.strip() for row in subprotocols.split(",")):
        if offer.startswith(_BEARER):
            text = offer.removeprefix(_BEARER)
            try:
                return "Bearer " + base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
            except (binascii.Error, ValueError):
                return ""
    return None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
