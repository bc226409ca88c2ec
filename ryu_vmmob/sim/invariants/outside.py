"""External networks: what comes in from them, what leaves by them, and what must do neither (invariants 1, 2, 6, 7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address
from typing import Final

from ryu_vmmob.net.addresses import MAC_BROADCAST
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim import probes
from ryu_vmmob.sim.addresses import eui64_link_local
from ryu_vmmob.sim.facts import Address, ExternalFacts
from ryu_vmmob.sim.invariants.choosing import Choice, neighbour_mac, said, senders_at, source_address, unused
from ryu_vmmob.sim.invariants.forwarding import expire, is_sure, route
from ryu_vmmob.sim.invariants.gateway import advertised, in_pieces, pinged
from ryu_vmmob.sim.invariants.judging import DELIVERY, ISOLATION, inject, nothing, silence, to_controller, unshown
from ryu_vmmob.sim.network import Journey
from ryu_vmmob.sim.packet import DEFAULT_TTL, Packet
from ryu_vmmob.sim.policy import End, Talk, decide, talks
from ryu_vmmob.sim.view import Seat, View, Violation
from ryu_vmmob.sim.whereabouts import outside_addresses, whereabouts


def outside(view: View) -> Iterator[Violation]:
    """In from every external to every member, out from every edge to every external, and never through."""
    choice = Choice(view)
    for external in view.externals:
        seats = view.seats_of.get(external.routing_domain)
        if seats and view.network.port_up(external.port):
            yield from _coming_in(view, choice, external)
            yield from _going_out(view, choice, external, senders_at(view, seats))
            yield from _uninvited(view, external, seats[0])
            yield from _forged(view, choice, external)
            yield from _on_the_wire(view, external)


def destinations(view: View, external: ExternalFacts) -> Iterator[Address]:
    """Yield what members may send to there: an address behind each family's next hops, and the next hops themselves."""
    yield from outside_addresses(view, external).values()
    for hop in external.next_hops:
        if external in whereabouts(view, external.routing_domain, hop).exits:
            yield hop


def _coming_in(view: View, choice: Choice, external: ExternalFacts) -> Iterator[Violation]:
    expired: set[int] = set()
    sources = {4: IPv4Address(probes.STRANGER_V4), 6: IPv6Address(probes.STRANGER_V6), **outside_addresses(view, external)}
    for address, targets in view.seats_with[external.routing_domain].items():
        if not view.cugs[targets[0].cug].settled:
            continue
        pair = choice.packets_from(external, sources[address.version], targets[0], address)
        if pair.allowed is not None:
            yield from route(view, external, external.port, pair.allowed)
            if is_sure(external) and address.version not in expired:
                expired.add(address.version)
                yield from expire(view, external, external.port, pair.allowed)
        if pair.denied is not None:
            for ttl in (DEFAULT_TTL, 1):
                yield from route(view, external, external.port, pair.denied.with_fields(nw_ttl=ttl))
    for facts in view.cugs_of[external.routing_domain]:
        for address in unused(view, facts) if facts.settled else ():
            for packet in choice.packets_from(external, sources[address.version], facts, address):
                if packet is not None:
                    yield from route(view, external, external.port, packet)


def _going_out(view: View, choice: Choice, external: ExternalFacts, by_edge: dict[str, list[Seat]]) -> Iterator[Violation]:
    for seats in by_edge.values():
        expired: set[int] = set()
        for address in destinations(view, external):
            able = [seat for seat in seats if source_address(view, seat, address.version) is not None]
            # From each edge something that is allowed, if anything is, and something that is not.
            wanted = {True, False}
            start = choice.turn(range(len(able))) if able else 0
            for origin in sorted((*able[start:], *able[:start]), key=lambda seat: not seat.sends):
                port = choice.turn(view.live_ports(origin))
                for allowed, packet in zip((True, False), choice.packets(origin, external, address), strict=True):
                    if packet is not None and allowed in wanted:
                        wanted.discard(allowed)
                        yield from route(view, origin, port, packet)
                        if allowed and is_sure(origin) and address.version not in expired:
                            expired.add(address.version)
                            yield from expire(view, origin, port, packet)
                if not wanted:
                    break
        yield from _on_link(view, choice, external, seats)


def _on_link(view: View, choice: Choice, external: ExternalFacts, seats: Sequence[Seat]) -> Iterator[Violation]:
    """Yield an address on the wire that has not been asked for yet: the controller at its edge is told, and asks."""
    if not external.settled:
        return
    for own in external.addresses:
        address = own.network.network_address + own.network.num_addresses // 3
        if address in (own.ip, *external.next_hops) or whereabouts(view, external.routing_domain, address).exits != (external,):
            continue
        packets = ((seat, choice.packets(seat, external, address).allowed) for seat in seats if seat.sends)
        for origin, packet in [row for row in packets if row[1] is not None][:1]:
            if packet is not None and view.joined(origin.switch, external.switch):
                journey = inject(view, origin, view.live_ports(origin)[0], packet)
                told = [copied.switch for copied in to_controller(journey)]
                if told != [external.switch]:
                    text = f"of a packet of {origin} for {address}, not yet known on the wire of {external}, {told} tell"
                    yield Violation(DELIVERY, text, journey)


