"""The difference of two fabrics: objects by kind and name, and the keys that differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Final

from ryu_vmmob.fabric.model import DataCenter, External, Fabric, L2Domain, Link, Server, Switch

KINDS: Final = ("data_centers", "l2_domains", "switches", "links", "servers", "externals")
"""The sections of the fabric file."""

_Row = DataCenter | L2Domain | Switch | Link | Server | External
_KEYS: Final = {"trusts_local_switching": "local_switching"}
"""Keys of the file whose fields have another name."""
_TOP: Final = {
    "name": "fabric", "gateway_mac": "gateway_mac", "description": "description", "backup_paths": "backup_paths",
}  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """``added`` and ``removed``: kind -> names; ``changed``: kind -> name -> keys; ``top``: keys at the top of the file.

    Names are in alphabetical order, and kinds without any are left out. A link is named by both its ends.
    """

    added: Mapping[str, tuple[str, ...]]
    removed: Mapping[str, tuple[str, ...]]
    changed: Mapping[str, Mapping[str, tuple[str, ...]]]
    top: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.top)

    def altered(self, kind: str, *keys: str) -> tuple[str, ...]:
        """Names of those of a kind in which one of ``keys`` differs; without keys: anything but the description."""
        return tuple(
            name
            for name, its in self.changed.get(kind, {}).items()
            if any(key in keys if keys else key != "description" for key in its)
        )


def compare(before: Fabric, after: Fabric) -> Difference:
    """Return what differs from ``before`` to ``after``."""
    added, removed, changed = {}, {}, {}
    for kind in KINDS:
        old, new = _section(before, kind), _section(after, kind)
        if names := tuple(sorted(new.keys() - old.keys())):
            added[kind] = names
        if names := tuple(sorted(old.keys() - new.keys())):
            removed[kind] = names
        both = sorted(name for name in old.keys() & new.keys() if old[name] != new[name])
        if rows := {name: keys for name in both if (keys := tuple(_keys(old[name], new[name])))}:
            changed[kind] = rows
    top = tuple(key for field, key in _TOP.items() if getattr(before, field) != getattr(after, field))
    return Difference(added, removed, changed, top)


def _section(fabric: Fabric, kind: str) -> Mapping[str, _Row]:
    return fabric.link_by_name if kind == "links" else getattr(fabric, kind)


def _keys(old: _Row, new: _Row) -> Iterator[str]:
    follows: tuple[str, ...] = ()
    if isinstance(old, Server) and isinstance(new, Server) and old.tagging is not new.tagging:
        follows = ("l2_domain", "vlan_ids")
        yield "tagging"
    for field in fields(old):
        if getattr(old, field.name) == getattr(new, field.name) or field.name in follows:
            continue
        if isinstance(old, Link) and field.name in ("a", "b"):
            continue  # the same cable, written from the other end
        yield _KEYS.get(field.name, field.name)
