"""What became of a stream of numbered packets to a guest that was moved: a pure function of what was sent and what came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

STALE_NS = 1_000_000_000
LISTED_AT_MOST = 50

Run = tuple[int, int]


@dataclass(frozen=True)
class Received:
    """One stream to the guest. All are numbers of packets.

    ``in_pause``: sent while the guest stood still; ``lost_in_pause``: lost of those. ``doubled``: arrived once more.
    ``reordered``: arrived after a later one; ``stale``: after one that was sent more than a second later, doubles included.
    ``missing``: the first numbers that were lost, ``missing_ms``: when they were sent, in ms since the guest stopped.
    """

    name: str
    sent: int
    in_pause: int
    received: int
    lost: int
    lost_in_pause: int
    doubled: int
    stale: int
    reordered: int
    missing: tuple[int, ...]
    missing_ms: tuple[float, ...]


def runs(text: str) -> Iterator[Run]:
    """Yield what the guest's program reports of a stream: ``FIRST-LAST,FIRST-LAST``, in the order of arrival."""
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        yield int(first), int(last)


def received(name: str, sent_at: Sequence[int], arrived: Iterable[Run], pause: tuple[int, int]) -> Received:
    """Return the account of one stream. ``sent_at``: when each number was sent, in ns; ``pause``: from and to, in ns.

    Raises ValueError for a number that was never sent.
    """
    seen: dict[int, int] = {}
    reordered = stale = 0
    highest = -1
    for first, last in arrived:
        if not 0 <= first <= last < len(sent_at):
            raise ValueError(f"{name}: packets {first} to {last} arrived, {len(sent_at)} were sent")
        for number in range(first, last + 1):
            seen[number] = seen.get(number, 0) + 1
            if number < highest:
                reordered += 1
                stale += sent_at[highest] - sent_at[number] > STALE_NS
            highest = max(highest, number)
    missing = [number for number in range(len(sent_at)) if number not in seen]
    paused = {number for number, at in enumerate(sent_at) if pause[0] <= at <= pause[1]}
    return Received(
        name=name,
        sent=len(sent_at),
        in_pause=len(paused),
        received=len(seen),
        lost=len(missing),
        lost_in_pause=len(paused.intersection(missing)),
        doubled=sum(times - 1 for times in seen.values()),
        stale=stale,
        reordered=reordered,
        missing=tuple(missing[:LISTED_AT_MOST]),
        missing_ms=tuple(round((sent_at[number] - pause[0]) / 1e6, 1) for number in missing[:LISTED_AT_MOST]),
    )
