"""What the tests of routing share: two data centres with external networks, and CUGs in two routing domains.

a1 (tagged), a2 (untagged) - tor-a -rack-a- border-1 -wan- border-2 -rack-b- tor-b - b1 (tagged), b2 (untagged)
of red:  partner at tor-a:20, inet-1 at border-1:10, inet-2 at border-2:10 (tagged)    of blue: lab-net at border-1:11
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

from ryu_vmmob.fabric.model import DataCenter, External, Fabric, L2Domain, Link, PortRef, Role, Server, Switch
from ryu_vmmob.flows.compiler import Compiler
from ryu_vmmob.flows.flow import Flow
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.commands import Command
from ryu_vmmob.model.policies import PutPolicy
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.model.routing_domains import NeighbourHeard
from ryu_vmmob.model.state import State
from tests.support.commands import cug, nic, start, vm

P = PortRef
WAN = "border-1:48=border-2:48"
HOP_1, HOP_2, HOP_2_V6 = ip_address("192.0.2.254"), ip_address("198.51.100.254"), ip_address("2001:db8:ff::fe")
PARTNER = ip_address("172.16.0.2")


def external(
    name: str, port: PortRef, domain: str, address: str, prefixes: str = "", hop: str = "", vlan_id: int | None = None
) -> External:
    """An external network; several addresses, prefixes and hops are told apart by blanks."""
    return External(
        name,
        port,
        domain,
        tuple(map(ip_interface, address.split())),
        tuple(map(ip_network, prefixes.split())),
        tuple(map(ip_address, hop.split())),
        vlan_id,
    )


EXTERNALS = (
    external("partner", P("tor-a", 20), "red", "172.16.0.1/30"),
    external("inet-1", P("border-1", 10), "red", "192.0.2.1/24", "0.0.0.0/0", "192.0.2.253 192.0.2.254"),
    external(
        "inet-2", P("border-2", 10), "red", "198.51.100.1/24 2001:db8:ff::1/64", "0.0.0.0/0 203.0.113.0/24 ::/0",
        "198.51.100.254 2001:db8:ff::fe", vlan_id=7,
    ),
    external("lab-net", P("border-1", 11), "blue", "192.0.2.1/24"),
)  # fmt: skip


def two_borders() -> Fabric:
    """The fabric drawn above."""
    return Fabric(
        "two-borders",
        "02:00:5e:00:00:01",
        {"dc1": DataCenter("dc1"), "dc2": DataCenter("dc2")},
        {
            "rack-a": L2Domain("rack-a", tuple(range(100, 120)), "dc1"),
            "wan": L2Domain("wan", tuple(range(300, 320))),
            "rack-b": L2Domain("rack-b", tuple(range(100, 120)), "dc2"),
        },
        {
            "tor-a": Switch("tor-a", 1, Role.TOR, "rack-a", "dc1"),
            "border-1": Switch("border-1", 2, Role.BORDER, "rack-a", "dc1"),
            "border-2": Switch("border-2", 3, Role.BORDER, "rack-b", "dc2"),
            "tor-b": Switch("tor-b", 4, Role.TOR, "rack-b", "dc2"),
        },
        (
            Link(P("tor-a", 49), P("border-1", 1), "rack-a"),
            Link(P("border-1", 48), P("border-2", 48), "wan"),
            Link(P("tor-b", 49), P("border-2", 1), "rack-b"),
        ),
        {
            "a1": Server("a1", (P("tor-a", 1),), "rack-a"),
            "a2": Server("a2", (P("tor-a", 2),), None),
            "b1": Server("b1", (P("tor-b", 1),), "rack-b"),
            "b2": Server("b2", (P("tor-b", 2),), None),
        },
        {row.name: row for row in EXTERNALS},
    )


WEB = vm("web1", "a1", nic(11, ips=["10.1.0.11", "2001:db8:1::11"]))
DB = vm("db1", "b1", nic(11, "db", 2, ips=["10.2.0.11", "2001:db8:2::11"]))
CUGS = (
    cug(routing_domain="red"),
    cug("db", 2, routing_domain="red"),
    cug("lab", 1, routing_domain="blue"),
    cug("lone", 4),
)
"""web and db in red, lab in blue with the addresses of web, lone in none."""
HEARD = (
    NeighbourHeard("inet-1", HOP_1, 0x02BB00000001),
    NeighbourHeard("inet-2", HOP_2, 0x02BB00000002),
    NeighbourHeard("inet-2", HOP_2_V6, 0x02BB00000002),
)

Selection = Selector | str


def who(text: Selection) -> Selector:
    """``cug:web``, ``vm:web1``, ``10.0.0.0/8`` or ``any``."""
    if isinstance(text, Selector):
        return text
    if text == "any":
        return Selector("any")
    kind, _, name = text.partition(":")
    return Selector(kind, name) if kind in ("cug", "vm") else Selector("prefix", ip_network(text))  # type: ignore[arg-type]


def allow(name: str, source: Selection, target: Selection, **more: object) -> PutPolicy:
    """A policy that allows."""
    return PutPolicy(name, True, who(source), who(target), **more)  # type: ignore[arg-type]


def deny(name: str, source: Selection, target: Selection, **more: object) -> PutPolicy:
    """A policy that denies."""
    return PutPolicy(name, False, who(source), who(target), **more)  # type: ignore[arg-type]


def routed(*commands: Command) -> State:
    """web1 at a1 and db1 at b1, next hops that have answered; then these commands."""
    return start(two_borders(), *CUGS, WEB, DB, *HEARD, *commands)


def lines(compiler: Compiler, switch: str, table: Table, owner: tuple[str, ...] = ()) -> list[str]:
    """Priority, match and actions of the flows of one table, those of ``owner`` (its beginning) only."""
    flows: list[Flow] = [row for row in compiler.flows(switch) if row.table is table and row.owner[: len(owner)] == owner]
    flows.sort(key=lambda row: (-row.priority, str(row)))
    return [str(row).removeprefix(f"table={table.label} priority=") for row in flows]


NEIGHBOUR = 0x020000AA0001


def with_externals(fabric: Fabric) -> Fabric:
    """The Internet of routing domain red at up to two edges."""
    edges = [name for name, row in fabric.switches.items() if row.role.is_edge][:2]
    found = {
        f"out{n}": External(
            f"out{n}", PortRef(edge, 1000), "red",
            (ip_interface(f"192.0.{n}.1/24"), ip_interface(f"2001:db8:ff0{n}::1/64")),
            (ip_network("0.0.0.0/0"), ip_network("::/0")),
            (ip_address(f"192.0.{n}.254"), ip_address(f"2001:db8:ff0{n}::fe")),
        )
        for n, edge in enumerate(edges)
    }  # fmt: skip
    return replace(fabric, externals=found)
