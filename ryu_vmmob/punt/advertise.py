"""Router advertisements of a CUG's gateway (RFC 4861, 6.2): on request, and every few minutes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ryu_vmmob.flows.ports import to_wire, unmarked
from ryu_vmmob.frames.arp_nd import router_advertisement
from ryu_vmmob.model.objects import Cug
from ryu_vmmob.model.presence import Wire
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import eui64_link_local, mac
from ryu_vmmob.punt.values import PacketOut
from ryu_vmmob.punt.ways import way_to

LIFETIME: Final = 1800
"""Seconds for which hosts may use the gateway as their default router after each advertisement (RFC 4861, 6.2.1)."""


def router_advertisement_of(state: State, cug: Cug, to_mac: int = 0, to_ip: int = 0) -> bytes:
    """Return the advertisement of a CUG's gateway, to one host or to all nodes.

    A CUG without a routing domain has a gateway that leads nowhere: it is no default router, and tells of the prefix only.
    """
    gateway_mac = mac(state.fabric.gateway_mac)
    prefixes = [(int(row.network_address), row.prefixlen) for row in cug.subnets if row.version == 6]
    lifetime = LIFETIME if cug.routing_domain is not None else 0
    mode = cug.ipv6_ra_mode
    return router_advertisement(
        gateway_mac, eui64_link_local(gateway_mac), prefixes, lifetime, to_mac=to_mac, to_ip=to_ip,
        managed=mode == "dhcpv6_stateful", other=mode in ("dhcpv6_stateful", "dhcpv6_stateless"),
        autonomous=mode in ("slaac", "dhcpv6_stateless"),
    )  # fmt: skip


def advertisements(state: State, switch: str) -> Iterator[PacketOut]:
    """Yield the advertisements that are due at an edge: one for each CUG with IPv6 at each of its servers, under each tag it
    has there.

    Where a multicast could not be told apart, each member gets its own.
    """
    vms = (state.vms[name] for server in state.fabric.servers_of[switch] for name in state.server_vms.get(server.name, ()))
    for name in sorted({interface.cug for vm in vms for interface in vm.interfaces}):
        cug, local = state.cugs[name], state.presences[name].local[switch]
        if not any(ip.version == 6 for ip in cug.gateways):
            continue
        wires = [wire for wire in local.wires if state.speaks(name, wire)]
        for actions in dict.fromkeys(to_wire(state, cug, wire) for wire in wires if wire in local.flooded):
            yield PacketOut(switch, unmarked(actions), router_advertisement_of(state, cug))
        for wire in wires:
            if wire not in local.flooded:
                yield from _to_each(state, cug, wire)


def _to_each(state: State, cug: Cug, wire: Wire) -> Iterator[PacketOut]:
    server = state.fabric.servers[wire.server]
    for vm_name in state.server_vms.get(server.name, ()):
        vm = state.vms[vm_name]
        if not any(seat.receives and seat.server == server.name for seat in state.seats_of(vm)):
            continue
        for number, interface in enumerate(vm.interfaces):
            if (interface.cug, state.wire(interface, server.name)) == (cug.name, wire) and any(
                ip.version == 6 for ip in interface.ips
            ):
                # Which link-local address it has, it may have chosen itself: what is for all nodes goes to its MAC.
                frame = interface.mac.to_bytes(6) + router_advertisement_of(state, cug)[6:]
                yield way_to(state, cug, vm, number, server).carry(frame)
