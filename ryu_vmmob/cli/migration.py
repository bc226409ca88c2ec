"""``vmmob migration`` and ``vmmob move``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from time import monotonic
from typing import Annotated, Any, Final

import typer

from ryu_vmmob.cli.common import Asked, DryRun, Wait, asking, joined, print_facts, print_switches, usage
from ryu_vmmob.cli.following import bar, looks, newest
from ryu_vmmob.cli.move_options import AutomaticMove, MoveOptions
from ryu_vmmob.cli.names import VMS, MigrationId, MigrationIds, ServerName, VmName
from ryu_vmmob.cli.tables import print_table
from ryu_vmmob.cli.times import clock, moment
from ryu_vmmob.client import Client, path

_app = typer.Typer(name="migration", help="Migrations.", no_args_is_help=True)

_FINAL = ("committed", "aborted", "failed")
_TO_PREPARE: Final = 30
"""Seconds that `move` gives the switches to prepare before it goes on to say how things stand."""
_TO_COMMIT: Final = 60
"""Seconds beyond its time-out after which a migration that is not finished is not waited for any longer."""
_TO_CONFIRM: Final = 10
"""Seconds that a switch which is connected has to confirm the end of a migration: some tens of milliseconds are usual."""


def register(app: typer.Typer) -> None:
    """Join the commands to the application."""
    app.add_typer(_app)
    app.command(name="move")(move)


@_app.command(name="list")
@asking()
def list_(
    ask: Asked,
    vm: Annotated[str | None, typer.Option(help="Only those of this VM.", autocompletion=VMS)] = None,
    state: Annotated[str | None, typer.Option(help="Only those in this state.")] = None,
) -> None:
    """List migrations in the order they began."""
    found = ask.client.get(path("migrations"), vm=vm, state=state)
    rows = ((row["id"], row["vm"], row["from"], row["to"], row["state"], _since(row), row["reason"]) for row in found["items"])
    ask.table(found, ("id", "VM", "from", "to", "state", "since", "reason"), rows)
    ask.explain(found, vm=vm)


@_app.command()
@asking()
def show(ask: Asked, ids: MigrationIds) -> None:
    """Show migrations, and which switch confirmed each of their steps when."""
    ask.each("migrations", ids, _show_whole)


@_app.command()
@asking()
def start(
    ask: Asked,
    vm: VmName,
    server: ServerName,
    options: MoveOptions,
    dry_run: DryRun = False,
    wait: Wait = None,
) -> None:
    """Start to prepare the move of a VM to a server."""
    body = {"vm": vm, "to": server} | options.given()
    ask.answer(ask.client.post(path("migrations"), body, wait=wait, dry_run="true" if dry_run else None), _show)


@_app.command()
@asking()
def deliver(ask: Asked, id_: MigrationId, wait: Wait = None) -> None:
    """Report that the VM has paused at its source: its traffic goes to the target from now on."""
    _step(ask, id_, "deliver", None, wait)


@_app.command()
@asking()
def activate(ask: Asked, id_: MigrationId, wait: Wait = None) -> None:
    """Report that the VM runs at its target now."""
    _step(ask, id_, "activate", None, wait)


@_app.command()
@asking()
def commit(ask: Asked, id_: MigrationId, wait: Wait = None) -> None:
    """Commit a migration: close the source."""
    _step(ask, id_, "commit", None, wait)


@_app.command()
@asking()
def abort(
    ask: Asked,
    id_: MigrationId,
    reason: Annotated[str | None, typer.Option(help="The reason, kept with the migration.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Abort at once, without waiting for any switch, although one may be dead.")
    ] = False,
    wait: Wait = None,
) -> None:
    """Abort a migration: the VM stays on its source."""
    body = {**({} if reason is None else {"reason": reason}), **({"force": True} if force else {})}
    _step(ask, id_, "abort", body or None, wait)


@asking()
def move(
    ask: Asked,
    vm: VmName,
    server: ServerName,
    options: AutomaticMove,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the move is committed, aborted or failed.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Prepare the move of a VM; with --wait, follow it to its end.

    Exit status: 0 prepared (with --wait: committed; with --dry-run: possible), 1 refused, aborted, failed or not finished,
    2 wrong arguments, 3 no controller.
    """
    if wait and dry_run:
        raise usage("--dry-run begins no move that --wait could follow: give one of the two")
    body = {"vm": vm, "to": server} | options.given()
    if dry_run:
        found = ask.client.post(path("migrations"), body, dry_run="true")
        ask.answer(found, _show)
    elif not wait:
        found = ask.client.post(path("migrations"), body, wait=_TO_PREPARE)
        ask.answer(found, _show)
    else:
        since = newest(ask.client)
        found = _followed(ask.client, ask.client.post(path("migrations"), body), since, quiet=ask.is_for_programs)
        ask.answer(found, _show_whole)
    if found["state"] in ("aborted", "failed") or (wait and found["state"] != "committed"):
        raise typer.Exit(1)


