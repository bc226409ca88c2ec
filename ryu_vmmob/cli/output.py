"""In which form an answer is printed, and the options of the command line that say so, before the command or after it."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any, Final

import typer


class Form(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    WIDE = "wide"
    """A table whose rows are one line each, whatever the width of the terminal."""
    JSON = "json"
    YAML = "yaml"

    @property
    def is_data(self) -> bool:
        """Whether it is for programs: the whole answer, and nothing said beside it."""
        return self in (Form.JSON, Form.YAML)


_OUTPUT_HELP: Final = "table (default), wide (a line for each row), json or yaml: the form of the answer."

AsJson = Annotated[bool, typer.Option("--json", help="Print the controller's answer as JSON: -o json.")]
Output = Annotated[Form | None, typer.Option("--output", "-o", help=_OUTPUT_HELP, show_choices=False, metavar="FORM")]


def before(ctx: typer.Context, name: str, value: Any) -> Any:
    """Return the value of a command's option: what stands after the command, or else before it, or else its default."""
    source = ctx.get_parameter_source(name)
    if source is not None and source.name == "COMMANDLINE":
        return value
    given = ctx.find_root().params.get(name)
    return value if given is None else given


def form_of(ctx: typer.Context, output: Form | None, *, as_json: bool) -> Form:
    """Return the form that the options ask for; those after the command count before those in front of it.

    Raises BadParameter where two forms are asked for at one place.
    """
    root = ctx.find_root().params
    for wanted, is_json in ((output, as_json), (root.get("output"), root.get("as_json"))):
        if is_json and wanted not in (None, Form.JSON):
            raise typer.BadParameter(f"--json and --output {wanted} ask for two forms")
        if is_json or wanted is not None:
            return wanted or Form.JSON
    return Form.TABLE


def print_data(form: Form, answer: Any) -> None:
    """Print an answer as it came, as YAML or else as JSON."""
    if form is Form.YAML:
        from ryu_vmmob.cli.yaml_text import yaml_text  # its library is slow to load

        typer.echo(yaml_text(answer), nl=False)
    else:
        typer.echo(json.dumps(answer, indent=2))
