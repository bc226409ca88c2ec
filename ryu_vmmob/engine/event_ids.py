"""Event ids that only grow, also over restarts and when the wall clock is set back.

They count on from the time of the start in microseconds, or from what an earlier life of the controller has set aside in the
store, whichever is more. So a reader that comes back with the id it has read last is never given an older event as a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from ryu_vmmob.store.base import Record, StoreError, Write
from ryu_vmmob.store.codec import encode

ROOM: Final = 1_000_000
"""So many ids are set aside beyond the one given last: more than there are events between two looks."""
_KIND, _NAME = "meta", "event_ids"


class EventIds:
    """``first`` is the first id to give. ``wall`` in seconds since the epoch; ``store`` carries out writes."""

    def __init__(self, records: Iterable[Record], wall: float, store: Callable[[list[Write]], None]) -> None:
        found = (row.body.get("value") for row in records if (row.kind, row.name) == (_KIND, _NAME))
        kept = max((value for value in found if isinstance(value, int)), default=0)
        self.first = max(int(wall * 1_000_000), kept)
        self._kept = kept
        self._store = store

    def look(self, next_id: int) -> None:
        """Set ids aside beyond ``next_id``, if too few are; to be called every half second or so.

        A store that rejects it is retried at the next call: no client waits for it.
        """
        if next_id + ROOM // 2 > self._kept:
            try:
                self._store([Write(_KIND, _NAME, encode(next_id + ROOM))])
            except StoreError:
                return
            self._kept = next_id + ROOM
