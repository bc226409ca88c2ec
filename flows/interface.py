"""One interface of a VM at one switch: forwarding to it, delivery, admission, and answers in its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ryu_vmmob.fabric.model import Server
from ryu_vmmob.flows.admission import admitted, recognised
from ryu_vmmob.flows.answers import answers, own_announcements, unanswered
from ryu_vmmob.flows.flow import IN_PORT, Action, Flow, Match, ToGroup, match
from ryu_vmmob.flows.passing import Passing, passing
from ryu_vmmob.flows.pipeline import HAIRPIN, ROUTED, SEGMENT, WIRE, Priority, Table, metadata
from ryu_vmmob.flows.ports import one_after_another, out, tags_at, to_vnic
from ryu_vmmob.flows.segment import came_from, came_under, into, into_from, next_hop_id
from ryu_vmmob.model.objects import Cug, Interface, Seat, Vm
from ryu_vmmob.model.presence import Local, Presence
from ryu_vmmob.model.state import State


def elsewhere(state: State, cug: Cug, seats: Sequence[Seat], at: str, found: Presence) -> tuple[object, ...] | None:
    """Return what the flows of an interface at a switch where it has no seat depend on, beside the interface; None where it has
    one.

    Most switches say the same of a VM that is elsewhere, so its flows need to be made only once for all of them.
    """
    if any(state.fabric.servers[seat.server].switch == at for seat in seats):
        return None
    ways = tuple(_remote(state, cug, seats, at, found))
    return found.local[at].edge, ways, passing(state, seats, at, found), state.fabric.switches[at].dialect


def interface_flows(
    state: State, cug: Cug, vm: Vm, number: int, seats: Sequence[Seat], at: str, found: Presence
) -> Iterator[Flow]:
    """Everything switch ``at`` needs to know of interface ``number`` of ``vm``."""
    servers, interface = state.fabric.servers, vm.interfaces[number]
    here = [
        (seat, Place(servers[seat.server], state.vnic_vlan_id(vm, number, seat.server)))
        for seat in seats
        if servers[seat.server].switch == at and state.speaks(cug.name, state.wire(interface, seat.server))
    ]
    yield from _bridge(state, cug, interface, seats, at, found)
    local = found.local[at]
    yield from _deliver(state, cug, vm, number, here, local)
    for seat, place in here:
        if seat.sends and not seat.receives:
            yield from _answered(cug, interface, place)
    for seat, (server, tag) in here:
        wire = state.wire(interface, server.name)
        came = came_under(cug, tag) if server.per_interface else came_from(state, cug, local, wire)
        if seat.sends or seat.awaited:
            own = metadata(cug=into(state, cug), wire=WIRE.of(tag or 0))
            goes = own if server.per_interface else into_from(state, cug, local, server.name, tag)
            yield from recognised(interface, server, tag, goes)
            yield from admitted(interface, seat, server, came)
        if seat.receives and local.edge:
            yield from unanswered(cug, interface, server, came)
    if any(seat.sends for seat, _ in here):
        yield from own_announcements(cug, interface)
    if local.edge:
        yield from answers(cug, interface)


class Place(NamedTuple):
    """Where an interface has a seat at this switch, and the tag of its frames there (None: none)."""

    server: Server
    tag: int | None


def _bridge(state: State, cug: Cug, interface: Interface, seats: Sequence[Seat], at: str, found: Presence) -> Iterator[Flow]:
    """(segment, MAC) to every place that receives: of an early delivery that is a multicast on the tree to two of them.

    Two next hops over the same neighbour are one copy until the tree parts (invariant 8). Frames that pass
    by towards a place that does not receive go on (`passing`).
    """
    local = any(seat.receives and state.fabric.servers[seat.server].switch == at for seat in seats)
    remote = _remote(state, cug, seats, at, found)
    where: dict[str, Any] = {"metadata": SEGMENT.of(cug.key), "eth_dst": interface.mac}
    if local or remote:
        to_here = Table.POLICY_IN if local else None
        yield Flow(Table.BRIDGE, Priority.NORMAL, match(**where), tuple(map(ToGroup, remote)), to_here)
    match passing(state, seats, at, found):
        case Passing(ports, edge):
            onwards = () if edge is None else (ToGroup(next_hop_id(state, cug, edge)),)
            for port in ports:
                came = match(in_port=port, **where)
                yield Flow(Table.BRIDGE, Priority.SPECIAL, came, onwards, Table.POLICY_IN if edge is None else None)


def _remote(state: State, cug: Cug, seats: Sequence[Seat], at: str, found: Presence) -> list[int]:
    """Return the groups that lead to the interface's places elsewhere, one for each neighbour that is next."""
    ways: dict[str | None, int] = {}
    for seat in seats:
        edge = state.fabric.servers[seat.server].switch
        if seat.receives and edge != at:
            # Cut off (None), the next hop's group drops: so only groups change when links do.
            ways.setdefault(found.way.next_hop(at, edge), next_hop_id(state, cug, edge))
    return list(ways.values())


