"""From the form in which an earlier version stored things to the present one: a function for each step, one after another.

Steps work on bodies as they are stored and know no type of the model: types change, and what was stored does not. A step that
has once been released is never changed. A field that is new with a default needs no step (`ryu_vmmob.store.codec`); what was
given up, renamed, or has to be there does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from ryu_vmmob.store.base import Body, Record, Write

Records = Mapping[tuple[str, str], Body]
"""Bodies by kind and name."""


class Step(NamedTuple):
    """How a format becomes the next one. ``run`` gives what is to be written; ``says`` is for people."""

    says: str
    run: Callable[[Records], list[Write]]


def _routing_domains(records: Records) -> list[Write]:
    """Format 1 to 2. The first version kept the name of a CUG's routing domain and had no routing domains: each gets a key."""
    named = {body.get("routing_domain") for (kind, _), body in records.items() if kind == "cug"} - {None}
    there = {name for kind, name in records if kind == "routing_domain"}
    missing = sorted(str(name) for name in named - there)
    if not missing:
        return []
    keys = [body["key"] for (kind, _), body in records.items() if kind in ("cug", "routing_domain")]
    last = max(records.get(("meta", "last_segment_key"), {"value": 0})["value"], *keys)
    made = [Write("routing_domain", name, {"key": last + number, "name": name}) for number, name in enumerate(missing, start=1)]
    return [*made, Write("meta", "last_segment_key", {"value": last + len(made)})]


STEPS: Final[dict[int, Step]] = {1: Step("routing domains have records of their own", _routing_domains)}
"""By the format that a step begins with."""


def migrated(records: Iterable[Record], found: int, wanted: int) -> list[Write]:
    """All writes that make a store of format ``found`` one of format ``wanted``, in order. KeyError when there is no way."""
    now = {(row.kind, row.name): row.body for row in records}
    done: list[Write] = []
    for format_ in range(found, wanted):
        for write in STEPS[format_].run(now):
            done.append(write)
            if write.body is None:
                now.pop((write.kind, write.name), None)
            else:
                now[write.kind, write.name] = write.body
    return done
