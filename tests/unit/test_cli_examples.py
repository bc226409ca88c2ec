"""Every command has examples in its help and in its man page, and the parser takes each of them."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from ryu_vmmob.cli.examples import EXAMPLES
from ryu_vmmob.cli.main import app
from ryu_vmmob.manual.pages import commands, pages

_ROOT: Any = typer.main.get_command(app)
_COMMANDS = {words.removeprefix("vmmob "): command for words, command in commands(_ROOT, "vmmob")}


def test_every_command_has_examples_and_no_other() -> None:
    assert sorted(EXAMPLES) == sorted(_COMMANDS)
    assert all(EXAMPLES.values())


@pytest.mark.parametrize("words", sorted(EXAMPLES))
def test_the_help_shows_them(words: str) -> None:
    shown = CliRunner().invoke(app, [*words.split(), "--help"], env={"COLUMNS": "200"}).stdout
    lines = [line.strip() for line in shown.splitlines()]
    assert all(line in lines for line in ("Examples:", *EXAMPLES[words])), shown


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_the_parser_takes_them(line: str) -> None:
    """Each is a call of the command whose help shows it, with options and values of the right kind."""
    name, *words = shlex.split(line.partition(" > ")[0])
    assert name == "vmmob"
    command, said = _ROOT, list[str]()
    while hasattr(command, "commands"):
        command = command.commands[word := words.pop(0)]
        said.append(word)
    assert line in EXAMPLES[" ".join(said)]
    command.make_context(" ".join(said), words)
    with pytest.raises(Exception, match="No such option"):
        command.make_context(" ".join(said), [*words, "--no-such-option"])


def test_man_pages_show_them() -> None:
    text = "\n".join(map(str, pages())).replace("\\-", "-").replace("\\(dq", '"')
    for lines in EXAMPLES.values():
        assert all(line.split("~")[0] in text for line in lines)
