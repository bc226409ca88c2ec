"""Tables for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE: Final = 10_000
"""Columns of a file or a pipe: its reader wants whole lines."""
_is_wide = False


def use_wide(*, wanted: bool) -> None:
    """Print every row of a table on one line from now on, or fold it to the width of the terminal."""
    global _is_wide
    _is_wide = wanted


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under a heading; None is a dash. Folded to the width of a terminal, and never in a pipe."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text("-" if value is None else str(value)) for value in row))
    console = Console() if sys.stdout.isatty() and not _is_wide else Console(width=_WIDE)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())
