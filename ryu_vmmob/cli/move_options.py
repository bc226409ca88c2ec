"""The options with which a VM moves, as `start`, `move` and `evacuate` take them. What is left out, the controller decides.

The defaults in the help texts are the controller's: `tests/unit/test_move_options.py` holds them against the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from ryu_vmmob.cli.common import OptionGroup
from ryu_vmmob.cli.names import choice


@dataclass(frozen=True)
class AutomaticMove(OptionGroup):
    """The options of a move that is committed by itself."""

    mode: Annotated[
        str | None,
        typer.Option(
            help="hot (default) or cold: whether the VM runs while it is copied.", autocompletion=choice("hot", "cold")
        ),
    ] = None
    delivery: Annotated[
        str | None,
        typer.Option(
            help="at_pause (default), early or on_activation: when the target gets the VM's traffic.",
            autocompletion=choice("at_pause", "early", "on_activation"),
        ),
    ] = None
    activate_on: Annotated[
        str | None,
        typer.Option(
            help="announcement (default) or request: the VM's first frame at the target activates the move, or only a request.",
            autocompletion=choice("announcement", "request"),
        ),
    ] = None
    timeout: Annotated[
        float | None, typer.Option(help="Seconds until the move is aborted unless it is activated; 7200 by default.")
    ] = None


@dataclass(frozen=True)
class MoveOptions(AutomaticMove):
    """All options of a move."""

    commit: Annotated[
        str | None,
        typer.Option(
            help="automatic (default) or request: the commit follows the activation, or waits for a request.",
            autocompletion=choice("automatic", "request"),
        ),
    ] = None
