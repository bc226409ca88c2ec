"""Arithmetic on MAC and IP addresses. Addresses are unsigned integers, so that they compare, hash and print cheaply."""

from __future__ import annotations

from typing import Final

MAC_BROADCAST: Final = 0xFFFFFFFFFFFF
MAC_MULTICAST_BIT: Final = 0x010000000000
"""The I/G bit of a MAC (IEEE 802, 8.2): set in group addresses, broadcast included."""


def mac(text: str) -> int:
    """``02:00:5e:00:00:01`` as an integer; ValueError when it is no MAC."""
    parts = text.split(":")
    if len(parts) != 6 or any(len(part) != 2 for part in parts):
        raise ValueError(f"{text!r} is no MAC address of the form 02:00:5e:00:00:01")
    return int("".join(parts), 16)


def mac_text(value: int) -> str:
    """Return a MAC as people write it: ``02:00:5e:00:00:01``."""
    return ":".join(f"{value >> shift & 0xFF:02x}" for shift in range(40, -8, -8))


def eui64_link_local(mac_value: int) -> int:
    """Return the IPv6 link-local address a host derives from its MAC (RFC 4291, appendix A)."""
    flipped = mac_value ^ 0x020000000000
    return 0xFE80 << 112 | flipped >> 24 << 40 | 0xFFFE << 24 | flipped & 0xFFFFFF


ON_LINK: Final = (0xFE80 << 112, 0xFFC0 << 112)
"""IPv6 link-local addresses, fe80::/10 (RFC 4291, 2.4), as value and mask."""


def is_on_link(ip: int) -> bool:
    """Whether an IPv6 address is link-local."""
    return ip & ON_LINK[1] == ON_LINK[0]


def multicast_mac(ip: int) -> int:
    """Return the Ethernet address of an IPv6 multicast group (RFC 2464, 7)."""
    return 0x333300000000 | ip & 0xFFFFFFFF


def solicited_node(ip: int) -> int:
    """Return the solicited-node multicast address of an IPv6 address (RFC 4291, 2.7.1)."""
    return 0xFF02 << 112 | 0x1FF << 24 | ip & 0xFFFFFF
