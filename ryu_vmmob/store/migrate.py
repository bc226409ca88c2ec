"""Upgrades of the store's format: one function for each format, applied in order.

An upgrade works on bodies as they are stored and imports no type of the model: types change, and stored bodies do not. A
released upgrade is never changed. A new field with a default needs no upgrade (`ryu_vmmob.store.codec`). A field that is
removed, renamed or required needs one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from ryu_vmmob.store.base import Body, Record, Write

Records = Mapping[tuple[str, str], Body]
"""Bodies by kind and name."""


class Upgrade(NamedTuple):
    """The upgrade of a format to the next one. ``run`` returns the writes; ``says`` describes it for people."""

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


def _labels(records: Records) -> list[Write]:
    """Format 2 to 3. CUGs, VMs and policies may have labels and a description; those that there are have none.

    They have defaults, so nothing is written. The number alone matters: an earlier version, which would refuse the records one
    by one, says at once that the store is newer.
    """
    del records
    return []


UPGRADES: Final[dict[int, Upgrade]] = {
    1: Upgrade("routing domains have records of their own", _routing_domains),
    2: Upgrade("CUGs, VMs and policies may have labels and a description", _labels),
}
"""By the format that an upgrade starts from."""


def migrated(records: Iterable[Record], found: int, wanted: int) -> list[Write]:
    """Return the writes that upgrade a store from format ``found`` to ``wanted``, in order.

    Raises KeyError where an upgrade is missing.
    """
    now = {(row.kind, row.name): row.body for row in records}
    done: list[Write] = []
    for format_ in range(found, wanted):
        for write in UPGRADES[format_].run(now):
            done.append(write)
            if write.body is None:
                now.pop((write.kind, write.name), None)
            else:
                now[write.kind, write.name] = write.body
    return done
