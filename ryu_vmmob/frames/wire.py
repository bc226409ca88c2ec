"""Headers and checksums in wire form. Values that do not fit their field raise OverflowError."""

from __future__ import annotations

from struct import unpack
from typing import Final

from ryu_vmmob.net.protocols import ETH_IPV4, ETH_IPV6, ETH_VLAN, ICMP, ICMPV6

ETHERNET_HEADER: Final = 14
IPV4_HEADER: Final = 20
IPV6_HEADER: Final = 40
ICMP_HEADER: Final = 8
"""Sizes in bytes, without options."""
MAX_VLAN_ID: Final = 4094

_TTL: Final = 64
"""What a host gives a packet of its own (RFC 1700); neighbour discovery gives 255."""
_DONT_FRAGMENT: Final = 0x4000


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071). 0 over data that carries its own right checksum."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def pseudo_header(src: int, dst: int, length: int) -> bytes:
    """Return what an ICMPv6 checksum covers besides the message of ``length`` bytes (RFC 8200, 8.1)."""
    return src.to_bytes(16) + dst.to_bytes(16) + length.to_bytes(4) + ICMPV6.to_bytes(4)


def ethernet(dst: int, src: int, eth_type: int, network: bytes) -> bytes:
    """Return a frame without tag and without padding: the sending port pads it."""
    return dst.to_bytes(6) + src.to_bytes(6) + eth_type.to_bytes(2) + network


def icmpv4(eth_dst: int, eth_src: int, dst: int, src: int, kind: int, body: bytes, *, code: int = 0, tos: int = 0) -> bytes:
    """Return a frame with an ICMP message; ``body`` is what follows its checksum (RFC 792).

    The packet is never fragmented, so it needs no identification (RFC 6864, 4.1).
    """
    head = kind.to_bytes(1) + code.to_bytes(1)
    message = head + checksum(head + bytes(2) + body).to_bytes(2) + body
    start = b"\x45" + tos.to_bytes(1) + (IPV4_HEADER + len(message)).to_bytes(2)
    start += bytes(2) + _DONT_FRAGMENT.to_bytes(2) + bytes((_TTL, ICMP))
    addresses = src.to_bytes(4) + dst.to_bytes(4)
    header = start + checksum(start + bytes(2) + addresses).to_bytes(2) + addresses
    return ethernet(eth_dst, eth_src, ETH_IPV4, header + message)


def icmpv6(
    eth_dst: int, eth_src: int, dst: int, src: int, kind: int, body: bytes, *, code: int = 0, hop_limit: int = _TTL,
    traffic_class: int = 0,
) -> bytes:  # fmt: skip
    """Return a frame with an ICMPv6 message; ``body`` is what follows its checksum (RFC 4443, 2.1)."""
    head = kind.to_bytes(1) + code.to_bytes(1)
    length = len(head) + 2 + len(body)
    sums = checksum(pseudo_header(src, dst, length) + head + bytes(2) + body)
    header = (6 << 28 | traffic_class << 20).to_bytes(4) + length.to_bytes(2) + ICMPV6.to_bytes(1) + hop_limit.to_bytes(1)
    packet = header + src.to_bytes(16) + dst.to_bytes(16) + head + sums.to_bytes(2) + body
    return ethernet(eth_dst, eth_src, ETH_IPV6, packet)


def tag(frame: bytes, vlan_id: int) -> bytes:
    """Return the frame with an 802.1Q tag before all others; ValueError outside 1 to 4094, or when there is no
    Ethernet header.
    """
    if not 1 <= vlan_id <= MAX_VLAN_ID:
        raise ValueError(f"VLAN-ID {vlan_id} is outside 1 to {MAX_VLAN_ID}")
    if len(frame) < ETHERNET_HEADER:
        raise ValueError(f"{len(frame)} bytes are no frame")
    return frame[:12] + ETH_VLAN.to_bytes(2) + vlan_id.to_bytes(2) + frame[12:]
