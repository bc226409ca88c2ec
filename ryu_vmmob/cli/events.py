"""``vmmob events``: what has happened, as far as the controller remembers."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ryu_vmmob.cli.common import Asked, asking
from ryu_vmmob.cli.names import kinds
from ryu_vmmob.cli.watch import families_of, print_line


def register(app: typer.Typer) -> None:
    """Join the command to the application."""
    app.command(name="events")(events)


@asking()
def events(
    ask: Asked,
    types: Annotated[
        str | None,
        typer.Option(
            metavar="KIND,…", help="Only these kinds, or kinds with these prefixes: migration,refused.", autocompletion=kinds
        ),
    ] = None,
    since: Annotated[int | None, typer.Option(min=0, metavar="ID", help="Only events after the one with this id.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, max=10000, help="The most events to show; 1000 by default.")] = None,
) -> None:
    """Show the newest events, a line each, and exit. `vmmob watch` shows the events to come."""
    found = ask.client.recent_events(tuple(families_of(types)), since=since, limit=limit)
    ask.answer(found, _show)


def _show(found: Any) -> None:
    for row in found["items"]:
        print_line(row)
