"""Tables: they fit the terminal, and no word of a cell is ever broken."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ryu_vmmob.cli import tables
from ryu_vmmob.cli.main import app
from ryu_vmmob.cli.tables import laid_out
from tests.unit.cli_support import Shell
from tests.unit.cli_support import pair as pair
from tests.unit.cli_support import shell as shell

CELLS = st.text("ab,= 1", max_size=30).map(lambda text: " ".join(text.split()))


def words(text: str) -> list[str]:
    """What must never be broken."""
    return re.findall(r"[^\s,]*,+|[^\s,]+", text)


@st.composite
def drawn_tables(draw: Any) -> tuple[list[str], list[list[str]]]:
    count = draw(st.integers(1, 6))
    return [f"c{number}" for number in range(count)], draw(
        st.lists(st.lists(CELLS, min_size=count, max_size=count), max_size=5)
    )


@given(drawn_tables(), st.integers(10, 90))
def test_no_word_is_broken_and_none_is_lost(table: tuple[list[str], list[list[str]]], width: int) -> None:
    columns, rows = table
    lines = laid_out(columns, rows, width)
    pieces = {piece for row in (columns, *rows) for text in row for piece in words(text)}
    room = max([width, *(len(piece) + 4 + len("c0: ") for piece in pieces)])
    assert all(len(line) <= room and line == line.rstrip() for line in lines)
    shown = sorted(piece for line in lines for piece in words(re.sub(r"^    c\d: ", "", line)))
    assert [piece for piece in shown if piece != "-"] == sorted(
        piece for row in (columns[: len(words(lines[0]))], *rows) for text in row for piece in words(text) if piece != "-"
    )
    wide = laid_out(columns, rows, None)
    assert len(wide) == 1 + len(rows)
    if max(map(len, wide)) <= width:
        assert lines == wide


def test_what_has_no_room_stands_below_its_row() -> None:
    rows = [["tor-a", "in_port=1,eth_dst=02:00:00:00:00:0b", "goto:admit"], ["tor-b", "-", "drop"]]
    assert laid_out(["switch", "match", "actions"], rows, 40) == [
        "switch  match",
        "tor-a   in_port=1,",
        "        eth_dst=02:00:00:00:00:0b",
        "    actions: goto:admit",
        "tor-b   -",
        "    actions: drop",
    ]


@pytest.mark.parametrize(
    "asked", [("trace", "web1", "web2"), ("flows", "tor-a"), ("vm", "list"), ("switch", "list"), ("fabric", "show")]
)
def test_eighty_columns_are_enough(pair: Shell, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...]) -> None:
    """As a terminal of 80 columns shows it; with -o wide each row is one line, as in a pipe."""
    whole = pair.run(*asked).stdout
    monkeypatch.setattr(tables, "_on_terminal", lambda: True)
    narrow = CliRunner().invoke(app, list(asked), env={**pair.environment, "COLUMNS": "80"}).stdout
    longest = max((word for line in whole.splitlines() for word in words(line)), key=len)
    assert max(map(len, narrow.splitlines())) <= max(80, len(longest) + 20)
    assert pair.run(*asked, "-o", "wide", COLUMNS="80").stdout == whole
