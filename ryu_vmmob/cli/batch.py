"""``vmmob evacuate`` and ``vmmob batch``: all VMs of a server, or of a switch's servers, on their way to others."""

from __future__ import annotations

import sys
from time import sleep
from typing import Annotated, Any

import typer

from ryu_vmmob.cli.common import Asked, Wait, asking, joined, print_facts, print_switches
from ryu_vmmob.cli.following import POLL, bar
from ryu_vmmob.cli.move_options import MoveOptions
from ryu_vmmob.cli.names import HOSTS, BatchId, BatchIds
from ryu_vmmob.cli.tables import print_table
from ryu_vmmob.client import Client, path

_app = typer.Typer(name="batch", help="Evacuations.", no_args_is_help=True)

_FINAL = ("finished", "aborted")
_UNDER_WAY = ("waiting", "preparing", "prepared", "activated")
_ORDER = (
    "waiting", "preparing", "prepared", "activated", "committed", "aborted", "failed", "refused", "gone", "elsewhere",
    "skipped",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Join the commands to the application."""
    app.add_typer(_app)
    app.command(name="evacuate")(evacuate)


@asking()
def evacuate(
    ask: Asked,
    server: Annotated[
        str, typer.Argument(metavar="SERVER", help="The server; with --switch, the switch.", autocompletion=HOSTS)
    ],
    options: MoveOptions,
    switch: Annotated[bool, typer.Option("--switch", help="All servers of this switch.")] = False,
    to: Annotated[str | None, typer.Option(metavar="SERVER,...", help="The servers to move to; any other by default.")] = None,
    parallel: Annotated[int | None, typer.Option(help="The most moves at a time, 1 to 1000; 8 by default.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the last VM has moved, and show the progress.")] = False,
) -> None:
    """Move every VM off a server, a few at a time; with --wait, follow it to its end.

    Exit status: 0 begun (with --wait: finished, and no VM is left behind), 1 refused, or VMs are left behind, 2 wrong
    arguments, 3 no controller.
    """
    given = {
        "to": None if to is None else [name.strip() for name in to.split(",")],
        "parallel": parallel,
    }
    body = {name: value for name, value in given.items() if value is not None} | options.given()
    where = path("switches" if switch else "servers", server, "evacuate")
    found = ask.client.post(where, body, dry_run="true" if dry_run else None)
    if wait and not dry_run:
        found = _followed(ask.client, found, quiet=ask.is_for_programs)
    ask.answer(found, _show)
    if _left_behind(found, waited=wait and not dry_run):
        raise typer.Exit(1)


@_app.command(name="list")
@asking()
def list_(ask: Asked, state: Annotated[str | None, typer.Option(help="Only those in this state.")] = None) -> None:
    """List evacuations in the order they began."""
    found = ask.client.get(path("batches"), state=state)
    rows = ((row["id"], _what(row), row["state"], row["total"], _counts(row), row["reason"]) for row in found["items"])
    ask.table(found, ("id", "evacuated", "state", "VMs", "of them", "reason"), rows)


@_app.command()
@asking()
def show(ask: Asked, ids: BatchIds) -> None:
    """Show evacuations, VM by VM."""
    ask.each("batches", ids, _show)


@_app.command()
@asking()
def abort(
    ask: Asked,
    id_: BatchId,
    reason: Annotated[str | None, typer.Option(help="The reason, kept with the evacuation.")] = None,
    wait: Wait = None,
) -> None:
    """Start no more moves, and abort those that are not activated yet."""
    body = {"reason": reason} if reason is not None else None
    ask.answer(ask.client.post(path("batches", id_, "abort"), body, wait=wait), _show)


def _followed(client: Client, batch: Any, *, quiet: bool) -> Any:
    """Return the batch when it is over. Show a progress bar on a terminal, and elsewhere a line for each change."""
    said = ""
    with bar(batch["total"], shown=not quiet) as show:
        while True:
            line = f"{batch['id']}: {batch['state']}, {_counts(batch) or 'no VM'}"
            if line != said and not quiet and not sys.stderr.isatty():
                typer.echo(line, err=True)
                said = line
            show(line, sum(number for state, number in batch["counts"].items() if state not in _UNDER_WAY))
            if batch["state"] in _FINAL:
                return batch
            sleep(POLL)
            batch = client.batches.get(batch["id"])


def _left_behind(batch: Any, *, waited: bool) -> bool:
    """Whether the answer is no: no VM can move at all, or a VM is left at the end."""
    counts = batch["counts"]
    gone = sum(counts.get(name, 0) for name in ("committed", "gone", "elsewhere"))
    if waited:
        return bool(gone != batch["total"])
    return bool(batch["total"] and counts.get("refused", 0) == batch["total"])


def _what(batch: Any) -> str | None:
    return f"switch {batch['switch']}" if batch["switch"] is not None else joined(batch["servers"])


def _counts(batch: Any) -> str | None:
    return joined(f"{batch['counts'][name]} {name}" for name in _ORDER if name in batch["counts"])


def _show(batch: Any) -> None:
    print_facts(
        [
            ("batch", batch.get("id", "(dry run)")),
            ("evacuated", _what(batch)),
            ("state", batch["state"]),
            ("reason", batch["reason"]),
            ("at once", batch["parallel"]),
            ("VMs", _counts(batch)),
        ]
    )
    columns = ("VM", "from", "to", "state", "migration", "reason")
    print_table(
        columns,
        ((row["vm"], row["from"], row["to"], row["state"], row["migration"], row["reason"]) for row in batch["vms"]),
    )
    print_switches(batch)
