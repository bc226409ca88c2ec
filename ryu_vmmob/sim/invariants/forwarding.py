"""One routed packet, judged from end to end: invariants 1 to 8 as far as routing has to do with them.

A router here is an edge whose `route` table sent the packet on. There are two at most: the sender's edge, and the one where the
packet leaves; each counts the TTL down once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.flows.flow import tells_controller
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.sim.facts import ExternalFacts, routed_segment
from ryu_vmmob.sim.invariants.judging import (
    DELIVERY,
    FIRST_HOP,
    ISOLATION,
    MACS,
    POLICY,
    PRUNING,
    TRIANGLE,
    VLAN_IDS,
    inject,
    silence,
    to_controller,
    unshown,
)
from ryu_vmmob.sim.network import Delivery, Journey
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.policy import destination, verdict
from ryu_vmmob.sim.switch import TableVisit
from ryu_vmmob.sim.view import Seat, View, Violation
from ryu_vmmob.sim.whereabouts import Whereabouts, whereabouts

Origin = Seat | ExternalFacts


def route(view: View, origin: Origin, port: PortRef, packet: Packet) -> Iterator[Violation]:
    """Yield a packet handed to a router: by the oracle's word it goes where its address is, or nowhere. Its TTL suffices."""
    where = _where(view, origin, packet)
    allowed = verdict(view, packet, origin, where.end)
    journey = inject(view, origin, port, packet)
    if is_sure(origin):
        yield from unshown(journey, f"{origin} may say this")
    if isinstance(origin, Seat) and origin.sends is False:
        yield from silence(journey, f"{origin} must not send any more", ISOLATION)
    elif allowed is False:
        number = ISOLATION if journey.deliveries and not where.targets else POLICY
        yield from silence(journey, f"{origin} may not send this to {_name(where)}", number)
    else:
        yield from judge_route(view, origin, journey, where)
        yield from _arrivals(view, origin, journey, where)
        yield from _expect(view, origin, journey, where, promised=allowed is True and is_sure(origin))


def judge_route(view: View, origin: Origin, journey: Journey, where: Whereabouts) -> Iterator[Violation]:
    """Yield what holds on the way, whatever becomes of it: the routed segment's links and VLAN-IDs, two routers, no loop."""
    if journey.loop:
        yield Violation(DELIVERY, f"a routed packet of {origin} loops", journey)
    segment = routed_segment(view.routing_domain(origin) or "")
    allowed = view.allowed_links.get(segment, frozenset())
    own = view.router_macs.get(origin.switch)
    others = {view.router_macs.get(target.switch) for target in where.targets if target.switch != origin.switch}
    sent = journey.packet
    ways: Counter[tuple[str, str, int]] = Counter()
    for link, sender, packet in journey.crossings:
        ways[link.name, sender, packet["eth_dst"]] += 1
        if view.wire_tags(link.l2_domain, segment) != packet.vlans:
            yield Violation(VLAN_IDS, f"a packet of {segment} is on {link.name} ({link.l2_domain}) as {packet.vlans}", journey)
        if link.name not in allowed:
            yield Violation(PRUNING, f"a packet of {segment} is on {link.name}, which it does not need", journey)
        if packet["eth_dst"] not in others:
            yield Violation(TRIANGLE, f"a packet of {origin} is on {link.name} for a router it need not see", journey)
        if not packet.same_frame(sent.with_fields(eth_src=own or 0, eth_dst=packet["eth_dst"], nw_ttl=sent["nw_ttl"] - 1)):
            yield Violation(MACS, f"a packet of {origin} on {link.name} is not as {origin.switch} ought to route it", journey)
    for (link_name, sender, _), copies in ways.items():
        if copies > 1 and not journey.loop:
            yield Violation(DELIVERY, f"a packet of {origin} leaves {sender} over {link_name} {copies} times", journey)
    yield from _routers(origin, journey, {target.switch for target in where.targets})


def _routers(origin: Origin, journey: Journey, last: Collection[str]) -> Iterator[Violation]:
    routers = [visit.switch for visit in journey.visits if any(map(_sends_on, visit.result.path))]
    if routers and routers[0] != origin.switch:
        yield Violation(FIRST_HOP, f"the first router of {origin} is {routers[0]}", journey)
    for name, times in Counter(routers).items():
        if name != origin.switch and name not in last:
            yield Violation(TRIANGLE, f"{name} routes a packet of {origin} on the way", journey)
        elif times > 1 and not journey.loop:
            yield Violation(TRIANGLE, f"{name} routes a packet of {origin} {times} times", journey)


def _sends_on(step: TableVisit) -> bool:
    flow = step.flow
    if step.table is not Table.ROUTE or flow is None:
        return False
    if flow.goto is Table.PUNT:
        return False
    return flow.goto is not None or not all(map(tells_controller, flow.actions))


def _arrivals(view: View, origin: Origin, journey: Journey, where: Whereabouts) -> Iterator[Violation]:
    for delivery in journey.deliveries:
        here = [one for one in where.targets if delivery.port in _ports(one)]
        target = next((one for one in here if one.tags == delivery.packet.vlans), next(iter(here), None))
        if target is None:
            yield Violation(ISOLATION, f"a packet of {origin} for {_name(where)} is delivered at {delivery.port}", journey)
        else:
            yield from _arrival(view, origin, journey, delivery, target)


