"""Numbers of protocols, as their standards assign them. The simulator has its own copies: it judges those who use these."""

from __future__ import annotations

from typing import Final

ETH_ARP: Final = 0x0806
ETH_RARP: Final = 0x8035
ETH_IPV4: Final = 0x0800
ETH_IPV6: Final = 0x86DD
ETH_TAGS: Final = (0x8100, 0x88A8, 0x9100)
"""Types of VLAN tags (IEEE 802.1Q, 9.5), the last one a maker's of old."""

TCP_ACK: Final = 0x010
TCP_RST: Final = 0x004
"""TCP flags (RFC 9293, 3.1): no segment that opens a connection carries one of them."""

IPV6_FRAGMENT: Final = 44
"""The next header of a fragment header (RFC 8200, 4.5): what Open vSwitch reads as ``ip_proto`` of a later fragment of IPv6."""
