"""The capabilities of a plain OpenFlow 1.3 switch, by kinds of flows and groups (`ryu_vmmob.flows.kinds`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ryu_vmmob.flows.flow import Flow, Group
from ryu_vmmob.flows.kinds import kinds, label_of
from ryu_vmmob.flows.pipeline import TABLES

_PIPELINE: Final = ",".join(table.label for table in TABLES)
_LABELS: Final = frozenset(table.label for table in TABLES)


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that a switch cannot do, in words that follow its name; ``table`` None: of groups."""

    what: str
    table: str | None

    def __str__(self) -> str:
        return f"{self.what} in table {self.table}" if self.table else self.what


@dataclass(frozen=True, slots=True)
class Ability:
    """``described``: what the switch said of its maker, hardware and software when it was asked. ``answers``: kind -> why it
    cannot, in words, or nothing where it can; of a kind that is not in it nothing is known. ``sizes``: so many flows its
    tables take by its own words, by label. ``probed``: how many kinds were found out by probes.
    """

    described: str
    answers: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    probed: int = 0

    @property
    def lacks(self) -> tuple[Lack, ...]:
        """Return what it cannot do, each thing once."""
        found = {Lack(why, label_of(kind)): None for kind, why in sorted(self.answers.items()) if why}
        return tuple(found)

    def lacking(self, entry: Flow | Group) -> Lack | None:
        """Return what of a flow or a group the switch cannot do; None where it can, or where that is not known."""
        for kind in kinds(entry):
            why = self.answers.get(kind)
            if why:
                return Lack(why, label_of(kind))
        return None

    def unknown(self, entries: Iterable[Flow | Group]) -> list[Flow | Group]:
        """Those of the entries that are of a kind of which nothing is known."""
        return [entry for entry in entries if not all(kind in self.answers for kind in kinds(entry))]

    def document(self) -> dict[str, Any]:
        """As the store keeps it."""
        return {
            "pipeline": _PIPELINE, "described": self.described, "answers": dict(self.answers), "sizes": dict(self.sizes),
            "probed": self.probed,
        }  # fmt: skip


def from_document(found: object) -> Ability | None:
    """Return what a store has kept; None where it is of another pipeline, or is not what `Ability.document` made."""
    match found:
        case {
            "pipeline": str(tables), "described": str(described), "answers": dict(answers), "sizes": dict(sizes),
            "probed": int(probed),
        }:  # fmt: skip
            texts = all(isinstance(kind, str) and isinstance(why, str) for kind, why in answers.items())
            numbers = all(label in _LABELS and isinstance(size, int) for label, size in sizes.items())
            if tables == _PIPELINE and texts and numbers:
                return Ability(described, answers, sizes, probed)
    return None
