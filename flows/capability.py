"""What a plan asks of a switch that it cannot give: too many flows, or a field it cannot match (R45, R47)."""

from __future__ import annotations

from collections.abc import Mapping

from ryu_vmmob.flows.delta import Delta, SwitchTables
from ryu_vmmob.flows.dialect import lacking
from ryu_vmmob.flows.plan import Plan


def overcharged(plan: Plan, tables: Mapping[str, SwitchTables]) -> str | None:
    """Why some switch cannot carry the plan, in a sentence; None when all can. ``tables`` are what they have now.

    A switch that is given no more than before is not judged: what is taken away is never refused.
    """
    for name, delta in sorted(plan.deltas.items()):
        switch = plan.state.fabric.switches.get(name)
        if switch is None:
            continue  # it is no longer in the fabric
        for flow in delta.flows:
            field = lacking(switch.dialect, flow)
            if field is not None:
                whose = " ".join(flow.owner[:2])
                return f"R45: switch {name!r} cannot match {field}, which {whose} needs there"
        if switch.max_flows is not None:
            before = len(tables[name].flows) if name in tables else 0
            after = before + growth(delta)
            if after > max(switch.max_flows, before):
                return f"R45: switch {name!r} takes {switch.max_flows} flows, and this would make {after}"
    return None


def growth(delta: Delta) -> int:
    """By how many flows a switch grows."""
    return len(delta.flows) - len(delta.gone)