def _arrival(view: View, origin: Origin, journey: Journey, delivery: Delivery, target: Origin) -> Iterator[Violation]:
    port, packet = delivery
    sent = journey.packet
    if packet.vlans != target.tags:
        text = f"a packet for {target} is delivered at {port} as {packet.vlans}, not {target.tags}"
        yield Violation(ISOLATION, text, journey)
    ttl = sent["nw_ttl"] - (1 if target.switch == origin.switch else 2)
    if isinstance(target, Seat):
        source, destinations = view.gateway_mac, {target.mac}
    else:
        source, destinations = view.router_macs[target.switch], set(target.macs_for(destination(sent)))
    if packet["eth_src"] != source or packet["eth_dst"] not in destinations:
        yield Violation(MACS, f"a packet for {target} is delivered under the wrong MACs", journey)
    if packet["nw_ttl"] != ttl:
        yield Violation(TRIANGLE, f"the TTL of a packet for {target} is {packet['nw_ttl']} on arrival, not {ttl}", journey)
    if not packet.same_frame(sent.with_fields(eth_src=packet["eth_src"], eth_dst=packet["eth_dst"], nw_ttl=packet["nw_ttl"])):
        yield Violation(MACS, f"a packet for {target} is changed when delivered at {port}", journey)


def _expect(view: View, origin: Origin, journey: Journey, where: Whereabouts, *, promised: bool) -> Iterator[Violation]:
    told = len(to_controller(journey))
    copies = {str(one): sum(port in _ports(one) for port, _ in journey.deliveries) for one in where.targets}
    if not where.targets:
        if told > 1 or (promised and told != 1):
            yield Violation(DELIVERY, f"the controller gets {told} copies of what {origin} sends to no host, not one", journey)
        return
    for seat in where.seats:
        number = copies[str(seat)]
        if promised and surely_receives(view, origin, seat, journey.packet) and not number:
            yield Violation(DELIVERY, f"a packet of {origin} does not reach {seat}", journey)
        if number and seat.receives is False:
            yield Violation(PRUNING, f"a packet of {origin} reaches {seat}, which is closed", journey)
        if number > 1:
            yield Violation(DELIVERY, f"{number} copies of one packet of {origin} are delivered to {seat}", journey)
    shifting = [seat for seat in where.seats if seat.shifts]
    reached = all(view.joined(origin.switch, seat.switch) and view.live_ports(seat) for seat in shifting)
    if shifting and promised and reached and (number := sum(copies[str(seat)] for seat in shifting)) != 1:
        text = f"{number} copies of a packet of {origin} are delivered to {shifting[0].vm}, whose place is changing, not one"
        yield Violation(DELIVERY, text, journey)
    leaving = sum(copies[str(one)] for one in where.exits)
    if leaving > 1:
        yield Violation(DELIVERY, f"{leaving} copies of one packet of {origin} leave the fabric", journey)
    sure = promised and all(surely_receives(view, origin, one, journey.packet) for one in where.targets)
    if sure and where.exits and not leaving:
        yield Violation(DELIVERY, f"a packet of {origin} does not leave by {_name(where)}", journey)
    if told > (0 if sure else 1):
        yield Violation(DELIVERY, f"the controller gets a packet of {origin} for {_name(where)}", journey)


def expire(view: View, origin: Origin, port: PortRef, packet: Packet) -> Iterator[Violation]:
    """Yield a packet that is allowed, with so little TTL that the first router, or the second, must tell the
    controller of it.
    """
    where = _where(view, origin, packet)
    for ttl in (0, 1):
        journey = inject(view, origin, port, packet.with_fields(nw_ttl=ttl))
        yield from _expired(journey, origin, origin.switch)
        if journey.crossings:
            yield Violation(FIRST_HOP, f"a packet of {origin} with TTL {ttl} goes on after the first router", journey)
    switches = {target.switch for target in where.targets}
    sure = all(surely_receives(view, origin, target, packet) for target in where.targets)
    others = switches - {origin.switch}
    if sure and others and not where.exits[1:]:
        journey = inject(view, origin, port, packet.with_fields(nw_ttl=2))
        yield from judge_route(view, origin, journey, where)
        yield from _expired(journey, origin, *sorted(others))


def _expired(journey: Journey, origin: Origin, *routers: str) -> Iterator[Violation]:
    told = sorted(copied.switch for copied in to_controller(journey))
    if any(delivery.port.switch in routers for delivery in journey.deliveries):
        yield Violation(DELIVERY, f"a packet of {origin} is delivered though its TTL is used up", journey)
    if told != list(routers):
        text = f"a packet of {origin} whose TTL is used up at {' and '.join(routers)} is reported by {told}"
        yield Violation(DELIVERY, text, journey)


def is_sure(origin: Origin) -> bool:
    """Whether a sender's packets have to be admitted."""
    return origin.sends is True if isinstance(origin, Seat) else origin.settled


def surely_receives(view: View, origin: Origin, target: Origin, packet: Packet) -> bool:
    """Whether a packet that is allowed has to arrive there."""
    if not view.joined(origin.switch, target.switch):
        return False
    if isinstance(target, Seat):
        return target.receives is True and bool(view.live_ports(target))
    return target.settled and bool(target.macs_for(destination(packet)))


def _where(view: View, origin: Origin, packet: Packet) -> Whereabouts:
    return whereabouts(view, view.routing_domain(origin), destination(packet))


def _ports(target: Origin) -> tuple[PortRef, ...]:
    return target.ports if isinstance(target, Seat) else (target.port,)


def _name(where: Whereabouts) -> str:
    return " or ".join(map(str, where.targets)) or "no host"
