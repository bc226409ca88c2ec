"""Admission: an interface may send with its own MAC and addresses only, in ARP and neighbour discovery too (invariant 1, R49).

Nothing else passes: any other source but an unassigned link-local address, any other Ethernet type that it was not given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ryu_vmmob.fabric.model import Server
from ryu_vmmob.flows.answers import ND_MULTICAST
from ryu_vmmob.flows.fields import vid
from ryu_vmmob.flows.flow import Copy, Flow, match
from ryu_vmmob.flows.pipeline import CLAIMED, Meter, Priority, Table, meter_id
from ryu_vmmob.flows.ports import OFF, untagged
from ryu_vmmob.model.objects import Interface, Seat
from ryu_vmmob.net.addresses import MAC_BROADCAST, MAC_MULTICAST_BIT, ON_LINK, eui64_link_local
from ryu_vmmob.net.protocols import (
    ETH_ARP,
    ETH_IPV4,
    ETH_IPV6,
    ETH_RARP,
    ETH_TAGS,
    ICMPV6,
    NEIGHBOUR_ADVERTISEMENT,
    NEIGHBOUR_SOLICITATION,
    REDIRECT,
    ROUTER_ADVERTISEMENT,
    ROUTER_SOLICITATION,
    UDP,
)

_DHCP_CLIENT, _DHCP_SERVER = 68, 67
_MLD_V1_REPORT, _MLD_V2_REPORT = 131, 143
_RARP_REQUEST = 3
COPIED = 128
"""Bytes of a frame that the controller gets to see when a VM is awaited or watched: its Ethernet header would do."""


def admitted(interface: Interface, seat: Seat, server: Server, came: tuple[int, int]) -> Iterator[Flow]:
    """Yield what one interface may send at one place where it may send; ``came`` is the metadata that its frames have there.

    While the VM is awaited there, the controller sees what is allowed, and no more (`Meter.AWAITED`): so no frame that
    admission refuses makes a VM arrive. Where it may not send yet, the controller sees what will be allowed. Where a VM is
    only watched, it sees broadcasts and multicasts only, as announcements are: a VM may be watched for long.
    """
    for port in server.attach:
        copy = (Copy(COPIED, meter_id(Meter.AWAITED, port.port)),) if seat.awaited else ()
        common: dict[str, Any] = {
            "in_port": port.port,
            "metadata": came,
            "eth_src": interface.mac,
        }
        for rule in _rules(interface):
            onwards = rule.then if seat.sends else Table.REFUSE
            fields = match(**common, **rule.fields)
            claims = CLAIMED.of(1) if rule.is_claim else None
            yield Flow(Table.ADMIT, rule.priority, fields, copy if rule.is_own else (), onwards, claims)
            if seat.watched and rule.is_own:
                shown = (Copy(COPIED, meter_id(Meter.WATCHED, port.port)),)
                to_all = match(**common, **rule.fields, eth_dst=(MAC_MULTICAST_BIT, MAC_MULTICAST_BIT))
                yield Flow(Table.ADMIT, rule.priority + 1, to_all, shown, onwards, claims)


def recognised(interface: Interface, server: Server, vlan_id: int | None, into: tuple[int, int]) -> Iterator[Flow]:
    """Return the classification of an interface on an untagged port by its source MAC, since no tag tells the segment (R23).

    ``vlan_id`` is its guest's own tag, ``into`` the metadata of its CUG.
    """
    for port in server.attach if not server.tagged else ():
        for tag, pop in untagged() if vlan_id is None else ((vid(vlan_id), OFF),):
            fields = match(in_port=port.port, vlan_vid=tag, eth_src=interface.mac)
            yield Flow(Table.INGRESS, Priority.NORMAL, fields, pop, Table.ADMIT, into)


class _Rule(NamedTuple):
    """What becomes of some frames of an interface. ``is_own``: they say nothing but what the interface may say of itself;
    ``is_claim``: unless the link-local address in them is another's.
    """

    priority: Priority
    fields: dict[str, Any]
    then: Table = Table.ANSWER
    is_own: bool = True
    is_claim: bool = False


def _rules(interface: Interface) -> Iterator[_Rule]:
    """Everything there is to say about one interface."""
    v4 = [int(ip) for ip in interface.ips if ip.version == 4]
    v6 = [int(ip) for ip in interface.ips if ip.version == 6]
    mac = interface.mac
    # What a hypervisor says for a guest that has arrived asks for the guest's own MAC (RFC 903), and names no other.
    yield _Rule(Priority.NORMAL, {"eth_type": ETH_RARP, "arp_op": _RARP_REQUEST, "arp_sha": mac, "arp_tha": mac})
    yield from _other_types(interface)
    if v4:
        yield from _v4_rules(mac, v4)
    if v6:
        yield from _v6_rules(mac, sorted({*v6, eui64_link_local(mac)}))


def _other_types(interface: Interface) -> Iterator[_Rule]:
    """Yield what else it may send inside its CUG: it is bridged, and no policy's business. What has rules of its own keeps to
    them, and a second tag is never passed: where the first is taken off, it would be another's VLAN-ID.
    """
    if interface.ethertypes != "any":
        for kind in interface.ethertypes:
            yield _Rule(Priority.NORMAL, {"eth_type": kind})
        return
    yield _Rule(Priority.LAST, {})
    for kind in (ETH_ARP, ETH_RARP, ETH_IPV4, ETH_IPV6, *ETH_TAGS):
        yield _Rule(Priority.FALLBACK, {"eth_type": kind}, Table.REFUSE, is_own=False)


def _v4_rules(mac: int, addresses: Sequence[int]) -> Iterator[_Rule]:
    probe = {"eth_type": ETH_ARP, "arp_sha": mac, "arp_spa": 0, "arp_op": 1}
    for ip in addresses:
        yield _Rule(Priority.NORMAL, {"eth_type": ETH_ARP, "arp_sha": mac, "arp_spa": ip})
        # All members are asked whether the address is free, and no switch answers in the asker's own place.
        yield _Rule(Priority.SPECIAL, {**probe, "arp_tpa": ip}, Table.BRIDGE)
        yield _Rule(Priority.NORMAL, {"eth_type": ETH_IPV4, "ipv4_src": ip})
    # Whether an address that is not its own is taken, a guest may ask, and learns it where it is.
    yield _Rule(Priority.NORMAL, {**probe, "eth_dst": MAC_BROADCAST}, is_own=False)
    yield _Rule(
        Priority.NORMAL,
        {"eth_type": ETH_IPV4, "ipv4_src": 0, "ip_proto": UDP, "udp_src": _DHCP_CLIENT, "udp_dst": _DHCP_SERVER},
    )


def _v6_rules(mac: int, addresses: Sequence[int]) -> Iterator[_Rule]:
    """Yield the rules of IPv6. A link-layer option has the interface's own MAC or is absent (zero to the switch)."""
    icmp = {"eth_type": ETH_IPV6, "ip_proto": ICMPV6}
    probe = {**icmp, "ipv6_src": 0, "icmpv6_type": NEIGHBOUR_SOLICITATION}
    for ip in addresses:
        yield _Rule(Priority.NORMAL, {"eth_type": ETH_IPV6, "ipv6_src": ip})
        yield _Rule(Priority.OVERRIDING, {**probe, "ipv6_nd_target": ip}, Table.BRIDGE)
        for option in (mac, 0):
            asks = {**icmp, "ipv6_src": ip, "icmpv6_type": NEIGHBOUR_SOLICITATION, "ipv6_nd_sll": option}
            yield _Rule(Priority.EXCEPTION, asks)
            tells = {**icmp, "ipv6_src": ip, "icmpv6_type": NEIGHBOUR_ADVERTISEMENT, "ipv6_nd_target": ip}
            yield _Rule(Priority.EXCEPTION, {**tells, "ipv6_nd_tll": option})
    yield _Rule(Priority.EXCEPTION, {**probe, "eth_dst": ND_MULTICAST}, is_own=False)
    yield from _claims(mac)
    # Any other solicitation or advertisement is a lie; and a VM is no router, so it announces none (RFC 6105).
    for kind in (NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT, ROUTER_ADVERTISEMENT, REDIRECT):
        yield _Rule(Priority.SPECIAL, {**icmp, "icmpv6_type": kind}, Table.REFUSE, is_own=False)
    # What is said before any address is ready (RFC 4861, 4.1; RFC 3590, 4; RFC 3810, 5.2.13).
    for kind in (ROUTER_SOLICITATION, _MLD_V1_REPORT, _MLD_V2_REPORT):
        yield _Rule(Priority.NORMAL, {**icmp, "ipv6_src": 0, "icmpv6_type": kind})


def _claims(mac: int) -> Iterator[_Rule]:
    """Yield the rules for link-local addresses of a guest's own choice (RFC 7217, RFC 8981), which no one announces before use.

    So any is admitted from its MAC; those that are known to be another's are refused in ANSWER (`answers.not_to_claim`), where
    that costs flows for each address and not for each pair.
    """
    from_link: dict[str, Any] = {"eth_type": ETH_IPV6, "ipv6_src": ON_LINK}
    yield _Rule(Priority.WIDE, from_link, is_claim=True)
    for option in (mac, 0):
        asks = {"ip_proto": ICMPV6, "icmpv6_type": NEIGHBOUR_SOLICITATION, "ipv6_nd_sll": option}
        yield _Rule(Priority.CLAIM, {**from_link, **asks}, is_claim=True)
        tells = {"ip_proto": ICMPV6, "icmpv6_type": NEIGHBOUR_ADVERTISEMENT, "ipv6_nd_target": ON_LINK, "ipv6_nd_tll": option}
        yield _Rule(Priority.CLAIM, {**from_link, **tells}, is_claim=True)
