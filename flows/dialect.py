"""What a switch of plain OpenFlow 1.3 gets instead of what only Open vSwitch can do.

- A reply made by field moves becomes a copy to the controller, which answers in the switch's place.
- A match on the TTL is left out: such a switch hands over a packet whose TTL it may not count down (OFPR_INVALID_TTL).
- A copy to the controller that a meter limits is one without a limit.
- Nothing stands in for TCP flags: `lacking` names them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ryu_vmmob.fabric.model import Dialect
from ryu_vmmob.flows.base import WHOLE
from ryu_vmmob.flows.fields import FIELDS, OPENFLOW_BASIC
from ryu_vmmob.flows.flow import CONTROLLER, Copy, Flow, Move, Output, SetField
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.flows.segment import Entry

_EXTENSIONS: Final = frozenset(name for name, field in FIELDS.items() if field.oxm_class != OPENFLOW_BASIC)


def spoken(dialect: Dialect, entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries as a switch of this dialect understands them."""
    for entry in entries:
        if dialect is Dialect.OPENVSWITCH or not isinstance(entry, Flow):
            yield entry
        elif any(name == "nw_ttl" for name, _, _ in entry.match) or (entry.table is Table.ADVERTISE and entry.match):
            continue
        elif any(_is_extension(action) for action in entry.actions):
            yield Flow(entry.table, entry.priority, entry.match, (Output(CONTROLLER, WHOLE),))
        elif any(isinstance(action, Copy) for action in entry.actions):
            # Such a switch has no meter for a copy alone: the controller's own limits stand for it (`apps.intake`).
            actions = tuple(Output(CONTROLLER, row.max_len) if isinstance(row, Copy) else row for row in entry.actions)
            yield Flow(entry.table, entry.priority, entry.match, actions, entry.goto, entry.metadata)
        elif entry.meter is not None:
            # Meters are optional, and the controller limits what it answers as well.
            yield Flow(entry.table, entry.priority, entry.match, entry.actions, entry.goto, entry.metadata)
        else:
            yield entry


def _is_extension(action: object) -> bool:
    return isinstance(action, Move) or (isinstance(action, SetField) and action.name in _EXTENSIONS)


def lacking(dialect: Dialect, flow: Flow) -> str | None:
    """The field that a switch of this dialect cannot match, of those that ``flow`` needs; None when it can carry the flow."""
    if dialect is Dialect.OPENVSWITCH:
        return None
    return next((name for name, _, _ in flow.match if name in _EXTENSIONS), None)
