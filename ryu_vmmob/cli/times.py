"""Times for people: by the zone of this machine, or in UTC, and always with the zone beside them."""

from __future__ import annotations

from datetime import UTC, datetime

_in_utc = False


def use_utc(*, wanted: bool) -> None:
    """Show all times from now on in UTC, or by the zone of this machine."""
    global _in_utc
    _in_utc = wanted


def _local(text: str) -> tuple[datetime, str]:
    time = datetime.fromisoformat(text).astimezone(UTC if _in_utc else None)
    zone = time.isoformat()[-6:]
    return time, "Z" if zone == "+00:00" else zone


def moment(text: str) -> str:
    """Return a time of an answer as RFC 3339 with milliseconds: ``2026-11-30T04:47:10.257+09:00``."""
    time, zone = _local(text)
    return time.replace(tzinfo=None).isoformat(timespec="milliseconds") + zone


def moment_or_none(text: str | None) -> str | None:
    """Return it as `moment` does; None stays what it is."""
    return None if text is None else moment(text)


def clock(text: str) -> str:
    """Return the time of day of it, for events that are shown as they happen."""
    time, zone = _local(text)
    return time.strftime("%H:%M:%S.%f")[:-3] + zone
