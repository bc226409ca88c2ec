"""``vmmob flows``: what a switch is told to have."""

from __future__ import annotations

from typing import Annotated

import typer

from ryu_vmmob.cli.common import AsJson, TokenFile, Url, controller, print_json, print_table
from ryu_vmmob.client import DEFAULT_URL, path


def register(app: typer.Typer) -> None:
    """Join the command to the application."""
    app.command(name="flows")(flows)


def flows(
    switch: Annotated[str, typer.Argument(metavar="SWITCH")],
    table: Annotated[str | None, typer.Option(help="Only this table, by name.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Show the desired flows of a switch in the order a frame meets them, and the groups they use."""
    with controller(url, token_file) as client:
        found = client.get(path("switches", switch, "flows"), table=table)
    if as_json:
        print_json(found)
        return
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
