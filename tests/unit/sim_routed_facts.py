"""A routed network written out by hand: who is where, what may be said, and what the switches know of the outside.

a1 (tagged)   --1 tor-a 49--1 core 2--49 tor-b 1-- b1 (tagged)
a2 (untagged) --2            3              2---- b2 (untagged: a guest with a tag of its own, and one without)
                             |
                             49 edge 9-- internet, 8-- partner

routing domain red: web (w1 a1, w2 b1), db (d1 a1, d2 b2, d3 a2 with guest's tag); internet and partner
routing domain blue: lab (l1 a1, l2 b1), with the addresses of web, and cam (c1 a1); solo (s1 b2) is in none
"""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from ryu_vmmob.fabric.model import External, Fabric, L2Domain, Link, PortRef, Role, Server, Switch
from ryu_vmmob.net.protocols import ETH_IPV4, ETH_IPV6
from ryu_vmmob.sim.facts import CugFacts, ExternalFacts, Rule, Selector
from ryu_vmmob.sim.view import Seat

P = PortRef
LINKS = {name: Link(P(name, 49), P("core", port), "core") for port, name in ((1, "tor-a"), (2, "tor-b"), (3, "edge"))}
PORT_TO = {"tor-a": 1, "tor-b": 2, "edge": 3}
EDGES = tuple(PORT_TO)
GATEWAY = 0x02005E000001
ROUTER = {"tor-a": 0x02AAAA000001, "tor-b": 0x02AAAA000002, "edge": 0x02AAAA000003}
HOPS = {"internet": 0x02BBBB000001, "partner": 0x02BBBB000002}

CUGS = {
    "web": CugFacts("web", (ip_network("10.1.0.0/24"), ip_network("2001:db8:1::/64")),
                    (ip_address("10.1.0.1"), ip_address("2001:db8:1::1")), "red"),
    "db": CugFacts("db", (ip_network("10.2.0.0/24"), ip_network("2001:db8:2::/64")),
                   (ip_address("10.2.0.1"), ip_address("2001:db8:2::1")), "red"),
    "lab": CugFacts("lab", (ip_network("10.1.0.0/24"),), (ip_address("10.1.0.1"),), "blue"),
    "cam": CugFacts("cam", (ip_network("10.3.0.0/24"),), (ip_address("10.3.0.1"),), "blue"),
    "solo": CugFacts("solo", (ip_network("10.9.0.0/24"),), (ip_address("10.9.0.1"),)),
}  # fmt: skip
KEYS = {"web": 1, "db": 2, "lab": 3, "cam": 5, "solo": 4, "routed:red": 11, "routed:blue": 12}
SCOPES = {"web": 11, "db": 11, "lab": 12, "cam": 12, "solo": 4, "routed:red": 11, "routed:blue": 12}
DOMAINS = {"tor-a": "rack-a", "tor-b": "rack-b", "edge": "core", "core": "core"}
VLAN_IDS = {
    (domain, name): base + number
    for domain, base in (("rack-a", 100), ("rack-b", 110), ("core", 2000))
    for number, name in enumerate(KEYS)
}
INTERNET = ExternalFacts(
    "internet", P("edge", 9), "red", (ip_interface("192.0.2.1/24"), ip_interface("2001:db8:ffff::1/64")),
    (ip_network("0.0.0.0/0"), ip_network("::/0")),
    {ip_address("192.0.2.254"): HOPS["internet"], ip_address("2001:db8:ffff::fe"): HOPS["internet"]},
)  # fmt: skip
PARTNER = ExternalFacts(
    "partner", P("edge", 8), "red", (ip_interface("198.18.0.1/30"),), (ip_network("172.16.0.0/12"),),
    {ip_address("198.18.0.2"): HOPS["partner"]}, 77,
)  # fmt: skip
EXTERNALS = (INTERNET, PARTNER)
FABRIC = Fabric(
    name="routed-lab",
    gateway_mac="02:00:5e:00:00:01",
    data_centers={},
    l2_domains={name: L2Domain(name, tuple(range(base, base + 90))) for name, base in
                (("rack-a", 100), ("rack-b", 110), ("core", 2000))},
    switches={
        "tor-a": Switch("tor-a", 1, Role.TOR, "rack-a"),
        "core": Switch("core", 2, Role.SPINE, "core"),
        "tor-b": Switch("tor-b", 3, Role.TOR, "rack-b"),
        "edge": Switch("edge", 4, Role.BORDER, "core"),
    },
    links=tuple(LINKS.values()),
    servers={
        "a1": Server("a1", (P("tor-a", 1),), "rack-a"),
        "a2": Server("a2", (P("tor-a", 2),), None),
        "b1": Server("b1", (P("tor-b", 1),), "rack-b"),
        "b2": Server("b2", (P("tor-b", 2),), None),
    },
    externals={row.name: External(row.name, row.port, "red", row.addresses, row.prefixes, (), row.vlan_id)
               for row in EXTERNALS},
)  # fmt: skip
LINK_NAMES = frozenset(link.name for link in LINKS.values())
TORS_ONLY = LINK_NAMES - {LINKS["edge"].name}
ALLOWED = {
    "web": TORS_ONLY, "db": TORS_ONLY, "lab": TORS_ONLY, "cam": frozenset[str](), "routed:red": LINK_NAMES,
    "routed:blue": TORS_ONLY,
}  # fmt: skip


