"""``vmmob vm``: virtual machines."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from ryu_vmmob.cli.common import (
    Asked,
    Description,
    Selector,
    Wait,
    asking,
    described,
    joined,
    print_facts,
    print_switches,
    read_body,
    usage,
)
from ryu_vmmob.cli.names import CUGS, SERVERS, VmName, VmNames
from ryu_vmmob.cli.tables import print_table
from ryu_vmmob.client import path

_app = typer.Typer(name="vm", help="Virtual machines.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Join the commands to the application."""
    app.add_typer(_app)


@_app.command(name="list")
@asking()
def list_(
    ask: Asked,
    server: Annotated[str | None, typer.Option(help="Only VMs placed on this server.", autocompletion=SERVERS)] = None,
    cug: Annotated[str | None, typer.Option(help="Only VMs with an interface in this CUG.", autocompletion=CUGS)] = None,
    selector: Selector = None,
) -> None:
    """List VMs, a line for each interface."""
    found = ask.client.get(path("vms"), server=server, cug=cug, selector=selector)
    rows = ((vm["name"], vm["server"], *_interface(row), vm["migration"]) for vm in found["items"] for row in vm["interfaces"])
    ask.table(found, ("VM", "server", "CUG", "MAC", "addresses", "VLAN-ID", "migration"), rows)
    ask.explain(found, cug=cug, server=server)


@_app.command()
@asking()
def show(ask: Asked, names: VmNames) -> None:
    """Show VMs, with the VLAN-ID the server must tag each interface with."""
    ask.each("vms", names, _show)


@_app.command()
@asking()
def put(
    ask: Asked,
    name: VmName,
    about: Description,
    server: Annotated[str | None, typer.Option(help="The server that it runs on.", autocompletion=SERVERS)] = None,
    interface: Annotated[
        list[str] | None,
        typer.Option(metavar="cug=C,mac=M,ip=A[,ip=A][,vlan_id=N][,guest_vlan_id=N]", help="Once for each interface."),
    ] = None,
    file: Annotated[str | None, typer.Option(help='The whole body as JSON; "-" reads standard input.')] = None,
    wait: Wait = None,
) -> None:
    """Create a VM, or replace its interfaces. To change its server, move it."""
    if (file is None) == (not (server and interface)):
        raise usage("give --server and --interface, or the whole body with --file")
    rows = [_parsed(text) for text in interface or ()]
    body = read_body(file) if file is not None else {"server": server, "interfaces": rows, **about.body()}
    ask.answer(ask.client.put(path("vms", name), body, wait=wait), _show)


@_app.command()
@asking()
def delete(ask: Asked, name: VmName, wait: Wait = None) -> None:
    """Delete a VM."""
    ask.delete("vms", name, wait)


@_app.command(name="placements")
@asking()
def placements_(ask: Asked, name: VmName) -> None:
    """Show which servers a VM may move to now, and why not to the others."""
    found = ask.client.get(path("vms", name, "placements"))
    rows = ((row["server"], "yes" if row["possible"] else "no", _about(row)) for row in found["items"])
    ask.table(found, ("server", "possible", "VLAN-IDs there, or why not"), rows)


def _about(row: Any) -> str | None:
    found = joined(map(_there, row["interfaces"])) or row["reason"]
    return "; ".join(text for text in (found, *row.get("warnings", ())) if text) or None


def _there(row: Any) -> str:
    tag = _tag(row["to_vlan_id"], row["guest_vlan_id"])
    return f"{row['cug']} {tag}{' (translated)' if row['translated'] else ''}"


_NUMBERS: Final = ("vlan_id", "guest_vlan_id")


def _parsed(text: str) -> dict[str, Any]:
    """One ``--interface``: keys ``cug``, ``mac``, ``vlan_id`` and ``guest_vlan_id`` once, ``ip`` once for each address."""
    found: dict[str, Any] = {"ips": []}
    for piece in text.split(","):
        key, _, value = piece.partition("=")
        if not value or key not in ("cug", "mac", "ip", *_NUMBERS) or key in found:
            raise usage(f"--interface {text!r}: write cug=C,mac=M,ip=A, each once (ip as often as there are addresses)")
        if key == "ip":
            found["ips"].append(value)
        elif key in _NUMBERS:
            if not (value.isascii() and value.isdigit()):
                raise usage(f"--interface {text!r}: {key} is a number")
            found[key] = int(value)
        else:
            found[key] = value
    return found


def _interface(row: Any) -> tuple[object, ...]:
    return row["cug"], row["mac"], joined(row["ips"]), _tag(row["vlan_id"], row["guest_vlan_id"])


def _tag(vlan_id: int | None, guest_vlan_id: int | None) -> str:
    """Return the tag that the server has to add to the frames of an interface."""
    if guest_vlan_id is not None:
        return f"the guest's {guest_vlan_id}"
    return "untagged" if vlan_id is None else str(vlan_id)


def _show(vm: Any) -> None:
    facts = [("VM", vm["name"]), ("server", vm["server"]), ("migration", vm["migration"])]
    print_facts([*facts, *described(vm), ("revision", vm["revision"])])
    print_table(("CUG", "MAC", "addresses", "VLAN-ID"), map(_interface, vm["interfaces"]))
    print_switches(vm)
