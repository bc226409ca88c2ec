"""Where an etcd store is, and how its members are to be convinced: the URL, the certificates, the user."""

from __future__ import annotations

import os
import ssl
from typing import Final, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from ryu_vmmob.store.base import StoreError

SCHEMES: Final = ("etcd", "etcds")
PORT: Final = 2379
_FORM: Final = "write etcd://HOST:PORT,HOST:PORT,HOST:PORT/PREFIX, or etcds:// for TLS"


class Access(NamedTuple):
    """What the members of etcd ask for. All but the user are names of files; None: they ask for nothing of the kind."""

    ca: str | None = None
    certificate: str | None = None
    private_key: str | None = None
    user: str | None = None
    password_file: str | None = None


NO_ACCESS: Final = Access()


class Place(NamedTuple):
    """The members as (host, port), the prefix of all keys (it begins with a slash and ends without one), and TLS or not."""

    members: tuple[tuple[str, int], ...]
    prefix: str
    tls: bool

    def __str__(self) -> str:
        members = ",".join(shown(member) for member in self.members)
        return f"etcd{'s' if self.tls else ''}://{members}{self.prefix}"


def shown(member: tuple[str, int]) -> str:
    """Return a member as host:port."""
    host, port = member
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_etcd(url: str) -> bool:
    """Whether a URL names a store on etcd."""
    return url.partition(":")[0].lower() in SCHEMES


def parse(url: str, access: Access) -> Place:
    """Return the place that a URL names. Raises StoreError, whose text has no password."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise StoreError(f"store on etcd: {error}; {_FORM}") from None
    if "@" in parts.netloc:  # said without the URL: it would be in the log
        raise StoreError("store on etcd: a URL may hold no user and no password: name etcd_user and etcd_password_file instead")
    if parts.query or parts.fragment:
        raise StoreError(f"store {url!r}: {_FORM}")
    members = tuple(_member(text, url) for text in parts.netloc.split(","))
    place = Place(members, _prefix(parts, url), parts.scheme == "etcds")
    _refuse_odd_access(place, access)
    return place


def _member(text: str, url: str) -> tuple[str, int]:
    try:
        found = urlsplit(f"//{text}")
        host, port = found.hostname, found.port
    except ValueError as error:
        raise StoreError(f"store {url!r}: {error}; {_FORM}") from None
    if not host:
        raise StoreError(f"store {url!r}: a member has no name; {_FORM}")
    return host, port or PORT


def _prefix(parts: SplitResult, url: str) -> str:
    prefix = unquote(parts.path).rstrip("/")
    if not prefix or "//" in prefix or not prefix.isprintable():
        raise StoreError(f"store {url!r}: it names no prefix for its keys; {_FORM}")
    return prefix


def _refuse_odd_access(place: Place, access: Access) -> None:
    if (access.user is None) != (access.password_file is None):
        raise StoreError(f"store {place}: etcd_user and etcd_password_file go together")
    if (access.certificate is None) != (access.private_key is None):
        raise StoreError(f"store {place}: etcd_certificate and etcd_private_key go together")
    if not place.tls and (access.ca or access.certificate):
        raise StoreError(f"store {place}: etcd_ca and etcd_certificate are for TLS: write etcds://")


def tls_context(place: Place, access: Access) -> ssl.SSLContext | None:
    """Return how TLS is spoken with the members; None when it is not. Raises StoreError where a file cannot be read."""
    if not place.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=access.ca)
        if access.certificate is not None and access.private_key is not None:
            if os.stat(access.private_key).st_mode & 0o007:
                raise StoreError(
                    f"store {place}: everyone on this machine may use the private key {access.private_key} (chmod 600 it)"
                )
            context.load_cert_chain(access.certificate, access.private_key)
    except (OSError, ssl.SSLError) as error:
        raise StoreError(f"store {place}: the certificates cannot be used: {error}") from error
    return context


def password(place: Place, access: Access) -> str:
    """Return the password, read now: a new one counts without a restart. Raises StoreError."""
    try:
        with open(access.password_file or "", encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise StoreError(
                    f"store {place}: others than its owner may use the password file {access.password_file} (chmod 600 it)"
                )
            return file.read().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"store {place}: the password file {access.password_file} cannot be read: {error}") from error
