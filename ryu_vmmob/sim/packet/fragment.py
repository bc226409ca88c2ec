"""Fragments of IP packets (RFC 791, 3.2; RFC 8200, 4.5) and packets behind extension headers, as a switch reads them.

What Open vSwitch does not find is absent, so it reads as zero: ports and flags of a later fragment and of a first one that ends
before them. Of a later fragment of IPv6 it does not read the protocol either (`IPV6_FRAGMENT`), and of IPv6 whose headers
end with the packet it reads protocol 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ryu_vmmob.flows.fields import FIRST_FRAGMENT, LATER_FRAGMENT
from ryu_vmmob.net.protocols import ETH_IPV6, IPV6_FRAGMENT
from ryu_vmmob.sim.packet.value import Packet

CUT_OFF: Final = 0
"""``ip_proto`` of IPv6 whose extension headers do not end within the packet."""
_NETWORK: Final = frozenset(
    {"eth_dst", "eth_src", "eth_type", "ip_proto", "ip_frag", "nw_ttl", "ipv4_src", "ipv4_dst", "ipv6_src", "ipv6_dst"}
)
"""What is read of every fragment."""


def first_fragment(packet: Packet) -> Packet:
    """Return the fragment at offset 0, which carries the transport's whole header."""
    return packet.with_fields(ip_frag=FIRST_FRAGMENT)


def tiny_fragment(packet: Packet) -> Packet:
    """Return a fragment at offset 0 that ends before the transport's least header does (RFC 1858, 3)."""
    return _without_transport(packet, ip_frag=FIRST_FRAGMENT)


def later_fragment(packet: Packet) -> Packet:
    """Return a fragment at another offset."""
    if packet["eth_type"] == ETH_IPV6:
        return _without_transport(packet, ip_frag=LATER_FRAGMENT, ip_proto=IPV6_FRAGMENT)
    return _without_transport(packet, ip_frag=LATER_FRAGMENT)


def cut_off_chain(packet: Packet) -> Packet:
    """IPv6 whose extension headers go on in a later fragment, so that the transport is not in it (RFC 7112)."""
    return _without_transport(packet, ip_proto=CUT_OFF)


def behind_unknown_header(packet: Packet, header: int) -> Packet:
    """Return a packet behind a header that no switch follows, such as 135, 139 or 253: that header is what it reads as
    protocol.

    Behind those that it follows (hop-by-hop 0, routing 43, AH 51, destination options 60) a packet reads as without them.
    """
    return _without_transport(packet, ip_proto=header)


def fragments(packet: Packet) -> Iterator[Packet]:
    """Yield the packet in two fragments."""
    yield first_fragment(packet)
    yield later_fragment(packet)


def _without_transport(packet: Packet, **changed: int) -> Packet:
    fields = {name: value for name, value in packet if name in _NETWORK}
    return Packet({**fields, **changed}, packet.vlans, packet.payload)
