"""``vmmob status``: what is wrong now, in sentences, and what is under way. For three in the morning."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import typer

from ryu_vmmob.cli.common import NO, Asked, asking, joined, print_facts
from ryu_vmmob.cli.tables import print_table
from ryu_vmmob.cli.times import moment
from ryu_vmmob.cli.watch import is_bad
from ryu_vmmob.client import Client

_UNDER_WAY: Final = ("preparing", "prepared", "activated")
_RECENT: Final = 60
"""Minutes of events that are looked at, unless said otherwise."""


def register(app: typer.Typer) -> None:
    """Join the command to the application."""
    app.command(name="status")(status)


@asking()
def status(
    ask: Asked,
    minutes: Annotated[int, typer.Option(min=0, help="How many minutes of events to include.")] = _RECENT,
) -> None:
    """Show what is wrong now, what is under way, and what went wrong recently.

    Exit status: 0 all is well, 1 something is wrong now, 2 wrong arguments, 3 no controller answers.
    """
    found = gathered(ask.client, minutes)
    ask.answer(found, _show)
    if found["troubles"]:
        raise typer.Exit(NO)


def gathered(client: Client, minutes: int) -> dict[str, Any]:
    """All of it as one document: ``troubles`` now, ``migrations`` and ``batches`` under way, ``recent`` bad events by kind.

    What is wrong the controller says (``GET /v1/health``); nothing of it is judged here.
    """
    health, fabric = client.health(), client.fabric()
    standings = Counter(health["switches"].values())
    migrations = [row for state in _UNDER_WAY for row in client.migrations.list(state=state)]
    batches = [row for state in ("running", "aborting") for row in client.batches.list(state=state)]
    return {
        "controller": client.url,
        "fabric": health["fabric"],
        "revision": health["revision"],
        "ready": health["ready"],
        "status": health["status"],
        "switches": {
            "all": standings.total(),
            "connected": standings.total() - standings["away"],
            "in_step": standings["in_step"],
        },
        "links": {"all": len(fabric["links"]), "up": sum(1 for row in fabric["links"] if row["up"])},
        "vms": len(client.vms.list()),
        "troubles": [row for row in health["reasons"] if row["level"] != "note"],
        "migrations": migrations,
        "batches": batches,
        "recent": _recent(client.recent_events(limit=10000)["items"], minutes),
    }


def _recent(events: Any, minutes: int) -> list[dict[str, Any]]:
    """Bad events of the last minutes, by kind, each with the newest."""
    if not events:
        return []
    # By the controller's clock, not by ours: the newest event is from now or before.
    begin = datetime.fromisoformat(max(row["time"] for row in events)) - timedelta(minutes=minutes)
    bad = [row for row in events if is_bad(row) and datetime.fromisoformat(row["time"]) >= begin]
    counts, last = Counter(row["event"] for row in bad), {row["event"]: row for row in bad}
    return [{"event": kind, "count": counts[kind], "last": last[kind]} for kind in sorted(counts)]


def _show(found: Any) -> None:
    switches, links = found["switches"], found["links"]
    print_facts(
        (
            ("controller", f"{found['controller']}, {found['status'].replace('_', ' ')}"),
            ("fabric", f"{found['fabric']}, revision {found['revision']}, {found['vms']} VMs"),
            ("switches", f"{switches['all']}, {switches['connected']} connected, {switches['in_step']} in step"),
            ("links", f"{links['all']}, {links['up']} up"),
        )
    )
    typer.echo()
    if found["troubles"]:
        for row in found["troubles"]:
            loud = "red" if row["level"] == "bad" else "yellow"
            typer.echo(typer.style(f"! {row['what']}", fg=loud) + f"  ({row['ask']})")
    else:
        typer.echo("nothing is wrong")
    if found["migrations"]:
        typer.echo()
        rows = (
            (row["id"], row["vm"], row["from"], row["to"], row["state"], moment(row["timeline"][-1]["time"]),
             joined(row["switches"]["pending"]))
            for row in found["migrations"]
        )  # fmt: skip
        print_table(("moves under way", "VM", "from", "to", "state", "since", "waits for"), rows)
    if found["batches"]:
        typer.echo()
        evacuations = (
            (row["id"], joined(row["servers"]), row["state"], joined(f"{n} {state}" for state, n in row["counts"].items()))
            for row in found["batches"]
        )
        print_table(("evacuations", "of", "state", "VMs"), evacuations)
    if found["recent"]:
        typer.echo()
        lately = ((row["event"], row["count"], moment(row["last"]["time"])) for row in found["recent"])
        print_table(("lately", "times", "the last at"), lately)
