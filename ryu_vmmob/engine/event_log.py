"""Events as lines of the log: one each, with its particulars as fields, and louder where somebody should look."""

from __future__ import annotations

import logging
from typing import Final

from ryu_vmmob import logs
from ryu_vmmob.engine.events import event_view
from ryu_vmmob.model.draft import Event

LOG = logging.getLogger(__name__)

LEVELS: Final = {
    "store.failed": logging.ERROR,
    "switch.held": logging.ERROR,
    "switch.fault": logging.ERROR,
    "migration.failed": logging.ERROR,
    "fabric.refused": logging.ERROR,
    "migration.aborted": logging.WARNING,
    "migration.conflict": logging.WARNING,
    "migration.overdue": logging.WARNING,
    "migration.returning": logging.WARNING,
    "batch.passed": logging.WARNING,
    "batch.aborting": logging.WARNING,
    "move.dampened": logging.WARNING,
    "refused.move": logging.WARNING,
    "refused.spoofing": logging.WARNING,
    "switch.disconnected": logging.WARNING,
    "switch.unknown": logging.WARNING,
    "switch.out_of_step": logging.WARNING,
    "switch.repaired": logging.WARNING,
    "switch.foreign_flows": logging.WARNING,
    "switch.floods": logging.WARNING,
    "link.down": logging.WARNING,
    "external.down": logging.WARNING,
    "neighbour.lost": logging.WARNING,
}
"""Kinds of events that are more than information."""


def log_event(event: Event) -> None:
    """Write an event to the log."""
    view = event_view(event)
    text = " ".join(f"{key}={value}" for key, value in view.items() if key != "event" and value is not None)
    LOG.log(LEVELS.get(event.kind, logging.INFO), "%s %s", event.kind, text, extra=logs.fields(**view))
