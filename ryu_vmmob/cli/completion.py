"""``vmmob completion``: what makes a shell complete commands, options and the controller's names."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]


class Shell(StrEnum):
    """Shells that can be told."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def register(app: typer.Typer) -> None:
    """Join the command to the application."""
    app.command(name="completion")(completion)


def completion(shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish")]) -> None:
    """Print the script for a shell: `source <(vmmob completion bash)`."""
    typer.echo(get_completion_script(prog_name="vmmob", complete_var="_VMMOB_COMPLETE", shell=shell.value))
