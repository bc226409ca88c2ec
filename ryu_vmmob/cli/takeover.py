"""``vmmob takeover``: a switch that already forwards, and a store that knows nothing of it."""

from __future__ import annotations

from typing import Any

import typer

from ryu_vmmob.cli.common import Asked, asking
from ryu_vmmob.cli.names import SwitchName
from ryu_vmmob.client import path


def register(app: typer.Typer) -> None:
    """Join the command to the application."""
    app.command(name="takeover")(takeover)


@asking()
def takeover(ask: Asked, switch: SwitchName) -> None:
    """Take over a held switch: reconcile it. Flows of ours that the store does not know are deleted."""
    ask.answer(ask.client.post(path("switches", switch, "take_over")), _show)


def _show(found: Any) -> None:
    typer.echo(f"{found['name']}: in step" if found["in_step"] else f"{found['name']}: taken over, not in step yet")
