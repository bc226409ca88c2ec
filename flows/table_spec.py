"""What a table of a pipeline declares: the fields it may match, the effects its flows may have, and where packets may go next.

A pipeline is an enumeration of such declarations (`pipeline.Table`). `flow.Flow` checks each flow against the declaration
of its table when it is built, so no flow does what its table does not declare. A pipeline for another kind of switch starts
with declarations of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final, Protocol


class Undeclared(ValueError):
    """A flow that the declaration of its table does not admit."""


class Effect(Protocol):
    """An action, as far as a declaration looks at it."""

    @property
    def effect(self) -> str:
        """Return what it does in one word: the field it sets, ``port``, ``in_port``, ``controller``, ``group:KIND`` …"""


MatchRow = tuple[str, int, "int | None"]
"""(field, value, mask or None)."""

_effect: Final = attrgetter("effect")


class TableSpec:
    """The declaration of one table. Names stand in strings, parted by spaces.

    ``matches``: fields; those with a slash behind them under a mask too. ``reads``: bits of the metadata that may be matched.
    ``sets``: fields that may be overwritten, and the effects of actions that name no field (`action`): ``vlan`` (a tag pushed
    or popped), ``keep_pcp``, ``give_pcp``, ``ttl`` (counted down).
    ``writes``: bits of the metadata that may be written. ``sends``: where packets may leave the pipeline: ``port``,
    ``in_port``, ``controller``, and kinds of groups. ``meters``: purposes of meters that a flow may name.
    ``leads_to``: the next tables that a flow may name. ``miss``: the next table of a packet that no flow takes; None drops it.
    """

    __slots__ = (
        "effects", "leads_to", "masked", "matches", "meters", "miss", "purpose", "reads", "sends", "sets", "writes",
    )  # fmt: skip

    def __init__(
        self,
        purpose: str,
        *,
        matches: str,
        reads: int = 0,
        sets: str = "",
        writes: int = 0,
        sends: str = "",
        meters: str = "",
        leads_to: str = "",
        miss: str | None = None,
    ) -> None:
        self.purpose = purpose
        self.matches = frozenset(name.removesuffix("/") for name in matches.split())
        self.masked = frozenset(name[:-1] for name in matches.split() if name.endswith("/"))
        self.reads = reads
        self.sets = frozenset(sets.split())
        self.writes = writes
        self.sends = frozenset(sends.split())
        self.effects = self.sets | {row if row in _WAYS_OUT else f"group:{row}" for row in self.sends}
        self.meters = frozenset(meters.split())
        self.leads_to = tuple(leads_to.split())
        self.miss = miss
        if miss is not None and miss not in self.leads_to:
            raise ValueError(f"a miss leads to {miss}, which is none of the next tables")

    def check_row(self, name: str, value: int, mask: int | None) -> None:
        """Raise Undeclared when a flow may not match this field, or not under this mask, or when the value exceeds the mask."""
        if name == "metadata":
            if mask is None or mask & ~self.reads:
                raise Undeclared(f"it matches {'all' if mask is None else f'{mask & ~self.reads:#x}'} of the metadata")
        elif name not in self.matches:
            raise Undeclared(f"it matches {name}")
        elif mask is not None and name not in self.masked:
            raise Undeclared(f"it matches {name} under a mask")
        if mask is not None and value & ~mask:
            raise Undeclared(f"it matches bits of {name} outside the mask")

    def check_instructions(
        self, actions: Sequence[Effect], metadata: tuple[int, int] | None, goto: str | None, meter: str | None
    ) -> None:
        """Raise Undeclared when an action, the bits written, the next table or the purpose of the meter is not declared."""
        if not self.effects.issuperset(map(_effect, actions)):
            undeclared = sorted({action.effect for action in actions} - self.effects)
            raise Undeclared(f"its actions have the effects {', '.join(undeclared)}")
        if metadata is not None and (metadata[1] & ~self.writes or metadata[0] & ~metadata[1]):
            raise Undeclared(f"it writes {metadata[0]:#x}/{metadata[1]:#x} to the metadata")
        if goto is not None and goto not in self.leads_to:
            raise Undeclared(f"it leads to {goto}")
        if meter is not None and meter not in self.meters:
            raise Undeclared(f"it names a meter for {meter}")


_WAYS_OUT: Final = ("port", "in_port", "controller")
