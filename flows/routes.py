"""Routes of an edge: to local interfaces, to the edges of remote ones, and to external networks (R40, R42).

A packet is routed at the edge it comes from and at the edge where it ends, nowhere between (RFC 9135, symmetric). What has come
over the routed segment (`VIA`) is for an interface or an external network here, or is dropped: so no detour is possible,
and no loop, whatever the other edges have just been told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ryu_vmmob.flows.base import ETH_IP, asks_controller, routed_here
from ryu_vmmob.flows.flow import Action, DecTtl, Flow, SetField, ToGroup, match
from ryu_vmmob.flows.gateway import in_network, is_address
from ryu_vmmob.flows.pipeline import (
    HAIRPIN,
    OUTSIDE,
    ROUTED,
    SCOPE,
    SEGMENT,
    VIA,
    Priority,
    Table,
    metadata,
    route_priority,
)
from ryu_vmmob.flows.ports import out
from ryu_vmmob.flows.router import router_mac, to_edge
from ryu_vmmob.flows.segment import next_hop_id, trunks_in
from ryu_vmmob.model.exits import Exit, nearest_exits
from ryu_vmmob.model.objects import Interface, RoutingDomain, Seat
from ryu_vmmob.model.presence import Local, Presence
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import mac


def routing_entries(state: State, domain: RoutingDomain, at: str, local: Local, found: Presence) -> Iterator[Flow]:
    """Flows of a routing domain at a switch that do not depend on its members."""
    yield from (row for row in trunks_in(state, domain, at, local) if isinstance(row, Flow))
    if not local.edge:
        return
    scope = SCOPE.of(domain.key)
    segment = metadata(segment=SEGMENT.of(domain.key), via=VIA.of(1))
    yield from routed_here(router_mac(state, at), *segment)
    if any(row.routing_domain == domain.name for row in state.fabric.externals_of[at]):
        yield from routed_here(router_mac(state, at), *metadata(scope=scope, outside=OUTSIDE.of(1)))
    for eth_type in ETH_IP:
        nowhere = match(metadata=metadata(scope=scope, via=VIA.of(0)), eth_type=eth_type)
        yield asks_controller(Table.ROUTE, Priority.FALLBACK, nowhere)
    for exit_ in nearest_exits(state, domain.name, found.way, at):
        yield _way_out(state, domain, at, exit_)


def transit(state: State, domain: RoutingDomain, edge: str) -> Flow:
    """At any switch that carries the routed segment: one flow for each remote edge, whatever it hosts."""
    return Flow(
        Table.BRIDGE,
        Priority.NORMAL,
        match(metadata=SEGMENT.of(domain.key), eth_dst=router_mac(state, edge)),
        (ToGroup(next_hop_id(state, domain, edge)),),
    )


def _way_out(state: State, domain: RoutingDomain, at: str, exit_: Exit) -> Flow:
    """Members' packets to a prefix outside: by a port here, or over the routed segment to the edge that has one."""
    edge = exit_.external.attach.switch
    scope, member = SCOPE.of(domain.key), OUTSIDE.of(0)
    priority = route_priority(exit_.prefix.prefixlen)
    dst = in_network("dst", exit_.prefix)
    if edge != at:
        first = metadata(scope=scope, outside=member, via=VIA.of(0))
        return Flow(Table.ROUTE, priority, match(metadata=first, **dst), (DecTtl(), *to_edge(state, domain, at, edge)))
    from_inside = metadata(scope=scope, outside=member)
    if exit_.hop is None:
        # On this wire, and not asked for yet: the controller asks, and `neighbour_route` follows.
        return asks_controller(Table.ROUTE, priority, match(metadata=from_inside, **dst))
    hop = state.neighbours[exit_.external.name, exit_.hop]
    return Flow(
        Table.ROUTE,
        priority,
        match(metadata=from_inside, **dst),
        onto_wire(state, at, hop, exit_.external.attach.port, exit_.external.vlan_id),
    )


def onto_wire(state: State, at: str, neighbour_mac: int, port: int, vlan_id: int | None) -> tuple[Action, ...]:
    """Route a packet out of an external port, to a neighbour there."""
    return (
        DecTtl(),
        SetField("eth_src", router_mac(state, at)),
        SetField("eth_dst", neighbour_mac),
        *out(port, vlan_id),
    )


def interface_routes(
    state: State, domain: RoutingDomain, interface: Interface, seats: Sequence[Seat], at: str
) -> Iterator[Flow]:
    """Host routes to one interface at an edge of its routing domain.

    With early delivery a VM that is prepared to move has two places, and a packet goes to both; from the routed segment only
    to the interface here, since the edge that sent it has sent a copy to the other place as well. What comes over the routed
    segment to a place that does not receive any more, or does not yet, was sent by an edge that has it so: it ends here.
    """
    servers, cug = state.fabric.servers, state.cugs[interface.cug]
    open_seats = [seat for seat in seats if state.speaks(cug.name, state.wire(interface, seat.server))]
    edges = {servers[seat.server].switch for seat in open_seats if seat.receives}
    passed = {servers[seat.server].switch for seat in open_seats if seat.passing}
    here, ends_here = at in edges, at in edges | passed
    away = sorted(edges - {at})
    copies = tuple(action for edge in away for action in to_edge(state, domain, at, edge))
    onto_link = (SetField("eth_src", mac(state.fabric.gateway_mac)), SetField("eth_dst", interface.mac))
    arrived = metadata(segment=SEGMENT.of(cug.key), routed=ROUTED.of(1), hairpin=HAIRPIN.of(1))
    scope = SCOPE.of(domain.key)
    for ip in interface.ips:
        if ip.is_link_local:
            continue
        dst = is_address("dst", ip)
        priority = route_priority(ip.max_prefixlen)
        if away:
            first = match(metadata=metadata(scope=scope, via=VIA.of(0)), **dst)
            then = (Table.POLICY_IN, arrived) if here else (None, None)
            yield Flow(Table.ROUTE, priority, first, (DecTtl(), *copies, *(onto_link if here else ())), *then)
        if ends_here:
            last = match(metadata=metadata(scope=scope, via=VIA.of(1)) if away else scope, **dst)
            yield Flow(Table.ROUTE, priority, last, (DecTtl(), *onto_link), Table.POLICY_IN, arrived)
