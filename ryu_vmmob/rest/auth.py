"""Authentication: bearer tokens (RFC 6750), compared in constant time.

A web page cannot give its WebSocket an ``Authorization`` header, and a token in the URL would stand in logs. So the token may
come as a subprotocol, ``bearer.`` and its base64url form, beside `SUBPROTOCOL`, the one that is agreed on.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
from typing import Final

from webob import Request

from ryu_vmmob.rest.origins import is_websocket
from ryu_vmmob.rest.problems import Problem
from ryu_vmmob.rest.tokens import Token, TokenFile, TokenFileError, digest

_LOG = logging.getLogger(__name__)
SUBPROTOCOL: Final = "vmmob.events"
_BEARER: Final = "bearer."
_CHALLENGE = 'Bearer realm="vmmob"'


class Guard:
    """Lets requests with a token of ``file`` pass; without any file, all of them."""

    def __init__(self, file: TokenFile | None) -> None:
        self._file = file
        self._complaint = ""
        for token in () if file is None else file.tokens():
            if token.is_short:
                _LOG.warning("the token of %s is short and may be guessed: openssl rand -base64 24 is better", token.name)

    @property
    def is_open(self) -> bool:
        """Whether everyone may pass."""
        return self._file is None

    def check(self, request: Request) -> Token | None:
        """Return the holder of the request's token; None when no token is needed.

        Raises 401 for a bad token, and 503 when the token file is unreadable.
        """
        if self._file is None:
            return None
        header = request.headers.get("Authorization")
        if header is None and is_websocket(request):
            header = _offered(request.headers.get("Sec-WebSocket-Protocol", ""))
        if header is None:
            raise Problem(401, "a bearer token is required", headers={"WWW-Authenticate": _CHALLENGE})
        scheme, _, given = header.partition(" ")
        found = self._whose(self._file, given.strip())
        if scheme.lower() != "bearer" or found is None:
            challenge = f'{_CHALLENGE}, error="invalid_token"'
            raise Problem(401, "the token is not valid", headers={"WWW-Authenticate": challenge})
        return found

    def _whose(self, file: TokenFile, given: str) -> Token | None:
        try:
            tokens = file.tokens()
        except TokenFileError as error:
            if str(error) != self._complaint:
                _LOG.error("%s; every request is refused until it is valid again", error)
                self._complaint = str(error)
            raise Problem(503, "the controller cannot use its token file; its log says why") from error
        self._complaint = ""
        asked = digest(given)
        # Digests of one length, and every one compared: the time tells nothing about a token.
        matches = [hmac.compare_digest(asked, token.digest) for token in tokens]
        return next((token for token, match in zip(tokens, matches, strict=True) if match), None)


def _offered(subprotocols: str) -> str | None:
    """Return what the header would be for a token among the subprotocols that a client offers."""
    for offer in (row.strip() for row in subprotocols.split(",")):
        if offer.startswith(_BEARER):
            text = offer.removeprefix(_BEARER)
            try:
                return "Bearer " + base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
            except (binascii.Error, ValueError):
                return ""
    return None