def _followed(client: Client, migration: Any, since: int | None, *, quiet: bool) -> Any:
    """Return the migration when it is finished and the switches have confirmed that, or when there is no sense in waiting any
    longer.

    Its states are told as they come.
    """
    deadline = monotonic() + migration["timeout"] + _TO_COMMIT
    told = 0
    over: float | None = None
    if not quiet:
        _warn(migration)
    with bar(None, shown=not quiet) as show:
        for found in chain((migration,), looks(client, migration["id"], since, deadline)):
            migration = found
            for entry in () if quiet else migration["timeline"][told:]:
                typer.echo(_entered(migration, entry), err=True)
            told = len(migration["timeline"])
            show(_waiting_for(migration), 0)
            if migration["state"] in _FINAL:
                over = monotonic() + _TO_CONFIRM if over is None else over
                if monotonic() >= over or not _present(client, migration["switches"]["pending"]):
                    break
    return migration


def _present(client: Client, names: Sequence[str]) -> list[str]:
    """Return those of these switches that are connected. One that is away would never confirm."""
    standings = client.health()["switches"] if names else {}
    return [name for name in names if standings.get(name) != "away"]


def _entered(migration: Any, entry: Any) -> str:
    """Return a state as it comes: when, which, and what it means for the VM or the switches."""
    last = entry is migration["timeline"][-1]
    about = {
        "preparing": f"{migration['vm']} from {migration['from']} to {migration['to']} ({migration['id']})",
        "prepared": f"{migration['vm']} may go on at {migration['to']}",
    }.get(entry["state"], (migration["reason"] if last else None) or "")
    return f"{clock(entry['time'])}  {entry['state']:<9}  {about}".rstrip()


def _waiting_for(migration: Any) -> str:
    pending = migration["switches"]["pending"]
    if pending:
        return f"{migration['state']}, waiting for {', '.join(pending)}"
    if migration["state"] == "prepared":
        return f"prepared, waiting for {migration['vm']} to be seen at {migration['to']}, or for an activate"
    return str(migration["state"])


def _step(ask: Asked, id_: str, step: str, body: object, wait: float | None) -> None:
    ask.answer(ask.client.post(path("migrations", id_, step), body, wait=wait), _show)


def _since(migration: Any) -> str | None:
    return moment(migration["timeline"][-1]["time"]) if migration["timeline"] else None


def _warn(migration: Any) -> None:
    for text in migration.get("warnings", ()):
        typer.echo(f"warning: {text}", err=True)


def _show(migration: Any) -> None:
    _warn(migration)
    refused = migration["switches"].get("refused", ())
    print_facts(
        [
            ("migration", migration.get("id", "(dry run)")),
            ("VM", migration["vm"]),
            ("from", migration["from"]),
            ("to", migration["to"]),
            ("state", migration["state"]),
            ("reason", migration["reason"]),
            ("confirmed by", joined(migration["switches"]["acknowledged"])),
            *((f"refused by {row['switch']}", f"{row['error']}: {row['cause']}") for row in refused),
        ]
    )
    print_table(
        ("CUG", "VLAN-ID before", "VLAN-ID after"),
        ((row["cug"], _tag(row["from_vlan_id"]), _tag(row["to_vlan_id"])) for row in migration["interfaces"]),
    )
    print_switches(migration)


def _show_whole(migration: Any) -> None:
    _show(migration)
    print_table(("state", "since", "switch", "messages", "confirmed"), _timeline(migration["timeline"]))
    if migration["settled"] is not None:
        milliseconds = migration["settled"] * 1000
        typer.echo(f"settled in {milliseconds:.0f} ms: so long after the activation every switch had confirmed it")


def _timeline(entries: Any) -> Iterator[tuple[object, ...]]:
    """Yield a row for each state, and beside it one for each switch that was told something for it."""
    for entry in entries:
        told = [(name, count, _confirmed(entry["acknowledged"][name])) for name, count in entry["flow_mods"].items()]
        first, *others = told or [("", "", "")]
        yield entry["state"], moment(entry["time"]), *first
        for row in others:
            yield "", "", *row


def _confirmed(time: str | None) -> str:
    return "not yet" if time is None else moment(time)


def _tag(vlan_id: int | None) -> object:
    return "none added" if vlan_id is None else vlan_id
