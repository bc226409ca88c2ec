"""What is wrong with a controller's address: its scheme is missing or not the one that answers, or its certificate is bad."""

from __future__ import annotations

import re
import ssl
from typing import Final
from urllib.parse import urlsplit

from ryu_vmmob.client.errors import ClientError, UnreachableError, causes, root_cause

_SCHEMES: Final = ("http", "https")
_FIRST: Final = re.compile(r"(?:(https?):)?/*(.*)", re.DOTALL)
_NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG")
"""What OpenSSL calls an answer that is no TLS record; the name depends on its version."""


class AddressError(ClientError):
    """The address itself is wrong, or what answers there cannot be trusted: to ask again changes nothing."""


def check_address(url: str) -> None:
    """Do nothing if ``url`` is an address as a client needs it: http or https, and a host. Raises AddressError."""
    if "://" not in url:
        scheme, rest = _FIRST.fullmatch(url).groups()  # type: ignore[union-attr]
        raise AddressError(f"{url or 'no address'} cannot be asked: write {scheme or 'http'}://{rest or 'HOST:PORT'}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise AddressError(f"{url} cannot be asked: {str(error)[:1].lower()}{str(error)[1:]}") from error
    if parts.scheme not in _SCHEMES:
        raise AddressError(f"{url} cannot be asked: its scheme is {parts.scheme}; write http:// or https://")
    if not host:
        raise AddressError(f"{url} cannot be asked: it names no host; write {parts.scheme}://HOST:PORT")


def of_tls(url: str, error: BaseException) -> AddressError:
    """Return what a failure of TLS means."""
    found = next((row for row in causes(error) if isinstance(row, ssl.SSLError) and row.reason), None)
    if found is not None and found.reason in _NOT_TLS:
        return AddressError(f"what answers at {url} does not speak https: write {_with(url, 'http')}")
    if isinstance(found, ssl.SSLCertVerificationError):
        why = f"its certificate is refused: {found.verify_message}"
    else:
        why = found.reason.lower().replace("_", " ") if found is not None else root_cause(error)
    return AddressError(f"the controller at {url} cannot be trusted: {why}")


def of_connection(url: str, error: BaseException) -> UnreachableError:
    """Return what a failure of the connection means. A server of https ends one where http is spoken."""
    hint = ""
    if url.startswith("http:") and any(isinstance(row, ConnectionResetError) for row in causes(error)):
        hint = f"; if it speaks https, write {_with(url, 'https')}"
    return UnreachableError(f"the controller at {url} cannot be reached: {root_cause(error)}{hint}")


def _with(url: str, scheme: str) -> str:
    return f"{scheme}://{url.partition('://')[2]}"
