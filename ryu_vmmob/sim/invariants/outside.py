"""External networks: what comes in from them, what leaves by them, and what must do neither (invariants 1, 2, 6, 7)."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim.facts import Address, ExternalFacts
from ryu_vmmob.sim.invariants.choosing import Choice, neighbour_mac, said, senders_at, source_address
from ryu_vmmob.sim.invariants.forwarding import expire, is_sure, route
from ryu_vmmob.sim.invariants.judging import DELIVERY, ISOLATION, inject, nothing, silence, to_controller
from ryu_vmmob.sim.network import Journey
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.policy import Talk
from ryu_vmmob.sim.routing import outside_addresses, whereabouts
from ryu_vmmob.sim.view import Seat, View, Violation


def outside(view: View) -> Iterator[Violation]:
    """In from every external to every member, out from every edge to every external, and never through."""
    choice = Choice(view)
    for external in view.externals:
        seats = view.seats_of.get(external.routing_domain)
        if seats and view.network.port_up(external.port):
            yield from _coming_in(view, choice, external)
            yield from _going_out(view, choice, external, senders_at(view, seats))
            yield from _uninvited(view, external, seats[0])
            yield from _on_the_wire(view, external)


def destinations(view: View, external: ExternalFacts) -> Iterator[Address]:
    """What members may send to there: an address behind each family's next hops, and the next hops themselves."""
    yield from outside_addresses(view, external).values()
    for hop in external.next_hops:
        if external in whereabouts(view, external.routing_domain, hop).exits:
            yield hop


def _coming_in(view: View, choice: Choice, external: ExternalFacts) -> Iterator[Violation]:
    expired: set[int] = set()
    for address, targets in view.seats_with[external.routing_domain].items():
        if not view.cugs[targets[0].cug].settled:
            continue
        pair = choice.packets(external, targets[0], address)
        if pair.allowed is not None:
            yield from route(view, external, external.port, pair.allowed)
            if is_sure(external) and address.version not in expired:
                expired.add(address.version)
                yield from expire(view, external, external.port, pair.allowed)
        if pair.denied is not None:
            yield from route(view, external, external.port, pair.denied)


def _going_out(
    view: View, choice: Choice, external: ExternalFacts, by_edge: dict[str, list[Seat]]
) -> Iterator[Violation]:
    for seats in by_edge.values():
        for address in destinations(view, external):
            able = [seat for seat in seats if source_address(view, seat, address.version) is not None]
            if able:
                origin = choice.turn([seat for seat in able if seat.sends] or able)
                port = choice.turn(view.live_ports(origin))
                for packet in choice.packets(origin, external, address):
                    if packet is not None:
                        yield from route(view, origin, port, packet)


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
                yield from silence(inject(view, external, external.port, wrong), f"{external} sends to {mac:#x}", ISOLATION)
            known = {row.tags for row in view.externals if row.port == external.port}
            for tags in {(), *((number,) for number in range(4090, 4090 + 1 + len(known)))} - known:
                journey = view.network.inject(right.with_vlans(*tags), external.port)
                yield from silence(journey, f"{external} sends as {tags}", ISOLATION)
    yield from _forged(view, external)


def _forged(view: View, external: ExternalFacts) -> Iterator[Violation]:
    """Every subnet of the routing domain, from outside, to a member of it."""
    for facts in view.cugs_of[external.routing_domain]:
        if facts.settled and external.settled:
            for subnet in facts.subnets:
                for address, targets in view.seats_with[external.routing_domain].items():
                    if address.version == subnet.version:
                        for source in (subnet.network_address + 1, subnet.network_address + (subnet.num_addresses - 2)):
                            packet = said(view, external, Talk(make.UDP, 9), address, source)
                            text = f"{external} sends to {targets[0]} as {source}, which is inside"
                            yield from silence(inject(view, external, external.port, packet), text, ISOLATION)
                        break


def _on_the_wire(view: View, external: ExternalFacts) -> Iterator[Violation]:
    """Questions for the edge's own addresses there are answered, and what next hops answer is heard."""
    own, theirs = view.router_macs[external.switch], neighbour_mac(external)
    for interface in external.addresses:
        for hop in external.next_hops:
            if hop.version != interface.version or hop not in interface.network:
                continue
            mine, its = int(interface.ip), int(hop)
            if hop.version == 4:
                asks, tells = make.arp_request(theirs, its, mine), make.arp_reply(own, mine, theirs, its)
                answer = make.arp_reply(theirs, its, own, mine)
            else:
                asks = make.neighbour_solicitation(theirs, its, mine)
                tells = make.neighbour_advertisement(own, mine, theirs, its)
                answer = make.neighbour_advertisement(theirs, its, own, mine)
            yield from _answered(view, external, inject(view, external, external.port, asks), tells)
            heard = inject(view, external, external.port, answer)
            yield from nothing(heard, f"the answer of {hop} to {external.switch}")
            if external.settled and len(to_controller(heard)) != 1:
                yield Violation(DELIVERY, f"the controller does not hear {hop} answer, or hears it more than once", heard)


def _answered(view: View, external: ExternalFacts, journey: Journey, answer: Packet) -> Iterator[Violation]:
    """By the switch, or handed to the controller; the router flag of an advertisement is free."""
    answers = [row for row in journey.deliveries if row.port == external.port and _same(row.packet, answer, external)]
    told = to_controller(journey)
    if journey.crossings or len(journey.deliveries) > len(answers):
        yield Violation(ISOLATION, f"a question on the wire of {external} goes further, or is answered wrongly", journey)
    if external.settled and len(answers) + len(told) != 1:
        yield Violation(DELIVERY, f"a question on the wire of {external} gets {len(answers)} answers", journey)


def _same(packet: Packet, answer: Packet, external: ExternalFacts) -> bool:
    if "nd_reserved" in answer.fields and "nd_reserved" in packet.fields:
        packet = packet.with_fields(nd_reserved=packet["nd_reserved"] & 0x7FFFFFFF)
    return packet == answer.with_vlans(*external.tags)


