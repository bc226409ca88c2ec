"""A plan: the contributions and deltas that a new state needs, before anything is sent."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ryu_vmmob.flows.delta import Delta
from ryu_vmmob.flows.owner import Owner
from ryu_vmmob.flows.segment import Entry
from ryu_vmmob.model.state import State


@dataclass(slots=True)
class Plan:
    """The changes of a new state: by (switch, owner) the new contribution (empty: gone), and by switch the delta.

    ``shares``: by how much the number of owners of shared flows changes.
    """

    state: State
    contributions: dict[tuple[str, Owner], tuple[Entry, ...]] = field(default_factory=dict)
    deltas: dict[str, Delta] = field(default_factory=dict)
    shares: dict[str, Counter[int]] = field(default_factory=dict)
