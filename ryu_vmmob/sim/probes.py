"""Packets to try a network with: what an interface may say, and what it must not get away with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ryu_vmmob.net.addresses import MAC_BROADCAST
from ryu_vmmob.net.protocols import ETH_TAGS
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim.addresses import eui64_link_local, multicast_mac
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.view import Seat, View

STRANGER_MAC = 0x02DEAD000001
STRANGER_V4, STRANGER_V6 = 0xC633640D, 0x20010DB8DEAD << 80 | 1
"""An interface of no VM, with addresses reserved for documentation."""
_TTLS = (make.DEFAULT_TTL, 1, 0)
"""Bridges do not count: what is used up for a router is as good as any inside a CUG."""
_ODD_V4, _ODD_V6 = (0, 0x7F000001, 0xE0000001, 0xFFFFFFFF), (0, 1, make.ALL_NODES)
"""Addresses that no host can have."""
_ALL_MLD = 0xFF02 << 112 | 0x16
_ETH_EXPERIMENT = 0x88B5  # IEEE 802, local experimental
_SPANNING_TREE = 0x0180C2000000
"""Of the group addresses that no bridge forwards (IEEE 802.1Q, table 8-1)."""


def unicast(seat: Seat, peer: Seat) -> Iterator[Packet]:
    """From one interface to another, in every address family of the sender."""
    yield make.rarp(seat.mac).with_fields(eth_dst=peer.mac)
    for source in seat.v4[:1]:
        target = (peer.v4 or seat.v4)[0]
        for ttl in _TTLS:
            yield make.udp(peer.mac, seat.mac, target, source).with_fields(nw_ttl=ttl)
        # A unicast ARP request asks whether a known neighbour is alive: only it may answer.
        yield make.arp_request(seat.mac, source, target).with_fields(eth_dst=peer.mac)
        yield make.arp_reply(seat.mac, source, peer.mac, target)
    for source in seat.v6[:1]:
        target = (peer.v6 or seat.v6)[0]
        for ttl in _TTLS:
            yield make.udp6(peer.mac, seat.mac, target, source).with_fields(nw_ttl=ttl)
        for packet in (
            make.neighbour_solicitation(seat.mac, source, target).with_fields(eth_dst=peer.mac, ipv6_dst=target),
            make.neighbour_advertisement(seat.mac, source, peer.mac, target),
        ):
            yield packet
            yield _without_option(packet)


def requests(seat: Seat, peer: Seat) -> Iterator[tuple[Packet, Packet]]:
    """(question for an address of ``peer``, the one right answer)."""
    for source in seat.v4[:1]:
        for target in peer.v4:
            yield make.arp_request(seat.mac, source, target), make.arp_reply(peer.mac, target, seat.mac, source)
    if seat.v6 and peer.v6:
        for source in {seat.v6[0], eui64_link_local(seat.mac)}:
            for target in {*peer.v6, eui64_link_local(peer.mac)}:
                asks = make.neighbour_solicitation(seat.mac, source, target)
                yield asks, make.neighbour_advertisement(peer.mac, target, seat.mac, source)


def chosen(mac: int) -> int:
    """Return a link-local address that a guest with this MAC might choose, and that is made of no MAC (RFC 7217)."""
    return 0xFE80 << 112 | 0x5A5A << 48 | mac


def by_choice(seat: Seat, peer: Seat) -> Iterator[Packet]:
    """To one member, from and for a link-local address that the guest has chosen itself."""
    near, far = chosen(seat.mac), chosen(peer.mac)
    yield make.udp6(peer.mac, seat.mac, far, near)
    asks = make.neighbour_solicitation(seat.mac, near, far).with_fields(eth_dst=peer.mac, ipv6_dst=far)
    tells = make.neighbour_advertisement(seat.mac, near, peer.mac, far)
    for packet in (asks, tells):
        yield packet
        yield _without_option(packet)


def by_choice_to_everybody(seat: Seat) -> Iterator[Packet]:
    """Yield the same to every member of the CUG."""
    near = chosen(seat.mac)
    yield make.neighbour_advertisement(seat.mac, near)
    yield make.neighbour_solicitation(seat.mac, near, STRANGER_V6)
    yield make.udp6(multicast_mac(make.ALL_NODES), seat.mac, make.ALL_NODES, near)
    yield make.ping6(multicast_mac(_ALL_MLD), seat.mac, _ALL_MLD, near, 143)


def stolen(seat: Seat, peer: Seat, targets: Iterable[int]) -> Iterator[Packet]:
    """Yield a guest that chooses link-local addresses which are others', or names others from one that it may choose."""
    near, far = chosen(seat.mac), chosen(peer.mac)
    for ip in targets:
        yield make.udp6(peer.mac, seat.mac, far, ip)
        yield make.neighbour_solicitation(seat.mac, ip, STRANGER_V6)
        yield make.neighbour_advertisement(seat.mac, ip)
        for lie in (make.neighbour_advertisement(seat.mac, near), make.neighbour_advertisement(seat.mac, near, peer.mac, far)):
            yield lie.with_fields(ipv6_nd_target=ip)
    for ip in (*peer.v6, STRANGER_V6):
        yield make.neighbour_advertisement(seat.mac, near).with_fields(ipv6_nd_target=ip)
    yield make.neighbour_advertisement(seat.mac, near).with_fields(ipv6_nd_tll=STRANGER_MAC)
    yield make.neighbour_solicitation(seat.mac, near, STRANGER_V6).with_fields(ipv6_nd_sll=STRANGER_MAC)


