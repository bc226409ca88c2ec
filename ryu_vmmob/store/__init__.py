"""The durable home of the logical state: what a 2xx answer stands on (invariant 9)."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from ryu_vmmob.store.base import Record, Store, StoreError, Write
from ryu_vmmob.store.sqlite import SqliteStore

__all__ = ["Record", "Store", "StoreError", "Write", "open_store"]


def open_store(url: str) -> Store:
    """Return the store at ``url``, created when there is none; StoreError when it cannot be used.

    ``sqlite:///var/lib/vmmob/vmmob.db`` is the file ``/var/lib/vmmob/vmmob.db`` (the path is always absolute) and
    ``sqlite:///:memory:`` a store that lives as long as the process.
    """
    parts = urlsplit(url)
    if parts.scheme != "sqlite":
        raise StoreError(f"store {url!r}: the kind {parts.scheme!r} is not known; sqlite is")
    if parts.netloc or parts.query or parts.fragment or not url.startswith("sqlite:///") or parts.path in ("", "/"):
        raise StoreError(f"store {url!r}: write sqlite:///PATH or sqlite:///:memory:")
    path = unquote(parts.path)
    if "\0" in path:
        raise StoreError(f"store {url!r}: a path has no null byte")
    return SqliteStore(None if path == "/:memory:" else "/" + path.lstrip("/"))
