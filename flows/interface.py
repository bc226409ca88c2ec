"""One interface of a VM at one switch: the way to it, its delivery, what it may say, and who answers for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ryu_vmmob.fabric.model import Server
from ryu_vmmob.flows.admission import admitted, recognised
from ryu_vmmob.flows.answers import answers, own_announcements
from ryu_vmmob.flows.flow import IN_PORT, Action, Flow, Match, PopVlan, PushVlan, ToGroup, match
from ryu_vmmob.flows.pipeline import HAIRPIN, ROUTED, SEGMENT, Priority, Table, metadata
from ryu_vmmob.flows.ports import out, speaks, to_server
from ryu_vmmob.flows.segment import into, next_hop_id
from ryu_vmmob.model.objects import Cug, Interface, Seat
from ryu_vmmob.model.state import State
from ryu_vmmob.paths.presence import Presence


def interface_flows(
    state: State, cug: Cug, interface: Interface, seats: Sequence[Seat], at: str, found: Presence
) -> Iterator[Flow]:
    """Everything switch ``at`` needs to know of one interface."""
    servers = state.fabric.servers
    places = [(seat, servers[seat.server]) for seat in seats if servers[seat.server].switch == at]
    here = [(seat, server) for seat, server in places if speaks(state, cug, server)]
    yield from _bridge(state, cug, interface, seats, at, found)
    yield from _deliver(state, cug, interface, [server for seat, server in here if seat.receives])
    for seat, server in here:
        if seat.sends or seat.awaited:
            vlan_id = state.vlan_id(cug.name, server.l2_domain)
            yield from recognised(cug, interface, seat, server, vlan_id, into(state, cug))
        if seat.sends:
            yield from admitted(cug, interface, server)
    if any(seat.sends for seat, _ in here):
        yield from own_announcements(cug, interface)
    if found.local[at].edge:
        yield from answers(cug, interface)


def _bridge(
    state: State, cug: Cug, interface: Interface, seats: Sequence[Seat], at: str, found: Presence
) -> Iterator[Flow]:
    """(segment, MAC) to every place that receives: during a move that is a multicast on the tree to two of them.

    Two next hops over the same neighbour are one copy until the tree parts (design 5: loop free, no doubles).
    """
    local = False
    remote: dict[str | None, int] = {}
    for seat in seats:
        edge = state.fabric.servers[seat.server].switch
        if not seat.receives:
            continue
        if edge == at:
            local = True
        else:
            # Cut off (None), the next hop's group drops: so only groups change when links do.
            remote.setdefault(found.way.next_hop(at, edge), next_hop_id(state, cug, edge))
    if local or remote:
        yield Flow(
            Table.BRIDGE,
            Priority.NORMAL,
            match(metadata=SEGMENT.of(cug.key), eth_dst=interface.mac),
            tuple(ToGroup(number) for number in remote.values()),
            Table.POLICY_IN if local else None,
        )


def _deliver(state: State, cug: Cug, interface: Interface, servers: Sequence[Server]) -> Iterator[Flow]:
    """Out of the port of each server that receives; an answer goes back where the request came from.

    What is routed may have to go back there too, and to the VM's other place as well.
    """
    if not servers:
        return
    ways = [to_server(state, cug, server) for server in servers]
    yield Flow(
        Table.DELIVER,
        Priority.NORMAL,
        match(metadata=SEGMENT.of(cug.key), eth_dst=interface.mac),
        _one_after_another(ways),
    )
    for server in servers:
        others = [actions for other, actions in zip(servers, ways, strict=True) if other is not server]
        for port in server.attach:
            answer = _from_port(cug, interface, port.port, hairpin=True)
            yield Flow(
                Table.DELIVER, Priority.SPECIAL, answer, out(IN_PORT, state.vlan_id(cug.name, server.l2_domain))
            )
            if others:
                came = metadata(segment=SEGMENT.of(cug.key), hairpin=HAIRPIN.of(1), routed=ROUTED.of(1))
                routed = match(in_port=port.port, metadata=came, eth_dst=interface.mac)
                back = out(IN_PORT, state.vlan_id(cug.name, server.l2_domain))
                yield Flow(Table.DELIVER, Priority.EXCEPTION, routed, _one_after_another([*others, back]))
            if len(server.attach) > 1:
                # The switch leaves out the port a frame came from, but not the other ports of its LAG.
                question = _from_port(cug, interface, port.port, hairpin=False)
                yield Flow(Table.DELIVER, Priority.SPECIAL, question, _one_after_another(others))


def _from_port(cug: Cug, interface: Interface, port: int, *, hairpin: bool) -> Match:
    key, mask = SEGMENT.of(cug.key)
    flag = HAIRPIN.mask if hairpin else 0
    return match(in_port=port, metadata=(key | flag, mask | HAIRPIN.mask), eth_dst=interface.mac)


def _one_after_another(lists: Sequence[tuple[Action, ...]]) -> tuple[Action, ...]:
    """Several ways out in one action list: a tag put on for one must not show on the next."""
    joined: list[Action] = []
    for number, actions in enumerate(lists):
        if number and isinstance(lists[number - 1][0], PushVlan):
            joined.append(PopVlan())
        joined.extend(actions)
    return tuple(joined)
