"""A client of the REST interface for programs in Python (docs/client.md)."""

from __future__ import annotations

from ryu_vmmob.client.errors import ClientError, RefusedError, UnreachableError
from ryu_vmmob.client.events import followed
from ryu_vmmob.client.http import DEFAULT_URL, MAX_WAIT, Connection, path
from ryu_vmmob.client.resources import Client
from ryu_vmmob.client.settings import Settings, read_settings, read_token

__all__ = [
    "DEFAULT_URL", "MAX_WAIT", "Client", "ClientError", "Connection", "RefusedError", "Settings", "UnreachableError",
    "followed", "path", "read_settings", "read_token",
]  # fmt: skip
