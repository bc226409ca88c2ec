"""Follow-ups of a batch: start the next VM's move while fewer than `parallel` are under way (`model/batches`)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

from ryu_vmmob.model.batches.commands import BatchMove, BatchPass
from ryu_vmmob.model.batches.plan import offer, overtaken
from ryu_vmmob.model.batches.values import BatchVm, Outcome
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import State

_Execute = Callable[[BatchMove | BatchPass], object]

TURNS: Final = 16
"""Turns that one look gives a batch. Other work runs between two looks."""


def give_turns(look: Callable[[], State], execute: _Execute, id_: str, alone: AbstractContextManager[object]) -> None:
    """Give the next VMs of a batch their turns, as far as it has room and `TURNS` admits.

    ``look`` gives the state as it is, ``execute`` carries out a command, and ``alone`` is held from the look to the command, so
    that each turn is given on the state that it was found on. A VM that no server takes is passed over; while
    links are changing nothing is begun. Raises what ``execute`` raises but Refusal.
    """
    for _ in range(TURNS):
        with alone:
            if not _give_turn(look(), execute, id_):
                return


def _give_turn(state: State, execute: _Execute, id_: str) -> bool:
    """Whether there was a turn to give."""
    batch = state.batches.get(id_)
    if batch is None or not batch.has_room:
        return False
    row = state.batch_vms[id_][batch.next]
    found = overtaken(state, batch, row)
    if found is None:
        try:
            offer(state, batch, state.vms[row.vm], partial(_move, execute, row), row.target)
        except Refusal as refusal:
            if refusal.status == 503:
                return False
            found = Outcome.REFUSED, refusal.detail
    if found is not None:
        execute(BatchPass(id_, row.number, *found))
    return True


def _move(execute: _Execute, row: BatchVm, to: str) -> None:
    execute(BatchMove(row.batch, row.number, to))
