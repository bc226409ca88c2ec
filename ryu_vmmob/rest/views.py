"""CUGs, VMs and migrations as answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

View = dict[str, Any]


def time_text(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 text in UTC, with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Described(Protocol):
    """An object with what people want to know of it."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Values by key."""

    @property
    def description(self) -> str:
        """One line."""


def described(row: Described) -> View:
    """Return labels, in order, and description, as far as they were given."""
    found: View = {"labels": dict(sorted(row.labels.items()))} if row.labels else {}
    return found | ({"description": row.description} if row.description else {})
