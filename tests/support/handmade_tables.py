"""A small network written out by hand: three switches, five servers, two CUGs, and tables that carry them rightly.

    a1 (tagged)   --1 tor-a 49--1 core 2--49 tor-b 1,2-- b1 (tagged, LAG)
    a2 (untagged) --2                              3---- b2 (tagged)
    a3 (tagged, nobody there) --3

The tables are made here and not by the compiler: the simulator's own tests must not lean on what it is there to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from ryu_vmmob.fabric.model import Fabric, L2Domain, Link, PortRef, Role, Server, Switch
from ryu_vmmob.flows.fields import vid
from ryu_vmmob.flows.flow import (
    IN_PORT,
    Action,
    Bucket,
    Flow,
    Group,
    GroupType,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    ToGroup,
    match,
)
from ryu_vmmob.flows.pipeline import SEGMENT, GroupKind, Table, group_id
from ryu_vmmob.net.addresses import MAC_BROADCAST, MAC_MULTICAST_BIT, eui64_link_local
from ryu_vmmob.net.protocols import ETH_ARP, ETH_IPV4, ETH_IPV6, ETH_RARP
from ryu_vmmob.sim.remembering import RememberingTables
from ryu_vmmob.sim.switch import Tables
from ryu_vmmob.sim.view import Seat, View

P = PortRef
LINK_A = Link(P("tor-a", 49), P("core", 1), "core")
LINK_B = Link(P("tor-b", 49), P("core", 2), "core")
FABRIC = Fabric(
    name="lab",
    gateway_mac="02:00:5e:00:00:01",
    data_centers={},
    l2_domains={
        "rack-a": L2Domain("rack-a", tuple(range(100, 200))),
        "rack-b": L2Domain("rack-b", tuple(range(100, 200))),
        "core": L2Domain("core", tuple(range(2000, 2100))),
    },
    switches={
        "tor-a": Switch("tor-a", 1, Role.TOR, "rack-a"),
        "core": Switch("core", 2, Role.SPINE, "core"),
        "tor-b": Switch("tor-b", 3, Role.TOR, "rack-b"),
    },
    links=(LINK_A, LINK_B),
    servers={
        "a1": Server("a1", (P("tor-a", 1),), "rack-a"),
        "a2": Server("a2", (P("tor-a", 2),), None),
        "a3": Server("a3", (P("tor-a", 3),), "rack-a"),
        "b1": Server("b1", (P("tor-b", 1), P("tor-b", 2)), "rack-b"),
        "b2": Server("b2", (P("tor-b", 3),), "rack-b"),
    },
)
KEYS = {"web": 1, "db": 2}
VLAN_IDS = {
    ("rack-a", "web"): 110, ("rack-b", "web"): 120, ("core", "web"): 2010,
    ("rack-a", "db"): 111, ("rack-b", "db"): 110, ("core", "db"): 2011,
}  # fmt: skip
LINKS = {"web": frozenset({LINK_A.name, LINK_B.name}), "db": frozenset({LINK_A.name, LINK_B.name})}


def seat(vm: str, cug: str, number: int, server: str, v6: bool = False, **more: Any) -> Seat:
    place = FABRIC.servers[server]
    ips = [ip_address(f"10.{KEYS[cug]}.0.{number}")] + [ip_address(f"2001:db8:{KEYS[cug]}::{number}")] * v6
    vlan_id = VLAN_IDS[place.l2_domain, cug] if place.l2_domain else None
    mac = 0x020000000000 | KEYS[cug] << 8 | number
    return Seat(vm, 0, cug, mac, tuple(ips), server, place.attach, vlan_id, **more)


W1, W2, W3 = seat("w1", "web", 1, "a1", v6=True), seat("w2", "web", 2, "b1", v6=True), seat("w3", "web", 3, "b2")
D1, D2 = seat("d1", "db", 1, "a2"), seat("d2", "db", 2, "b2")
SEATS = (W1, W2, W3, D1, D2)

Entries = dict[str, list[Flow | Group]]
TRUNKS = {"tor-a": {49: "core"}, "tor-b": {49: "core"}, "core": {1: "tor-a", 2: "tor-b"}}


def way_out(switch: str, cug: str, port: int) -> tuple[Action, ...]:
    domain = FABRIC.port_domain(P(switch, port))
    if domain is None:
        return (Output(port),)
    return (PushVlan(), SetField("vlan_vid", vid(VLAN_IDS[domain, cug])), Output(port))


def entries(seats: Sequence[Seat] = SEATS) -> Entries:
    """Flows and groups of every switch, right for ``seats``."""
    made: Entries = {name: [] for name in FABRIC.switches}
    for name, rows in made.items():
        here = [one for one in seats if one.ports[0].switch == name]
        for cug in KEYS:
            rows.extend(_segment(name, cug, [one for one in here if one.cug == cug]))
        for one in here:
            rows.extend(_admit(one))
        for mac, cug in sorted({(one.mac, one.cug) for one in seats}):
            rows.extend(_forward(name, cug, mac, [one for one in seats if (one.mac, one.cug) == (mac, cug)]))
    return made


def _segment(name: str, cug: str, here: list[Seat]) -> Iterator[Flow | Group]:
    meta = SEGMENT.of(KEYS[cug])
    yield Flow.undeclared(Table.ANSWER, 100, match(metadata=meta), goto=Table.BRIDGE)
    for port in TRUNKS[name]:
        rule = match(in_port=port, vlan_vid=vid(VLAN_IDS["core", cug]))
        yield Flow.undeclared(Table.INGRESS, 1000, rule, (PopVlan(),), Table.BRIDGE, meta)
    buckets: dict[str, Bucket] = {str(port): Bucket(way_out(name, cug, port)) for port in TRUNKS[name]}
    for one in {one.server: one for one in here if one.receives}.values():
        if len(one.ports) > 1:
            lag = group_id(GroupKind.LAG, KEYS[cug], 1)
            yield Group(lag, GroupType.FAST_FAILOVER, tuple(Bucket(way_out(name, cug, p.port), p.port) for p in one.ports))
            buckets[one.server] = Bucket((ToGroup(lag),))
        else:
            buckets[one.server] = Bucket(way_out(name, cug, one.ports[0].port))
    multicast = (MAC_MULTICAST_BIT, MAC_MULTICAST_BIT)
    flood = group_id(GroupKind.FLOOD, KEYS[cug], 0)
    yield Group(flood, GroupType.ALL, tuple(buckets.values()))
    yield Flow.undeclared(Table.BRIDGE, 100, match(metadata=meta, eth_dst=multicast), (ToGroup(flood),))
    for one in here:
        if len(one.ports) > 1:
            others = tuple(bucket for owner, bucket in buckets.items() if owner != one.server)
            yield Group(flood + 1, GroupType.ALL, others)
            for leg in one.ports:
                rule = match(in_port=leg.port, metadata=meta, eth_dst=multicast)
                yield Flow.undeclared(Table.BRIDGE, 1000, rule, (ToGroup(flood + 1),))


def _admit(one: Seat) -> Iterator[Flow]:
    meta = SEGMENT.of(KEYS[one.cug])
    for port in one.ports:
        if one.vlan_id is None:
            rule = match(in_port=port.port, vlan_vid=0, eth_src=one.mac)
            yield Flow.undeclared(Table.INGRESS, 1000, rule, (), Table.ADMIT, meta)
            rule = match(in_port=port.port, vlan_vid=0x1000, eth_src=one.mac)  # a tag for its priority alone
            yield Flow.undeclared(Table.INGRESS, 1000, rule, (PopVlan(),), Table.ADMIT, meta)
        else:
            rule = match(in_port=port.port, vlan_vid=vid(one.vlan_id))
            yield Flow.undeclared(Table.INGRESS, 1000, rule, (PopVlan(),), Table.ADMIT, meta)
        if one.sends is False:
            continue
        for priority, fields, goto in _allowed(one):
            rule = match(in_port=port.port, metadata=meta, eth_src=one.mac, **fields)
            yield Flow.undeclared(Table.ADMIT, priority, rule, goto=goto)


def unreadable() -> Iterator[dict[str, Any]]:
    """Neighbour discovery in fragments, and IPv6 that hides what it carries."""
    icmp: dict[str, Any] = {"eth_type": ETH_IPV6, "ip_proto": 58}
    yield {"eth_type": ETH_IPV6, "ip_proto": 0}
    yield {**icmp, "icmpv6_type": 0}
    for kind in range(133, 138):
        yield {**icmp, "icmpv6_type": kind, "ip_frag": (1, 1)}


def _allowed(one: Seat) -> Iterator[tuple[int, dict[str, Any], Table | None]]:
    yield 6000, {"eth_dst": (0x0180C2000000, 0xFFFFFFFFFFF0)}, None
    yield 1000, {"eth_type": ETH_RARP, "arp_op": 3, "arp_sha": one.mac, "arp_tha": one.mac}, Table.BRIDGE
    for ip in one.v4:
        yield 1000, {"eth_type": ETH_IPV4, "ipv4_src": ip}, Table.BRIDGE
        yield 1000, {"eth_type": ETH_ARP, "arp_sha": one.mac, "arp_spa": ip}, Table.ANSWER
        yield 1000, {"eth_type": ETH_ARP, "arp_sha": one.mac, "arp_spa": 0, "arp_tpa": ip}, Table.BRIDGE
        dhcp = {"eth_type": ETH_IPV4, "ipv4_src": 0, "ip_proto": 17, "udp_src": 68, "udp_dst": 67}
        yield 1000, dhcp, Table.BRIDGE
    icmp: dict[str, Any] = {"eth_type": ETH_IPV6, "ip_proto": 58}
    for kind in (134, 135, 136, 137) if one.v6 else ():
        yield 2000, {**icmp, "icmpv6_type": kind}, None
    for kind in (135, 136) if one.v6 else ():
        yield 4000, {**icmp, "icmpv6_type": kind, "ipv6_nd_target": 0}, None
    for hidden in unreadable() if one.v6 else ():
        yield 5000, hidden, None
    for kind in (131, 133, 143) if one.v6 else ():
        yield 1000, {**icmp, "ipv6_src": 0, "icmpv6_type": kind}, Table.BRIDGE
    for priority, fields in claims(one, SEATS) if one.v6 else ():
        yield priority, fields, None if priority in (2600, 2700) else Table.BRIDGE
    for ip in (*one.v6, eui64_link_local(one.mac)) if one.v6 else ():
        yield 1000, {"eth_type": ETH_IPV6, "ipv6_src": ip}, Table.BRIDGE
        for option in (one.mac, 0):
            yield 3000, {**icmp, "ipv6_src": ip, "icmpv6_type": 135, "ipv6_nd_sll": option}, Table.BRIDGE
            tells = {"ipv6_src": ip, "icmpv6_type": 136, "ipv6_nd_target": ip, "ipv6_nd_tll": option}
            yield 3000, {**icmp, **tells}, Table.BRIDGE
        yield 3000, {**icmp, "ipv6_src": 0, "icmpv6_type": 135, "ipv6_nd_target": ip, "ipv6_nd_sll": 0}, Table.BRIDGE
    if one.v6:
        yield 2500, {**icmp, "ipv6_src": 0, "icmpv6_type": 135, "ipv6_nd_target": (0xFE80 << 112, 0xFFC0 << 112)}, Table.BRIDGE


def claims(one: Seat, seats: Sequence[Seat], others: Sequence[int] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """What it may say from a link-local address of its own choice; at 2600 and 2700 what it may not, ``others`` included."""
    link = (0xFE80 << 112, 0xFFC0 << 112)
    icmp = {"eth_type": ETH_IPV6, "ip_proto": 58}
    yield 700, {"eth_type": ETH_IPV6, "ipv6_src": link}
    for option in (one.mac, 0):
        yield 2500, {**icmp, "ipv6_src": link, "icmpv6_type": 135, "ipv6_nd_sll": option}
        yield 2500, {**icmp, "ipv6_src": link, "icmpv6_type": 136, "ipv6_nd_target": link, "ipv6_nd_tll": option}
    macs = {other.mac for other in seats if other.cug == one.cug and other.mac != one.mac and other.v6}
    for ip in {*map(eui64_link_local, macs), *others}:
        yield 2600, {"eth_type": ETH_IPV6, "ipv6_src": ip}
        yield 2700, {**icmp, "icmpv6_type": 136, "ipv6_src": link, "ipv6_nd_target": ip}


def _forward(name: str, cug: str, mac: int, seats: list[Seat]) -> Iterator[Flow | Group]:
    meta = SEGMENT.of(KEYS[cug])
    local = [one for one in seats if one.ports[0].switch == name and one.receives]
    remote: dict[int, None] = {}
    for one in seats:
        target = one.ports[0].switch
        if target != name and one.receives:
            remote[next(port for port, peer in TRUNKS[name].items() if peer in (target, "core"))] = None
    actions: list[Action] = []
    for port in remote:
        number = group_id(GroupKind.NEXT_HOP, KEYS[cug], port << 4 | mac & 0xF)
        yield Group(number, GroupType.INDIRECT, (Bucket(way_out(name, cug, port)),))
        actions.append(ToGroup(number))
    goto = Table.DELIVER if local else None
    yield Flow.undeclared(Table.BRIDGE, 1000, match(metadata=meta, eth_dst=mac), tuple(actions), goto)
    if local:
        deliver: list[Action] = []
        for one in local:
            lag = len(one.ports) > 1
            way: tuple[Action, ...] = way_out(name, cug, one.ports[0].port)
            way = (ToGroup(group_id(GroupKind.LAG, KEYS[cug], 1)),) if lag else way
            deliver += [*way, *([PopVlan()] if isinstance(way[0], PushVlan) else [])]
            for leg in one.ports if lag else ():  # nothing goes back by the other leg
                yield Flow.undeclared(Table.DELIVER, 2000, match(in_port=leg.port, metadata=meta, eth_dst=mac))
        yield Flow.undeclared(Table.DELIVER, 1000, match(metadata=meta, eth_dst=mac), tuple(deliver))


def arp_answer(asked: Seat, back: tuple[Action, ...] = (Output(IN_PORT),)) -> Flow:
    """A ToR answers for ``asked``; ``back`` leads to the asker."""
    turn = (
        Move("eth_src", "eth_dst"), SetField("eth_src", asked.mac), SetField("arp_op", 2), Move("arp_sha", "arp_tha"),
        SetField("arp_sha", asked.mac), Move("arp_spa", "arp_tpa"), SetField("arp_spa", asked.v4[0]),
    )  # fmt: skip
    meta = SEGMENT.of(KEYS[asked.cug])
    rule = match(metadata=meta, eth_dst=MAC_BROADCAST, eth_type=ETH_ARP, arp_op=1, arp_tpa=asked.v4[0])
    return Flow.undeclared(Table.ANSWER, 1000, rule, (*turn, *back))


def build(made: Entries) -> dict[str, Tables]:
    """The tables of each switch. Equal ones are built once: a fault changes one switch, and the others remember results."""
    return {name: _tables(tuple(rows)) for name, rows in made.items()}


@lru_cache(maxsize=64)
def _tables(rows: tuple[Flow | Group, ...]) -> Tables:
    return RememberingTables([e for e in rows if isinstance(e, Flow)], [e for e in rows if isinstance(e, Group)])


def view(made: Entries | None = None, seats: Sequence[Seat] = SEATS, **more: Any) -> View:
    given: dict[str, Any] = {"vlan_ids": VLAN_IDS, "allowed_links": LINKS, **more}
    return View(FABRIC, build(entries(seats) if made is None else made), seats, **given)


def change(made: Entries, switch: str, which: Callable[[Any], bool], into: Callable[[Any], Any]) -> Entries:
    """``made`` with some entries of one switch replaced (None: taken out). At least one has to be hit."""
    rows = made[switch]
    assert any(which(row) for row in rows), "nothing to break"
    new = [into(row) if which(row) else row for row in rows]
    return {**made, switch: [row for row in new if row is not None]}
