"""The stream of events: numbered, the newest kept, read by cursors.

A cursor is a place in the stream, so a slow reader delays no other: what it has not read when the ring is full is gone,
and it is told how much (`GAP`). Pure: a call wakes readers, and the clock is an argument.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from ryu_vmmob.engine.event_kinds import GAP, kind_of, sentence
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.news import Event

KEPT: Final = 10_000
"""So many events are kept for who comes late."""
MAX_LISTENERS: Final = 128
"""So many may listen at once."""


class TooManyListenersError(Exception):
    """`MAX_LISTENERS` listen already."""


class Numbered(NamedTuple):
    """An event in the stream. ``time`` in seconds since the epoch.

    Of a gap, ``event.data`` has ``missed``: how many are not there any more, None when that cannot be known.
    """

    id: int
    time: float
    event: Event


class EventStream:
    """All events of this life of the controller. Iterating gives those that are kept, oldest first.

    Ids go up by one. The first is the time of the start in microseconds since the epoch, or ``first`` where that is given
    (`engine.event_ids`). Smaller than 2^53 until 2255.
    """

    def __init__(self, clock: Callable[[], float], size: int = KEPT, first: int | None = None) -> None:
        self._clock = clock
        self._size = size
        self._ring: list[Numbered] = []
        self.born = int(clock() * 1_000_000) if first is None else first
        """The id of the first event there is."""
        self.next_id = self.born
        self._listeners: set[Callable[[], None]] = set()
        self.counts: Counter[str] = Counter()
        """How many there were, by kind."""

    def __len__(self) -> int:
        return len(self._ring)

    def __iter__(self) -> Iterator[Event]:
        return (self.at(number).event for number in range(self.first, self.next_id))

    @property
    def first(self) -> int:
        """The id of the oldest event that is kept."""
        return self.next_id - len(self._ring)

    def at(self, id_: int) -> Numbered:
        """Return the event with this id; only from `first` on and before `next_id`."""
        return self._ring[(id_ - self.born) % self._size]

    def append(self, event: Event) -> None:
        """Add an event and wake all readers. Never blocks."""
        row = Numbered(self.next_id, self._clock(), event)
        self.counts[event.kind] += 1
        if len(self._ring) < self._size:
            self._ring.append(row)
        else:
            self._ring[(row.id - self.born) % self._size] = row
        self.next_id += 1
        for wake in tuple(self._listeners):
            wake()

    def now(self) -> float:
        """Seconds since the epoch, by the clock of the events."""
        return self._clock()

    @property
    def is_full(self) -> bool:
        """Whether the limit of listeners is reached."""
        return len(self._listeners) >= MAX_LISTENERS

    @property
    def listeners(self) -> int:
        """Return how many listen now."""
        return len(self._listeners)

    def listen(self, wake: Callable[[], None]) -> None:
        """From now on ``wake`` is called at every event; it must neither wait nor raise. Raises TooManyListenersError."""
        if self.is_full:
            raise TooManyListenersError(f"{MAX_LISTENERS} listen already")
        self._listeners.add(wake)

    def leave(self, wake: Callable[[], None]) -> None:
        """No more calls of ``wake``."""
        self._listeners.discard(wake)

    def cursor(self, families: Sequence[str] = (), since: int | None = None) -> Cursor:
        """Return a reader of the events after the one with id ``since`` (None: of those to come), as `wanted` says."""
        return Cursor(self, families, self.next_id if since is None else since + 1)

    def newest(self, families: Sequence[str], limit: int, breath: Breath | None = None) -> list[Numbered]:
        """Return the last ``limit`` events kept, oldest first. Not those that come in the pauses of ``breath``."""
        found: list[Numbered] = []
        for number in (breath or Breath()).through(range(self.next_id - 1, self.first - 1, -1)):
            if len(found) == limit or number < self.first:  # overwritten in a pause
                break
            row = self.at(number)
            if wanted(row.event.kind, families):
                found.append(row)
        return found[::-1]

    def lately(self, family: str, seconds: float) -> Iterator[Event]:
        """Yield the events of a family within the last ``seconds``, the newest first."""
        begin = self._clock() - seconds
        for number in range(self.next_id - 1, self.first - 1, -1):
            row = self.at(number)
            if row.time < begin:
                return
            if wanted(row.event.kind, (family,)):
                yield row.event

    def gap(self, before: int, missed: int | None) -> Numbered:
        """Return the row that stands for what was lost before the event with id ``before``; reading on after it loses nothing
        more.
        """
        return Numbered(before - 1, self._clock(), Event(GAP, {"missed": missed}))


class Cursor:
    """A place in a stream; ``position`` is the id of the event to be looked at next."""

    def __init__(self, stream: EventStream, families: Sequence[str], position: int) -> None:
        self.stream = stream
        self.heartbeat: float | None = None
        """Seconds between two signs of life that its reader wants; None: it wants none."""
        self._families = tuple(families)
        self.position = position

    def take(self, limit: int, looks: int = KEPT) -> list[Numbered]:
        """Return up to ``limit`` events from the cursor on, in order, out of the next ``looks`` events; perhaps none.

        A gap comes first where events are lost: overwritten before they were read, or of an earlier life of the controller (an
        id that this one has never given).
        """
        stream = self.stream
        found: list[Numbered] = []
        if self.position < stream.first or self.position > stream.next_id:
            known = stream.born <= self.position <= stream.next_id
            found.append(stream.gap(stream.first, stream.first - self.position if known else None))
            self.position = stream.first
        end = min(stream.next_id, self.position + looks)
        while self.position < end and len(found) < limit:
            row = stream.at(self.position)
            self.position += 1
            if wanted(row.event.kind, self._families):
                found.append(row)
        return found


def wanted(kind: str, families: Sequence[str]) -> bool:
    """Whether a kind is one of ``families`` or begins with one and a dot; without any, every kind is wanted."""
    return not families or any(kind == family or kind.startswith(f"{family}.") for family in families)


def row_view(row: Numbered, time_text: Callable[[float], str]) -> dict[str, Any]:
    """Return an event as it goes out: with its level, and in words. ``id`` is the event's."""
    kind, view = row.event.kind, event_view(row.event)
    text = {"level": kind_of(kind).level.value, "text": sentence(kind, view)}
    return {"id": row.id, "time": time_text(row.time), **view, **text}


def event_view(event: Event) -> dict[str, Any]:
    """Its kind and its particulars; the id of a migration or batch goes under that name."""
    family = event.kind.partition(".")[0]
    return {"event": event.kind, **{family if name == "id" else name: value for name, value in event.data.items()}}