def _uninvited(view: View, external: ExternalFacts, seat: Seat) -> Iterator[Violation]:
    """No transit, no address of the inside from outside, no MAC but the edge's own, no other tag."""
    for version, source in outside_addresses(view, external).items():
        target = source_address(view, seat, version)
        for other in view.externals:
            if other.routing_domain == external.routing_domain:
                for address in destinations(view, other):
                    if address.version == version:
                        packet = said(view, external, Talk(make.UDP, 9), address, source)
                        yield from nothing(inject(view, external, external.port, packet), f"{external} to {other}, in transit,")
        if target is not None:
            right = said(view, external, Talk(make.UDP, 9), target, source)
            for mac in (seat.mac, view.gateway_mac, *(set(view.router_macs.values()) - {view.router_macs[external.switch]})):
                wrong = right.with_fields(eth_dst=mac)
                yield from _silent(inject(view, external, external.port, wrong), f"{external} sends to {mac:#x}")
            known = {row.tags for row in view.externals if row.port == external.port}
            around = {link.l2_domain for link in view.fabric.links_of[external.switch]}
            inside = {(number,) for (domain, _), number in view.vlan_ids.items() if domain in around}
            for tags in {(), *inside, *((number,) for number in range(4090, 4090 + 1 + len(known)))} - known:
                for mac in (right["eth_dst"], seat.mac, MAC_BROADCAST, *view.router_macs.values()):
                    journey = view.network.inject(right.with_fields(eth_dst=mac).with_vlans(*tags), external.port)
                    yield from _silent(journey, f"{external} sends as {tags}")


def _forged(view: View, choice: Choice, external: ExternalFacts) -> Iterator[Violation]:
    """No packet from outside has an inside address, the edge's, or one that no host can have (RFC 1812, 5.3.7)."""
    if not _knows_inside(view, external):
        return
    sources: list[tuple[End, Address]] = [(external, own.ip) for own in external.addresses]
    sources += ((external, ip_address(text)) for text in _NEVER_A_SOURCE)
    for facts in view.cugs_of[external.routing_domain]:
        for subnet in facts.subnets if facts.settled else ():
            sources += ((facts, subnet.network_address + number) for number in (1, subnet.num_addresses - 2))
        for members in view.members.get(facts.name, {}).values() if facts.settled else ():
            sources += ((members[0], ip) for ip in members[0].ips)
    for end, source in sources:
        tried = {True, False}
        for address, targets in view.seats_with[external.routing_domain].items():
            if address.version != source.version or not view.cugs[targets[0].cug].settled:
                continue
            text = f"{external} sends to {targets[0]} as {source}, which it cannot be"
            for talk in talks(view.policies):
                packet = said(view, external, talk, address, source)
                allowed = decide(view, packet, end, targets[0])
                if allowed in tried:
                    tried.discard(allowed)
                    for mac in (packet["eth_dst"], view.gateway_mac):
                        wrong = packet.with_fields(eth_dst=mac)
                        yield from _silent(inject(view, external, external.port, wrong), text)
        for address in _own_addresses(view, external):
            if address.version == source.version:
                text = f"{external} asks as {source}, which it cannot be"
                ends = view.router_macs[external.switch], neighbour_mac(external), int(address), int(source)
                yield from _silent(inject(view, external, external.port, pinged(*ends, address.version)[0]), text)
                if address.version == 6:
                    asks = make.neighbour_solicitation(neighbour_mac(external), int(source), int(address))
                    yield from _silent(inject(view, external, external.port, asks), text)


def _silent(journey: Journey, text: str) -> Iterator[Violation]:
    """Check that it is dropped and not reported, because what networks outside send is not reported."""
    yield from silence(journey, text, ISOLATION)
    yield from unshown(journey, text)


def _knows_inside(view: View, external: ExternalFacts) -> bool:
    """Whether its edge must have what belongs to CUGs of the routing domain: not before there is a member."""
    return external.settled and any(seat.sends is not None for seat in view.seats_of[external.routing_domain])


def _own_addresses(view: View, external: ExternalFacts) -> Iterator[Address]:
    """Yield what the edge answers pings for: its own, and those of gateways."""
    yield from (own.ip for own in external.addresses)
    for facts in view.cugs_of[external.routing_domain]:
        yield from facts.gateways if facts.settled else ()


_ROUTER: Final = 0x80000000
"""The flag of an advertisement by a router (RFC 4861, 4.4)."""
_NEVER_A_SOURCE: Final = ("0.1.2.3", "127.0.0.1", "224.0.0.1", "240.0.0.1", "::1", "ff02::1")


