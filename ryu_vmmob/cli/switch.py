"""``vmmob switch``: how the switches stand, and audits."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

import typer

from ryu_vmmob.cli.common import Asked, Wait, asking, joined, print_facts
from ryu_vmmob.cli.names import SwitchName, SwitchNames
from ryu_vmmob.cli.times import moment_or_none
from ryu_vmmob.client import path

POLL_SECONDS: Final = 0.1
_app = typer.Typer(name="switch", help="Switches.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Join the commands to the application."""
    app.add_typer(_app)


@_app.command(name="list")
@asking()
def list_(ask: Asked) -> None:
    """List all switches with their state."""
    found = ask.client.get(path("switches"))
    columns = ("switch", "role", "connected", "in step", "flows", "faults", "repairs")
    ask.table(found, columns, ((row["name"], row["role"], *_standing(row)) for row in found["items"]))


@_app.command()
@asking()
def show(ask: Asked, names: SwitchNames) -> None:
    """Show switches: their state, what they refused, and what audits repaired."""
    ask.each("switches", names, _show)


@_app.command()
@asking()
def audit(
    ask: Asked,
    name: SwitchName,
    wait: Wait = None,
    capability: Annotated[
        bool, typer.Option("--capability", help="Ask a plain OpenFlow 1.3 switch for its capabilities again.")
    ] = False,
) -> None:
    """Audit a switch: compare it with what is desired, and send the difference. With --wait, show the result."""
    asked = ask.client.post(path("switches", name, "audit"), capability="true" if capability else None)
    if wait is None:
        ask.answer(asked, lambda _: None)
        return
    deadline = time.monotonic() + wait
    while (found := ask.client.get(path("switches", name)))["audits"] < asked["audit"] and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    ask.answer(found, _show)
    if found["audits"] < asked["audit"]:
        typer.echo(f"switch {name} has not been compared yet", err=True)


def _yes(*, value: bool) -> str:
    return "yes" if value else "no"


def _standing(switch: Any) -> tuple[object, ...]:
    return (
        _yes(value=switch["connected"]), _yes(value=switch["in_step"]), sum(switch["flows"].values()), len(switch["faults"]),
        sum(number for row in switch["repairs"].values() for number in row.values()),
    )  # fmt: skip


def _repairs(switch: Any) -> str | None:
    return joined(
        f"{number} {wrong} {kind}" for kind, row in switch["repairs"].items() for wrong, number in row.items() if number
    )


def _lack(row: Any) -> str:
    return row["what"] if row["table"] is None else f"{row['what']} in table {row['table']}"


def _show(switch: Any) -> None:
    connected, in_step, flows, *_ = _standing(switch)
    print_facts(
        [
            ("switch", switch["name"]),
            ("dpid", switch["dpid"]),
            ("role", switch["role"]),
            ("connected", connected),
            ("since", moment_or_none(switch["connected_since"])),
            ("controller role", switch["controller_role"]),
            ("in step", in_step),
            ("behind", switch["behind"]),
            ("flows", flows),
            ("groups", switch["groups"]),
            ("repairs", _repairs(switch)),
            ("audits", switch["audits"]),
            ("last audit", moment_or_none(switch["audited"])),
            ("foreign flows", switch["foreign_flows"]),
            *(("missing port", f"{row['port']}: {row['kind']} {row['name']}") for row in switch["missing_ports"]),
            ("dropped messages", switch["dropped_messages"]),
            *(("cannot", _lack(row)) for row in (switch["capability"] or {"lacks": []})["lacks"]),
            *(("refused", f"{row['cause']}: {row['error']}") for row in switch["faults"]),
        ]
    )
