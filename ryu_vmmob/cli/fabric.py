"""``vmmob fabric``: the fabric that a controller has loaded, and its file read again."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ryu_vmmob.cli.check import check
from ryu_vmmob.cli.common import Asked, Wait, asking, joined, print_facts, print_switches
from ryu_vmmob.cli.tables import print_table

_app = typer.Typer(name="fabric", help="The fabric.", no_args_is_help=True)
_ONE = {
    "data_centers": "data centre", "l2_domains": "L2 domain", "switches": "switch", "links": "link", "servers": "server",
    "externals": "external network",
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Join the commands to the application."""
    app.add_typer(_app)
    _app.command(name="check")(check)


@_app.command()
@asking()
def show(ask: Asked) -> None:
    """Show the fabric that is loaded."""
    ask.answer(ask.client.fabric(), _show)


@_app.command()
@asking()
def reload(
    ask: Asked,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    wait: Wait = None,
) -> None:
    """Reload the fabric file of the controller. Only the differences are applied."""
    answer = ask.client.reload_fabric(dry_run=dry_run, wait=wait)
    ask.answer(answer, _say)
    print_switches(answer)


def _show(fabric: Any) -> None:
    links_up = sum(1 for row in fabric["links"] if row["up"])
    print_facts(
        (
            ("fabric", fabric["fabric"]),
            ("description", fabric["description"] or None),
            ("gateway MAC", fabric["gateway_mac"]),
            ("backup paths", fabric["backup_paths"]),
            ("data centres", joined(row["name"] for row in fabric["data_centers"])),
            ("L2 domains", joined(f"{row['name']} ({row['vlan_ids']})" for row in fabric["l2_domains"])),
            ("links", f"{len(fabric['links'])}, {links_up} up"),
            ("externals", joined(row["name"] for row in fabric["externals"])),
            ("revision", fabric["revision"]),
        )
    )
    typer.echo()
    rows = (
        (row["name"], row["dpid"], row["role"], row["l2_domain"], row["data_center"], row["description"] or None)
        for row in fabric["switches"]
    )
    print_table(("switch", "dpid", "role", "L2 domain", "data centre", "description"), rows)
    typer.echo()
    rows = (
        (row["name"], joined(row["attach"]), row["tagging"], row["l2_domain"], row["data_center"], row["description"] or None)
        for row in fabric["servers"]
    )
    print_table(("server", "attached to", "tagging", "L2 domain", "data centre", "description"), rows)


def _say(answer: Any) -> None:
    for row in answer["warnings"]:
        typer.echo(f"warning: {row['path']}: {row['message']}", err=True)
    if answer["unchanged"]:
        typer.echo("the fabric file has no changes")
        return
    changed = answer["changed"]
    rows: list[tuple[str, str, str, str | None]] = [("changed", "fabric", "-", joined(changed["fabric"]))] * bool(
        changed["fabric"]
    )
    for kind, word in _ONE.items():
        rows += [("added", word, name, None) for name in answer["added"][kind]]
        rows += [("removed", word, name, None) for name in answer["removed"][kind]]
        rows += [("changed", word, name, joined(keys)) for name, keys in changed[kind].items()]
    print_table(("what", "kind", "name", "keys"), rows)
    typer.echo("nothing was changed: a dry run" if answer["dry_run"] else f"revision {answer['revision']}")
