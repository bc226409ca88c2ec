"""Events as lines of the log: one line each, with its particulars as fields, at the event's level."""

from __future__ import annotations

import logging
from typing import Final

from ryu_vmmob import logs
from ryu_vmmob.engine.event_kinds import Level, kind_of
from ryu_vmmob.engine.events import event_view
from ryu_vmmob.model.draft import Event

LOG = logging.getLogger(__name__)

_LEVELS: Final = {
    Level.INFO: logging.INFO,
    Level.SUCCESS: logging.INFO,
    Level.WARNING: logging.WARNING,
    Level.ERROR: logging.ERROR,
}


def log_event(event: Event) -> None:
    """Write an event to the log."""
    view = event_view(event)
    text = " ".join(f"{key}={value}" for key, value in view.items() if key != "event" and value is not None)
    LOG.log(_LEVELS[kind_of(event.kind).level], "%s %s", event.kind, text, extra=logs.fields(**view))
