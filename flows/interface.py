"""One interface of a VM at one switch: the way to it, its delivery, what it may say, and who answers for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ryu_vmmob.flows.admission import admitted, recognised
from ryu_vmmob.flows.answers import answers, own_announcements, unanswered
from ryu_vmmob.flows.flow import IN_PORT, Flow, Match, ToGroup, match
from ryu_vmmob.flows.pipeline import HAIRPIN, ROUTED, SEGMENT, Priority, Table, metadata
from ryu_vmmob.flows.ports import one_after_another, out, tags_at, to_server
from ryu_vmmob.flows.segment import came_from, came_under, into_from, next_hop_id
from ryu_vmmob.model.objects import Cug, Interface, Seat
from ryu_vmmob.model.state import State
from ryu_vmmob.paths.presence import Local, Presence, Wire


def elsewhere(
    state: State, cug: Cug, seats: Sequence[Seat], at: str, found: Presence
) -> tuple[object, ...] | None:
    """What the flows of an interface at a switch where it has no seat depend on, beside the interface; None where it has one.

    Most switches say the same of a VM that is elsewhere, so its flows need to be made only once for all of them.
    """
    if any(state.fabric.servers[seat.server].switch == at for seat in seats):
        return None
    return found.local[at].edge, tuple(_remote(state, cug, seats, at, found)), state.fabric.switches[at].dialect


def interface_flows(
    state: State, cug: Cug, interface: Interface, seats: Sequence[Seat], at: str, found: Presence
) -> Iterator[Flow]:
    """Everything switch ``at`` needs to know of one interface."""
    servers = state.fabric.servers
    here = [
        (seat, wire)
        for seat in seats
        if servers[seat.server].switch == at
        and state.speaks(cug.name, wire := Wire(seat.server, interface.guest_vlan_id))
    ]
    yield from _bridge(state, cug, interface, seats, at, found)
    local = found.local[at]
    yield from _deliver(state, cug, interface, [wire for seat, wire in here if seat.receives], local)
    for seat, wire in here:
        if seat.sends and not seat.receives:
            yield from _answered(state, cug, interface, wire)
    for seat, wire in here:
        server = servers[wire.server]
        if seat.sends or seat.awaited:
            vlan_id = state.wire_vlan_id(cug.name, wire)
            yield from recognised(interface, server, vlan_id, into_from(state, cug, local, server.name, vlan_id))
            yield from admitted(interface, seat, server, came_from(state, cug, local, wire))
        if seat.receives and local.edge:
            yield from unanswered(cug, interface, server, came_from(state, cug, local, wire))
    if any(seat.sends for seat, _ in here):
        yield from own_announcements(cug, interface)
    if local.edge:
        yield from answers(cug, interface)


def _bridge(
    state: State, cug: Cug, interface: Interface, seats: Sequence[Seat], at: str, found: Presence
) -> Iterator[Flow]:
    """(segment, MAC) to every place that receives: during a move that is a multicast on the tree to two of them.

    Two next hops over the same neighbour are one copy until the tree parts (design 5: loop free, no doubles).
    """
    local = any(seat.receives and state.fabric.servers[seat.server].switch == at for seat in seats)
    remote = _remote(state, cug, seats, at, found)
    if local or remote:
        yield Flow(
            Table.BRIDGE,
            Priority.NORMAL,
            match(metadata=SEGMENT.of(cug.key), eth_dst=interface.mac),
            tuple(map(ToGroup, remote)),
            Table.POLICY_IN if local else None,
        )


def _remote(state: State, cug: Cug, seats: Sequence[Seat], at: str, found: Presence) -> list[int]:
    """The groups that lead to the interface's places elsewhere, one for each neighbour that is next."""
    ways: dict[str | None, int] = {}
    for seat in seats:
        edge = state.fabric.servers[seat.server].switch
        if seat.receives and edge != at:
            # Cut off (None), the next hop's group drops: so only groups change when links do.
            ways.setdefault(found.way.next_hop(at, edge), next_hop_id(state, cug, edge))
    return list(ways.values())


def _deliver(state: State, cug: Cug, interface: Interface, wires: Sequence[Wire], local: Local) -> Iterator[Flow]:
    """Out of the port of each server that receives, under the guest's own tag if it has one.

    An answer goes back where the request came from, and so does what a guest there says under another tag. What is routed may
    have to go back there too, and to the VM's other place as well.
    """
    if not wires:
        return
    ways = [to_server(state, cug, wire) for wire in wires]
    yield Flow(
        Table.DELIVER,
        Priority.NORMAL,
        match(metadata=SEGMENT.of(cug.key), eth_dst=interface.mac),
        one_after_another(ways),
    )
    for wire in wires:
        yield from _answered(state, cug, interface, wire)
        others = [actions for other, actions in zip(wires, ways, strict=True) if other is not wire]
        ports = state.fabric.servers[wire.server].attach
        for port in ports:
            if others:
                back = out(IN_PORT, state.wire_vlan_id(cug.name, wire))
                came = metadata(segment=SEGMENT.of(cug.key), hairpin=HAIRPIN.of(1), routed=ROUTED.of(1))
                routed = match(in_port=port.port, metadata=came, eth_dst=interface.mac)
                yield Flow(Table.DELIVER, Priority.EXCEPTION, routed, one_after_another([*others, back]))
            if len(ports) > 1:
                # The switch leaves out the port a frame came from, but not the other ports of its LAG.
                question = _from_port(cug, interface, port.port, hairpin=False)
                yield Flow(Table.DELIVER, Priority.SPECIAL, question, one_after_another(others))
        own = state.wire_vlan_id(cug.name, wire)
        for tag in tags_at(state, cug.name, local, wire.server):
            for port in ports if tag != own else ():
                came = metadata(segment=came_under(cug, tag), hairpin=HAIRPIN.of(0))
                neighbour = match(in_port=port.port, metadata=came, eth_dst=interface.mac)
                yield Flow(Table.DELIVER, Priority.EXCEPTION, neighbour, one_after_another([*others, out(IN_PORT, own)]))


def _answered(state: State, cug: Cug, interface: Interface, wire: Wire) -> Iterator[Flow]:
    """Where an interface may speak and gets nothing yet (a cold move), what it asks is answered all the same: the answer goes
    back out of the port that the question came by.
    """
    for port in state.fabric.servers[wire.server].attach:
        answer = _from_port(cug, interface, port.port, hairpin=True)
        yield Flow(Table.DELIVER, Priority.SPECIAL, answer, out(IN_PORT, state.wire_vlan_id(cug.name, wire)))


def _from_port(cug: Cug, interface: Interface, port: int, *, hairpin: bool) -> Match:
    key, mask = SEGMENT.of(cug.key)
    flag = HAIRPIN.mask if hairpin else 0
    return match(in_port=port, metadata=(key | flag, mask | HAIRPIN.mask), eth_dst=interface.mac)
