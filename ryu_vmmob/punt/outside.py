"""Frames from the wire of an external network, and what they say of the neighbours there."""

from __future__ import annotations

from ryu_vmmob.fabric.model import External
from ryu_vmmob.frames.content import ARP_REPLY, Arp, NeighbourAdvertisement
from ryu_vmmob.model.objects import Address
from ryu_vmmob.model.routing_domains import NeighbourHeard
from ryu_vmmob.net.addresses import MAC_MULTICAST_BIT
from ryu_vmmob.punt.context import PuntContext, address_of
from ryu_vmmob.punt.errors import names_host
from ryu_vmmob.punt.values import Outcome


def heard(case: PuntContext) -> list[Outcome]:
    """Return the neighbour that an ARP reply or a neighbour advertisement speaks of, if the sender speaks of itself."""
    external, frame = case.external, case.frame
    if external is None:
        return []
    if isinstance(frame.content, Arp) and frame.content.op == ARP_REPLY:
        return _neighbour(case, external, address_of(frame.content.spa, 4), frame.content.sha)
    told = frame.message
    if isinstance(told, NeighbourAdvertisement):
        address = address_of(told.target, 6)
        mac = frame.src if told.link_layer is None else told.link_layer
        known = case.state.neighbours.get((external.name, address))
        # Without the flag a known neighbour's MAC stays what it is (RFC 4861, 7.2.5).
        if told.override or known in (None, mac):
            return _neighbour(case, external, address, mac)
    return []


def _neighbour(case: PuntContext, external: External, address: Address, mac: int) -> list[Outcome]:
    if mac != case.frame.src or mac & MAC_MULTICAST_BIT or not names_host(address, external):
        return []
    return [NeighbourHeard(external.name, address, mac)]
