"""Invariants 2, 5, 6 and 7 for packets of members to other CUGs, to the outside, and to unused addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address, ip_address
from typing import Final

from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim.addresses import eui64_link_local
from ryu_vmmob.sim.facts import Address, CugFacts
from ryu_vmmob.sim.invariants.choosing import (
    Choice,
    doors,
    over_trunks,
    ports_for,
    said,
    senders_at,
    source_address,
    unused,
)
from ryu_vmmob.sim.invariants.forwarding import expire, is_sure, route
from ryu_vmmob.sim.invariants.judging import (
    DELIVERY,
    ISOLATION,
    POLICY,
    TRIANGLE,
    inject,
    nothing,
    silence,
    stays_out,
    to_controller,
    unheard,
)
from ryu_vmmob.sim.packet import DEFAULT_TTL
from ryu_vmmob.sim.policy import decide_by_gateway, talks
from ryu_vmmob.sim.view import Seat, View, Violation
from ryu_vmmob.sim.whereabouts import whereabouts


def routed(view: View) -> Iterator[Violation]:
    """From every edge to every address of the routing domain; from every member to outside and unused ones; by trunks."""
    choice = Choice(view)
    for name, seats in view.seats_of.items():
        by_edge = senders_at(view, seats)
        for senders in by_edge.values():
            yield from _from_edge(view, choice, name, senders)
        yield from _over_trunks(view, choice, name, by_edge)
    for here in senders_at(view, [seat for seat in view.seats if seat.cug in view.cugs]).values():
        for seat in here:
            yield from _out_of_it(view, choice, seat)


def _from_edge(view: View, choice: Choice, name: str, here: Sequence[Seat]) -> Iterator[Violation]:
    expired: set[tuple[str, int, str]] = set()
    for address, targets in view.seats_with[name].items():
        cug = targets[0].cug
        able = [seat for seat in here if seat.cug != cug and source_address(view, seat, address.version) is not None]
        if not able or not view.cugs[cug].settled:
            continue
        # One that may send, and another time one that may not.
        origin = choice.turn([seat for seat in able if seat.sends] or able)
        pair = choice.packets(origin, targets[0], address)
        for port in ports_for(view, choice, origin, targets):
            if pair.allowed is not None:
                yield from route(view, origin, port, pair.allowed)
                ways = {(origin.cug, address.version, target.switch) for target in targets}
                if is_sure(origin) and not ways <= expired:
                    expired |= ways if all(target.receives for target in targets) else set()
                    yield from expire(view, origin, port, pair.allowed)
            if pair.denied is not None:
                yield from route(view, origin, port, pair.denied.with_fields(nw_ttl=choice.turn((64, 1))))


def _out_of_it(view: View, choice: Choice, seat: Seat) -> Iterator[Violation]:
    """Other routing domains, and addresses that no member has. Who must not send at all tries the members as well."""
    port = choice.turn(view.live_ports(seat))
    for address in _elsewhere(view, seat):
        where = whereabouts(view, view.routing_domain(seat), address)
        if where.cug is not None and where.cug.name == seat.cug:
            continue  # the same address means something nearer here, which no router is asked for
        pair = choice.packets(seat, where.end, address)
        if pair.allowed is not None:
            yield from route(view, seat, port, pair.allowed)
            if not where.targets:
                yield from route(view, seat, port, pair.allowed.with_fields(nw_ttl=1))
        if pair.denied is not None:
            # A gateway that routes nothing at all may still say that a packet's time is over.
            for ttl in (DEFAULT_TTL, 1) if view.routing_domain(seat) is not None else (DEFAULT_TTL,):
                yield from route(view, seat, port, pair.denied.with_fields(nw_ttl=ttl))
    yield from _back_into_its_cug(view, seat, port)
    yield from _never_routed(view, choice, seat, port)


def _back_into_its_cug(view: View, seat: Seat, port: PortRef) -> Iterator[Violation]:
    """Yield a member that hands the gateway a packet for its own subnet: routed, so denied where no rule allows it."""
    facts = view.cugs[seat.cug]
    if view.former_policies or not facts.settled or facts.routing_domain is None:
        return
    peers = [seats[0] for owner, seats in view.members[seat.cug].items() if owner != seat.owner]
    ends: list[tuple[Seat | CugFacts, Address]] = [(peer, ip) for peer in peers[:1] for ip in peer.ips]
    ends += ((facts, address) for address in unused(view, facts))
    for end, address in ends:
        src = source_address(view, seat, address.version)
        if src is None:
            continue
        kind = make.ping if address.version == 4 else make.ping6
        error = kind(view.gateway_mac, seat.mac, int(address), int(src), 3 if address.version == 4 else 1)
        for packet in (error, *(said(view, seat, talk, address, src) for talk in talks(view.policies))):
            allowed = decide_by_gateway(view, packet, seat, end)
            if not allowed:
                # A router that took it would have to say that its time is over.
                journey = inject(view, seat, port, packet.with_fields(nw_ttl=1))
                yield from unheard(journey, seat, f"{seat} has no leave to be routed back to {address}", POLICY)
            elif end is facts and seat.sends:
                journey = inject(view, seat, port, packet)
                yield from nothing(journey, f"no member of {seat.cug} has {address}", DELIVERY)
                if not to_controller(journey):
                    text = f"{seat} may be routed back to {address}, which no member has, and no router is asked"
                    yield Violation(DELIVERY, text, journey)


_NEVER: Final = tuple(
    ip_address(text) for text in ("224.0.0.1", "255.255.255.255", "240.0.0.1", "127.0.0.1", "169.254.1.1", "ff02::1", "fe80::1")
)


def _never_routed(view: View, choice: Choice, seat: Seat, port: PortRef) -> Iterator[Violation]:
    """Group, loopback and link-local addresses at the gateway (RFC 1812, 5.3.7; RFC 4291, 2.5), even if any were allowed."""
    text = f"no router forwards this of {seat}"
    for address in _NEVER:
        for packet in choice.packets(seat, None, address):
            if packet is not None:
                yield from unheard(inject(view, seat, port, packet), seat, text, ISOLATION)
    for address in _elsewhere(view, seat) if seat.v6 else ():
        if address.version == 6:
            own = IPv6Address(eui64_link_local(seat.mac))
            end = whereabouts(view, view.routing_domain(seat), address).end
            for packet in choice.packets_from(seat, own, end, address):
                if packet is not None:
                    yield from unheard(inject(view, seat, port, packet), seat, text, ISOLATION)


def _elsewhere(view: View, seat: Seat) -> Iterator[Address]:
    name = view.routing_domain(seat)
    beside = [row for row in view.cugs.values() if row.settled and row.name != seat.cug and row.routing_domain == name]
    for facts in view.cugs.values():
        far = name is None or facts.routing_domain != name
        if facts.settled and facts.name != seat.cug and (far or seat.sends is False):
            yield from next((seats[0].ips for seats in view.members.get(facts.name, {}).values()), ())
    if name is not None and beside:
        yield from unused(view, beside[0])


def _over_trunks(view: View, choice: Choice, name: str, by_edge: dict[str, list[Seat]]) -> Iterator[Violation]:
    """Check what another edge should not have sent: the receiving edge denies it too, and hands on nothing that is
    not for it.
    """
    for edge in by_edge:
        for address, targets in view.seats_with[name].items():
            origin = _other(view, by_edge, edge, targets[0], address)
            if origin is None:
                continue
            here = edge in {target.switch for target in targets}
            pair = choice.packets(origin, targets[0], address)
            if here and pair.denied is not None:
                for port, packet in over_trunks(view, origin, edge, pair.denied):
                    text = f"{targets[0]} is denied this of {origin} by policy at its own edge {edge}"
                    yield from silence(view.network.inject(packet, port), text, POLICY)
            elif not here and pair.allowed is not None:
                for port, packet in over_trunks(view, origin, edge, pair.allowed):
                    text = f"{targets[0]} is not at {edge}, which another edge takes for the last router"
                    yield from nothing(view.network.inject(packet, port), text, TRIANGLE)


def _other(view: View, by_edge: dict[str, list[Seat]], edge: str, target: Seat, address: Address) -> Seat | None:
    """Return a member of another CUG at another edge."""
    for name, seats in by_edge.items():
        for seat in seats if name != edge else ():
            if seat.cug != target.cug and source_address(view, seat, address.version) is not None:
                return seat
    return None


def bypasses(view: View) -> Iterator[Violation]:
    """Invariant 6: no way into a router but the gateway's MAC from a member, and a router's own on the routed segment."""
    for edge, seats in senders_at(view, [seat for seat in view.seats if seat.cug in view.cugs]).items():
        for seat in seats[:2]:
            name = view.routing_domain(seat)
            for target in view.seats_of.get(name or "", ()):
                if target.cug != seat.cug:
                    yield from _bypass(view, seat, edge, target)
                    break


def _bypass(view: View, seat: Seat, edge: str, target: Seat) -> Iterator[Violation]:
    talk = next(iter(talks(view.policies)))
    for dst in target.ips:
        src = source_address(view, seat, dst.version)
        if src is None:
            continue
        packet = said(view, seat, talk, dst, src)
        for router in view.router_macs:
            own = packet.with_fields(eth_dst=view.router_macs[router]).with_vlans(*seat.tags)
            text = f"{seat} sends to {router}'s own MAC"
            for ttl in (DEFAULT_TTL, 1, 0):
                journey = view.network.inject(own.with_fields(nw_ttl=ttl), view.live_ports(seat)[0])
                yield from unheard(journey, seat, text, TRIANGLE)
        for port, tags in doors(view, edge, seat.cug):
            text = f"a frame of {seat.cug} for the gateway enters {port} from another switch"
            yield from stays_out(view.network.inject(packet.with_vlans(*tags), port), text, TRIANGLE)
