"""CUGs, VMs and migrations as answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

View = dict[str, Any]


def time_text(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 text in UTC, with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