def duplicates(seat: Seat, peer: Seat) -> Iterator[tuple[Packet, Packet]]:
    """(address probe for an address of ``peer``, the answer that it is taken) (RFC 5227, 2.1.1; RFC 4862, 5.4)."""
    for target in peer.v4 if seat.v4 else ():
        yield make.arp_probe(seat.mac, target), make.arp_reply(peer.mac, target, seat.mac, 0)
    for target in sorted({*peer.v6, eui64_link_local(peer.mac)}) if seat.v6 and peer.v6 else ():
        yield make.neighbour_solicitation(seat.mac, 0, target), told_taken(peer.mac, target, seat.mac)


def told_taken(mac: int, target: int, asker: int, flags: int = make.OVERRIDE) -> Packet:
    """Return the advertisement that answers an address probe: for all nodes, and told to the asker (RFC 4861, 7.2.4)."""
    tells = make.neighbour_advertisement(mac, target, asker, make.ALL_NODES)
    return _without_option(tells).with_fields(nd_reserved=flags)


def to_everybody(seat: Seat) -> Iterator[Packet]:
    """Group-addressed packets that belong to every member of the CUG."""
    yield make.rarp(seat.mac)
    for ip in seat.v4:
        yield make.broadcast(seat.mac, ip)
        yield make.gratuitous_arp(seat.mac, ip)
        yield make.arp_probe(seat.mac, ip)
        yield make.arp_request(seat.mac, ip, STRANGER_V4)
        yield make.udp(MAC_BROADCAST, seat.mac, 0xFFFFFFFF, 0, dst_port=67, src_port=68)  # DHCP: who am I?
    for kind in (_ETH_EXPERIMENT, _ETH_EXPERIMENT + 1) if seat.ethertypes == "any" else seat.ethertypes:
        yield Packet({"eth_dst": MAC_BROADCAST, "eth_src": seat.mac, "eth_type": kind})
    for kind in (131, 143) if seat.v6 else ():  # MLD: which groups are heard here (RFC 2710, 3; RFC 3810, 5.2.13)
        yield make.ping6(multicast_mac(_ALL_MLD), seat.mac, _ALL_MLD, 0, kind)
    for ip in (*seat.v6, eui64_link_local(seat.mac)) if seat.v6 else ():
        yield make.neighbour_advertisement(seat.mac, ip)
        yield make.neighbour_solicitation(seat.mac, 0, ip)
        yield make.neighbour_solicitation(seat.mac, ip, STRANGER_V6)
        yield _without_option(make.neighbour_solicitation(seat.mac, ip, STRANGER_V6))


