"""What the commands that ask a controller share: where it is, how answers are printed, how errors end the program."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ryu_vmmob.client import MAX_WAIT, Client, ClientError, RefusedError, read_token

_WIDE = 10_000  # columns of a file or a pipe: whoever reads it wants lines whole

Url = Annotated[str, typer.Option("--url", envvar="VMMOB_URL", help="Address of the controller's REST interface.")]
TokenFile = Annotated[
    str | None, typer.Option("--token-file", envvar="VMMOB_TOKEN_FILE", help="File with the token for it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the controller's answer as JSON.")]
Wait = Annotated[
    float | None,
    typer.Option("--wait", min=0, max=MAX_WAIT, metavar="SECONDS", help="Wait so long for the switches to confirm."),
]


@contextmanager
def controller(url: str, token_file: str | None) -> Iterator[Client]:
    """A client; an error inside ends the program with one sentence.

    Exit status 1: the state is against it, or the object is not there; 2: a wrong question, or no controller.
    """
    try:
        yield Client(url, None if token_file is None else read_token(token_file))
    except ClientError as error:
        typer.echo(f"vmmob: {error}", err=True)
        raise typer.Exit(1 if isinstance(error, RefusedError) and error.is_about_state else 2) from None


def usage(text: str) -> typer.Exit:
    """To be raised: says what is wrong with the command line."""
    typer.echo(f"vmmob: {text}", err=True)
    return typer.Exit(2)


def print_json(answer: Any) -> None:
    """An answer as it came."""
    typer.echo(json.dumps(answer, indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under a heading; None is a dash. Folded to the width of a terminal, and never in a pipe."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text("-" if value is None else str(value)) for value in row))
    console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Names and values, a line each."""
    rows = [(name, "-" if value is None else str(value)) for name, value in facts]
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        typer.echo(f"{name:<{width}}  {value}".rstrip())


def print_switches(answer: Any) -> None:
    """After a write that waited: which switches have not confirmed it."""
    switches = answer.get("switches") if isinstance(answer, dict) else None
    if switches and switches["pending"]:
        typer.echo(f"not yet confirmed by: {', '.join(switches['pending'])}", err=True)


def read_body(file: str) -> Any:
    """A request's body from a JSON file, or from standard input for ``-``. Ends the program when it is none."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise usage(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise usage(f"{file} is no JSON: {error}") from None


def joined(values: Iterable[object]) -> str | None:
    """Values in one cell; None when there is none."""
    return ", ".join(map(str, values)) or None
