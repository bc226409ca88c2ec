"""``vmmob watch``: what happens, as it happens."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from ryu_vmmob.cli.common import Asked, asking, usage
from ryu_vmmob.cli.names import kinds
from ryu_vmmob.cli.output import Form, print_data
from ryu_vmmob.cli.times import moment
from ryu_vmmob.client import followed


def register(app: typer.Typer) -> None:
    """Join the command to the application."""
    app.command(name="watch")(watch)


@asking()
def watch(
    ask: Asked,
    types: Annotated[
        str | None,
        typer.Option(
            metavar="KIND,…", help="Only these kinds, or kinds with these prefixes: migration,refused.", autocompletion=kinds
        ),
    ] = None,
    since: Annotated[
        int | None, typer.Option(min=0, metavar="ID", help="Begin with the events after the one with this id.")
    ] = None,
) -> None:
    """Show events as they happen, a line each, until Ctrl-C. With -o json one object a line.

    A lost connection is made again, and the events of the gap come first, as far as the controller still has them.
    """
    show = print_line
    if ask.is_for_programs:
        show = _print_json if ask.form is Form.JSON else _print_yaml
    try:
        for event in followed(ask.client, families_of(types), since, _say):
            show(event)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # The reader has closed the pipe, as `head` does. Write nothing more, not even at exit.
        sys.stdout = None


def families_of(types: str | None) -> list[str]:
    """Return what ``--types`` says. Ends the program when it is no list."""
    families = [row.strip() for row in types.split(",")] if types is not None else []
    if not all(families):
        raise usage("--types: kinds, and commas between them")
    return families


def _say(text: str) -> None:
    typer.echo(f"vmmob: {text}", err=True)


def _print_json(event: Any) -> None:
    typer.echo(json.dumps(event))


def _print_yaml(event: Any) -> None:
    typer.echo("---")
    print_data(Form.YAML, event)


def print_line(event: Any) -> None:
    """Return an event in a line; red when an operator should look at it."""
    typer.echo(typer.style(line(event), fg="red" if is_bad(event) else None))


def is_bad(event: Any) -> bool:
    """Whether an operator should look at it, as the controller says."""
    return event.get("level") in ("warning", "error")


def line(event: Any) -> str:
    """Return an event for people: when, then its kind, then the controller's sentence.

    A controller older than these sentences sends none: then the particulars are shown as names and values.
    """
    kind = event["event"]
    when = moment(event["time"]).replace("T", " ")
    data = {name: value for name, value in event.items() if name not in ("id", "time", "event", "level", "text")}
    return f"{when}  {kind:<20}  {event.get('text') or _pairs(data)}".rstrip()


def _pairs(data: dict[str, Any]) -> str:
    return " ".join(f"{name}={_shown(value)}" for name, value in data.items() if value not in (None, [], {}))


def _shown(value: Any) -> str:
    if value is None:
        return "unknown"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
