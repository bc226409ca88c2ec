"""Probes whether a VM is still on its server: requests to its addresses at its port (RFC 1122, 2.3.2.1; RFC 4861, 7.3)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from ryu_vmmob.frames.arp_nd import arp_request, neighbour_solicitation
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import eui64_link_local, mac
from ryu_vmmob.punt.context import gateway_of
from ryu_vmmob.punt.values import PacketOut
from ryu_vmmob.punt.ways import way_to


def ask_vm(state: State, name: str) -> Iterator[PacketOut]:
    """Yield a question for each address of a VM, to its MAC, out of the port of each place that it has; the gateway asks.

    Nothing for a VM that is gone, or has no address.
    """
    vm = state.vms.get(name)
    if vm is None:
        return
    asker = mac(state.fabric.gateway_mac)
    places = [state.fabric.servers[seat.server] for seat in state.seats_of(vm)]
    for server, (number, interface) in product(places, enumerate(vm.interfaces)):
        cug = state.cugs[interface.cug]
        if not state.speaks(cug.name, state.wire(interface, server.name)):
            continue  # it has no number there
        way = way_to(state, cug, vm, number, server)
        for address in interface.ips:
            if address.version == 4:
                gateway = gateway_of(cug, 4)
                frame = arp_request(asker, int(gateway) if gateway is not None else 0, int(address), interface.mac)
            else:
                frame = neighbour_solicitation(asker, eui64_link_local(asker), int(address), interface.mac)
            yield way.carry(frame)
