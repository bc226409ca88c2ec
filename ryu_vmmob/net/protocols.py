"""Numbers of protocols, as their standards assign them. For what it judges the simulator has numbers of its own."""

from __future__ import annotations

from typing import Final

ETH_ARP: Final = 0x0806
ETH_RARP: Final = 0x8035
ETH_IPV4: Final = 0x0800
ETH_IPV6: Final = 0x86DD
ETH_VLAN: Final = 0x8100
ETH_TAGS: Final = (ETH_VLAN, 0x88A8, 0x9100)
"""Types of VLAN tags (IEEE 802.1Q, 9.5), the last one a maker's of old."""

ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
ICMPV6: Final = 58
"""Numbers of IANA's registry of Internet protocols."""
IPV6_FRAGMENT: Final = 44
"""The next header of a fragment header (RFC 8200, 4.5): what Open vSwitch reads as ``ip_proto`` of a later fragment of IPv6."""

TCP_ACK: Final = 0x010
TCP_RST: Final = 0x004
"""TCP flags (RFC 9293, 3.1): no segment that opens a connection carries one of them."""

ECHO_REPLY_V4: Final = 0
ECHO_REQUEST_V4: Final = 8
"""Types of ICMP messages (RFC 792)."""
ECHO_REQUEST_V6: Final = 128
ECHO_REPLY_V6: Final = 129
"""Types of ICMPv6 messages (RFC 4443, 4)."""
ECHO_REPLY: Final = {4: ECHO_REPLY_V4, 6: ECHO_REPLY_V6}
"""By IP version."""
ICMP_ERRORS: Final = {4: (3, 11, 12), 6: (1, 2, 3, 4)}
"""By IP version: unreachable ("fragmentation needed" included) or too big, time exceeded, parameter problem (RFC 792; RFC
4443, 3)."""

ROUTER_SOLICITATION: Final = 133
ROUTER_ADVERTISEMENT: Final = 134
NEIGHBOUR_SOLICITATION: Final = 135
NEIGHBOUR_ADVERTISEMENT: Final = 136
REDIRECT: Final = 137
ND_TYPES: Final = range(ROUTER_SOLICITATION, REDIRECT + 1)
"""Types of ICMPv6 messages of neighbour discovery (RFC 4861, 4): what a link needs to work (RFC 4890, 4.4.1)."""
