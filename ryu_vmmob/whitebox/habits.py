"""What only a trial finds out: whether a switch does with many flows, and with one in the place of another, what it should."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from ryu_vmmob.flows import wire
from ryu_vmmob.flows.flow import Flow, match
from ryu_vmmob.flows.pipeline import COOKIE_MARK, COOKIE_MARK_MASK, SEGMENT, Priority, Table
from ryu_vmmob.whitebox.dialogue import Dialogue
from ryu_vmmob.whitebox.errors import DialogueError

MANY: Final = 3000
"""Flows of one table, as many as 3,000 members of CUGs make in `bridge`."""
_TABLE: Final = Table.BRIDGE
_FIRST_MAC: Final = 0x020000100000


@dataclass(slots=True)
class Habits:
    """What was found. ``remarks`` are sentences; ``room``: how many flows the table took, where it did not take all of them."""

    remarks: list[str] = field(default_factory=list)
    room: int | None = None
    answers: bool = True
    """False: the connection is of no use any more."""


def habits(dialogue: Dialogue) -> Habits:
    """Overwrite a flow, and write `MANY`; all of it is taken away again. A switch that stops answering is told, not raised."""
    found, doing = Habits(), "a flow was put in the place of another"
    try:
        found.remarks.extend(_overwrite(dialogue))
        doing = f"{MANY:,} flows were written into one table, and asked for"
        _many(dialogue, found)
    except DialogueError as error:
        found.answers = False
        found.remarks.append(
            f"it stopped answering while {doing} ({error}): its answers may not be readable when they are long; the controller "
            "asks table by table, tells what it cannot read (switch.unreadable), and goes on without comparing that"
        )
        _leave(dialogue)
    return found


def _member(number: int, goto: Table | None = Table.POLICY_IN) -> Flow:
    return Flow(_TABLE, Priority.NORMAL, match(metadata=SEGMENT.of(1), eth_dst=_FIRST_MAC + number), (), goto)


def _overwrite(dialogue: Dialogue) -> Iterator[str]:
    before, after = _member(0), _member(0, None)
    for flow in (before, after):
        dialogue.tell(lambda xid, flow=flow: wire.flow_add(flow, xid))  # type: ignore[misc]
    there = [entry for entry in dialogue.entries(_TABLE) if entry.key == after.key]
    if not there:
        yield "a flow that takes another's place is not there afterwards: moves will not work on it"
    elif there[0].cookie == before.cookie:
        yield (
            "it keeps the old cookie when a flow takes another's place (OpenFlow 1.3.5, 6.4): the controller takes the old "
            "flow away first, and what it carries is interrupted for a moment"
        )
    _clear(dialogue)
    if dialogue.entries(_TABLE):
        yield "flows that were deleted by their cookies under a mask are still there: it is of no use"


def _many(dialogue: Dialogue, found: Habits) -> None:
    numbers = count(1)
    errors = dialogue.tell(lambda xid: wire.flow_add(_member(next(numbers)), xid), MANY)
    there = len({entry.key for entry in dialogue.entries(_TABLE)})
    taken = MANY - len(errors)
    if errors:
        found.room = there
        found.remarks.append(f"of {MANY:,} flows in table {_TABLE.label} it took {taken:,} ({errors[0]})")
    if there < taken:
        found.remarks.append(f"of {taken:,} flows in table {_TABLE.label} that it confirmed, {there:,} are there")
    _clear(dialogue)


def _clear(dialogue: Dialogue) -> None:
    dialogue.tell(lambda xid: wire.flow_delete(COOKIE_MARK, xid, COOKIE_MARK_MASK))


def _leave(dialogue: Dialogue) -> None:
    """Give up what it was given, even if it cannot be heard to do so."""
    try:
        dialogue.put(lambda xid: wire.flow_delete(COOKIE_MARK, xid, COOKIE_MARK_MASK))
    except DialogueError:
        return
