"""``vmmob policy``: who may send what to whom."""

from __future__ import annotations

from typing import Annotated, Any

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
    protocol_of,
    read_body,
    usage,
)
from ryu_vmmob.cli.names import PolicyName, PolicyNames
from ryu_vmmob.client import path

_app = typer.Typer(name="policy", help="Policies.", no_args_is_help=True)
_COLUMNS = ("policy", "priority", "action", "from", "to", "protocol", "ports", "replies", "dangling")
_SELECTOR = "cug=C, vm=V, prefix=P, labels=KEY=VALUE[,...] or any"


def register(app: typer.Typer) -> None:
    """Join the commands to the application."""
    app.add_typer(_app)


@_app.command(name="list")
@asking()
def list_(ask: Asked, selector: Selector = None) -> None:
    """List policies."""
    found = ask.client.get(path("policies"), selector=selector)
    ask.table(found, _COLUMNS, map(_cells, found["items"]))


@_app.command()
@asking()
def show(ask: Asked, names: PolicyNames) -> None:
    """Show policies, and which of their ends name an object that was deleted."""
    ask.each("policies", names, _show)


@_app.command()
@asking()
def put(
    ask: Asked,
    name: PolicyName,
    about: Description,
    action: Annotated[str | None, typer.Option(help="allow or deny.")] = None,
    source: Annotated[str | None, typer.Option("--from", metavar="SELECTOR", help=f"{_SELECTOR}.")] = None,
    target: Annotated[str | None, typer.Option("--to", metavar="SELECTOR", help=f"{_SELECTOR}.")] = None,
    protocol: Annotated[str | None, typer.Option(help="tcp, udp, icmp or a number; left out: all.")] = None,
    port: Annotated[list[str] | None, typer.Option(metavar="PORT[-PORT]", help="Destination ports of TCP and UDP.")] = None,
    replies: Annotated[bool, typer.Option("--replies", help="Allow the replies as well.")] = False,
    priority: Annotated[
        int | None, typer.Option(help="0 to 10000, 100 by default; of the policies that match, the highest decides.")
    ] = None,
    file: Annotated[str | None, typer.Option(help='The whole body as JSON; "-" reads standard input.')] = None,
    wait: Wait = None,
) -> None:
    """Create or replace a policy: what is left out gets its default."""
    if (file is None) == (not (action and source and target)):
        raise usage("give --action, --from and --to, or the whole body with --file")
    if file is not None:
        body = read_body(file)
    else:
        body = {"action": action, "from": _selector("--from", source), "to": _selector("--to", target), "replies": replies}
        body |= {"protocol": protocol_of(protocol), "ports": port or []} | ({} if priority is None else {"priority": priority})
        body |= about.body()
    ask.answer(ask.client.put(path("policies", name), body, wait=wait), _show)


@_app.command()
@asking()
def delete(ask: Asked, name: PolicyName, wait: Wait = None) -> None:
    """Delete a policy."""
    ask.delete("policies", name, wait)


def _selector(option: str, text: str | None) -> dict[str, object]:
    if text == "any":
        return {"any": True}
    kind, _, value = (text or "").partition("=")
    if kind not in ("cug", "vm", "prefix", "labels") or not value:
        raise usage(f"{option} {text!r}: write {_SELECTOR}")
    return {kind: value}


def _words(selector: Any) -> str:
    """Return a selector as it is written on the command line."""
    ((kind, value),) = selector.items()
    return kind if kind == "any" else f"{kind}={value}"


def _cells(policy: Any) -> tuple[object, ...]:
    return (
        policy["name"],
        policy["priority"],
        policy["action"],
        _words(policy["from"]),
        _words(policy["to"]),
        policy["protocol"],
        joined(policy["ports"]),
        "yes" if policy["replies"] else None,
        joined(policy["dangling"]),
    )


def _show(policy: Any) -> None:
    print_facts([*zip(_COLUMNS, _cells(policy), strict=True), *described(policy), ("revision", policy["revision"])])
    print_switches(policy)
