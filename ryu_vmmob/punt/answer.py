"""The answer to a packet that a switch handed over, by the table that did it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.state import State
from ryu_vmmob.punt.case import Case, read
from ryu_vmmob.punt.errors import report
from ryu_vmmob.punt.outside import heard
from ryu_vmmob.punt.requests import reply
from ryu_vmmob.punt.values import Outcome, Punted

_BY_TABLE: Final[Mapping[Table, Callable[[Case], list[Outcome]]]] = {
    Table.ADMIT: heard,
    Table.ANSWER: reply,
    Table.GATEWAY: report,
    Table.ROUTE: report,
}


def answer(state: State, punted: Punted) -> list[Outcome]:
    """Packets to send, neighbours heard of, neighbours to ask for. Whatever the bytes: never an exception."""
    handler = _BY_TABLE.get(punted.table)
    case = read(state, punted) if handler is not None else None
    return handler(case) if handler is not None and case is not None else []
