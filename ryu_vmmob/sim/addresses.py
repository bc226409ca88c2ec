"""Addresses that are made of others, by the words of the RFCs: written again, so that a fault of the product cannot hide."""

from __future__ import annotations

from ipaddress import IPv6Address


def eui64_link_local(mac: int) -> int:
    """Return the link-local address of a MAC: fe80::/64 and its modified EUI-64, FF-FE between, bit "u" inverted
    (RFC 4291, A).
    """
    octets = bytearray(mac.to_bytes(6, "big"))
    octets[0] ^= 0b10
    return int(IPv6Address(bytes.fromhex("fe80") + bytes(6) + octets[:3] + b"\xff\xfe" + octets[3:]))


def multicast_mac(group: int) -> int:
    """33-33 and the last four octets of an IPv6 group (RFC 2464, 7)."""
    return int.from_bytes(b"\x33\x33" + IPv6Address(group).packed[-4:], "big")


def solicited_node(address: int) -> int:
    """ff02::1:ff00:0/104 and the last three octets of an IPv6 address (RFC 4291, 2.7.1)."""
    return int(IPv6Address(IPv6Address("ff02::1:ff00:0").packed[:13] + IPv6Address(address).packed[13:]))
