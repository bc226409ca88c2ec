"""``vmmob cug``: closed user groups."""

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
    read_body,
    usage,
)
from ryu_vmmob.cli.names import CugName, CugNames
from ryu_vmmob.client import path

_app = typer.Typer(name="cug", help="Closed user groups.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Join the commands to the application."""
    app.add_typer(_app)


@_app.command(name="list")
@asking()
def list_(ask: Asked, selector: Selector = None) -> None:
    """List CUGs."""
    found = ask.client.get(path("cugs"), selector=selector)
    rows = ((row["name"], joined(row["subnets"]), row["routing_domain"], _vlan_ids(row)) for row in found["items"])
    ask.table(found, ("CUG", "subnets", "routing domain", "VLAN-IDs"), rows)


@_app.command()
@asking()
def show(ask: Asked, names: CugNames) -> None:
    """Show CUGs and where they are present."""
    ask.each("cugs", names, _show)


@_app.command()
@asking()
def put(
    ask: Asked,
    name: CugName,
    about: Description,
    subnet: Annotated[list[str] | None, typer.Option(help="A prefix, one per address family.")] = None,
    gateway: Annotated[
        list[str] | None, typer.Option(help="The gateway's address; by default the first host address of the subnet.")
    ] = None,
    routing_domain: Annotated[str | None, typer.Option()] = None,
    vlan_id: Annotated[list[str] | None, typer.Option(metavar="DOMAIN=ID", help="Pin the VLAN-ID of an L2 domain.")] = None,
    ipv6_ra_mode: Annotated[
        str | None, typer.Option(help="slaac, dhcpv6_stateful or dhcpv6_stateless: what router advertisements say.")
    ] = None,
    file: Annotated[str | None, typer.Option(help='The whole body as JSON; "-" reads standard input.')] = None,
    wait: Wait = None,
) -> None:
    """Create or replace a CUG: what is left out gets its default."""
    if (file is None) == (not subnet):
        raise usage("give --subnet, or the whole body with --file")
    body = read_body(file) if file is not None else {
        "subnets": subnet,
        "gateways": gateway or [],
        "routing_domain": routing_domain,
        "vlan_ids": dict(_pin(text) for text in vlan_id or ()),
        **({} if ipv6_ra_mode is None else {"ipv6_ra_mode": ipv6_ra_mode}),
        **about.body(),
    }  # fmt: skip
    ask.answer(ask.client.put(path("cugs", name), body, wait=wait), _show)


@_app.command()
@asking()
def delete(ask: Asked, name: CugName, wait: Wait = None) -> None:
    """Delete a CUG without members."""
    ask.delete("cugs", name, wait)


def _pin(text: str) -> tuple[str, int]:
    domain, _, number = text.partition("=")
    if not (domain and number.isascii() and number.isdigit()):
        raise usage(f"--vlan-id {text!r}: write DOMAIN=ID, such as rack-a=110")
    return domain, int(number)


def _vlan_ids(cug: Any) -> str | None:
    return joined(f"{domain}={row['vlan_id']}" for domain, row in cug["presence"]["l2_domains"].items())


def _show(cug: Any) -> None:
    presence = cug["presence"]
    print_facts(
        [
            ("CUG", cug["name"]),
            ("subnets", joined(cug["subnets"])),
            ("gateways", joined(cug["gateways"])),
            ("routing domain", cug["routing_domain"]),
            ("VLAN-IDs asked for", joined(f"{domain}={number}" for domain, number in cug["vlan_ids"].items())),
            ("VLAN-IDs", _vlan_ids(cug)),
            *([("guests are told", cug["ipv6_ra_mode"])] if "ipv6_ra_mode" in cug else []),
            ("data centres", joined(presence["data_centers"])),
            ("edges", joined(presence["edges"])),
            ("servers alone", joined(f"{name} ({row['interfaces']})" for name, row in presence["servers"].items())),
            *described(cug),
            ("revision", cug["revision"]),
        ]
    )
    print_switches(cug)
