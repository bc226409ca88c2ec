"""Capabilities of plain switches, kept in the store so that a restart probes no switch again.

A switch is asked again when it says that its hardware or its software is another than it was, when a flow of a kind
comes that it was never asked about, when it refuses what it was thought to take, and at an operator's request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from ryu_vmmob.fabric.model import Dialect, Fabric, Switch
from ryu_vmmob.flows.ability import Ability, from_document
from ryu_vmmob.store.base import Record, StoreError, Write
from ryu_vmmob.store.codec import encode

_KIND: Final = "meta"
_PREFIX: Final = "ability/"


class Abilities:
    """By dpid. ``store`` carries out writes, durably; it raises StoreError."""

    def __init__(self, records: Iterable[Record], store: Callable[[list[Write]], None]) -> None:
        self._store = store
        self._known: dict[int, Ability] = {}
        for row in records:
            if row.kind == _KIND and row.name.startswith(_PREFIX):
                found = from_document(row.body.get("value"))
                if found is not None:
                    self._known[int(row.name.removeprefix(_PREFIX), 16)] = found

    def of(self, switch: Switch) -> Ability | None:
        """Return what is known of a plain switch; None: nothing, or it is not to be asked."""
        return self._known.get(switch.dpid) if switch.dialect is Dialect.OPENFLOW13 else None

    def judging(self, fabric: Fabric) -> dict[str, Ability]:
        """By name, those plain switches of which something is known."""
        if not self._known:
            return {}
        plain = (row for row in fabric.switches.values() if row.dialect is Dialect.OPENFLOW13)
        return {row.name: self._known[row.dpid] for row in plain if row.dpid in self._known}

    def learn(self, switch: Switch, ability: Ability) -> bool:
        """Keep what a switch was found able to do; whether it is another switch than it was, or lacks something else.

        What the store does not take, a restart asks for again.
        """
        before = self._known.get(switch.dpid)
        if before == ability:
            return False
        self._known[switch.dpid] = ability
        with suppress(StoreError):
            self._store([Write(_KIND, f"{_PREFIX}{switch.dpid:016x}", encode(ability.document()))])
        return before is None or (before.described, before.lacks) != (ability.described, ability.lacks)

    def forget(self, switch: Switch) -> None:
        """Have a switch asked again when it is compared next. Raises StoreError; then nothing has changed."""
        if switch.dpid in self._known:
            self._store([Write(_KIND, f"{_PREFIX}{switch.dpid:016x}", None)])
            del self._known[switch.dpid]
