"""``vmmob flows``: what a switch is told to have."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ryu_vmmob.cli.common import Asked, asking
from ryu_vmmob.cli.names import SwitchName, tables
from ryu_vmmob.cli.tables import print_table
from ryu_vmmob.client import path


def register(app: typer.Typer) -> None:
    """Join the command to the application."""
    app.command(name="flows")(flows)


@asking()
def flows(
    ask: Asked,
    switch: SwitchName,
    table: Annotated[str | None, typer.Option(help="Only this table, by name.", autocompletion=tables)] = None,
) -> None:
    """Show the desired flows of a switch in the order a frame meets them, and the groups they use."""
    ask.answer(ask.client.get(path("switches", switch, "flows"), table=table), _show)


def _show(found: Any) -> None:
    print_table(
        ("table", "priority", "match", "actions", "why"),
        ((row["table"], row["priority"], row["match"], row["actions"], row["owner"]["reason"]) for row in found["items"]),
    )
    if found["groups"]:
        typer.echo()
        print_table(
            ("group", "type", "buckets", "why"),
            ((row["name"], row["type"], " ".join(row["buckets"]), row["owner"]["reason"]) for row in found["groups"]),
        )
