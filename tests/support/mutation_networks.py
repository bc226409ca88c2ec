"""Small networks in which every kind of flow and group occurs, each with the view of it that the judge is given.

    a1 (tagged), a2 (untagged) - tor-a =rack-a= border -rack-b- tor-b - b1 (tagged), b2 (LAG)
    of red:  partner at tor-a:20 (untagged), inet at border:10 (tagged)

Two links lead from tor-a to the border. Each network is what the real engine has made of commands, in a state in between where
a move has been prepared or activated and some links may be down.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Final, NamedTuple

from ryu_vmmob.fabric.model import DataCenter, External, Fabric, L2Domain, Link, PortRef, Role, Server, Switch
from ryu_vmmob.flows.flow import Flow, Group
from ryu_vmmob.model.commands import Activate, Command, StartMigration
from ryu_vmmob.model.routing_domains import NeighbourHeard
from ryu_vmmob.net.protocols import TCP, UDP
from ryu_vmmob.sim.view import View
from tests.support.commands import cug, nic, vm
from tests.support.routed_networks import allow, deny
from tests.support.world import World

P = PortRef
SPARE: Final = "border:2=tor-a:50"
LEG: Final = "tor-b:2"
"""One of two parallel links, and one leg of a LAG: what the switches make up for by themselves."""
PARTNER: Final = External(
    "partner", P("tor-a", 20), "red", (ip_interface("172.16.0.1/30"),), (ip_network("192.168.0.0/16"),),
    (ip_address("172.16.0.2"),), None,
)  # fmt: skip
INET: Final = External(
    "inet", P("border", 10), "red", (ip_interface("192.0.2.1/24"), ip_interface("2001:db8:ff::1/64")),
    (ip_network("0.0.0.0/0"), ip_network("::/0")), (ip_address("192.0.2.254"), ip_address("2001:db8:ff::fe")), 7,
)  # fmt: skip
HEARD: Final = (
    NeighbourHeard("partner", ip_address("172.16.0.2"), 0x02BB00000001),
    NeighbourHeard("inet", ip_address("192.0.2.254"), 0x02BB00000002),
    NeighbourHeard("inet", ip_address("2001:db8:ff::fe"), 0x02BB00000002),
)


class Sample(NamedTuple):
    """A network at rest or in the middle of a move. ``entries`` are the flows and groups by switch, as compiled."""

    name: str
    view: View
    entries: dict[str, tuple[tuple[Flow, ...], tuple[Group, ...]]]


def fabric(*externals: External) -> Fabric:
    """The fabric drawn above, with some of the external networks."""
    domains = [L2Domain(name, tuple(range(first, first + 20)), "dc1") for name, first in (("rack-a", 100), ("rack-b", 110))]
    rows = (("tor-a", Role.TOR, "rack-a"), ("border", Role.BORDER, "rack-b"), ("tor-b", Role.TOR, "rack-b"))
    return Fabric(
        "mutants",
        "02:00:5e:00:00:01",
        {"dc1": DataCenter("dc1")},
        {domain.name: domain for domain in domains},
        {name: Switch(name, number, role, domain, "dc1") for number, (name, role, domain) in enumerate(rows, 1)},
        (
            Link(P("tor-a", 49), P("border", 1), "rack-a"),
            Link(P("tor-a", 50), P("border", 2), "rack-a"),
            Link(P("tor-b", 49), P("border", 3), "rack-b"),
        ),
        {
            "a1": Server("a1", (P("tor-a", 1),), "rack-a"),
            "a2": Server("a2", (P("tor-a", 2),), None),
            "b1": Server("b1", (P("tor-b", 1),), "rack-b"),
            "b2": Server("b2", (P("tor-b", 2), P("tor-b", 3)), "rack-b"),
        },
        {row.name: row for row in externals},
    )


def web(host: int, v6: bool = True) -> tuple[str, ...]:
    return (f"10.1.0.{host}", f"2001:db8:1::{host:x}")[: 1 + v6]


def _bridged() -> World:
    """A CUG on a tagged server, an untagged one and a LAG; beside it another one that shares the untagged server."""
    return _world(
        fabric(),
        cug("web", 1), cug("db", 2, v6=False),
        vm("web1", "a1", nic(11, ips=web(11))), vm("web2", "b2", nic(12, ips=web(12))),
        vm("db1", "a2", nic(11, "db", 2)), vm("db2", "b2", nic(12, "db", 2)), vm("web3", "a2", nic(13)),
        deny("no-telnet", "cug:web", "cug:web", protocol=TCP, ports=((23, 23),)),
        deny("quiet", "vm:db1", "cug:db", protocol=UDP, ports=((7, 9),)),
    )  # fmt: skip


def _routed() -> World:
    """Two CUGs of one routing domain, both external networks, every kind of policy."""
    return _world(
        fabric(PARTNER, INET),
        cug("web", 1, routing_domain="red"), cug("db", 2, v6=False, routing_domain="red"),
        vm("web1", "a1", nic(11, ips=web(11))), vm("db1", "b1", nic(11, "db", 2)), vm("db2", "a1", nic(12, "db", 2)),
        *HEARD,
        allow("sql", "cug:web", "cug:db", protocol=TCP, ports=((5432, 5433),), replies=True),
        allow("echo", "cug:db", "cug:web", protocol="icmp", replies=True),
        allow("logs", "cug:db", "vm:web1", protocol=UDP, ports=((514, 514),), replies=True),
        deny("no-logs", "vm:db2", "vm:web1", priority=200, protocol=UDP, ports=((500, 599),)),
        allow("surfing", "cug:web", "any", priority=50, protocol=TCP, ports=((443, 443),), replies=True),
        allow("served", "192.168.0.0/16", "vm:web1", priority=50, protocol=TCP, ports=((80, 80),)),
    )  # fmt: skip


def _overlapping() -> World:
    """Another routing domain with the addresses of the first one, one external network for that one."""
    return _world(
        fabric(INET),
        cug("web", 1, routing_domain="red"), cug("db", 2, routing_domain="red"),
        cug("lab", 1, v6=False, routing_domain="blue"), cug("cam", 2, v6=False, routing_domain="blue"),
        vm("web1", "a1", nic(11, ips=web(11))), vm("db1", "a2", nic(11, "db", 2, ips=["10.2.0.11", "2001:db8:2::b"])),
        vm("lab1", "a1", nic(11, "lab", 1, mac=0x020000030011)), vm("cam1", "b1", nic(11, "cam", 2, mac=0x020000040011)),
        *HEARD[1:],
        allow("all", "cug:web", "cug:db"), allow("udp", "cug:db", "any", protocol=UDP),
        allow("film", "cug:lab", "cug:cam", protocol=UDP, ports=((8000, 8011),)),
        allow("back", "cug:cam", "cug:lab", protocol="icmp"),
    )  # fmt: skip


def _moving(*steps: Command) -> Callable[[], World]:
    """web1 on its way from a tagged server to one behind a LAG, in the middle of traffic from its CUG and another one."""

    def make() -> World:
        return _world(
            fabric(),
            cug("web", 1, routing_domain="red"), cug("db", 2, v6=False, routing_domain="red"),
            vm("web1", "a1", nic(11, ips=web(11))), vm("web2", "b1", nic(12)), vm("db1", "a2", nic(11, "db", 2)),
            allow("in", "cug:db", "cug:web", protocol=UDP), allow("out", "cug:web", "cug:db", protocol="icmp"),
            *steps,
        )  # fmt: skip

    return make


def _world(plan: Fabric, *commands: Command) -> World:
    world = World(plan)
    for command in commands:
        world.do(command)
        world.settle()
    return world


_MOVE: Final = StartMigration("m1", "web1", "b2", commit="request", activate_on="request")
_NETWORKS: Final[dict[str, tuple[Callable[[], World], Collection[str]]]] = {
    "bridged": (_bridged, ()),
    "bridged, a link and a leg down": (_bridged, (SPARE, LEG)),
    "routed": (_routed, ()),
    "overlapping": (_overlapping, ()),
    "prepared": (_moving(_MOVE), ()),
    "activated": (_moving(_MOVE, Activate("m1")), ()),
}


def samples() -> list[Sample]:
    """All networks. What is down is known to the switches only: the controller has not made up for it yet."""
    found = []
    for name, (make, down) in _NETWORKS.items():
        world = make()
        entries = {
            switch: (tuple(rows.flows.values()), tuple(rows.groups.values())) for switch, rows in world.installed.items()
        }
        found.append(Sample(name, replace(world.view(), links_down=frozenset(down)), entries))
    return found
