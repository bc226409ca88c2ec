"""Answers to ARP requests and neighbour solicitations for members, given by the edge of the host that asks.

Only multicast requests are answered: a unicast probe of a known neighbour asks whether it is alive, and that only it can say.
Address probes are answered too, so that a host that takes a member's address learns it (RFC 5227, 2.1.1; RFC 4862, 5.4).
And none is answered out of the port and the wire behind which the member itself is: an answer bears the member's MAC as its
source, and a server's switch that learns from it would look for the member at the wrong end of its cable.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ryu_vmmob.fabric.model import Server
from ryu_vmmob.flows.flow import Flow, match
from ryu_vmmob.flows.pipeline import CLAIMED, SEGMENT, Priority, Table, metadata
from ryu_vmmob.flows.reply import HAIRPINNED, advertisement, arp_reply, taken
from ryu_vmmob.model.objects import Cug, Interface
from ryu_vmmob.net.addresses import MAC_BROADCAST, eui64_link_local, is_on_link
from ryu_vmmob.net.protocols import ETH_ARP, ETH_IPV6, ICMPV6, NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION

ND_MULTICAST = (0x333300000000, 0xFFFF00000000)


def answers(cug: Cug, interface: Interface) -> Iterator[Flow]:
    """Yield replies in the name of one interface, at an edge where its CUG is present."""
    where = {"metadata": SEGMENT.of(cug.key)}
    for ip in interface.ips:
        if ip.version == 4:
            yield arp_reply({**where, "eth_dst": MAC_BROADCAST}, interface.mac, int(ip), HAIRPINNED)
    for target in solicited(interface):
        yield from advertisement(where, ND_MULTICAST, interface.mac, target, HAIRPINNED)
        yield taken(where, ND_MULTICAST, interface.mac, target, HAIRPINNED)
        yield from not_to_claim(cug, target)


def not_to_claim(cug: Cug, target: int) -> Iterator[Flow]:
    """Yield the refusals of a claim to a link-local address of a member or the gateway: as a source, or in an advertisement.

    Nothing for any other address: those are admitted one by one.
    """
    if is_on_link(target):
        claimed: dict[str, Any] = {
            "metadata": metadata(segment=SEGMENT.of(cug.key), claimed=CLAIMED.of(1)),
            "eth_type": ETH_IPV6,
        }
        yield Flow(Table.ANSWER, Priority.OVERRIDING, match(**claimed, ipv6_src=target), goto=Table.REFUSE)
        tells = {"ip_proto": ICMPV6, "icmpv6_type": NEIGHBOUR_ADVERTISEMENT, "ipv6_nd_target": target}
        yield Flow(Table.ANSWER, Priority.EXCEPTION, match(**claimed, **tells), goto=Table.REFUSE)


def unanswered(cug: Cug, interface: Interface, server: Server, came: tuple[int, int]) -> Iterator[Flow]:
    """Let requests for an interface from the very port and wire behind which it is go on to all others.

    The member has heard the request inside its server, and answers itself. It goes on, because the VM may be at its other place
    at this moment, and hears it there. ``came`` is the metadata of frames of that wire. The plain dialect has the same flows:
    they are above those that hand requests to the controller, which so is not asked.
    """
    for port in server.attach:
        for ip in interface.ips:
            if ip.version == 4:
                asks: dict[str, Any] = {"eth_dst": MAC_BROADCAST, "eth_type": ETH_ARP, "arp_op": 1, "arp_tpa": int(ip)}
                yield _onwards(port.port, came, asks)
        for target in solicited(interface):
            icmp = {"eth_type": ETH_IPV6, "ip_proto": ICMPV6, "icmpv6_type": NEIGHBOUR_SOLICITATION}
            yield _onwards(port.port, came, {"eth_dst": ND_MULTICAST, **icmp, "ipv6_nd_target": target})


def _onwards(port: int, came: tuple[int, int], asks: dict[str, Any]) -> Flow:
    return Flow(Table.ANSWER, Priority.BEHIND, match(in_port=port, metadata=came, **asks), goto=Table.POLICY_OUT)


def solicited(interface: Interface) -> list[int]:
    """IPv6 addresses for which solicitations are answered, the link-local one that is made of the MAC included."""
    v6 = {int(ip) for ip in interface.ips if ip.version == 6}
    return sorted(v6 | {eui64_link_local(interface.mac)}) if v6 else []


def own_announcements(cug: Cug, interface: Interface) -> Iterator[Flow]:
    """Let a gratuitous ARP pass: it asks for its sender's own address, so it is news for the CUG and no question
    (RFC 5227, 3).
    """
    for ip in interface.ips:
        if ip.version == 4:
            yield Flow(
                Table.ANSWER,
                Priority.SPECIAL,
                match(
                    metadata=SEGMENT.of(cug.key),
                    eth_dst=MAC_BROADCAST,
                    eth_type=ETH_ARP,
                    arp_op=1,
                    arp_spa=int(ip),
                    arp_tpa=int(ip),
                ),
                goto=Table.BRIDGE,
            )
