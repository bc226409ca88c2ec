"""Tables for people: as wide as the terminal, and no name, address, match or action broken in two."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Final

import typer

_GAP: Final = 2
"""Columns of the terminal between two of the table."""
_INDENT: Final = 4
"""How far what finds no place in a row stands to the right, below it."""
_PIECES: Final = re.compile(r"\s+|[^\s,]*,+|[^\s,]+")
"""A cell may go on in the next line between two of these: at a space, and after a comma."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_is_wide = False


def use_wide(*, wanted: bool) -> None:
    """Print every row of a table on one line from now on, or fold it to the width of the terminal."""
    global _is_wide
    _is_wide = wanted


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under a heading; None is a dash. As wide as the terminal; in a pipe each row is one line."""
    is_terminal, width = _on_terminal(), _width()
    cells = [["-" if value is None else _CONTROL.sub(" ", str(value)) for value in row] for row in rows]
    for number, line in enumerate(laid_out(columns, cells, width)):
        typer.echo(typer.style(line, bold=True) if is_terminal and number == 0 else line)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Names and values, a line each; None is a dash. A long value goes on below, as far as the terminal is wide."""
    rows = [(name, "-" if value is None else str(value)) for name, value in facts]
    wide, width = max((len(name) for name, _ in rows), default=0), _width()
    for name, value in rows:
        head = f"{name:<{wide}}{' ' * _GAP}"
        for line in [(head + value).rstrip()] if width is None else _hanging(head, value, width):
            typer.echo(line)


def _width() -> int | None:
    """Return the characters that a line may have; None for any number."""
    return shutil.get_terminal_size().columns if _on_terminal() and not _is_wide else None


def _on_terminal() -> bool:
    return sys.stdout.isatty()


def laid_out(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """Return the lines of a table, the heading first; ``width`` in characters, None for lines as long as they come.

    A cell that is too long goes on in the line below, at a space or after a comma. Columns that have no room even so, the last
    ones, stand below each row instead, a line each with their name. A longer word stays whole: the terminal breaks it.
    """
    own = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    if width is None or _total(own) <= width:
        return list(_lines([columns, *rows], own))
    least = [max(map(_longest, column)) for column in zip(columns, *rows, strict=True)]
    beside = next((count for count in range(len(least), 1, -1) if _total(least[:count]) <= width), 1)
    widths = _shared(least[:beside], own[:beside], width)
    lines = list(_lines([columns[:beside]], widths))
    for row in rows:
        lines += _lines([row[:beside]], widths)
        below = zip(columns[beside:], row[beside:], strict=True)
        lines += (
            line for name, text in below if text not in ("", "-") for line in _hanging(f"{' ' * _INDENT}{name}: ", text, width)
        )
    return lines


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _longest(text: str) -> int:
    return max((len(piece) for piece in _PIECES.findall(text) if not piece.isspace()), default=0)


def _shared(least: Sequence[int], own: Sequence[int], width: int) -> list[int]:
    """Return a width for each column: what is left over goes, bit by bit, to the columns that would use it."""
    found, left = list(least), width - _total(least)
    while left > 0 and (short := [number for number, wanted in enumerate(own) if found[number] < wanted]):
        for number in short[:left]:
            found[number] += 1
        left -= len(short[:left])
    return found


def _lines(rows: Iterable[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    for row in rows:
        folded = [_folded(text, width) for text, width in zip(row, widths, strict=True)]
        for texts in zip_longest(*folded, fillvalue=""):
            yield (" " * _GAP).join(f"{text:<{width}}" for text, width in zip(texts, widths, strict=True)).rstrip()


def _hanging(head: str, text: str, width: int) -> Iterator[str]:
    for number, part in enumerate(_folded(text, max(width - len(head), 1))):
        yield ((head if number == 0 else " " * len(head)) + part).rstrip()


def _folded(text: str, width: int) -> list[str]:
    """Return a cell as lines of ``width`` characters, longer only where one piece is."""
    lines = [""]
    for piece in _PIECES.findall(text):
        if len(lines[-1]) + len(piece.rstrip()) > width and lines[-1]:
            lines[-1] = lines[-1].rstrip()
            lines.append("")
        if lines[-1] or not piece.isspace() or len(lines) == 1:
            lines[-1] += piece
    return lines
