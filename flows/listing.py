"""Changes of a switch as lines that people read, in the order in which a frame meets flows."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping

from ryu_vmmob.flows.delta import Delta
from ryu_vmmob.flows.flow import Flow, group_name
from ryu_vmmob.flows.pipeline import TABLES, Table


def in_order(flow: Flow) -> tuple[int, int, str]:
    """Return the key that sorts flows by table, falling priority and text."""
    return flow.table.id, -flow.priority, str(flow)


def show_delta(delta: Delta, before: Mapping[int, Flow], counted: Container[Table] = ()) -> Iterator[str]:
    """Yield a line for each flow and group: ``+`` added, ``~`` with new content, ``-`` deleted.

    ``before`` has the flows of the switch by cookie. Each of the tables ``counted`` gets one line with its number of flows. A
    flow whose place another takes has no line of its own: it is overwritten.
    """
    yield from (f"+ {group}" for group in delta.groups)
    yield from (f"~ {group}" for group in delta.groups_changed)
    yield from _flows("+", delta.flows, counted)
    yield from _flows("-", [before[cookie] for cookie in delta.deleted], counted)
    yield from (f"- group={group_name(number)}" for number in delta.groups_gone)


def _flows(sign: str, flows: Iterable[Flow], counted: Container[Table]) -> Iterator[str]:
    rows = sorted(flows, key=in_order)
    for table in TABLES:
        mine = [flow for flow in rows if flow.table is table]
        if table in counted and mine:
            yield f"{sign} {len(mine)} {'flow' if len(mine) == 1 else 'flows'} table={table.label}"
        else:
            yield from (f"{sign} {flow}" for flow in mine)
