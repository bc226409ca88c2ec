"""First contacts: switches that this store has never reconciled and that already have flows of ours.

An empty store in the place of a lost one has no VM. A reconciliation with it would delete all flows of switches that still
forward for the VMs. So a switch is held at its first contact when it has flows or groups with our mark that are not desired. It
stays held until the operator restores the store, writes what the switches already have, or takes the switch over.

A partial reconciliation would be worse: the key of a segment in old flows may now belong to another CUG.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ryu_vmmob.engine.fleet import SwitchFault
from ryu_vmmob.flows.owner import UNOWNED
from ryu_vmmob.store.base import Record, StoreError, Write
from ryu_vmmob.store.codec import encode

_KIND, _NAME = "meta", "unmet_switches"


class Contacts:
    """The switches that the store has met, and those it has not. ``store`` writes durably; it raises StoreError."""

    def __init__(self, records: Iterable[Record], names: Iterable[str], store: Callable[[list[Write]], None]) -> None:
        known: set[str] = set()
        noted: list[str] = []
        for row in records:
            if row.kind == "switch_key":
                known.add(row.name)
            elif (row.kind, row.name) == (_KIND, _NAME):
                noted = row.body["value"]
        self._store = store
        self._unmet = frozenset(name for name in names if name in noted or name not in known)
        self._held: dict[str, str] = {}
        changed = self._unmet != set(noted)
        self.first_writes = [self._write()] if changed else []
        """What the store has to hold before any switch is met."""

    def _write(self) -> Write:
        return Write(_KIND, _NAME, encode(sorted(self._unmet)))

    def is_met(self, switch: str) -> bool:
        """Whether a switch may be compared with what is desired, whatever it has."""
        return switch not in self._unmet

    def meet(self, switch: str, foreign: int) -> SwitchFault | None:
        """Take what a switch has that was asked; ``foreign``: so many flows and groups with our mark are not desired.

        None: it may be reconciled. Otherwise it is to be held, and why. Raises StoreError.
        """
        if switch in self._unmet and foreign:
            self._held[switch] = (
                f"switch {switch} is held: it has {foreign} flows and groups of ours that this store knows nothing "
                f"of; restore the store, or let the switch be taken over (POST /v1/switches/{switch}/take_over)"
            )
            return SwitchFault(self._held[switch], "the first contact of this store with the switch", UNOWNED)
        self.take_over(switch)
        return None

    def take_over(self, switch: str) -> None:
        """From now on the switch may be put right, whatever it has. Raises StoreError; then nothing has changed."""
        if switch in self._unmet:
            self._unmet -= {switch}
            try:
                self._store([self._write()])
            except StoreError:
                self._unmet |= {switch}  # others may have been met while this was written
                raise
        self._held.pop(switch, None)

    @property
    def held(self) -> Mapping[str, str]:
        """A sentence for each held switch."""
        return self._held
