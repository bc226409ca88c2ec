"""What a plan asks of a switch that it cannot give: too many flows, in all or in one table, a group too long, or
a field or a mask it cannot match (R45, R47).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Final

from ryu_vmmob.fabric.model import Switch
from ryu_vmmob.flows.ability import Ability
from ryu_vmmob.flows.delta import Delta, SwitchTables
from ryu_vmmob.flows.dialect import lacking
from ryu_vmmob.flows.flow import Flow, Group
from ryu_vmmob.flows.pipeline import TABLES, Table
from ryu_vmmob.flows.plan import Plan
from ryu_vmmob.model.breath import Breath

LONGEST_GROUP: Final = 0xFFFF - 64
"""Bytes of a group that fit into one message (OpenFlow 1.3.5, 7.1)."""


def overcharged(
    plan: Plan,
    tables: Mapping[str, SwitchTables],
    breath: Breath | None = None,
    abilities: Mapping[str, Ability] = MappingProxyType({}),
) -> str | None:
    """Return why some switch cannot carry the plan, in a sentence; None when all can. ``tables`` are what they have now,
    ``abilities`` what was found out of those of plain OpenFlow 1.3.

    A switch that is given no more than before is not judged: what is taken away is never refused.
    """
    for name, delta in sorted(plan.deltas.items()):
        switch = plan.state.fabric.switches.get(name)
        if switch is None:
            continue  # it is no longer in the fabric
        for flow in (breath or Breath()).through(delta.flows):
            field = lacking(switch, flow)
            if field is not None:
                whose = flow.owner.whole
                return f"R45: switch {name!r} cannot match {field}, which {whose} needs there"
        ability = abilities.get(name)
        if ability is not None:
            entries: Iterable[Flow | Group] = chain(delta.flows, delta.groups, delta.groups_changed)
            for entry in (breath or Breath()).through(entries):
                lack = ability.lacking(entry)
                if lack is not None:
                    whose = entry.owner.whole
                    return f"R45: switch {name!r} {lack}, which {whose} needs there"
        long = next((row for row in (*delta.groups, *delta.groups_changed) if len(row.body) > LONGEST_GROUP), None)
        if long is not None:
            whose = long.owner.whole
            return f"R45: switch {name!r} cannot take a group with {len(long.buckets)} buckets, which {whose} needs there"
        if switch.max_flows is not None:
            before = len(tables[name].flows) if name in tables else 0
            after = before + growth(delta)
            if after > max(switch.max_flows, before):
                return f"R45: switch {name!r} takes {switch.max_flows} flows, and this would make {after}"
        sizes = {**(ability.sizes if ability is not None else {}), **dict(switch.table_sizes)}
        if sizes:
            full = _overfull(switch, sizes, delta, tables[name].by_table if name in tables else {})
            if full is not None:
                return full
    return None


def _overfull(switch: Switch, sizes: Mapping[str, int], delta: Delta, before: Mapping[Table, int]) -> str | None:
    """Return which table of a switch would have more flows than it takes, in a sentence."""
    after = Counter(before)
    after.update(flow.table for flow in delta.flows)
    after.subtract(TABLES[key[0]] for key in delta.gone.values() if key is not None)
    for label, size in sizes.items():
        table = Table[label.upper()]
        if after[table] > max(size, before.get(table, 0)):
            return f"R45: table {label} of switch {switch.name!r} takes {size} flows, and this would make {after[table]}"
    return None


def growth(delta: Delta) -> int:
    """By how many flows a switch grows."""
    return len(delta.flows) - len(delta.gone)