def _deliver(state: State, cug: Cug, vm: Vm, number: int, here: Sequence[tuple[Seat, Place]], local: Local) -> Iterator[Flow]:
    """Out of the port of each server that receives, under the tag of the interface there.

    An answer goes back where the request came from, and so does what a neighbour says under another tag. What is routed may
    have to go back there too, and to the VM's other place as well. Where the VM only used to be, or is yet to be, what has been
    sent there all the same is carried to the end.
    """
    interface = vm.interfaces[number]
    receiving = [place for seat, place in here if seat.receives]
    places = receiving or [place for seat, place in here if seat.passing]
    if not places:
        return
    ways = [to_vnic(state, cug, vm, number, place.server) for place in places]
    yield Flow(
        Table.DELIVER,
        Priority.NORMAL,
        match(metadata=SEGMENT.of(cug.key), eth_dst=interface.mac),
        one_after_another(ways),
    )
    for place in receiving:
        server, own = place
        for port in server.attach:
            back = _from_port(cug, interface, port.port, hairpin=True)
            yield Flow(Table.DELIVER, Priority.SPECIAL, back, out(IN_PORT, own))
        others = [actions for other, actions in zip(places, ways, strict=True) if other is not place]
        for port in server.attach:
            if others:
                came = metadata(segment=SEGMENT.of(cug.key), hairpin=HAIRPIN.of(1), routed=ROUTED.of(1))
                routed = match(in_port=port.port, metadata=came, eth_dst=interface.mac)
                yield Flow(Table.DELIVER, Priority.EXCEPTION, routed, one_after_another([*others, out(IN_PORT, own)]))
            if server.per_interface:
                yield from _neighbours(cug, interface, port.port, own, others)
            elif len(server.attach) > 1:
                # The switch leaves out the port a frame came from, but not the other ports of its LAG.
                question = _from_port(cug, interface, port.port, hairpin=False)
                yield Flow(Table.DELIVER, Priority.SPECIAL, question, one_after_another(others))
        for tag in tags_at(state, cug.name, local, server.name):
            for port in server.attach if tag != own else ():
                came = metadata(segment=came_under(cug, tag), hairpin=HAIRPIN.of(0))
                neighbour = match(in_port=port.port, metadata=came, eth_dst=interface.mac)
                yield Flow(Table.DELIVER, Priority.EXCEPTION, neighbour, one_after_another([*others, out(IN_PORT, own)]))


def _neighbours(
    cug: Cug, interface: Interface, port: int, own: int | None, others: Sequence[tuple[Action, ...]]
) -> Iterator[Flow]:
    """Send back what other vNICs of the cable say to this one, under its number; drop what has its own number.

    Guests that send the same tag themselves have one number, and have met inside the server.
    """
    yield Flow(
        Table.DELIVER,
        Priority.SPECIAL,
        _from_port(cug, interface, port, hairpin=False),
        one_after_another([*others, out(IN_PORT, own)]),
    )
    itself = metadata(segment=came_under(cug, own), hairpin=HAIRPIN.of(0))
    came = match(in_port=port, metadata=itself, eth_dst=interface.mac)
    yield Flow(Table.DELIVER, Priority.EXCEPTION, came, one_after_another(others))


def _answered(cug: Cug, interface: Interface, place: Place) -> Iterator[Flow]:
    """Where an interface may speak and gets nothing yet (a place that is prepared), what it asks is answered all the same: the
    answer goes back out of the port that the question came by. What a neighbour there says to it over the gateway is none: that
    goes where the interface gets its packets.
    """
    for port in place.server.attach:
        came = metadata(segment=SEGMENT.of(cug.key), hairpin=HAIRPIN.of(1), routed=ROUTED.of(0))
        answer = match(in_port=port.port, metadata=came, eth_dst=interface.mac)
        yield Flow(Table.DELIVER, Priority.SPECIAL, answer, out(IN_PORT, place.tag))


def _from_port(cug: Cug, interface: Interface, port: int, *, hairpin: bool) -> Match:
    key, mask = SEGMENT.of(cug.key)
    flag = HAIRPIN.mask if hairpin else 0
    return match(in_port=port, metadata=(key | flag, mask | HAIRPIN.mask), eth_dst=interface.mac)
