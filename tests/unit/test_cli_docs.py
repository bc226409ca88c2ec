"""docs/cli.md is true: its table of commands, and its examples one after another."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from ryu_vmmob.cli.main import app
from ryu_vmmob.client import DEFAULT_URL
from tests.unit.cli_support import Shell, shell

__all__ = ["shell"]

_TEXT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


def commands(command: Any, name: str) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name
        return
    for word, one in inner.items():
        yield from commands(one, f"{name} {word}")


def test_the_table_of_commands() -> None:
    written = re.findall(r"^\| `(vmmob [a-z -]+)` \|", _TEXT, re.MULTILINE)
    assert sorted(written) == sorted(commands(typer.main.get_command(app), "vmmob"))


def test_the_examples(shell: Shell) -> None:
    tried = 0
    for block in re.findall(r"^```console\n(.*?)^```$", _TEXT, re.MULTILINE | re.DOTALL):
        for example in re.split(r"^\$ vmmob ", block, flags=re.MULTILINE)[1:]:
            line, *shown = example.splitlines()
            result = shell.run(*shlex.split(line), status=1 if shown and shown[-1].startswith(("dropped", "denied")) else 0)
            if shown:
                said = result.stdout.replace(shell.environment["VMMOB_URL"], DEFAULT_URL)
                assert [row.split() for row in said.splitlines()] == [row.split() for row in shown]
            tried += 1
    assert tried >= 10