def _on_the_wire(view: View, external: ExternalFacts) -> Iterator[Violation]:
    """Questions for the edge's own addresses there are answered, and what next hops answer is heard."""
    own, theirs = view.router_macs[external.switch], neighbour_mac(external)
    for interface in external.addresses:
        yield from _probed(view, external, interface)
        for hop in external.next_hops:
            if hop.version != interface.version or hop not in interface.network:
                continue
            mine, its = int(interface.ip), int(hop)
            if hop.version == 4:
                asks, tells = make.arp_request(theirs, its, mine), make.arp_reply(own, mine, theirs, its)
                answer = make.arp_reply(theirs, its, own, mine)
                direct = asks.with_fields(eth_dst=own)
                far = int(interface.network.broadcast_address) + 14
                stranger = inject(view, external, external.port, asks.with_fields(arp_spa=far))
                yield from _silent(stranger, f"{external} asks from an address that is not on this wire")
            else:
                asks = make.neighbour_solicitation(theirs, its, mine)
                tells = advertised(own, mine, theirs, its)
                answer = make.neighbour_advertisement(theirs, its, own, mine)
                direct = asks.with_fields(eth_dst=own, ipv6_dst=mine)
                near = eui64_link_local(theirs)
                others = [make.ping6(own, theirs, mine, its, kind) for kind in (133, 134, 137)]
                pieces = [make.first_fragment(packet) for packet in (*others, asks, direct, answer)]
                hidden = (make.tiny_fragment(others[0]), make.cut_off_chain(others[0]))
                for packet in (*others, make.neighbour_advertisement(theirs, near, own, mine), *pieces, *hidden):
                    journey = inject(view, external, external.port, packet)
                    yield from _silent(journey, f"{external} tells {external.switch} what is not its affair")
            yield from _answered(view, external, inject(view, external, external.port, asks), tells)
            yield from _answered(view, external, inject(view, external, external.port, direct), tells)
            elsewhere = inject(view, external, external.port, direct.with_fields(eth_dst=probes.STRANGER_MAC))
            yield from _silent(elsewhere, f"{external} asks another host")
            ping, pong = pinged(own, theirs, mine, its, hop.version)
            for asked, told in ((ping, pong), *_in_pieces(view, external, ping, pong)):
                yield from _answered(view, external, inject(view, external, external.port, asked), told)
            heard = inject(view, external, external.port, answer)
            yield from nothing(heard, f"the answer of {hop} to {external.switch}")
            if external.settled and len(to_controller(heard)) != 1:
                yield Violation(DELIVERY, f"the controller does not hear {hop} answer, or hears it more than once", heard)
    for version, source in outside_addresses(view, external).items() if _knows_inside(view, external) else ():
        for facts in view.cugs_of[external.routing_domain]:
            for gateway in facts.gateways if facts.settled else ():
                if gateway.version == version:
                    ping, pong = pinged(own, theirs, int(gateway), int(source), version)
                    for asked, told in ((ping, pong), *_in_pieces(view, external, ping, pong)):
                        yield from _answered(view, external, inject(view, external, external.port, asked), told)


def _probed(view: View, external: ExternalFacts, interface: IPv4Interface | IPv6Interface) -> Iterator[Violation]:
    """Check that a host that takes the edge's address learns that it is taken (RFC 5227, 2.1.1; RFC 4862, 5.4)."""
    own, theirs, mine = view.router_macs[external.switch], neighbour_mac(external), int(interface.ip)
    if interface.version == 4:
        probe, told = make.arp_probe(theirs, mine), make.arp_reply(own, mine, theirs, 0)
        other = make.arp_probe(theirs, mine ^ 1)
    else:
        probe = make.neighbour_solicitation(theirs, 0, mine)
        told = probes.told_taken(own, mine, theirs, _ROUTER | make.OVERRIDE)
        other = make.neighbour_solicitation(theirs, 0, mine ^ 1)
        alone = inject(view, external, external.port, probe.with_fields(eth_dst=own))
        yield from _silent(alone, f"{external} asks {external.switch} alone whether an address is taken")
    yield from _answered(view, external, inject(view, external, external.port, probe), told)
    if not any(int(row.ip) == mine ^ 1 for row in external.addresses):
        yield from _silent(inject(view, external, external.port, other), f"{external} asks for an address of another host")


def _in_pieces(view: View, external: ExternalFacts, ping: Packet, pong: Packet) -> list[tuple[Packet, Packet]]:
    return [*in_pieces(ping, pong)] if view.fabric.switches[external.switch].passes_fragments else []


def _answered(view: View, external: ExternalFacts, journey: Journey, answer: Packet) -> Iterator[Violation]:
    """By the switch, or handed to the controller where it can."""
    answers = [row for row in journey.deliveries if row == (external.port, answer.with_vlans(*external.tags))]
    told = to_controller(journey)
    if journey.crossings or len(journey.deliveries) > len(answers):
        yield Violation(ISOLATION, f"a question on the wire of {external} goes further, or is answered wrongly", journey)
    helped = len(told) == 1 and not answers and external.switch in view.plain_edges
    if external.settled and not helped and (told or len(answers) != 1):
        yield Violation(DELIVERY, f"a question on the wire of {external} gets {len(answers)} answers", journey)