def seat(vm: str, cug: str, number: int, server: str, guest: int | None = None, **more: Any) -> Seat:
    place = FABRIC.servers[server]
    vlan_id = VLAN_IDS[place.l2_domain, cug] if place.l2_domain else guest
    ips = tuple(subnet.network_address + number for subnet in CUGS[cug].subnets)
    mac = 0x020000000000 | KEYS[cug] << 8 | number
    return Seat(vm, 0, cug, mac, ips, server, place.attach, vlan_id, guest=guest is not None, **more)


W1, W2 = seat("w1", "web", 11, "a1"), seat("w2", "web", 12, "b1")
D1, D2, D3 = seat("d1", "db", 11, "a1"), seat("d2", "db", 12, "b2", guest=30), seat("d3", "db", 13, "a2", guest=5)
L1, L2 = seat("l1", "lab", 11, "a1"), seat("l2", "lab", 12, "b1")
C1, S1 = seat("c1", "cam", 11, "a1"), seat("s1", "solo", 11, "b2")
SEATS = (W1, W2, D1, D2, D3, L1, L2, C1, S1)

ANY = Selector("any")
WEB, DB = Selector("cug", "web"), Selector("cug", "db")
RULES = (
    Rule(True, WEB, DB, "tcp", ((5432, 5432),), replies=True),
    Rule(True, WEB, DB, "icmp"),
    Rule(True, DB, WEB, "udp"),
    Rule(False, Selector("vm", "d2"), WEB, "udp", ((9, 9),), 200),
    Rule(True, WEB, Selector("prefix", ip_network("0.0.0.0/0")), "udp", priority=10),
    Rule(True, WEB, Selector("prefix", ip_network("::/0")), "udp", priority=10),
    Rule(True, Selector("prefix", ip_network("0.0.0.0/0")), WEB, "tcp", ((80, 80),), 10, replies=True),
    Rule(True, ANY, Selector("vm", "w2"), "tcp", ((443, 443),), 10),
    Rule(False, Selector("prefix", ip_network("172.16.0.0/12")), WEB, priority=300),
    Rule(False, WEB, WEB, "tcp", ((23, 23),)),
    Rule(True, Selector("cug", "lab"), ANY, "udp"),
)


def on_wire(address: Any) -> dict[str, Any]:
    """The match for ARP senders that have an address on an external network's wire."""
    return {"arp_spa": (int(address.network.network_address), int(address.network.netmask))}


def prefix(side: str, subnet: Any) -> dict[str, Any]:
    """The match for packets with that source (``src``) or destination (``dst``)."""
    kind, name = (ETH_IPV4, "ipv4") if subnet.version == 4 else (ETH_IPV6, "ipv6")
    mask = int(subnet.netmask)
    return {"eth_type": kind, **({f"{name}_{side}": (int(subnet.network_address), mask)} if mask else {})}
