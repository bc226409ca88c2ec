"""``vmmob bulk``: many CUGs, VMs and policies at once."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from ryu_vmmob.cli.common import Asked, Wait, asking, joined, print_switches, read_body
from ryu_vmmob.cli.tables import print_table

_KINDS: Final = ("cugs", "vms", "policies")
_OUTCOMES: Final = ("created", "replaced", "deleted", "unchanged")


def register(app: typer.Typer) -> None:
    """Join the command to the application."""
    app.command(name="bulk")(bulk)


@asking()
def bulk(
    ask: Asked,
    file: Annotated[str, typer.Argument(metavar="FILE", help='The body as JSON (docs/rest.md); "-" reads standard input.')],
    wait: Wait = None,
) -> None:
    """Create, replace or delete many CUGs, VMs and policies in one step: all of them, or none."""
    answer = ask.client.bulk(read_body(file), wait=wait)
    ask.answer(answer, _show)
    print_switches(answer)


def _show(answer: Any) -> None:
    rows = ((kind, *(joined(answer[what][kind]) for what in _OUTCOMES)) for kind in _KINDS)
    print_table(("kind", *_OUTCOMES), rows)
    typer.echo(f"revision {answer['revision']}")
