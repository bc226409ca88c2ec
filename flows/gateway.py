"""The gateway of a CUG: the same IP and MAC on every edge, answered by the edge of the host that asks (R40, invariant 5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ryu_vmmob.flows.answers import ND_MULTICAST, not_to_claim
from ryu_vmmob.flows.base import asks_controller
from ryu_vmmob.flows.flow import Flow, match
from ryu_vmmob.flows.pipeline import OUTSIDE, SCOPE, SEGMENT, VIA, Priority, Table, metadata, route_priority
from ryu_vmmob.flows.reply import HAIRPINNED, advertised, advertisement, arp_reply, echo_replies, straight_back, taken
from ryu_vmmob.flows.router import router_mac
from ryu_vmmob.model.objects import Address, Cug, Network
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import MAC_BROADCAST, eui64_link_local, mac
from ryu_vmmob.net.protocols import ETH_IPV4, ETH_IPV6, ICMPV6, ROUTER_SOLICITATION


def gateway_on_link(state: State, cug: Cug) -> Iterator[Flow]:
    """At an edge that hosts the CUG: who has the gateway's address, and which routers are there.

    Unlike a member's, a gateway's MAC answers when it is asked directly too: the asker's entry never grows stale.
    """
    gateway_mac = mac(state.fabric.gateway_mac)
    where = {"metadata": SEGMENT.of(cug.key)}
    for ip in cug.gateways:
        if ip.version == 4:
            for asked in (MAC_BROADCAST, gateway_mac):
                yield arp_reply({**where, "eth_dst": asked}, gateway_mac, int(ip), HAIRPINNED)
    v6 = {int(ip) for ip in cug.gateways if ip.version == 6}
    for target in sorted(v6 | {eui64_link_local(gateway_mac)}) if v6 else ():
        for asked_at in (ND_MULTICAST, gateway_mac):
            yield from list(advertisement(where, asked_at, gateway_mac, target, HAIRPINNED, router=True))[:1]
        yield from advertised(where, gateway_mac, target, HAIRPINNED)
        yield taken(where, ND_MULTICAST, gateway_mac, target, HAIRPINNED, router=True)
        yield from not_to_claim(cug, target)
    if v6:
        yield from echo_replies(where, gateway_mac, 6, eui64_link_local(gateway_mac), HAIRPINNED)
        # An advertisement has more in it than a switch can write.
        asks = match(**where, eth_type=ETH_IPV6, ip_proto=ICMPV6, icmpv6_type=ROUTER_SOLICITATION)
        yield asks_controller(Table.ANSWER, Priority.NORMAL, asks)


def gateway_in_scope(state: State, cug: Cug, at: str) -> Iterator[Flow]:
    """At every edge of the routing domain: pings to the gateway, and packets for unused addresses of the CUG."""
    gateway_mac = mac(state.fabric.gateway_mac)
    scope = SCOPE.of(state.scope(cug))
    inside = {"metadata": metadata(scope=scope, outside=OUTSIDE.of(0))}
    for ip in cug.gateways:
        yield from echo_replies(inside, gateway_mac, ip.version, int(ip), HAIRPINNED)
    if cug.routing_domain is None:
        return
    for external in state.fabric.externals_of[at]:
        if external.routing_domain == cug.routing_domain:
            port: dict[str, Any] = {"in_port": external.attach.port, "metadata": scope}
            for ip in cug.gateways:
                yield from echo_replies(port, router_mac(state, at), ip.version, int(ip), straight_back(external.vlan_id))
            for subnet in cug.subnets:
                # No host outside has an address of the inside (RFC 2827).
                yield Flow(Table.ADMIT, Priority.EXCEPTION, match(in_port=external.attach.port, **in_network("src", subnet)))
    for subnet in cug.subnets:
        priority = route_priority(subnet.prefixlen)
        dst = in_network("dst", subnet)
        first = metadata(scope=scope, via=VIA.of(0))
        yield asks_controller(Table.ROUTE, priority, match(metadata=first, **dst))
        # Another edge has taken it to be here; it ends here, and never goes on to another edge or out again (R42).
        yield Flow(Table.ROUTE, priority, match(metadata=metadata(scope=scope, via=VIA.of(1)), **dst))


def is_address(end: str, address: Address) -> dict[str, Any]:
    """Return the match of packets whose source (``src``) or destination (``dst``) is ``address``."""
    return {"eth_type": ETH_IPV4 if address.version == 4 else ETH_IPV6, f"ipv{address.version}_{end}": int(address)}


def in_network(end: str, network: Network) -> dict[str, Any]:
    """Return the match of packets whose source (``src``) or destination (``dst``) is in ``network``."""
    kind = {"eth_type": ETH_IPV4 if network.version == 4 else ETH_IPV6}
    if not network.prefixlen:
        return kind
    value, mask = int(network.network_address), int(network.netmask)
    exact = network.prefixlen == network.max_prefixlen
    return {**kind, f"ipv{network.version}_{end}": value if exact else (value, mask)}
