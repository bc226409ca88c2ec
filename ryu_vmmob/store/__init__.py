"""The durable home of the logical state: what a 2xx answer stands on (invariant 9)."""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit

from ryu_vmmob.store.base import OpenStore, Record, Store, StoreError, Write
from ryu_vmmob.store.etcd.address import NO_ACCESS, Access, is_etcd
from ryu_vmmob.store.etcd.store import EtcdStore
from ryu_vmmob.store.sqlite import SqliteStore

__all__ = ["Access", "Record", "Store", "StoreError", "Write", "open_store"]


def open_store(url: str, access: Access = NO_ACCESS, *, create: bool = True) -> OpenStore:
    """Return the store at ``url``, created when there is none (with ``create``); StoreError when it cannot be used.

    ``etcd://HOST:PORT,HOST:PORT/PREFIX`` is a store on etcd, ``etcds`` the same over TLS; ``access`` is what its members ask
    for.
    ``sqlite:///var/lib/vmmob/vmmob.db`` is the file ``/var/lib/vmmob/vmmob.db`` (the path is always absolute) and
    ``sqlite:///:memory:`` a store that lives as long as the process.
    """
    if is_etcd(url):
        return EtcdStore(url, access, create=create)
    parts = urlsplit(url)
    if parts.scheme != "sqlite":
        raise StoreError(f"store {url!r}: the kind {parts.scheme!r} is not known; sqlite, etcd and etcds are")
    if parts.netloc or parts.query or parts.fragment or not url.startswith("sqlite:///") or parts.path in ("", "/"):
        raise StoreError(f"store {url!r}: write sqlite:///PATH or sqlite:///:memory:")
    path = unquote(parts.path)
    if "\0" in path:
        raise StoreError(f"store {url!r}: a path has no null byte")
    path = "/" + path.lstrip("/")
    if not create and path != "/:memory:" and not os.path.lexists(path):
        raise StoreError(f"store {path}: there is none")
    return SqliteStore(None if path == "/:memory:" else path)
