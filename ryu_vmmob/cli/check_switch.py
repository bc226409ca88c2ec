"""``vmmob check-switch``: what a switch can do for us, asked of the switch itself. Needs no controller."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ryu_vmmob.cli.common import NO, UNANSWERED, joined, print_facts, usage
from ryu_vmmob.cli.output import AsJson, Output, form_of, print_data
from ryu_vmmob.fabric import FabricError, load
from ryu_vmmob.fabric.attached import attached
from ryu_vmmob.fabric.model import Fabric

if TYPE_CHECKING:
    from ryu_vmmob.whitebox.features import Portrait

_ROLES: Final = ("tor", "border", "spine")
_NOT_KNOWN: Final = 4


def register(app: typer.Typer) -> None:
    """Join the command to the application."""
    app.command(name="check-switch")(check_switch)


def check_switch(
    address: Annotated[
        str | None, typer.Argument(metavar="[ADDRESS]", help="HOST:PORT of a switch that listens, or the path of a socket.")
    ] = None,
    listen: Annotated[
        int | None, typer.Option(min=0, max=65535, metavar="PORT", help="Listen on this port for the switch to connect.")
    ] = None,
    host: Annotated[str, typer.Option(help="With --listen: the local address to listen on.")] = "0.0.0.0",  # noqa: S104
    try_out: Annotated[
        bool,
        typer.Option(
            "--try", help="Install flows and groups of every kind, then delete them. This interrupts the switch's traffic."
        ),
    ] = False,
    role: Annotated[str | None, typer.Option(help="Judge the switch for one role: tor, border or spine.")] = None,
    seconds: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds to wait for the switch, and for each of its answers.")
    ] = 60.0,
    file: Annotated[
        str | None, typer.Option("--fabric", metavar="FILE", help="Compare its ports with those that this fabric file names.")
    ] = None,
    output: Output = None,
    as_json: AsJson = False,
    *,
    ctx: typer.Context,
) -> None:
    """Report what of the pipeline a switch can carry, what the controller must do for it, and what is refused.

    Exit status: 0 it can be used, 1 it cannot (with --role: not in this role; with --fabric: ports are missing), 2 wrong
    arguments, 3 no switch, 4 its own description leaves it open: use --try.
    """
    from ryu_vmmob.whitebox import dialogue
    from ryu_vmmob.whitebox.errors import DialogueError, NoAddressError
    from ryu_vmmob.whitebox.report import examine

    form = form_of(ctx, output, as_json=as_json)
    if (address is None) == (listen is None):
        raise usage("give the address of a switch, or --listen PORT")
    if role is not None and role not in _ROLES:
        raise usage(f"--role {role!r}: must be one of {', '.join(_ROLES)}")
    network = None if file is None else _loaded(file)
    try:
        if address is not None:
            talk = dialogue.connect(address, seconds)
        else:
            talk = dialogue.accept(host, listen or 0, seconds, lambda port: typer.echo(f"waiting at port {port}", err=True))
        with talk:
            report = examine(talk, try_out=try_out)
    except NoAddressError as error:
        raise usage(str(error)) from None
    except DialogueError as error:
        typer.echo(f"vmmob: {error}", err=True)
        raise typer.Exit(UNANSWERED) from None
    document = report.document()
    if network is not None:
        document["compared"] = _compared(network, report.portrait)
    if form.is_data:
        print_data(form, document)
    else:
        _show(document, role)
    if network is not None and (document["compared"]["switch"] is None or document["compared"]["missing"]):
        raise typer.Exit(NO)
    verdicts = [document["roles"][name]["verdict"] for name in (_ROLES if role is None else (role,))]
    if not any(verdict.startswith("works") for verdict in verdicts):
        raise typer.Exit(_NOT_KNOWN if "not known" in verdicts else NO)


def _loaded(file: str) -> Fabric:
    try:
        return load(Path(file))
    except FabricError as error:
        raise usage(str(error)) from None


def _compared(network: Fabric, portrait: Portrait) -> dict[str, Any]:
    """Return which switch of the file it is, by its dpid, and which of the ports that the file names it does not have."""
    switch = network.switch_by_dpid.get(portrait.dpid)
    named = {} if switch is None else attached(network, switch.name)
    gone = sorted(named.keys() - set(portrait.ports))
    return {
        "switch": None if switch is None else switch.name,
        "ports": sorted(portrait.ports),
        "missing": [{"port": number, "kind": named[number].kind, "name": named[number].name} for number in gone],
    }


def _show_compared(found: Any) -> None:
    typer.echo()
    if found["switch"] is None:
        typer.echo(typer.style("the fabric file has no switch with this dpid", fg="red"))
        return
    typer.echo(f"in the fabric file it is {found['switch']}")
    for row in found["missing"]:
        typer.echo(typer.style(f"  port {row['port']} of the file is not there: {row['kind']} {row['name']}", fg="red"))
    if found["missing"]:
        typer.echo(f"  its ports are {joined(found['ports']) or 'none'}")
    else:
        typer.echo("  every port that the file names is there")


def _show(found: Any, role: str | None) -> None:
    print_facts(
        (
            ("switch", found["dpid"]),
            ("description", found["description"]),
            ("tables", found["tables"]),
            ("ports", found["ports"]),
            ("bundles", "yes" if found["bundles"] else "no"),
            ("judged by", "a trial" if found["tried"] else "its own words"),
        )
    )
    for name in _ROLES if role is None else (role,):
        judged = found["roles"][name]
        typer.echo()
        colour = "red" if judged["verdict"] == "of no use" else None
        typer.echo(typer.style(f"as {name}: {judged['verdict']}", fg=colour, bold=True))
        for text in judged["lacks"]:
            typer.echo(f"  refused: it {text}" if not text.startswith(("the flow", "a group")) else f"  {text}")
    for title, rows in (("left to the controller", found["controller"]), ("besides", found["remarks"])):
        if rows:
            typer.echo(f"\n{title}:")
            for text in rows:
                typer.echo(f"  {text}")
    typer.echo(f"\nfor the fabric file: {found['fabric']}")
    if "compared" in found:
        _show_compared(found["compared"])
