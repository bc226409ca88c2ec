"""Health as the tiles of a strip: one for each kind of reason, and what is under way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ryu_vmmob.health.parts import named
from ryu_vmmob.health.values import Facts, Loudness, Reason, Standing, Thing, Tile

_WORDS: Final = {
    "switch.held": "{count} left as {it}: {names}",
    "switch.away": "{count} not connected: {names}",
    "switch.behind": "{count} behind: {names}",
    "switch.refused": "{count} refused flows: {names}",
    "switch.foreign_flows": "foreign flows in {names}",
    "switch.ports_missing": "ports missing at {names}",
    "link.down": "{count} link{s} down: {names}",
    "external.down": "{count} external network{s} down: {names}",
    "external.silent": "no next hop answers in {names}",
    "move.stuck": "{count} move{s} stuck",
}
"""Kinds of reasons that a tile gathers. Any other kind has a tile for each, with its sentence."""


def tiles(facts: Facts, reasons: Sequence[Reason]) -> tuple[Tile, ...]:
    """Return the strip, from left to right."""
    return tuple(_all(facts, reasons))


def _all(facts: Facts, reasons: Sequence[Reason]) -> Iterator[Tile]:
    told: set[str] = set()
    for reason in reasons:
        if reason.level is Loudness.NOTE or reason.kind in told:
            continue
        told.add(reason.kind)
        yield _gathered([row for row in reasons if row.kind == reason.kind])
    well = (Standing.IN_STEP, Standing.SETTLING)
    if facts.switches and all(row.standing in well for row in facts.switches):
        number = len(facts.switches)
        yield Tile("switches", Loudness.GOOD, f"{'the switch is' if number == 1 else f'all {number} switches are'} in step")
    number = len(facts.moves)
    text = f"{_count(number, 'move')} under way" if number else "no move under way"
    yield Tile("moves", Loudness.BUSY if number else Loudness.QUIET, text, Thing("moves", ""))
    text = f"{_count(facts.refused, 'frame') if facts.refused else 'nothing'} refused in the last minute"
    yield Tile("refused", Loudness.WARN if facts.refused else Loudness.QUIET, text, Thing("refused", ""))


def _gathered(rows: Sequence[Reason]) -> Tile:
    first = rows[0]
    words = _WORDS.get(first.kind)
    opens = first.about[0] if first.about and first.about[0].kind != "controller" else None
    if first.kind == "fabric.split":
        return Tile(first.kind, first.level, f"cannot reach each other: {first.what.partition(': ')[2]}", opens)
    if words is None:
        return Tile(first.kind, first.level, first.what, opens)
    names = named(thing.name.replace("=", " – ") for row in rows for thing in row.about)
    one = len(rows) == 1
    text = words.format(count=len(rows), names=names, s="" if one else "s", it="it is" if one else "they are")
    return Tile(first.kind, first.level, text, opens)


def _count(number: int, one: str) -> str:
    return f"{number} {one}" if number == 1 else f"{number} {one}s"
