"""The meaning of a packet-in, decided from the flow that punted the packet and from the packet itself.

================ ==================== ==================================================================================
table            owner                meaning
================ ==================== ==================================================================================
``admit``        a VM                 ``SEEN``, if the flow asks for a copy: the VM speaks where it is awaited or watched
``admit``        an external network  ``NEIGHBOUR``: a host on the wire answers a request of the controller
``answer``       any                  ``QUESTION``: ARP, neighbour discovery or an echo that the switch cannot answer itself
``gateway``      any                  ``ERROR``: a packet that is owed an ICMP error
``route``        any                  ``ERROR``: the same
``refuse``       any                  ``REFUSED``: a frame that no interface may send
any other        any                  none: the switch errs or lies
================ ==================== ==================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from ryu_vmmob.flows.flow import Flow, tells_controller
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import ASKED, TABLES, Meter, Priority, Table


class Meaning(Enum):
    """The reason why a packet is punted."""

    SEEN = "seen"
    NEIGHBOUR = "neighbour"
    QUESTION = "question"
    ERROR = "error"
    REFUSED = "refused"


_BY_TABLE: Final[Mapping[Table, Meaning]] = {
    Table.ADMIT: Meaning.NEIGHBOUR,
    Table.ANSWER: Meaning.QUESTION,
    Table.GATEWAY: Meaning.ERROR,
    Table.ROUTE: Meaning.ERROR,
    Table.REFUSE: Meaning.REFUSED,
}


def asking_table(flow: Flow, metadata: int) -> Table | None:
    """Return the table that hands a packet up.

    Behind the meters the packet itself says which: the flow that hands it up is its port's. A switch may say anything there;
    None: no table.
    """
    if flow.table is not Table.PUNT:
        return flow.table
    number = ASKED.read(metadata)
    return TABLES[number] if number < len(TABLES) else None


def meaning(table: Table, owner: Owner) -> Meaning | None:
    """Return what a packet of a table and a flow's owner is handed up for; None: nothing."""
    if table is Table.ADMIT and owner.kind is OwnerKind.VM:
        return Meaning.SEEN
    return _BY_TABLE.get(table)


def is_seen(flow: Flow) -> bool:
    """Whether a packet-in of a flow says that a VM speaks where it is awaited or watched."""
    return meaning(flow.table, flow.owner) is Meaning.SEEN and any(map(tells_controller, flow.actions))


def meter_of(found: Meaning | None, flow: Flow) -> Meter:
    """Return the meter behind which packets of a meaning come."""
    if found is Meaning.NEIGHBOUR:
        return Meter.NEIGHBOURS
    if found is Meaning.REFUSED:
        return Meter.REFUSALS if flow.priority == Priority.NORMAL else Meter.ANNOUNCEMENTS
    return Meter.ANSWERS
