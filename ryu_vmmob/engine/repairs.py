"""Repairs: the entries that audits corrected at each switch, and the number of audits, since the start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from ryu_vmmob.model.draft import Event

KINDS: Final = ("flows", "groups", "meters", "fragments")
"""``fragments``: the fragment mode."""
WRONGS: Final = ("missing", "alien", "altered")


class Repairs:
    """Counters by switch. What a switch lacks when it connects is no repair: only what a later audit finds."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[tuple[str, str]]] = {}
        self._begun: Counter[str] = Counter()
        self._audits: Counter[str] = Counter()
        self._last: dict[str, float] = {}
        self._foreign: dict[str, int] = {}

    def counts(self, switch: str) -> dict[str, dict[str, int]]:
        """``{"flows": {"missing": …, "alien": …, "altered": …}, "groups": …, "meters": …, "fragments": …}``."""
        found = self._counts.get(switch, Counter())
        return {kind: {wrong: found[kind, wrong] for wrong in WRONGS} for kind in KINDS}

    def audits(self, switch: str) -> int:
        """Return the number of the last comparison that came to its end, those at each connection included; 0: none yet."""
        return self._audits[switch]

    def next(self, switch: str) -> int:
        """Return the number of the next comparison that begins."""
        return self._begun[switch] + 1

    def begin(self, switch: str) -> None:
        """Begin a comparison."""
        self._begun[switch] += 1

    def last(self, switch: str) -> float | None:
        """Return when it was compared last, in seconds since the epoch."""
        return self._last.get(switch)

    def foreign(self, switch: str) -> int:
        """Flows that are not ours and stand in our tables, as the last comparison saw."""
        return self._foreign.get(switch, 0)

    def audited(self, switch: str, counts: Mapping[tuple[str, str], int] | None, foreign: int, now: float) -> list[Event]:
        """Count a switch that was compared and put right. ``counts`` by kind and what was wrong; None: it had just
        connected.
        """
        self._audits[switch] = self._begun[switch]
        self._last[switch] = now
        events = []
        found = {f"{kind}_{wrong}": number for (kind, wrong), number in sorted((counts or {}).items()) if number}
        if found:
            self._counts.setdefault(switch, Counter()).update(counts or {})
            events.append(Event("switch.repaired", {"switch": switch, **found}))
        if foreign and foreign != self._foreign.get(switch, 0):
            events.append(Event("switch.foreign_flows", {"switch": switch, "flows": foreign}))
        self._foreign[switch] = foreign
        return events
