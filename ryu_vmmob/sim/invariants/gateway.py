"""Invariant 5: a member's gateway answers wherever it is, from its own edge, and from nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.net.protocols import ETH_ARP
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim import probes
from ryu_vmmob.sim.addresses import eui64_link_local
from ryu_vmmob.sim.facts import Address, CugFacts
from ryu_vmmob.sim.invariants.judging import FIRST_HOP, inject, nothing, to_controller, unshown
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.view import Seat, View, Violation

_FAR = 255
"""The TTL of pings, another than that of their answers."""
_OTHER_ICMP = {4: 13, 6: 140}
"""ICMP messages that are not for a router to answer (RFC 792, timestamp; RFC 4620)."""
_ROUTER_FLAG = 0x80000000
"""Of a neighbour advertisement (RFC 4861, 4.4): hosts give up a router that does not show it (7.2.5)."""


def gateways(view: View) -> Iterator[Violation]:
    """Each question to a gateway gets one answer: from the gateway's MAC, out of the asker's port, crossing no link."""
    for seat in view.seats:
        facts = view.cugs.get(seat.cug)
        if facts is None or seat.sends is False:
            continue
        for port in view.live_ports(seat):
            for question, answer in questions(view, seat, replace(facts, gateways=facts.lasting)):
                yield from answered(view, seat, port, question, answer, sure=facts.settled)
                for pieces in in_pieces(question, answer) if view.fabric.switches[seat.switch].passes_fragments else ():
                    yield from answered(view, seat, port, *pieces, sure=facts.settled)
            for question in _not_for_it(view, seat, facts) if facts.settled else ():
                journey = inject(view, seat, port, question)
                if any(row.port == port and not row.packet.same_frame(question) for row in journey.deliveries):
                    yield Violation(FIRST_HOP, f"{seat} gets an answer for an address that no gateway has there", journey)
            if facts.settled and view.may_have_router(seat):
                for packet in probes.to_routers(seat):
                    yield from _solicited(view, seat, port, packet)


def _solicited(view: View, seat: Seat, port: PortRef, packet: Packet) -> Iterator[Violation]:
    """Check what routers say of themselves, which no switch can write: its controller says it, and no member is asked."""
    journey = inject(view, seat, port, packet)
    yield from nothing(journey, f"{seat} asks for routers", FIRST_HOP)
    told = len(to_controller(journey))
    if told > 1 or (seat.sends and told != 1):
        yield Violation(FIRST_HOP, f"the controller hears {told} times that {seat} asks for routers, not once", journey)


def questions(view: View, seat: Seat, facts: CugFacts) -> Iterator[tuple[Packet, Packet]]:
    """(question of a seat for a gateway of its CUG, the answer): group-addressed, and to the gateway alone.

    Gateways of other CUGs in its routing domain are pinged.
    """
    own = view.gateway_mac
    for gateway in facts.gateways:
        yield from asked(view, seat, gateway)
    for gateway in view.gateways_for(seat):
        for address in [ip for ip in seat.ips if ip.version == gateway.version and gateway not in facts.gateways][:1]:
            yield pinged(own, seat.mac, int(gateway), int(address), gateway.version)


def asked(view: View, seat: Seat, gateway: Address) -> Iterator[tuple[Packet, Packet]]:
    """(question of a seat for this gateway of its CUG, the answer): group-addressed, and to the gateway alone."""
    own, target = view.gateway_mac, int(gateway)
    if gateway.version == 4:
        for source in seat.v4:
            asks, tells = make.arp_request(seat.mac, source, target), make.arp_reply(own, target, seat.mac, source)
            yield asks, tells
            yield asks.with_fields(eth_dst=own), tells
            yield pinged(own, seat.mac, target, source, 4)
        if seat.v4:
            yield make.arp_probe(seat.mac, target), make.arp_reply(own, target, seat.mac, 0)
    elif seat.v6:
        for wanted in (target, eui64_link_local(own)):
            tells = probes.told_taken(own, wanted, seat.mac, _ROUTER_FLAG | make.OVERRIDE)
            yield make.neighbour_solicitation(seat.mac, 0, wanted), tells
        for source in {*seat.v6, eui64_link_local(seat.mac), probes.chosen(seat.mac)}:
            for wanted in (target, eui64_link_local(own)):
                asks = make.neighbour_solicitation(seat.mac, source, wanted)
                tells = advertised(own, wanted, seat.mac, source)
                yield asks, tells
                yield asks.with_fields(eth_dst=own, ipv6_dst=wanted), tells
                yield pinged(own, seat.mac, wanted, source, 6)


def _not_for_it(view: View, seat: Seat, facts: CugFacts) -> Iterator[Packet]:
    """Questions for addresses beside those of gateways and members, and for gateways of other routing domains."""
    mac = view.gateway_mac
    for address in view.beside(facts):
        for source in [int(ip) for ip in seat.ips if ip.version == address.version][:1]:
            target = int(address)
            yield pinged(mac, seat.mac, target, source, address.version)[0]
            asks = make.arp_request if address.version == 4 else make.neighbour_solicitation
            yield asks(seat.mac, source, target)
    for gateway in view.gateways_for(seat):
        for source in [int(ip) for ip in seat.ips if ip.version == gateway.version][:1]:
            said = make.ping if gateway.version == 4 else make.ping6
            yield said(mac, seat.mac, int(gateway), source, _OTHER_ICMP[gateway.version])
            if gateway.version == 4:
                yield make.arp_reply(seat.mac, source, mac, int(gateway))
    for other in view.cugs.values():
        far = facts.routing_domain is None or other.routing_domain != facts.routing_domain
        for gateway in other.gateways if far and other.settled and other.name != facts.name else ():
            near = (facts, *view.cugs_of.get(facts.routing_domain or "", ()))
            if not any(row.covers(gateway) for row in near):
                for source in [int(ip) for ip in seat.ips if ip.version == gateway.version][:1]:
                    yield pinged(mac, seat.mac, int(gateway), source, gateway.version)[0]


def pinged(router: int, asker: int, target: int, source: int, version: int) -> tuple[Packet, Packet]:
    """Return (a ping to a router's address, its answer)."""
    said, reply = (make.ping, make.ECHO_REPLY) if version == 4 else (make.ping6, make.ECHO_REPLY_V6)
    return said(router, asker, target, source).with_fields(nw_ttl=_FAR), said(asker, router, source, target, reply)


def in_pieces(question: Packet, answer: Packet) -> Iterator[tuple[Packet, Packet]]:
    """Yield the fragments of a ping, each with what it becomes; nothing of another question."""
    if question["eth_type"] != ETH_ARP and answer.get("icmpv4_type", answer.get("icmpv6_type")) in _PONGS:
        yield from zip(make.fragments(question), make.fragments(answer), strict=True)


_PONGS: Final = (make.ECHO_REPLY, make.ECHO_REPLY_V6)


def advertised(router: int, address: int, to_mac: int, to_ip: int) -> Packet:
    """Return what a router answers to a solicitation for its address."""
    tells = make.neighbour_advertisement(router, address, to_mac, to_ip)
    return tells.with_fields(nd_reserved=tells["nd_reserved"] | _ROUTER_FLAG)


def answered(
    view: View, seat: Seat, port: PortRef, question: Packet, answer: Packet, *, sure: bool, number: int = FIRST_HOP
) -> Iterator[Violation]:
    """Yield a question for a gateway is answered at the asker's edge, or, unless ``sure``, not at all: else ``number`` is
    broken.
    """
    journey = inject(view, seat, port, question)
    told = to_controller(journey)
    right = [row for row in journey.deliveries if row.port == port and row.packet == answer.with_vlans(*seat.tags)]
    if seat.sends:
        yield from unshown(journey, f"{seat} asks for its gateway")
    if journey.crossings:
        yield Violation(FIRST_HOP, f"the question of {seat} for its gateway leaves {seat.switch}", journey)
    if len(right) > 1 or len(journey.deliveries) > len(right):
        yield Violation(FIRST_HOP, f"the question of {seat} for its gateway is delivered, or not answered rightly", journey)
    helped = seat.switch in view.plain_edges and len(told) == 1 and not right
    if told and not helped:
        yield Violation(FIRST_HOP, f"the question of {seat} for its gateway goes to the controller", journey)
    if not right and not helped and seat.sends and sure:
        yield Violation(number, f"the gateway of {seat} does not answer: {question}", journey)
