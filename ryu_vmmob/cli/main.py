"""The entry point of ``vmmob``: the application that the commands join, and what holds for all of them.

A file of commands offers ``register(app)``; adding one means adding its name below. Exit status: 0 done, 1 the answer is
no (findings, a refused request), 2 the question was wrong (usage, a file that cannot be read), 3 no answer, or not now.
"""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]

from ryu_vmmob import __version__
from ryu_vmmob.cli import (
    backup,
    batch,
    bulk,
    check,
    check_switch,
    completion,
    cug,
    events,
    fabric,
    flows,
    init,
    migration,
    policy,
    site,
    status,
    store,
    switch,
    takeover,
    trace,
    vm,
    watch,
)
from ryu_vmmob.cli.examples import attach
from ryu_vmmob.cli.output import AsJson, Output

app = typer.Typer(
    name="vmmob",
    no_args_is_help=True,
    add_completion=False,  # there is one way: vmmob completion
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001
    if wanted:
        typer.echo(f"vmmob {__version__}")
        raise typer.Exit


@app.callback()
def _vmmob(
    url: Annotated[str | None, typer.Option("--url", help="Address of the controller's REST interface.")] = None,
    token_file: Annotated[str | None, typer.Option("--token-file", help="File that holds the token for REST.")] = None,
    config: Annotated[str | None, typer.Option("--config", help="Settings file.")] = None,
    output: Output = None,
    as_json: AsJson = False,
    utc: Annotated[
        bool | None, typer.Option("--utc/--local", help="Show times in UTC, or in the time zone of this machine.")
    ] = None,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version, and exit.")
    ] = False,
) -> None:
    """Seamless virtual machine mobility for OpenFlow data centres.

    The options below may also stand after the command; there they count before those in front of it.
    """


@app.command()
def version() -> None:
    """Print the version of this program."""
    typer.echo(f"vmmob {__version__}")


_COMMANDS = (
    status, check, fabric, cug, vm, policy, bulk, site, migration, batch, trace, switch, flows, events, watch, takeover,
    check_switch, backup, store, init, completion,
)  # fmt: skip
for _commands in _COMMANDS:
    _commands.register(app)
attach(app)
completion_init()


def main() -> None:
    """Run ``vmmob`` with the arguments of the process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names and terminals need not be UTF-8
    app(prog_name="vmmob")


if __name__ == "__main__":
    main()
