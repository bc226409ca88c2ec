"""Of which kinds of flows and groups a switch's own words can be believed, and of which it has to be asked by a probe.

A switch that says that it can is believed, with two exceptions; one that says it cannot, or nothing, is asked by a probe.
Switches were seen that tell no instructions, fields without their masks, or the features of one table only, and can do it all
the same.
"""

from __future__ import annotations

from ryu_vmmob.fabric.model import Dialect
from ryu_vmmob.flows.dialect import MASKABLE
from ryu_vmmob.flows.flow import Flow, Group
from ryu_vmmob.flows.kinds import deed_kind
from ryu_vmmob.flows.pipeline import Priority
from ryu_vmmob.whitebox.features import Portrait
from ryu_vmmob.whitebox.judge import contradicts_itself, flow_lacks, group_lacks


def is_told(kind: str, entry: Flow | Group, portrait: Portrait) -> bool:
    """Whether a switch says, and is to be believed, that it can carry what is of this kind. ``entry`` is one of the kind.

    Not believed are a description that contradicts itself, and a mask on a field that OpenFlow 1.3 has no mask for.
    """
    if isinstance(entry, Group):
        return portrait.groups is not None and not any(group_lacks(entry, portrait))
    if not portrait.tables or entry.table.id not in portrait.tables or contradicts_itself(portrait):
        return False
    if kind == deed_kind(entry):
        rows = tuple(row for row in entry.match if row[0] in portrait.tables[entry.table.id].matches and row[2] is None)
        wanted = Flow.undeclared(entry.table, Priority.NORMAL, rows, entry.actions, entry.goto, entry.metadata)
        return not any(flow_lacks(wanted, portrait, Dialect.OPENFLOW13))
    if any(mask is not None and name not in MASKABLE for name, _, mask in entry.match):
        return False
    return not any(flow_lacks(Flow.undeclared(entry.table, entry.priority, entry.match), portrait, Dialect.OPENFLOW13))
