"""Invariant 13: an edit that leaves a permission alone never interrupts it, in any mixture of switches.

Of a CUG whose subnets, gateways or pins are being edited, the members, the routing domain and the policies may all be as
before. What was allowed then and is allowed now passes, whichever version each switch has.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_vmmob.sim.facts import CugFacts, ExternalFacts
from ryu_vmmob.sim.invariants.choosing import Choice
from ryu_vmmob.sim.invariants.forwarding import route
from ryu_vmmob.sim.invariants.gateway import answered, asked
from ryu_vmmob.sim.invariants.judging import EDITS
from ryu_vmmob.sim.invariants.outside import destinations
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.view import Seat, View, Violation


def edits(view: View) -> Iterator[Violation]:
    """Yield what the members of each CUG that is being edited say to others, hear from them, and ask their gateways."""
    choice = Choice(view)
    for facts in view.cugs.values():
        if facts.settled or not facts.stays:
            continue
        seats = [seat for rows in view.members.get(facts.name, {}).values() for seat in rows if view.live_ports(seat)]
        for seat in {one.switch: one for one in seats if one.sends}.values():
            yield from _gateways(view, seat, facts)
            for target in _others(view, seat):
                for address in target.ips:
                    yield from _passes(view, seat, choice.packets(seat, target, address).allowed)
        for seat in seats:
            for origin in {one.switch: one for one in _others(view, seat) if one.sends}.values():
                for address in seat.ips:
                    yield from _passes(view, origin, choice.packets(origin, seat, address).allowed)
        yield from _outside(view, choice, facts, seats)


def _others(view: View, seat: Seat) -> Iterator[Seat]:
    """Seats in other CUGs of its routing domain that were there in every version."""
    for other in view.seats_of.get(view.routing_domain(seat) or "", ()):
        if other.cug != seat.cug and view.cugs[other.cug].stays and view.live_ports(other):
            yield other


def _gateways(view: View, seat: Seat, facts: CugFacts) -> Iterator[Violation]:
    for gateway in facts.lasting:
        for question, answer in asked(view, seat, gateway):
            yield from answered(view, seat, view.live_ports(seat)[0], question, answer, sure=True, number=EDITS)


def _outside(view: View, choice: Choice, facts: CugFacts, seats: list[Seat]) -> Iterator[Violation]:
    """To and from the external networks of its routing domain, whose addresses no version of a CUG covers."""
    for external in view.externals:
        if facts.routing_domain != external.routing_domain or not view.network.port_up(external.port):
            continue
        for address in destinations(view, external):
            if any(row.ever_covered(address) for row in view.cugs_of[external.routing_domain]):
                continue
            for seat in {one.switch: one for one in seats if one.sends}.values():
                yield from _passes(view, seat, choice.packets(seat, external, address).allowed)
            for seat in seats:
                for own in (ip for ip in seat.ips if ip.version == address.version):
                    yield from _passes(view, external, choice.packets_from(external, address, seat, own).allowed)


def _passes(view: View, origin: Seat | ExternalFacts, packet: Packet | None) -> Iterator[Violation]:
    if packet is not None:
        port = view.live_ports(origin)[0] if isinstance(origin, Seat) else origin.port
        for found in route(view, origin, port, packet):
            yield Violation(EDITS, f"during an edit: {found.text}", found.journey)