def _without_option(packet: Packet) -> Packet:
    """Neighbour discovery that does not say the MAC once more, as it may (RFC 4861, 4.3 and 4.4)."""
    fields = {name: value for name, value in packet if name not in ("ipv6_nd_sll", "ipv6_nd_tll")}
    return Packet({**fields, "nd_options_type": 0})


def to_routers(seat: Seat) -> Iterator[Packet]:
    """Questions for the routers on the link: the gateway's to answer; where there is none, all members hear them."""
    for ip in (0, *seat.v6, eui64_link_local(seat.mac), chosen(seat.mac)) if seat.v6 else ():
        yield make.router_solicitation(seat.mac, ip)


def to_nobody(view: View, seat: Seat) -> Iterator[Packet]:
    """To unknown MACs in the CUG: an unknown one, and members' of each other CUG, on the same switch and elsewhere."""
    far = {(other.cug, other.switch == seat.switch): other.mac for other in view.seats if other.cug != seat.cug}
    alike = {other.mac for other in view.seats if other.cug == seat.cug}
    for mac in dict.fromkeys((STRANGER_MAC, *far.values())):
        for packet in unicast(seat, seat) if mac not in alike else ():
            yield packet.with_fields(eth_dst=mac)
    for other in view.seats if seat.v4 else ():
        if other.mac not in alike:
            yield make.udp(other.mac, seat.mac, (other.v4 or seat.v4)[0], seat.v4[0])
    for question in gateway_questions(view, seat):
        yield question.with_fields(eth_dst=STRANGER_MAC)
    for gateway in view.gateways_for(seat):
        for source in [int(ip) for ip in seat.ips if ip.version == gateway.version][:1]:
            yield (make.ping if gateway.version == 4 else make.ping6)(STRANGER_MAC, seat.mac, int(gateway), source)
    facts = view.cugs.get(seat.cug)
    for ip in seat.v4[:1]:
        yield make.arp_probe(seat.mac, ip).with_fields(eth_dst=view.gateway_mac)
    if facts is None or (facts.settled and facts.routing_domain is None):
        # A gateway that routes nothing takes nothing to be routed, not even to a neighbour in the sender's own subnet. Where a
        # rule allows something it may say that a packet's time is over.
        allows = any(rule.allow for rules in (view.policies, *view.former_policies) for rule in rules)
        times = (make.DEFAULT_TTL,) if allows else (make.DEFAULT_TTL, 1)
        for kind, ours, stranger in ((make.udp, seat.v4, STRANGER_V4), (make.udp6, seat.v6, STRANGER_V6)):
            for own_ip in ours[:1]:
                for target in (stranger, own_ip ^ 0x40):
                    packet = kind(view.gateway_mac, seat.mac, target, own_ip)
                    yield from (packet.with_fields(nw_ttl=ttl) for ttl in times)
    for address in view.beside(facts) if facts is not None else ():
        for source in [int(ip) for ip in seat.ips if ip.version == address.version][:1]:
            yield (make.udp if address.version == 4 else make.udp6)(STRANGER_MAC, seat.mac, int(address), source)
            if address.version == 6:
                yield make.neighbour_advertisement(seat.mac, source, view.gateway_mac, int(address))
                asks = make.neighbour_solicitation(seat.mac, source, int(address))
                yield asks.with_fields(eth_dst=view.gateway_mac, ipv6_dst=int(address))


def gateway_questions(view: View, seat: Seat) -> Iterator[Packet]:
    """Who has the gateway's address?"""
    facts = view.cugs.get(seat.cug)
    for gateway in facts.gateways if facts is not None else ():
        if gateway.version == 4 and seat.v4:
            yield make.arp_request(seat.mac, seat.v4[0], int(gateway))
        elif gateway.version == 6 and seat.v6:
            yield make.neighbour_solicitation(seat.mac, seat.v6[0], int(gateway))


