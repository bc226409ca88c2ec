"""Tables written out by hand that carry the network of `sim_routed_facts` rightly: nothing here is from the compiler."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from ryu_vmmob.flows.fields import vid
from ryu_vmmob.flows.flow import (
    CONTROLLER,
    IN_PORT,
    Action,
    DecTtl,
    Flow,
    GivePriority,
    Group,
    KeepPriority,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    match,
)
from ryu_vmmob.flows.pipeline import HAIRPIN, OUTSIDE, ROUTED, SCOPE, SEGMENT, VIA, Table, metadata
from ryu_vmmob.net.addresses import MAC_BROADCAST, MAC_MULTICAST_BIT, eui64_link_local
from ryu_vmmob.net.protocols import ETH_ARP, ETH_IPV4, ETH_IPV6, ETH_RARP
from ryu_vmmob.sim.facts import ExternalFacts, Rule, routed_segment
from ryu_vmmob.sim.view import Seat, View
from tests.support.handmade_tables import Entries, build, claims, unreadable
from tests.unit.sim_routed_facts import (
    ALLOWED,
    CUGS,
    EDGES,
    EXTERNALS,
    FABRIC,
    GATEWAY,
    HOPS,
    KEYS,
    LINKS,
    PORT_TO,
    ROUTER,
    RULES,
    SCOPES,
    SEATS,
    VLAN_IDS,
    on_wire,
    prefix,
)
from tests.unit.sim_routed_policies import policy


def entries(
    seats: Sequence[Seat] = SEATS, rules: Sequence[Rule] = RULES, externals: Sequence[ExternalFacts] = EXTERNALS
) -> Entries:
    """Flows of every switch, right for these facts."""
    made = {name: [*_base(name), *_trunks(name), *_ends(name, seats, externals), *policy(name, seats, rules),
                   *_routes(name, seats, externals), *_bridge(name, seats)] for name in FABRIC.switches}  # fmt: skip
    return {name: list(dict.fromkeys(rows)) for name, rows in made.items()}


def view(made: Entries | None = None, seats: Sequence[Seat] = SEATS, rules: tuple[Rule, ...] = RULES, **more: Any) -> View:
    externals = more.get("externals", EXTERNALS)
    given: dict[str, Any] = {
        "vlan_ids": VLAN_IDS, "allowed_links": ALLOWED, "cugs": CUGS, "gateway_mac": GATEWAY, "router_macs": ROUTER,
        "externals": externals, "policies": rules, **more,
    }  # fmt: skip
    return View(FABRIC, build(entries(seats, rules, externals) if made is None else made), seats, **given)


def _meta(segment: str, **more: tuple[int, int]) -> tuple[int, int]:
    return metadata(segment=SEGMENT.of(KEYS[segment]), scope=SCOPE.of(SCOPES[segment]), **more)


def _tag(tags: tuple[int, ...]) -> tuple[Action, ...]:
    return (PushVlan(), SetField("vlan_vid", vid(tags[0])), GivePriority()) if tags else ()


def _base(name: str) -> Iterator[Flow]:
    if name == "core":
        return
    yield Flow.undeclared(Table.ANSWER, 0, (), goto=Table.POLICY_OUT)
    yield Flow.undeclared(Table.ANSWER, 100, match(eth_type=ETH_ARP, arp_op=1, arp_spa=0), goto=Table.REFUSE)
    asks = match(eth_type=ETH_IPV6, ip_proto=58, icmpv6_type=135, ipv6_src=0)
    yield Flow.undeclared(Table.ANSWER, 100, asks, goto=Table.REFUSE)
    target = (0xFE80 << 112, 0xFFC0 << 112)
    asks = match(eth_type=ETH_IPV6, ip_proto=58, icmpv6_type=135, ipv6_src=0, ipv6_nd_target=target)
    yield Flow.undeclared(Table.ANSWER, 150, asks, goto=Table.POLICY_OUT)
    yield Flow.undeclared(Table.GATEWAY, 0, (), goto=Table.BRIDGE)
    yield Flow.undeclared(Table.POLICY_OUT, 0, (), goto=Table.GATEWAY)
    yield Flow.undeclared(Table.POLICY_IN, 0, (), goto=Table.DELIVER)
    yield Flow.undeclared(Table.ROUTE, 0, (), (Output(CONTROLLER, 128),))
    for rule in _NEVER_ROUTED:
        yield Flow.undeclared(Table.ROUTE, 3000, match(**rule))
    for table, goto in ((Table.POLICY_OUT, Table.BRIDGE), (Table.POLICY_IN, Table.DELIVER)):
        for kind in range(133, 138):
            yield Flow.undeclared(table, 40000, match(eth_type=ETH_IPV6, ip_proto=58, icmpv6_type=kind), goto=goto)
    yield Flow.undeclared(Table.ADMIT, 0, (), goto=Table.REFUSE)
    for hidden in unreadable():
        yield Flow.undeclared(Table.ADMIT, 5000, match(**hidden), goto=Table.REFUSE)
    for server in FABRIC.servers.values():
        if server.switch == name:
            at_port = match(in_port=server.attach[0].port)
            yield Flow.undeclared(Table.REFUSE, 1000, at_port, (Output(CONTROLLER, 128),))
            yield Flow.undeclared(Table.INGRESS, 100, at_port, goto=Table.REFUSE)
    for kind in (ETH_IPV4, ETH_IPV6):
        for router in (ROUTER[name],) if name == "edge" else (GATEWAY,):
            yield Flow.undeclared(Table.POLICY_OUT, 500, match(eth_dst=router, eth_type=kind))
        yield Flow.undeclared(Table.POLICY_IN, 500, match(metadata=ROUTED.of(1), eth_type=kind))


def _trunks(name: str) -> Iterator[Flow]:
    for port, peer in [(49, "core")] if name != "core" else [(port, edge) for edge, port in PORT_TO.items()]:
        link = LINKS[peer if name == "core" else name]
        for segment, links in ALLOWED.items():
            if link.name in links:
                routed = segment.startswith("routed:") and name != "core"
                meta = _meta(segment, via=VIA.of(1)) if routed else _meta(segment)
                rule = match(in_port=port, vlan_vid=vid(VLAN_IDS["core", segment]))
                then = Table.GATEWAY if routed else Table.BRIDGE
                yield Flow.undeclared(Table.INGRESS, 1000, rule, (KeepPriority(), PopVlan()), then, meta)


def _ends(name: str, seats: Sequence[Seat], externals: Sequence[ExternalFacts]) -> Iterator[Flow]:
    for one in seats:
        if one.switch == name:
            rule = match(in_port=one.ports[0].port, vlan_vid=vid(one.vlan_id) if one.vlan_id else 0,
                         **({} if FABRIC.servers[one.server].tagged else {"eth_src": one.mac}))  # fmt: skip
            pop = (KeepPriority(), PopVlan()) if one.vlan_id else ()
            yield Flow.undeclared(Table.INGRESS, 1000, rule, pop, Table.ADMIT, _meta(one.cug))
            if not one.vlan_id:
                rule = match(in_port=one.ports[0].port, vlan_vid=0x1000, eth_src=one.mac)
                yield Flow.undeclared(Table.INGRESS, 1000, rule, (KeepPriority(), PopVlan()), Table.ADMIT, _meta(one.cug))
            if one.sends is not False:
                for priority, fields, then in _allowed(one):
                    rule = match(in_port=one.ports[0].port, metadata=SEGMENT.of(KEYS[one.cug]), eth_src=one.mac, **fields)
                    yield Flow.undeclared(Table.ADMIT, priority, rule, goto=then)
            yield from _answered(one, seats)
    for out in externals:
        if out.switch == name:
            yield from _external(out)


def _answered(one: Seat, seats: Sequence[Seat]) -> Iterator[Flow]:
    """What the edge says to one seat: where its gateway and the members are, and that gateways it is routed to are alive."""
    back = (*_tag(one.tags), Output(IN_PORT))
    where: dict[str, Any] = {"in_port": one.ports[0].port, "metadata": SEGMENT.of(KEYS[one.cug]), "eth_src": one.mac}
    facts = CUGS[one.cug]
    near = [ip_address(eui64_link_local(GATEWAY))] if one.v6 else []
    for ip in (*facts.gateways, *near):
        yield from _answers(where, GATEWAY, ip, back)
    for other in CUGS.values():
        if other is not facts and facts.routing_domain is not None and other.routing_domain == facts.routing_domain:
            for ip in other.gateways:
                yield from (flow for flow in _answers(where, GATEWAY, ip, back) if _is_echo(flow))
    if one.v6:
        asks = match(**where, eth_type=ETH_IPV6, ip_proto=58, icmpv6_type=133)
        yield Flow.undeclared(Table.ANSWER, 1000, asks, (Output(CONTROLLER, 128),))
    # A member behind the same wire answers by itself.
    here = {peer.owner for peer in seats if (peer.server, peer.tags) == (one.server, one.tags) and peer.receives is not False}
    for peer in seats:
        if peer.cug == one.cug and peer.owner not in here:
            local = [ip_address(eui64_link_local(peer.mac))] if peer.v6 else []
            for ip in (*peer.ips, *local):
                if ip.version == 4 and peer.owner == one.owner:
                    continue  # an announcement
                for flow in _answers(where, peer.mac, ip, back, router=False):
                    if not _is_echo(flow) and not {("eth_dst", GATEWAY, None)} & set(flow.match):
                        yield flow


def _is_echo(flow: Flow) -> bool:
    return any((name, value) in (("icmpv4_type", 8), ("icmpv6_type", 128), ("ip_frag", 3)) for name, value, _ in flow.match)


def _allowed(one: Seat) -> Iterator[tuple[int, dict[str, Any], Table]]:
    yield 6000, {"eth_dst": (0x0180C2000000, 0xFFFFFFFFFFF0)}, Table.REFUSE
    yield 1000, {"eth_type": ETH_RARP, "arp_op": 3, "arp_sha": one.mac, "arp_tha": one.mac}, Table.ANSWER
    for ip in one.v4:
        yield 1000, {"eth_type": ETH_IPV4, "ipv4_src": ip}, Table.ANSWER
        yield 1000, {"eth_type": ETH_ARP, "arp_sha": one.mac, "arp_spa": ip}, Table.ANSWER
        yield 1000, {"eth_type": ETH_ARP, "arp_sha": one.mac, "arp_spa": 0, "arp_tpa": ip}, Table.POLICY_OUT
        yield 1000, {"eth_type": ETH_IPV4, "ipv4_src": 0, "ip_proto": 17, "udp_src": 68, "udp_dst": 67}, Table.ANSWER
    if one.v4:
        asks = {"eth_type": ETH_ARP, "arp_sha": one.mac, "arp_spa": 0, "arp_op": 1, "eth_dst": MAC_BROADCAST}
        yield 900, asks, Table.ANSWER
    icmp: dict[str, Any] = {"eth_type": ETH_IPV6, "ip_proto": 58}
    for kind in (134, 135, 136, 137) if one.v6 else ():
        yield 2000, {**icmp, "icmpv6_type": kind}, Table.REFUSE
    for kind in (131, 133, 143) if one.v6 else ():
        yield 1000, {**icmp, "ipv6_src": 0, "icmpv6_type": kind}, Table.ANSWER
    for kind in (135, 136) if one.v6 else ():
        yield 4000, {**icmp, "icmpv6_type": kind, "ipv6_nd_target": 0}, Table.REFUSE
    gateways = [eui64_link_local(GATEWAY)] if any(ip.version == 6 for ip in CUGS[one.cug].gateways) else []
    for priority, fields in claims(one, SEATS, gateways) if one.v6 else ():
        yield priority, fields, Table.REFUSE if priority in (2600, 2700) else Table.ANSWER
    if one.v6:
        yield 2500, {**icmp, "ipv6_src": 0, "icmpv6_type": 135, "eth_dst": (0x333300000000, 0xFFFF00000000)}, Table.ANSWER
    for ip in (*one.v6, eui64_link_local(one.mac)) if one.v6 else ():
        yield 1000, {"eth_type": ETH_IPV6, "ipv6_src": ip}, Table.ANSWER
        for option in (one.mac, 0):
            yield 3000, {**icmp, "ipv6_src": ip, "icmpv6_type": 135, "ipv6_nd_sll": option}, Table.ANSWER
            tells = {**icmp, "ipv6_src": ip, "icmpv6_type": 136, "ipv6_nd_target": ip, "ipv6_nd_tll": option}
            yield 3000, tells, Table.ANSWER
        yield 3000, {**icmp, "ipv6_src": 0, "icmpv6_type": 135, "ipv6_nd_target": ip, "ipv6_nd_sll": 0}, Table.POLICY_OUT


def _answers(where: dict[str, Any], mac: int, ip: Any, back: tuple[Action, ...], router: bool = True) -> Iterator[Flow]:
    turn: tuple[Action, ...] = (Move("eth_src", "eth_dst"), SetField("eth_src", mac))
    address = int(ip)
    if ip.version == 4:
        arp = (SetField("arp_op", 2), Move("arp_sha", "arp_tha"), Move("arp_spa", "arp_tpa"), SetField("arp_sha", mac))
        for asked in (MAC_BROADCAST, mac) if router else (MAC_BROADCAST,):
            rule = match(**where, eth_dst=asked, eth_type=ETH_ARP, arp_op=1, arp_tpa=address)
            yield Flow.undeclared(Table.ANSWER, 1000, rule, (*turn, *arp, SetField("arp_spa", address), *back))
        own_time = SetField("nw_ttl", 64)
        pong = (Move("ipv4_src", "ipv4_dst"), SetField("ipv4_src", address), SetField("icmpv4_type", 0), own_time)
        rule = match(**where, eth_dst=mac, eth_type=ETH_IPV4, ip_proto=1, icmpv4_type=8, ipv4_dst=address)
        yield Flow.undeclared(Table.ANSWER, 1000, rule, (*turn, *pong, *back))
        rest = match(**where, eth_dst=mac, eth_type=ETH_IPV4, ip_proto=1, ip_frag=3, ipv4_dst=address)
        yield Flow.undeclared(Table.ANSWER, 1000, rest, (*turn, *pong[:2], own_time, *back))
        return
    icmp = {**where, "eth_type": ETH_IPV6, "ip_proto": 58}
    swap = (*turn, Move("ipv6_src", "ipv6_dst"), SetField("ipv6_src", address))
    tell = (*swap, SetField("nd_reserved", 0xE0000000 if router else 0x60000000), SetField("icmpv6_type", 136))
    multicast = (0x333300000000, 0xFFFF00000000)
    for asked_at in (multicast, mac) if router else (multicast,):
        asks = match(**icmp, eth_dst=asked_at, icmpv6_type=135, ipv6_nd_target=address)
        yield Flow.undeclared(Table.ANSWER, 1000, asks, tell, Table.ADVERTISE)
        probe = match(**icmp, eth_dst=asked_at, icmpv6_type=135, ipv6_nd_target=address, ipv6_src=0)
        flags = SetField("nd_reserved", 0xA0000000 if router else 0x20000000)
        to_all = (SetField("ipv6_src", address), SetField("ipv6_dst", 0xFF02 << 112 | 1))
        taken = (*turn, *to_all, flags, SetField("icmpv6_type", 136))
        yield Flow.undeclared(Table.ANSWER, 1500, probe, (*taken, *back))
    end = {name: value for name, value in icmp.items() if name != "eth_src"}
    tell = (SetField("nd_options_type", 2), SetField("ipv6_nd_tll", mac), *back)
    rule = match(**end, eth_src=mac, eth_dst=where["eth_src"], icmpv6_type=136, ipv6_nd_target=address)
    yield Flow.undeclared(Table.ADVERTISE, 1000, rule, tell)
    echo = (*swap, SetField("icmpv6_type", 129), SetField("nw_ttl", 64))
    yield Flow.undeclared(Table.ANSWER, 1000, match(**icmp, eth_dst=mac, icmpv6_type=128, ipv6_dst=address), (*echo, *back))
    rest = match(**where, eth_dst=mac, eth_type=ETH_IPV6, ip_frag=3, ipv6_dst=address)
    yield Flow.undeclared(Table.ANSWER, 1000, rest, (*swap, SetField("nw_ttl", 64), *back))


def _external(out: ExternalFacts) -> Iterator[Flow]:
    port, own, hop = out.port.port, ROUTER[out.switch], HOPS[out.name]
    meta = metadata(scope=SCOPE.of(11), outside=OUTSIDE.of(1))
    rule = match(in_port=port, vlan_vid=vid(out.vlan_id) if out.vlan_id else 0)
    yield Flow.undeclared(Table.INGRESS, 1000, rule, (KeepPriority(), PopVlan()) if out.vlan_id else (), Table.ADMIT, meta)
    for kind in (ETH_IPV4, ETH_IPV6):
        yield Flow.undeclared(Table.ADMIT, 1000, match(in_port=port, eth_dst=own, eth_type=kind), goto=Table.ANSWER)
    for never in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/127", "ff00::/8"):
        yield Flow.undeclared(Table.ADMIT, 4000, match(in_port=port, **prefix("src", ip_network(never))))
    for facts in CUGS.values():
        for subnet in facts.subnets if facts.routing_domain == "red" else ():
            yield Flow.undeclared(Table.ADMIT, 4000, match(in_port=port, **prefix("src", subnet)))
    where = {"in_port": port, "eth_src": hop}
    for address in out.addresses:
        yield from _answers(where, own, address.ip, (*_tag(out.tags), Output(IN_PORT)))
        yield Flow.undeclared(Table.ADMIT, 4000, match(in_port=port, **prefix("src", ip_network(address.ip))))
        if address.version == 4:
            rule = match(in_port=port, eth_type=ETH_ARP, arp_op=1, **on_wire(address))
            yield Flow.undeclared(Table.ADMIT, 3000, rule, goto=Table.ANSWER)
            rule = match(in_port=port, eth_type=ETH_ARP, arp_op=1, arp_spa=0, arp_tpa=int(address.ip))
        else:
            taken: dict[str, Any] = {"in_port": port, "eth_dst": (0x333300000000, 0xFFFF00000000), "eth_type": ETH_IPV6}
            rule = match(**taken, ip_proto=58, icmpv6_type=135, ipv6_src=0, ipv6_nd_target=int(address.ip))
        yield Flow.undeclared(Table.ADMIT, 4500, rule, goto=Table.ANSWER)
    for facts in CUGS.values():
        for gateway in facts.gateways if facts.routing_domain == "red" else ():
            pings = _answers(where, own, gateway, (*_tag(out.tags), Output(IN_PORT)))
            yield from (flow for flow in pings if _is_echo(flow))
    asks = match(in_port=port, eth_type=ETH_IPV6, ip_proto=58, icmpv6_type=135)
    yield Flow.undeclared(Table.ADMIT, 3000, asks, goto=Table.ANSWER)
    tell = (Output(CONTROLLER, 128),)
    yield Flow.undeclared(Table.ADMIT, 3000, match(in_port=port, eth_dst=own, eth_type=ETH_ARP, arp_op=2), tell)
    for address in out.addresses:
        if address.version == 6:
            target = (int(address.network.network_address), int(address.network.netmask))
            rule = match(in_port=port, eth_dst=own, eth_type=ETH_IPV6, ip_proto=58, icmpv6_type=136, ipv6_nd_target=target)
            yield Flow.undeclared(Table.ADMIT, 3000, rule, tell)


_NEVER_ROUTED: tuple[dict[str, Any], ...] = (
    {"eth_type": ETH_IPV4, "ipv4_dst": (0xE0000000, 0xE0000000)},
    {"eth_type": ETH_IPV4, "ipv4_dst": (0x7F000000, 0xFF000000)},
    {"eth_type": ETH_IPV4, "ipv4_dst": (0xA9FE0000, 0xFFFF0000)},
    {"eth_type": ETH_IPV6, "ipv6_dst": (0xFF << 120, 0xFF << 120)},
    {"eth_type": ETH_IPV6, "ipv6_dst": (0xFE80 << 112, 0xFFC0 << 112)},
    {"eth_type": ETH_IPV6, "ipv6_src": (0xFE80 << 112, 0xFFC0 << 112)},
)


# Routes


def _routes(name: str, seats: Sequence[Seat], externals: Sequence[ExternalFacts]) -> Iterator[Flow]:
    if name not in ROUTER:
        return
    for kind in (ETH_IPV4, ETH_IPV6):
        doors = [(ROUTER[name], VIA.of(1)), *([(ROUTER[name], OUTSIDE.of(1))] if name == "edge" else [])]
        doors += [(GATEWAY, SEGMENT.of(KEYS[cug])) for cug in {one.cug: one for one in seats if one.switch == name}]
        for router, meta in doors:
            yield Flow.undeclared(Table.GATEWAY, 1000, match(metadata=meta, eth_dst=router, eth_type=kind), goto=Table.ROUTE)
            for ttl in (0, 1):
                rule = match(metadata=meta, eth_dst=router, eth_type=kind, nw_ttl=ttl)
                yield Flow.undeclared(Table.GATEWAY, 2000, rule, (Output(CONTROLLER, 128),))
    for key in dict.fromkeys((one.cug, one.mac, ip) for one in seats for ip in one.ips):
        yield from _host(name, key[0], key[2], [one for one in seats if (one.cug, one.mac) == key[:2] and one.receives])
    for out in externals:
        for outside in (*out.prefixes, *(address.network for address in out.addresses), *map(ip_network, out.next_hops)):
            yield from _exit(name, out, outside)


def _host(name: str, cug: str, ip: Any, seats: Sequence[Seat]) -> Iterator[Flow]:
    if CUGS[cug].routing_domain is None:
        return
    segment = routed_segment(str(CUGS[cug].routing_domain))
    here = [one for one in seats if one.switch == name]
    far = list(dict.fromkeys(one.switch for one in seats if one.switch != name))
    rule = prefix("dst", ip_network(ip))
    away: list[Action] = [DecTtl()]
    for edge in far:
        away += [SetField("eth_src", ROUTER[name]), SetField("eth_dst", ROUTER[edge]),
                 *_tag((VLAN_IDS["core", segment],)), Output(49), PopVlan()]  # fmt: skip
    scope = SCOPE.of(SCOPES[cug])
    if here:
        meta = metadata(segment=SEGMENT.of(KEYS[cug]), routed=ROUTED.of(1), hairpin=HAIRPIN.of(1))
        own = (SetField("eth_src", GATEWAY), SetField("eth_dst", here[0].mac))
        via = match(metadata=metadata(scope=scope, via=VIA.of(1)), **rule)
        yield Flow.undeclared(Table.ROUTE, 628, via, (DecTtl(), *own), Table.POLICY_IN, meta)
        direct = match(metadata=metadata(scope=scope, via=VIA.of(0)), **rule)
        yield Flow.undeclared(Table.ROUTE, 628, direct, (*away, *own), Table.POLICY_IN, meta)
    elif far:
        yield Flow.undeclared(Table.ROUTE, 628, match(metadata=metadata(scope=scope, via=VIA.of(0)), **rule), tuple(away))
    for subnet in CUGS[cug].subnets:
        if subnet.version == ip.version:
            nobody = match(metadata=scope, **prefix("dst", subnet))
            yield Flow.undeclared(Table.ROUTE, 500 + subnet.prefixlen, nobody, (Output(CONTROLLER, 128),))


def _exit(name: str, out: ExternalFacts, subnet: Any) -> Iterator[Flow]:
    own, scope = SetField("eth_src", ROUTER[name]), SCOPE.of(11)
    rule = prefix("dst", subnet)
    if name == out.switch:
        meta = metadata(scope=scope, outside=OUTSIDE.of(0))
        leave: tuple[Action, ...] = (
            DecTtl(), own, SetField("eth_dst", HOPS[out.name]), *_tag(out.tags), Output(out.port.port),
        )  # fmt: skip
        if subnet in {address.network for address in out.addresses}:
            leave = (Output(CONTROLLER, 128),)  # somebody there who has not been asked for yet
    else:
        meta = metadata(scope=scope, outside=OUTSIDE.of(0), via=VIA.of(0))
        leave = (DecTtl(), own, SetField("eth_dst", ROUTER[out.switch]), *_tag((VLAN_IDS["core", "routed:red"],)), Output(49))
    yield Flow.undeclared(Table.ROUTE, 500 + subnet.prefixlen, match(metadata=meta, **rule), leave)


# Bridging


def _bridge(name: str, seats: Sequence[Seat]) -> Iterator[Flow | Group]:
    if name == "core":
        for segment in ("routed:red", "routed:blue"):
            for edge, port in PORT_TO.items():
                if LINKS[edge].name in ALLOWED[segment]:
                    rule = match(metadata=SEGMENT.of(KEYS[segment]), eth_dst=ROUTER[edge])
                    yield Flow.undeclared(Table.BRIDGE, 1000, rule, (*_tag((VLAN_IDS["core", segment],)), Output(port)))
    for cug in CUGS:
        yield from _flood(name, cug, [one for one in seats if one.cug == cug and one.receives])
        for mac in dict.fromkeys(one.mac for one in seats if one.cug == cug):
            yield from _unicast(name, cug, mac, [one for one in seats if (one.cug, one.mac) == (cug, mac) and one.receives])


def _on(name: str, cug: str, edges: Sequence[str]) -> Iterator[Action]:
    """The trunks towards some edges, each with its tag, and the frame as it was behind them."""
    ports = dict.fromkeys(PORT_TO[edge] if name == "core" else 49 for edge in edges if edge != name)
    for port in ports if cug in ALLOWED else ():
        yield from (*_tag((VLAN_IDS["core", cug],)), Output(port), PopVlan())


def _flood(name: str, cug: str, seats: Sequence[Seat]) -> Iterator[Flow]:
    multicast = (MAC_MULTICAST_BIT, MAC_MULTICAST_BIT)
    actions = list(_on(name, cug, [edge for edge in EDGES if LINKS[edge].name in ALLOWED.get(cug, ())]))
    for place in dict.fromkeys((one.ports[0].port, one.tags) for one in seats if one.switch == name):
        actions += [*_tag(place[1]), Output(place[0]), *([PopVlan()] if place[1] else [])]
    yield Flow.undeclared(Table.BRIDGE, 100, match(metadata=SEGMENT.of(KEYS[cug]), eth_dst=multicast), tuple(actions))


def _unicast(name: str, cug: str, mac: int, seats: Sequence[Seat]) -> Iterator[Flow]:
    here = [one for one in seats if one.switch == name]
    meta = SEGMENT.of(KEYS[cug])
    actions = tuple(_on(name, cug, [one.switch for one in seats]))
    yield Flow.undeclared(Table.BRIDGE, 1000, match(metadata=meta, eth_dst=mac), actions, Table.POLICY_IN if here else None)
    for one in here:
        port = one.ports[0].port
        yield Flow.undeclared(Table.DELIVER, 1000, match(metadata=meta, eth_dst=mac), (*_tag(one.tags), Output(port)))
        back = metadata(segment=meta, hairpin=HAIRPIN.of(1))
        rule = match(in_port=port, metadata=back, eth_dst=mac)
        yield Flow.undeclared(Table.DELIVER, 2000, rule, (*_tag(one.tags), Output(IN_PORT)))
