"""Which REST call follows which event of a hypervisor. Pure: the same rules for libvirt's events and for QEMU's own."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

GOING_ON: Final = ("preparing", "prepared")
UNDER_WAY: Final = ("preparing", "prepared", "activated")
"""States of a migration that is not over."""


class Happening(StrEnum):
    """What a hypervisor sees of a VM that moves."""

    ARRIVING = "arriving"
    """Its process is here and waits for its memory."""
    LEAVING = "leaving"
    """Its memory is being copied to another server."""
    PAUSED = "paused"
    """Its processors have stopped so that it goes on elsewhere."""
    RESUMED = "resumed"
    """They run, after a migration: at the target the VM has arrived, at the source the migration has failed."""
    LEFT = "left"
    """Its process has ended because the VM runs elsewhere."""
    ENDED = "ended"
    """Its process has ended for another reason."""


class Happened(NamedTuple):
    """What happened to a domain here. Times are nanoseconds since the epoch.

    ``at``: when the news arrived. ``stopped``: QEMU's own time stamp of its last STOP, None when it is not known.
    """

    happening: Happening
    name: str
    uuid: str
    at: int
    stopped: int | None = None
    detail: str = ""


class Step(StrEnum):
    """A call of ``/v1/migrations/{id}/...``."""

    DELIVER = "deliver"
    ACTIVATE = "activate"
    ABORT = "abort"


def step_after(happening: Happening, here: str, move: Mapping[str, Any]) -> Step | None:
    """Return the call that follows what server ``here`` sees of the VM of ``move`` (a migration of REST); None: none.

    An abort after the activation takes the VM back: a VM that runs on at its source is not at its target.
    """
    going_on, state = move["state"] in GOING_ON, move["state"]
    if move["from"] == here:
        return {
            Happening.PAUSED: Step.DELIVER if going_on else None,
            Happening.RESUMED: Step.ABORT if state in UNDER_WAY else None,
            Happening.LEFT: Step.ACTIVATE if going_on else None,
        }.get(happening)
    if move["to"] == here and going_on:
        return {Happening.RESUMED: Step.ACTIVATE, Happening.ENDED: Step.ABORT}.get(happening)
    return None


def under_way(moves: list[Any]) -> Any | None:
    """Return the migration of a VM that is not over, of all it has had in the order they began; None when there is none."""
    return next((row for row in reversed(moves) if row["state"] in UNDER_WAY), None)


STOP_IS_FRESH: Final = 5_000_000_000
"""Nanoseconds: an older STOP of QEMU is another pause's."""


def paused_at(arrived: int, stopped: int | None) -> int:
    """Return when a VM stopped, in nanoseconds since the epoch: QEMU's own time stamp of STOP, if this pause has one.

    ``arrived``: when the news of the pause arrived here. That is some milliseconds later, and what reached the tap in between
    would be taken for read.
    """
    if stopped is not None and arrived - STOP_IS_FRESH <= stopped <= arrived:
        return stopped
    return arrived
