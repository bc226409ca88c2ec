"""The invariants (docs/architecture.md) checked by packets: 1 to 8 and 13, bridged and routed.

`check` runs everything; its parts may be run alone. Each yields violations, each with the journey that shows it; nothing
yielded means that all holds. Where switches differ because a step is under way, whatever either version does is right.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_vmmob.sim.invariants.bridged import allocation, traffic
from ryu_vmmob.sim.invariants.edits import edits
from ryu_vmmob.sim.invariants.gateway import gateways
from ryu_vmmob.sim.invariants.outside import outside
from ryu_vmmob.sim.invariants.refusing import forgeries
from ryu_vmmob.sim.invariants.routed import bypasses, routed
from ryu_vmmob.sim.invariants.rules import rules
from ryu_vmmob.sim.invariants.strangers import strangers
from ryu_vmmob.sim.view import View, Violation

__all__ = [
    "allocation", "bypasses", "check", "edits", "forgeries", "gateways", "outside", "routed", "rules", "strangers", "traffic",
]  # fmt: skip

_CHECKS = (allocation, traffic, forgeries, strangers, gateways, routed, bypasses, outside, rules, edits)


def check(view: View) -> Iterator[Violation]:
    """Every violation of invariants 1 to 8 and 13 in this state."""
    for part in _CHECKS:
        yield from part(view)