def own(seat: Seat) -> Iterator[Packet]:
    """One packet of each family that only this interface may send."""
    yield make.rarp(seat.mac)
    for ip in seat.v4[:1]:
        yield make.broadcast(seat.mac, ip)
        yield make.gratuitous_arp(seat.mac, ip)
    for ip in seat.v6[:1]:
        yield make.neighbour_advertisement(seat.mac, ip)


def unsuitable(seat: Seat) -> Iterator[Packet]:
    """Yield what no VM has to say, though it says truly who it is: where routers are, and what is neither IP nor ARP."""
    for kind in (134, 137) if seat.v6 else ():
        for source in (seat.v6[0], eui64_link_local(seat.mac)):
            yield make.ping6(multicast_mac(make.ALL_NODES), seat.mac, make.ALL_NODES, source, kind)
    yield from _hidden(seat)
    other = Packet({"eth_dst": MAC_BROADCAST, "eth_src": seat.mac, "eth_type": _ETH_EXPERIMENT})
    if seat.ethertypes != "any" and _ETH_EXPERIMENT not in seat.ethertypes:
        yield other
    for kind in ETH_TAGS:  # a second tag
        yield other.with_fields(eth_type=kind)
    yield other.with_fields(eth_dst=_SPANNING_TREE)
    for ip in seat.v4[:1]:
        yield make.broadcast(seat.mac, ip).with_fields(eth_dst=_SPANNING_TREE)


def _hidden(seat: Seat) -> Iterator[Packet]:
    """Neighbour discovery in fragments (RFC 6980), and IPv6 that does not say what it carries (RFC 7112)."""
    all_nodes = multicast_mac(make.ALL_NODES), seat.mac, make.ALL_NODES
    for ip in seat.v6[:1]:
        for kind in (133, 134, 137):
            yield make.first_fragment(make.ping6(*all_nodes, ip, kind))
        yield make.first_fragment(make.neighbour_solicitation(seat.mac, ip, STRANGER_V6))
        yield make.first_fragment(make.neighbour_solicitation(seat.mac, 0, ip))
        yield make.first_fragment(make.neighbour_advertisement(seat.mac, ip))
        yield make.tiny_fragment(make.ping6(*all_nodes, ip))
        yield make.cut_off_chain(make.udp6(*all_nodes, ip))


def victims(view: View, seat: Seat) -> Iterator[Seat]:
    """Return whom a forger might impersonate: members of the same CUG and of others.

    Not those under the forger's own tag at its server: the switch cannot tell them apart (the source MAC is all it has).
    """
    alike = {other.mac for other in view.seats_at[seat.server] if other.vlan_id == seat.vlan_id}
    far = [other for other in view.seats if other.owner != seat.owner and other.mac not in alike]
    # Of each sort one: of its own CUG and of another, beside it on its switch and elsewhere.
    yield from {(other.cug == seat.cug, other.switch == seat.switch): other for other in reversed(far)}.values()


