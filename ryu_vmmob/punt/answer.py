"""The answer to a packet that a switch handed over, by what that means (`flows.packet_ins`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from ryu_vmmob.flows.packet_ins import Meaning
from ryu_vmmob.model.state import State
from ryu_vmmob.punt.context import PuntContext, read
from ryu_vmmob.punt.errors import report
from ryu_vmmob.punt.outside import heard
from ryu_vmmob.punt.requests import reply
from ryu_vmmob.punt.values import Outcome, Punted

_ANSWERS: Final[Mapping[Meaning | None, Callable[[PuntContext], list[Outcome]]]] = {
    Meaning.NEIGHBOUR: heard,
    Meaning.QUESTION: reply,
    Meaning.ERROR: report,
}


def answer(state: State, punted: Punted) -> list[Outcome]:
    """Packets to send, neighbours heard of, neighbours to ask for. Whatever the bytes: never an exception."""
    handler = _ANSWERS.get(punted.meaning)
    case = read(state, punted) if handler is not None else None
    return handler(case) if handler is not None and case is not None else []
