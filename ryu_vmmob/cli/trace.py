"""``vmmob trace``: the way of a packet, and why it comes to nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Annotated, Any

import typer

from ryu_vmmob.cli.common import Asked, asking, protocol_of
from ryu_vmmob.cli.names import GOALS, SENDERS, SERVERS
from ryu_vmmob.cli.tables import print_table
from ryu_vmmob.client import Client, path

_MAC = re.compile(r"([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_GOOD = ("delivered", "answered")
_COLUMNS = ("switch", "port", "VLAN-ID", "TTL", "table", "priority", "match", "actions", "whose")


def register(app: typer.Typer) -> None:
    """Join the command to the application."""
    app.command(name="trace")(trace)


@asking()
def trace(
    ask: Asked,
    sender: Annotated[
        str,
        typer.Argument(metavar="FROM", help="The VM, or with --external the network, that sends.", autocompletion=SENDERS),
    ],
    to: Annotated[str, typer.Argument(metavar="TO", help="A VM, an IP address or a MAC address.", autocompletion=GOALS)],
    external: Annotated[bool, typer.Option("--external", help="FROM is an external network, not a VM.")] = False,
    protocol: Annotated[
        str | None, typer.Option(help="tcp, udp, icmp, arp (an ARP request), rs (a router solicitation) or a number.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Destination port of TCP and UDP.")] = None,
    source_port: Annotated[int | None, typer.Option(help="Source port of TCP and UDP.")] = None,
    tcp_flag: Annotated[
        list[str] | None, typer.Option(metavar="FLAG", help="A TCP flag, such as ack; may be repeated.")
    ] = None,
    fragment: Annotated[
        str | None, typer.Option(help="Send a fragment: first, tiny (a first fragment without ports) or later.")
    ] = None,
    icmp_type: Annotated[int | None, typer.Option(help="Type of ICMP or ICMPv6; an echo request by default.")] = None,
    icmp_code: Annotated[int | None, typer.Option(help="Code of ICMP or ICMPv6; 0 by default.")] = None,
    ttl: Annotated[int | None, typer.Option(metavar="TTL", help="TTL or hop limit of the packet.")] = None,
    interface: Annotated[int | None, typer.Option(help="Number of the VM's interface, from 0.")] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="SERVER", help="The server to send from, while the VM moves.", autocompletion=SERVERS),
    ] = None,
    as_mac: Annotated[
        str | None,
        typer.Option("--as-mac", metavar="MAC", help="Send with this MAC address: a VM spoofs it, an outside host owns it."),
    ] = None,
    as_ip: Annotated[
        str | None,
        typer.Option("--as-ip", metavar="IP", help="Send with this IP address: a VM spoofs it, an outside host owns it."),
    ] = None,
) -> None:
    """Follow a packet of a VM, or from outside, through the desired flows of the switches.

    Exit status: 0 it is delivered or answered, 1 it is not, 2 wrong arguments, 3 no controller answers.
    """
    start = {"external" if external else "vm": sender, "interface": interface, "at": at, "mac": as_mac, "ip": as_ip}
    body = {
        "from": {name: value for name, value in start.items() if value is not None},
        "to": _goal(ask.client, to, None if external else sender, interface or 0),
        "protocol": protocol_of(protocol),
        "port": port,
        "source_port": source_port,
        "tcp_flags": tcp_flag or None,
        "ttl": ttl,
        "icmp_type": icmp_type,
        "icmp_code": icmp_code,
        **({"fragment": fragment} if fragment is not None else {}),
    }
    found = ask.client.post(path("trace"), body)
    ask.answer(found, _show)
    if found["verdict"] not in _GOOD:
        raise typer.Exit(1)


def _goal(client: Client, to: str, sender: str | None, interface: int) -> dict[str, str]:
    """Return where the packet goes: what looks like an address is one, anything else is a VM's name. Raises ClientError."""
    if _MAC.fullmatch(to):
        return {"mac": to.replace("-", ":")}
    if not _NAME.fullmatch(to) or to.replace(".", "").isdigit() or _is_address(to):
        return {"ip": to}
    mine = client.vms.get(sender)["interfaces"] if sender is not None else []
    own = mine[interface] if interface < len(mine) else {"cug": None, "ips": []}
    # In the sender's CUG and family where there is one: what a person who names both means.
    four = not own["ips"] or any("." in ip for ip in own["ips"])
    rows = sorted(client.vms.get(to)["interfaces"], key=lambda row: row["cug"] != own["cug"])
    ips = [ip for row in rows for ip in row["ips"]]
    if not ips:
        return {"mac": rows[0]["mac"]}
    return {"ip": next((ip for ip in ips if ("." in ip) is four), ips[0])}


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _show(found: Any) -> None:
    if found["hops"]:
        print_table(_COLUMNS, _rows(found))
    if found["not_in_step"]:
        typer.echo(f"not in step yet, so they may do otherwise: {', '.join(found['not_in_step'])}")
    typer.echo(f"{found['verdict']}: {found['reason']}")


def _rows(found: Any) -> Iterator[tuple[object, ...]]:
    """For each hop where it comes in, then a line for each table, then one for each copy that goes out."""
    for hop in found["hops"]:
        where: tuple[object, ...] = (hop["switch"], f"in {hop['in_port']}", _tag(hop["vlan_id"]), _ttl(hop))
        for row in hop["tables"]:
            yield (*where, row["table"], row["priority"], row["match"], row["actions"], _whose(row["owner"]))
            where = ("", "", "", "")
        for row in hop["outputs"]:
            to = f"to {row['to']}" if row["dropped"] is None else f"lost: {row['dropped']}"
            yield ("", f"out {row['port']}", _tag(row["vlan_id"]), _ttl(row), to, "", "", "", "")
        if hop["ended"] is not None and not hop["outputs"]:
            yield ("", "", "", "", hop["ended"], "", "", "", "")


def _tag(vlan_id: int | None) -> object:
    return "none" if vlan_id is None else vlan_id


def _ttl(row: Any) -> object:
    return "" if row["ttl"] is None else row["ttl"]


def _whose(owner: Any) -> str:
    if not owner:
        return ""
    return " ".join(text for text in (owner["kind"], owner["name"]) if text)
