"""``vmmob export``, ``diff`` and ``apply``: the whole site as a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Final, NamedTuple

import typer

from ryu_vmmob.cli.common import NO, Asked, Wait, asking, print_switches
from ryu_vmmob.cli.site_file import KINDS, objects, read_site
from ryu_vmmob.cli.yaml_text import yaml_text

_NOUNS: Final = {"cugs": "CUG", "vms": "VM", "policies": "policy"}
_MOST_NAMED: Final = 20

_File = Annotated[
    str,
    typer.Option(
        "--file", "-f", metavar="FILE", help='The site as YAML or JSON; "-" reads standard input.', show_default=False
    ),
]
_Prune = Annotated[bool, typer.Option("--prune", help="Delete objects that the file lacks, of the kinds that the file has.")]
_KeepPlaces = Annotated[
    bool, typer.Option("--keep-places", help="Keep each existing VM on its server, whatever server the file names.")
]
_Flows = Annotated[bool, typer.Option("--flows", help="Show every flow and group that would be added or deleted.")]


def register(app: typer.Typer) -> None:
    """Join the commands to the application."""
    app.command(name="export")(export)
    app.command(name="diff")(diff)
    app.command(name="apply")(apply)


@asking()
def export(
    ask: Asked,
    numbers: Annotated[
        bool, typer.Option("--numbers/--no-numbers", help="Include the segment keys and VLAN-IDs that the controller chose.")
    ] = True,
) -> None:
    """Print all CUGs, VMs and policies as YAML, as `vmmob apply` takes them."""
    found = ask.client.export(numbers=numbers)
    ask.answer(found, lambda site: typer.echo(yaml_text(dict(site)), nl=False))


@asking()
def diff(
    ask: Asked, file: _File, prune: _Prune = False, keep_places: _KeepPlaces = False, flows: _Flows = False
) -> None:  # fmt: skip
    """Show what `vmmob apply` would do. Exit status: 0 nothing, 1 something."""
    wanted = _wanted(ask, file, prune=prune, keep_places=keep_places)
    answer = ask.client.bulk(wanted.body, dry_run=True, flows=flows)
    ask.answer(answer, lambda found: _show(found, wanted))
    if answer["plan"]["changes"]:
        raise typer.Exit(NO)


@asking()
def apply(
    ask: Asked,
    file: _File,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    prune: _Prune = False,
    keep_places: _KeepPlaces = False,
    flows: _Flows = False,
    wait: Wait = None,
) -> None:
    """Make the site what a file says, in one step: all of it, or nothing. It never moves a VM."""
    wanted = _wanted(ask, file, prune=prune, keep_places=keep_places)
    tried = ask.client.bulk(wanted.body, dry_run=True, flows=flows)
    if dry_run or not tried["plan"]["changes"]:
        ask.answer(tried, lambda found: _show(found, wanted))
        return
    done = ask.client.bulk(wanted.body, wait=wait)
    ask.answer(done, lambda found: _show(found | {"plan": tried["plan"]}, wanted))
    print_switches(done)
    if not ask.is_for_programs:
        typer.echo(f"revision {done['revision']}")


class _Wanted(NamedTuple):
    """What is asked of the controller. ``alone``: what it has and the file has not, by kind."""

    body: Any
    alone: dict[str, list[str]]
    is_pruned: bool


def _wanted(ask: Asked, file: str, *, prune: bool, keep_places: bool) -> _Wanted:
    """Return the body for the controller as it is now. Ends the program where the file has a VM at another server."""
    body = read_site(file)
    now = ask.client.export(numbers=False)
    mine: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    for kind, name, row in objects(body):
        mine[kind][name] = row
    strays = list(_strays(mine["vms"], now["vms"]))
    for name, _, server in strays if keep_places else ():
        mine["vms"][name]["server"] = server
    if strays and not keep_places:
        for name, wanted, server in strays:
            typer.echo(
                f"vmmob: VM {name} is on {server}, and the file has it on {wanted}: that is a migration, and apply moves "
                f"nothing. Move it (vmmob move {name} {wanted}), edit the file, or leave VMs where they are with --keep-places",
                err=True,
            )
        raise typer.Exit(NO)
    has = {kind for kind in KINDS if kind in body or ("items" in body and mine[kind])}
    alone: dict[str, list[str]] = {
        kind: [name for name in now[kind] if name not in mine[kind]] for kind in KINDS if kind in has
    }
    if prune:
        gone = body.get("delete") if isinstance(body.get("delete"), dict) else {}
        body = body | {"delete": {kind: sorted({*alone.get(kind, ()), *gone.get(kind, ())}) for kind in KINDS}}
    return _Wanted(body, alone, prune)


def _strays(vms: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield name, server in the file and server now of each VM that would have to move."""
    for name, row in vms.items():
        wanted = row.get("server") if isinstance(row, dict) else None
        if name in now and isinstance(wanted, str) and wanted != now[name]["server"]:
            yield name, wanted, now[name]["server"]


def _show(answer: Any, wanted: _Wanted) -> None:
    plan = answer["plan"]
    for row in plan["changes"]:
        typer.echo(f"{row['sign']} {_NOUNS[row['kind']]} {row['name']}")
        for field in row["fields"]:
            typer.echo(f"    {field['path']}: {_text(field['before'])} -> {_text(field['after'])}")
    for name, lines in plan.get("flows", {}).items():
        typer.echo(f"{name}:")
        for line in lines:
            typer.echo(f"    {line}")
    if plan.get("flows_left_out"):
        typer.echo(f"and {plan['flows_left_out']} more")
    if plan["flow_mods"]:
        counts = (f"{name} +{row['added']} ~{row['changed']} -{row['deleted']}" for name, row in plan["flow_mods"].items())
        typer.echo(f"flows and groups: {', '.join(counts)}")
    for kind, names in wanted.alone.items() if not wanted.is_pruned else ():
        if names:
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            said = ", ".join(names[:_MOST_NAMED])
            typer.echo(f"not in the file, and left as it is (--prune deletes it): {_NOUNS[kind]} {said}{more}")
    words = {"created": "to create", "replaced": "to change", "deleted": "to delete", "unchanged": "unchanged"}
    sums = {word: sum(map(len, answer[word].values())) for word in words}
    typer.echo(", ".join(f"{sums[word]} {said}" for word, said in words.items()))


def _text(value: Any) -> str:
    return "-" if value is None else json.dumps(value)
