"""The facts that health is judged by, and the verdict, as values."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from ryu_vmmob.fabric.attached import Attached
from ryu_vmmob.health.parts import Part
from ryu_vmmob.model.objects import Migration
from ryu_vmmob.model.state import State

STUCK_SECONDS: Final = 10.0
"""A move that has waited so long for switches to confirm its present step is stuck; some tens of milliseconds are usual."""


REASONS: Final = (
    "store.failing", "controller.unmet", "switch.held", "switch.away", "switch.refused", "switch.behind", "switch.settling",
    "switch.foreign_flows", "switch.ports_missing", "fabric.split", "link.down", "external.down", "external.silent",
    "move.stuck",
)  # fmt: skip
"""Kinds of reasons."""


class Standing(StrEnum):
    """The state of a switch. ``settling``: it has not confirmed the newest yet, and is not late; every change begins so."""

    IN_STEP = "in_step"
    REFUSED = "refused"
    SETTLING = "settling"
    BEHIND = "behind"
    HELD = "held"
    AWAY = "away"


class SwitchFacts(NamedTuple):
    """A switch: how it stands, how many revisions it has not confirmed, how many flows and groups it refuses and the words of
    the first refusal, and how many foreign flows its last audit saw in our tables. ``held``: why it is held.
    ``missing``: ports that the fabric file names and the switch does not have.
    """

    name: str
    standing: Standing
    behind: int = 0
    faults: int = 0
    error: str | None = None
    foreign: int = 0
    held: str | None = None
    missing: Mapping[int, Attached] = MappingProxyType({})


class Waiting(NamedTuple):
    """A move under way: the switches that have not confirmed its step, and why it stays open although its time is over."""

    migration: Migration
    pending: tuple[str, ...] = ()
    overdue: str | None = None


class Facts(NamedTuple):
    """The facts. ``now`` in seconds of the line of `Migration.timeline`.

    ``has_met``: some switch was asked what it has since the controller started. ``store``: why the store takes nothing, None
    while it does. ``refused``: frames of servers refused within the last minute.
    """

    state: State
    switches: tuple[SwitchFacts, ...]
    has_met: bool
    now: float
    store: str | None = None
    moves: tuple[Waiting, ...] = ()
    refused: int = 0


class Status(StrEnum):
    """Ready: all is well. Degraded: it works, and something should be looked at. Not ready: it cannot do what it is asked."""

    READY = "ready"
    DEGRADED = "degraded"
    NOT_READY = "not_ready"


class Loudness(StrEnum):
    """The loudness of a reason: ``bad`` takes traffic away or control, ``warn`` may, ``note`` passes by itself.

    ``good``, ``busy`` and ``quiet`` are of tiles alone.
    """

    BAD = "bad"
    WARN = "warn"
    NOTE = "note"
    GOOD = "good"
    BUSY = "busy"
    QUIET = "quiet"


class Thing(NamedTuple):
    """The subject of a reason: ``switch``, ``link``, ``external``, ``migration``, ``controller``, and its name."""

    kind: str
    name: str


class Reason(NamedTuple):
    """A reason why something is wrong. ``blocks``: while it lasts, ``/readyz`` is 503. ``ask``: the command that tells more."""

    kind: str
    level: Loudness
    what: str
    about: tuple[Thing, ...] = ()
    ask: str = "vmmob status"
    blocks: bool = False


class Tile(NamedTuple):
    """A group of reasons, or a number, for a strip. ``opens``: what a click leads to."""

    kind: str
    level: Loudness
    text: str
    opens: Thing | None = None


class Health(NamedTuple):
    """``reasons``: the loudest first. ``parts``: of a fabric that is split, else empty."""

    status: Status
    reasons: tuple[Reason, ...]
    tiles: tuple[Tile, ...]
    standings: Mapping[str, Standing]
    parts: tuple[Part, ...]

    @property
    def troubles(self) -> tuple[Reason, ...]:
        """The reasons that do not pass by themselves."""
        return tuple(row for row in self.reasons if row.level is not Loudness.NOTE)

    @property
    def level(self) -> Loudness:
        """Return how loud the loudest tile is."""
        levels = {row.level for row in self.tiles}
        return next((row for row in (Loudness.BAD, Loudness.WARN) if row in levels), Loudness.GOOD)
