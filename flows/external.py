"""An external network at the edge it hangs on: what may come in, who answers for the edge's own addresses, who is out there."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

from ryu_vmmob.fabric.model import External
from ryu_vmmob.flows.answers import ND_MULTICAST
from ryu_vmmob.flows.base import ETH_IP, tells_of_neighbour
from ryu_vmmob.flows.fields import vid
from ryu_vmmob.flows.flow import Flow, match
from ryu_vmmob.flows.gateway import in_network
from ryu_vmmob.flows.pipeline import OUTSIDE, SCOPE, Priority, Table, metadata, route_priority
from ryu_vmmob.flows.ports import OFF, untagged
from ryu_vmmob.flows.reply import advertised, advertisement, arp_reply, echo_replies, straight_back, taken
from ryu_vmmob.flows.router import router_mac
from ryu_vmmob.flows.routes import onto_wire
from ryu_vmmob.model.objects import Network, RoutingDomain
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import MAC_BROADCAST
from ryu_vmmob.net.protocols import ETH_ARP, ETH_IPV4, ETH_IPV6, ICMPV6, NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION

_ARP_REQUEST, _ARP_REPLY = 1, 2
_NEVER_A_SOURCE: tuple[dict[str, Any], ...] = (
    {"eth_type": ETH_IPV4, "ipv4_src": (0, 0xFF000000)},
    {"eth_type": ETH_IPV4, "ipv4_src": (0x7F000000, 0xFF000000)},
    {"eth_type": ETH_IPV4, "ipv4_src": (0xE0000000, 0xE0000000)},
    {"eth_type": ETH_IPV6, "ipv6_src": (0, (1 << 128) - 2)},  # :: and ::1
    {"eth_type": ETH_IPV6, "ipv6_src": (0xFF << 120, 0xFF << 120)},
)
"""Sources that no packet may have (RFC 1812, 5.3.7; RFC 4291, 2.5)."""


def external_entries(state: State, domain: RoutingDomain, external: External) -> Iterator[Flow]:
    """Everything the edge of ``external`` needs for it, routes of the domain and members apart."""
    at, port = external.attach.switch, external.attach.port
    mine = router_mac(state, at)
    came_in = metadata(scope=SCOPE.of(domain.key), outside=OUTSIDE.of(1))
    for tag, pop in untagged() if external.vlan_id is None else ((vid(external.vlan_id), OFF),):
        yield Flow(Table.INGRESS, Priority.NORMAL, match(in_port=port, vlan_vid=tag), pop, Table.ADMIT, came_in)
    for eth_type in ETH_IP:
        yield Flow(Table.ADMIT, Priority.NORMAL, match(in_port=port, eth_dst=mine, eth_type=eth_type), goto=Table.ANSWER)
    for rule in _NEVER_A_SOURCE:
        yield Flow(Table.ADMIT, Priority.EXCEPTION, match(in_port=port, **rule))
    back = straight_back(external.vlan_id)
    where: dict[str, Any] = {"in_port": port}
    for address in external.addresses:
        ip, network = int(address.ip), address.network
        yield Flow(Table.ADMIT, Priority.EXCEPTION, match(in_port=port, **in_network("src", ip_network(address.ip))))
        yield from echo_replies(where, mine, address.version, ip, back)
        if address.version == 4:
            yield from _arp(where, mine, ip, network)
            for asked in (MAC_BROADCAST, mine):
                yield arp_reply({**where, "eth_dst": asked}, mine, ip, back)
        else:
            yield from _discovery(where, mine, ip, network)
            for asked_at in (ND_MULTICAST, mine):
                yield from list(advertisement(where, asked_at, mine, ip, back, router=True))[:1]
            yield taken(where, ND_MULTICAST, mine, ip, back, router=True)
            yield from advertised(where, mine, ip, back)
    for (name, neighbour), neighbour_mac in state.neighbours.items():
        if name == external.name:
            yield Flow(
                Table.ROUTE,
                route_priority(neighbour.max_prefixlen),
                match(
                    metadata=metadata(scope=SCOPE.of(domain.key), outside=OUTSIDE.of(0)),
                    **in_network("dst", ip_network(neighbour)),
                ),
                onto_wire(state, at, neighbour_mac, port, external.vlan_id),
            )


def _arp(where: dict[str, Any], mine: int, ip: int, network: Network) -> Iterator[Flow]:
    """Questions for our address from the wire's own hosts are answered, and address probes for it, which have no sender
    (RFC 5227, 2.1.1); answers to ours go to the controller.
    """
    arp: dict[str, Any] = {**where, "eth_type": ETH_ARP, "arp_spa": (int(network.network_address), int(network.netmask))}
    yield Flow(Table.ADMIT, Priority.NORMAL, match(**arp, arp_op=_ARP_REQUEST, arp_tpa=ip), goto=Table.ANSWER)
    probe = match(**{**arp, "arp_spa": 0}, arp_op=_ARP_REQUEST, arp_tpa=ip)
    yield Flow(Table.ADMIT, Priority.NORMAL, probe, goto=Table.ANSWER)
    answer = match(**arp, arp_op=_ARP_REPLY, arp_tpa=ip, eth_dst=mine)
    yield tells_of_neighbour(Priority.NORMAL, where["in_port"], answer)


def _discovery(where: dict[str, Any], mine: int, ip: int, network: Network) -> Iterator[Flow]:
    """Yield the same for neighbour discovery; nothing else of it comes in from outside."""
    icmp: dict[str, Any] = {**where, "eth_type": ETH_IPV6, "ip_proto": ICMPV6}
    asks = match(**icmp, icmpv6_type=NEIGHBOUR_SOLICITATION, ipv6_nd_target=ip)
    yield Flow(Table.ADMIT, Priority.SPECIAL, asks, goto=Table.ANSWER)
    # Who takes an address has none yet (RFC 4862, 5.4.2): nothing else may come in from the unspecified one.
    probe = match(**icmp, icmpv6_type=NEIGHBOUR_SOLICITATION, ipv6_src=0, eth_dst=ND_MULTICAST, ipv6_nd_target=ip)
    yield Flow(Table.ADMIT, Priority.OVERRIDING, probe, goto=Table.ANSWER)
    # In the plain dialect no field stands for the target, which OpenFlow 1.3 has no mask for: `punt.outside` looks at it.
    target = (int(network.network_address), int(network.netmask))
    tells = match(**icmp, icmpv6_type=NEIGHBOUR_ADVERTISEMENT, ipv6_nd_target=target, eth_dst=mine)
    yield tells_of_neighbour(Priority.SPECIAL, where["in_port"], tells)
