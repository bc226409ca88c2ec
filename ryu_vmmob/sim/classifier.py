"""The flows of one table, found by packet: a tuple-space classifier, as Open vSwitch has it.

Flows that match the same fields under the same masks share a subtable, a dictionary from values to flows. A look-up asks
each subtable once, most important first, and stops when no later one can win.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ryu_vmmob.flows.flow import Flow
from ryu_vmmob.sim.prerequisites import TableError

_EXACT = -1  # value & -1 == value
_Shape = tuple[tuple[str, int], ...]


class AmbiguityError(TableError):
    """Two flows of one priority match the same packet and do different things: OpenFlow leaves open which one wins."""


class Classifier:
    """The flows of one table. Equal flows count once; raises TableError when two differ only in what they do."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        keys: dict[bytes, Flow] = {}
        found: dict[_Shape, dict[tuple[int, ...], list[Flow]]] = {}
        for flow in flows:
            other = keys.setdefault(flow.key, flow)
            if other is not flow:
                if other != flow:
                    raise TableError(f"one match, two flows: {other} and {flow}")
                continue
            shape = tuple((name, _EXACT if mask is None else mask) for name, _, mask in flow.match)
            values = tuple(value for _, value, _ in flow.match)
            found.setdefault(shape, {}).setdefault(values, []).append(flow)
        # Within one shape and value list priorities differ (the key says so), and only the highest can ever win.
        tops = {shape: {values: max(rows, key=_priority) for values, rows in sub.items()} for shape, sub in found.items()}
        self._subtables = sorted(
            ((max(flow.priority for flow in sub.values()), shape, sub) for shape, sub in tops.items()),
            key=lambda row: -row[0],
        )

    def find(self, fields: Mapping[str, int]) -> Flow | None:
        """Return the flow that wins for these fields (absent ones are zero), None for a miss. Raises AmbiguityError."""
        best: Flow | None = None
        rival: Flow | None = None
        get = fields.get
        for highest, shape, flows in self._subtables:
            if best is not None and highest < best.priority:
                break
            flow = flows.get(tuple([get(name, 0) & mask for name, mask in shape]))
            if flow is None:
                continue
            if best is None or flow.priority > best.priority:
                best, rival = flow, None
            elif flow.priority == best.priority and not _same_deeds(flow, best):
                rival = flow
        if rival is not None:
            raise AmbiguityError(f"both match, with one priority: {best} and {rival}")
        return best


def _priority(flow: Flow) -> int:
    return flow.priority


def _same_deeds(a: Flow, b: Flow) -> bool:
    return a.actions == b.actions and a.metadata == b.metadata and a.goto is b.goto
