"""How a VM moves: the options of one move, the same wherever a move is asked for, kept or shown.

A new option is a field of `MoveOptions` here, one of `rest.moves.MoveOptionsBody` (what may stand in a request), one of
`rest.moves.MoveOptions` (what an answer says of it) and one of `cli.move_options.MoveOptions` (its option and help text).
Commands, batches, migrations, the store and the views take it from here; `tests/unit/test_move_options.py` holds the four
against each other.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final, Literal, get_args

Mode = Literal["hot", "cold"]
"""``hot``: the VM runs until it pauses at the source. ``cold``: it is shut down there, and starts at the target."""
Delivery = Literal["at_pause", "early", "on_activation"]
"""When the target gets the VM's traffic (`objects.seats`)."""
ActivateOn = Literal["announcement", "request"]
"""What activates a move: the VM is seen at its target, or a request says that it runs there."""
Ending = Literal["automatic", "request"]
"""What commits an activated move."""

DELIVERIES: Final[tuple[Delivery, ...]] = get_args(Delivery)

MOVE_TIMEOUT: Final = 7200.0
"""Seconds until a move must be activated, by default: a copy of an hour, and what comes before and after it. A place that is
open too long harms no other VM; one that is closed too early cuts a VM off."""
LONGEST_TIMEOUT: Final = 86_400
"""Seconds that a request may ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveOptions:
    """The options of a move. ``timeout``: seconds from the start until the VM must be activated.

    The base of the commands that start moves and of the objects that keep them; all its fields are keyword-only there too.
    """

    mode: Mode = "hot"
    delivery: Delivery = "at_pause"
    activate_on: ActivateOn = "announcement"
    commit: Ending = "automatic"
    timeout: float = MOVE_TIMEOUT

    def options(self) -> dict[str, Any]:
        """Return the options alone, by name: keyword arguments for another `MoveOptions`."""
        return {name: getattr(self, name) for name in OPTION_NAMES}


OPTION_NAMES: Final = tuple(row.name for row in fields(MoveOptions))
"""The options' names, in the order in which they are shown."""
