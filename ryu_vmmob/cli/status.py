"""``vmmob status``: what is wrong now, in sentences, and what is under way. For three in the morning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, NamedTuple

import typer

from ryu_vmmob.cli.common import NO, Asked, asking, joined, print_facts, print_table
from ryu_vmmob.cli.watch import is_bad
from ryu_vmmob.client import Client

_UNDER_WAY: Final = ("preparing", "prepared", "activated")
_RECENT: Final = 60
"""Minutes of events that are looked at, unless said otherwise."""


class Trouble(NamedTuple):
    """Something that somebody should look at, in a sentence, and the command that tells more."""

    what: str
    ask: str


def register(app: typer.Typer) -> None:
    """Join the command to the application."""
    app.command(name="status")(status)


@asking()
def status(
    ask: Asked,
    minutes: Annotated[int, typer.Option(min=0, help="How far back events are looked at.")] = _RECENT,
) -> None:
    """Say what is wrong now, what is under way, and what went wrong lately.

    Exit status: 0 all is well, 1 something is wrong now, 2 a wrong question, 3 no controller answers.
    """
    found = gathered(ask.client, minutes)
    ask.answer(found, _show)
    if found["troubles"]:
        raise typer.Exit(NO)


def gathered(client: Client, minutes: int) -> dict[str, Any]:
    """All of it as one document: ``troubles`` now, ``migrations`` and ``batches`` under way, ``recent`` bad events by kind."""
    ready, fabric, switches = client.ready(), client.fabric(), client.switches.list()
    routed = {row["routing_domain"] for row in client.cugs.list()}
    migrations = [row for state in _UNDER_WAY for row in client.migrations.list(state=state)]
    batches = [row for state in ("running", "aborting") for row in client.batches.list(state=state)]
    return {
        "controller": client.url,
        "fabric": ready["fabric"],
        "revision": ready["revision"],
        "ready": ready["ready"],
        "status": ready["status"],
        "switches": {"all": len(switches), "connected": sum(1 for row in switches if row["connected"]),
                     "in_step": sum(1 for row in switches if row["in_step"])},
        "links": {"all": len(fabric["links"]), "up": sum(1 for row in fabric["links"] if row["up"])},
        "vms": len(client.vms.list()),
        "troubles": [row._asdict() for row in troubles(ready, fabric, switches, migrations, routed)],
        "migrations": migrations,
        "batches": batches,
        "recent": _recent(client.recent_events(limit=10000)["items"], minutes),
    }  # fmt: skip


def troubles(ready: Any, fabric: Any, switches: Any, migrations: Any, routed: set[str | None]) -> Iterator[Trouble]:
    """What is wrong now, the worst first. ``routed``: the routing domains that have a CUG; nobody else is asked outside."""
    for text in ready["troubles"]:
        yield Trouble(text, "vmmob events --types store,switch")
    for row in switches:
        name, more = row["name"], f"vmmob switch show {row['name']}"
        if not row["connected"]:
            yield Trouble(f"switch {name} is not connected: it forwards what it has, and is told nothing", more)
        elif row["faults"]:
            number, first = len(row["faults"]), row["faults"][0]
            yield Trouble(f"switch {name} refused {number} of its flows or groups, the first with: {first['error']}", more)
        elif not row["in_step"]:
            yield Trouble(f"switch {name} is {row['behind']} revisions behind what was decided", more)
        if row["foreign_flows"]:
            yield Trouble(f"switch {name} has {row['foreign_flows']} flows in our tables that are not ours", more)
    for row in fabric["links"]:
        if not row["up"]:
            yield Trouble(f"link {row['a']} to {row['b']} is down", "vmmob events --types link")
    for row in fabric["externals"]:
        if not row["up"]:
            yield Trouble(f"external network {row['name']}: its port {row['attach']} is dead", "vmmob fabric show")
        elif row["routing_domain"] in routed and row["next_hops"] and not set(row["next_hops"]) & set(row["neighbours"]):
            yield Trouble(f"external network {row['name']}: no next hop answers", "vmmob events --types neighbour")
    for row in migrations:
        if row["switches"]["pending"] and row["state"] == "preparing":
            pending = joined(row["switches"]["pending"])
            yield Trouble(f"the move of {row['vm']} waits for {pending} to confirm", f"vmmob migration show {row['id']}")


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
            typer.echo(typer.style(f"! {row['what']}", fg="red") + f"  ({row['ask']})")
    else:
        typer.echo("nothing is wrong")
    if found["migrations"]:
        typer.echo()
        rows = (
            (row["id"], row["vm"], row["from"], row["to"], row["state"], row["timeline"][-1]["time"],
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
        lately = ((row["event"], row["count"], row["last"]["time"]) for row in found["recent"])
        print_table(("lately", "times", "the last at"), lately)
