"""Dry runs: what a write would do to objects and to switches, as an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from ryu_vmmob.engine.tickets import Rehearsal
from ryu_vmmob.flows.delta import Delta
from ryu_vmmob.flows.listing import show_delta
from ryu_vmmob.rest.views import View

if TYPE_CHECKING:
    from ryu_vmmob.model.state import State
    from ryu_vmmob.rest.bodies import Body
    from ryu_vmmob.rest.call import Call

MOST_LINES: Final = 10_000
"""Flows and groups that one plan shows."""
DRY: Final = frozenset({"dry_run", "flows"})
"""Query parameters of what can be tried."""


class Written(Protocol):
    """What a plan needs to know of a collection (`rest.collection.Collection`, which has the meaning of each)."""

    @property
    def name(self) -> str:
        """The kind."""
        ...

    @property
    def body(self) -> type[Body]:
        """The type of the body that makes an object."""
        ...

    @property
    def objects(self) -> Callable[[State], Mapping[str, Any]]:
        """All objects, by name."""
        ...

    @property
    def view(self) -> Callable[[State, Any], View]:
        """An object as an answer."""
        ...


def is_dry(call: Call) -> bool:
    """Whether nothing is to be changed. To be asked before anything is done: 400 where a parameter is no flag."""
    call.flag("flows")
    return call.flag("dry_run")


def plan_view(call: Call, done: Rehearsal, touched: Iterable[tuple[Written, str]]) -> View:
    """Return ``{"plan": ...}`` of the objects ``touched``, in their order."""
    deltas = done.ticket.deltas
    changes = (row for collection, name in touched for row in _change(done, collection, name))
    found: View = {
        "changes": call.each(changes, lambda row: row),
        "flow_mods": {name: _counts(deltas[name]) for name in sorted(deltas)},
    }
    if call.flag("flows"):
        left, lines = MOST_LINES, {}
        for name in sorted(deltas):
            rows = list(call.breath.through(show_delta(deltas[name], done.gone[name])))
            lines[name] = rows[:left]
            left = max(0, left - len(rows))
        found["flows"] = lines
        left_out = sum(row.messages for row in deltas.values()) - sum(map(len, lines.values()))
        found |= {"flows_left_out": left_out} if left_out else {}
    return {"plan": found}


def _change(done: Rehearsal, collection: Written, name: str) -> Iterator[View]:
    old, new = collection.objects(done.before).get(name), collection.objects(done.ticket.state).get(name)
    fields: list[View] = []
    if old is not None and new is not None:
        before = collection.body.bare(collection.view(done.before, old))
        after = collection.body.bare(collection.view(done.ticket.state, new))
        fields = list(_fields(before, after, ""))
        if not fields:
            return
    elif old is None and new is None:
        return
    sign = "+" if old is None else "-" if new is None else "~"
    yield {"sign": sign, "kind": collection.name, "name": name, "fields": fields}


def _fields(before: Any, after: Any, path: str) -> Iterator[View]:
    """Yield each value in which two bodies differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from _fields(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    elif _objects(before) and _objects(after):
        for number in range(max(len(before), len(after))):
            old, new = (rows[number] if number < len(rows) else None for rows in (before, after))
            yield from _fields(old, new, f"{path}[{number}]")
    elif before != after:
        yield {"path": path, "before": before, "after": after}


def _objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _counts(delta: Delta) -> View:
    overwritten = len(delta.gone) - len(delta.deleted)
    return {
        "added": len(delta.flows) - overwritten + len(delta.groups),
        "changed": overwritten + len(delta.groups_changed),
        "deleted": len(delta.deleted) + len(delta.groups_gone),
    }
