"""``vmmob watch``: what happens, as it happens."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Annotated, Any, Final

import typer

from ryu_vmmob.cli.common import Asked, asking, usage
from ryu_vmmob.client import followed

_BAD: Final = (
    "gap", "migration.aborted", "migration.conflict", "migration.failed", "migration.overdue", "migration.returning",
    "move.dampened", "refused",
    "switch.fault", "switch.out_of_step", "switch.held", "switch.disconnected", "switch.unknown", "switch.repaired",
    "switch.foreign_flows", "switch.floods", "switch.keeps_cookies", "switch.unreadable", "link.down", "external.down",
    "neighbour.lost", "store.failed",
    "batch.passed", "batch.aborting", "batch.aborted", "fabric.refused",
)  # fmt: skip
"""Kinds, or what they begin with, that are shown in red."""

_SENTENCES: Final = {
    "gap": "events lost: {missed}",
    "migration.preparing": "{vm}: from {source} to {target} ({migration})",
    "migration.prepared": "{vm} may move ({migration})",
    "migration.delivered": "{vm}: its traffic goes to the new place ({migration})",
    "migration.activated": "{vm} runs at the new place: {reason} ({migration})",
    "migration.committed": "{vm}: done ({migration})",
    "migration.aborted": "{vm}: {reason} ({migration})",
    "migration.failed": "{vm}: {reason} ({migration})",
    "migration.overdue": "{vm}: its time is over, and {reason} ({migration})",
    "migration.returning": "{vm} goes back to its old place: {reason} ({migration})",
    "migration.announced": "{vm} seen at {server} ({switch}:{port}): {reason} ({migration})",
    "migration.conflict": "{vm} still speaks at {source} ({switch}:{port}): {reason} ({migration})",
    "migration.confirmed": "{vm}: every switch has it, {state} ({migration})",
    "batch.started": "{servers}: {vms} VMs to move, without a place to go: {refused} ({batch})",
    "batch.passed": "{vm} is not moved: {reason} ({batch})",
    "batch.aborting": "{servers}: {reason} ({batch})",
    "batch.aborted": "{servers}: {reason} ({batch})",
    "batch.finished": "{servers}: done ({batch})",
    "refused.spoofing": "{mac} at {server} ({switch}:{port}) claims {address}",
    "refused.move": "{vm} seen at {server} ({switch}:{port}), but it is at {placed}: {reason}",
    "move.questioned": "{vm} seen at {server} ({switch}:{port}), {reason}",
    "move.dampened": "{vm} seen at {server} ({switch}:{port}), but it is at {placed}: {reason}",
    "switch.fault": "{switch} refused {cause} of {owner}: {error}",
    "switch.out_of_step": "{switch} is {behind} revisions behind, faults: {faults}",
    "switch.unknown": "dpid {dpid} is not in the fabric file",
    "switch.floods": "{switch} sends more than anybody asked for",
    "store.failed": "{reason}",
}
"""How events read; all others are shown as names and values."""


def register(app: typer.Typer) -> None:
    """Join the command to the application."""
    app.command(name="watch")(watch)


@asking()
def watch(
    ask: Asked,
    types: Annotated[
        str | None, typer.Option(metavar="KIND,…", help="Only these kinds, or what they begin with: migration,refused.")
    ] = None,
    since: Annotated[int | None, typer.Option(min=0, metavar="ID", help="First those after the event with this id.")] = None,
) -> None:
    """Show events as they happen, a line each, until Ctrl-C. With --json one object a line.

    When the connection is lost it is made again, and what happened meanwhile is told first, as far as the controller has it.
    """
    show = _print_json if ask.as_json else print_line
    try:
        for event in followed(ask.client, families_of(types), since, _say):
            show(event)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # Whoever read has gone, as `head` does; nothing is left to be said, not even at the end of the process.
        sys.stdout = None


def families_of(types: str | None) -> list[str]:
    """What ``--types`` says. Ends the program when it is no list."""
    families = [row.strip() for row in types.split(",")] if types is not None else []
    if not all(families):
        raise usage("--types: kinds, and commas between them")
    return families


def _say(text: str) -> None:
    typer.echo(f"vmmob: {text}", err=True)


def _print_json(event: Any) -> None:
    typer.echo(json.dumps(event))


def print_line(event: Any) -> None:
    """An event in a line; red when somebody should look at it."""
    typer.echo(typer.style(line(event), fg="red" if is_bad(event["event"]) else None))


def is_bad(kind: str) -> bool:
    """Whether somebody should look at it."""
    return any(kind == row or kind.startswith(f"{row}.") for row in _BAD)


def line(event: Any) -> str:
    """An event for people: when, by the clock of this machine, then what, then the particulars."""
    kind = event["event"]
    when = datetime.fromisoformat(event["time"]).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    data = {name: value for name, value in event.items() if name not in ("id", "time", "event")}
    sentence = _SENTENCES.get(kind)
    try:
        text = sentence.format(**{name: _shown(value) for name, value in event.items()}) if sentence else _pairs(data)
    except KeyError:
        text = _pairs(data)
    return f"{when}  {kind:<20}  {text}".rstrip()


def _pairs(data: dict[str, Any]) -> str:
    return " ".join(f"{name}={_shown(value)}" for name, value in data.items() if value not in (None, [], {}))


def _shown(value: Any) -> str:
    if value is None:
        return "unknown"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