def forgeries(view: View, seat: Seat) -> Iterator[Packet]:
    """Packets from a seat's place that claim to be another host's, in every field that can claim it."""
    targets = [(other.mac, other.v4, other.v6) for other in victims(view, seat)]
    targets.append((STRANGER_MAC, [STRANGER_V4], [STRANGER_V6]))
    facts = view.cugs.get(seat.cug)
    taken = {int(ip) for other in view.seats if other.cug == seat.cug for ip in other.ips}
    taken |= {int(ip) for ip in facts.gateways} if facts is not None else set()
    if facts is not None and facts.gateways:
        own = [[int(ip) for ip in facts.gateways if ip.version == version] for version in (4, 6)]
        targets.append((view.gateway_mac, own[0], own[1]))
    peer = next((other for other in view.seats if other.cug == seat.cug and other.owner != seat.owner), seat)
    for other in victims(view, seat):
        yield from unicast(other, peer)
        yield from to_everybody(other)
    if seat.v6:
        settled = [other for other in victims(view, seat) if other.cug == seat.cug and other.v6 and other.receives]
        links = {eui64_link_local(other.mac): None for other in settled if other.mac != seat.mac}
        if facts is not None and facts.settled and any(ip.version == 6 for ip in facts.gateways):
            links[eui64_link_local(view.gateway_mac)] = None
        yield from stolen(seat, peer, links)
    for ip in _ODD_V4 if seat.v4 else ():
        yield make.udp(peer.mac, seat.mac, seat.v4[0], ip)
    for ip in _ODD_V6 if seat.v6 else ():
        yield make.udp6(peer.mac, seat.mac, seat.v6[0], ip)
    for mac, v4, v6 in targets:
        yield from _forged_mac(seat, peer.mac, mac)
        for ip in v4:
            if ip not in seat.v4:
                yield from _forged_v4(seat, peer, mac, ip)
                if ip not in taken:
                    yield make.arp_probe(seat.mac, ip)
        for ip in v6:
            if ip not in seat.v6:
                yield from _forged_v6(seat, peer, mac, ip)
                if ip not in taken:
                    yield make.neighbour_solicitation(seat.mac, 0, ip)


def _forged_mac(seat: Seat, peer_mac: int, mac: int) -> Iterator[Packet]:
    for packet in to_everybody(seat):
        yield packet.with_fields(eth_src=mac)
    yield make.rarp(seat.mac).with_fields(arp_sha=mac)
    yield make.rarp(seat.mac).with_fields(arp_tha=mac)
    for ip in (seat.v6[0], eui64_link_local(seat.mac)) if seat.v6 else ():
        for asks in (make.neighbour_solicitation(seat.mac, ip, STRANGER_V6), make.neighbour_advertisement(seat.mac, ip)):
            yield _without_option(asks).with_fields(ipv6_nd_target=0)  # as a switch reads one with two options
    for ip in seat.v4[:1]:
        yield make.gratuitous_arp(seat.mac, ip).with_fields(arp_sha=mac)
        yield make.arp_request(mac, ip, STRANGER_V4).with_fields(eth_src=seat.mac)
        yield make.udp(peer_mac, mac, ip, ip)
    for ip in (seat.v6[0], eui64_link_local(seat.mac)) if seat.v6 else ():
        yield make.udp6(peer_mac, mac, ip, ip)
        yield make.neighbour_advertisement(seat.mac, ip).with_fields(ipv6_nd_tll=mac)
        yield make.neighbour_solicitation(seat.mac, ip, STRANGER_V6).with_fields(ipv6_nd_sll=mac)


def _forged_v4(seat: Seat, peer: Seat, mac: int, ip: int) -> Iterator[Packet]:
    yield make.udp(peer.mac, seat.mac, (peer.v4 or [ip])[0], ip)
    yield make.broadcast(seat.mac, ip)
    yield make.gratuitous_arp(seat.mac, ip)
    yield make.arp_request(seat.mac, ip, (peer.v4 or [ip])[0])
    yield from (make.arp_request(seat.mac, ip, mine) for mine in seat.v4[:1])
    yield make.arp_reply(seat.mac, ip, peer.mac, (peer.v4 or [ip])[0])
    yield make.broadcast(mac, ip)


def _forged_v6(seat: Seat, peer: Seat, mac: int, ip: int) -> Iterator[Packet]:
    yield make.ipv6(peer.mac, seat.mac, (peer.v6 or [ip])[0], ip)
    yield make.neighbour_advertisement(seat.mac, ip)
    yield make.neighbour_solicitation(seat.mac, ip, STRANGER_V6)
    for own_ip in seat.v6[:1]:
        yield make.neighbour_advertisement(seat.mac, own_ip).with_fields(ipv6_nd_target=ip)
        yield make.neighbour_advertisement(seat.mac, own_ip).with_fields(ipv6_src=ip)
    yield make.neighbour_advertisement(mac, ip)
