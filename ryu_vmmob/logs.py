"""The two forms of the log, for our lines and for Ryu's: for people, and one JSON object a line.

A line is about something: `about` puts the switch or the migration into its fields, and an event of the stream has all its
particulars there. The text for people says the same in words.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

CONSOLE: Final = "console"
JSON: Final = "json"
FORMATS: Final = (CONSOLE, JSON)

_FIELDS: Final = "vmmob_fields"
"""Attribute of a log record with what the line is about."""


class _ConsoleFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - the library's name
        return _time(record)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields: Mapping[str, Any] = getattr(record, _FIELDS, {})
        row: dict[str, Any] = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        if "event" not in fields:
            row["message"] = record.getMessage()
        row |= {key: value for key, value in fields.items() if value is not None}
        if record.exc_info:
            row["exception"] = self.formatException(record.exc_info)
        return json.dumps(row, default=str)


def _time(record: logging.LogRecord) -> str:
    """RFC 3339 in UTC, with milliseconds."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def fields(**named: object) -> dict[str, Any]:
    """Return what a line is about, for ``extra=`` of a logger."""
    return {_FIELDS: named}


def about(log: logging.Logger, **named: object) -> logging.LoggerAdapter[logging.Logger]:
    """Return a logger whose lines are all about the same: ``about(LOG, switch="tor-a")``."""
    return logging.LoggerAdapter(log, fields(**named))


class Sparing:
    """A logger for lines that a stranger can cause: ``lines`` of a kind in ``seconds`` at most, and how many more there were.

    One object is one kind; all strangers share it, since a stranger can have many addresses.
    """

    def __init__(
        self,
        log: logging.Logger,
        level: int = logging.WARNING,
        lines: int = 20,
        seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._level, self._lines, self._seconds, self._clock = log, level, lines, seconds, clock
        self._begun = -seconds
        self._written = 0
        self._left_out = 0

    def __call__(self, text: str, *arguments: object, extra: Mapping[str, Any] | None = None) -> bool:
        """Log a line, or count it; whether it was logged."""
        now = self._clock()
        if now - self._begun >= self._seconds:
            if self._left_out:
                self._log.log(self._level, "%d more lines of the following kind were left out", self._left_out)
            self._begun, self._written, self._left_out = now, 0, 0
        if self._written < self._lines:
            self._written += 1
            self._log.log(self._level, text, *arguments, extra=extra)
            return True
        self._left_out += 1
        return False


def use(form: str) -> None:
    """Have everything that is logged from now on in this form, wherever it goes. Raises ValueError for another form."""
    if form not in FORMATS:
        raise ValueError(f"log format {form!r}: {' or '.join(FORMATS)}")
    formatter = _JsonFormatter() if form == JSON else _ConsoleFormatter()
    for handler in logging.getLogger().handlers:
        handler.setFormatter(formatter)


def follow(begin: Callable[[], None], form: Callable[[], str | None]) -> Callable[[], None]:
    """``begin``, which makes the handlers, and then the form that was asked for; None: as they are.

    For Ryu's own function, which runs before any application is loaded: what the manager says until then is logged too.
    """

    def begun() -> None:
        begin()
        wanted = form()
        if wanted is not None:
            use(wanted)

    return begun
