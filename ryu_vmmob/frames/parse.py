"""From bytes to a frame. Whatever the bytes: a Frame or None, never an exception, in time linear in their number.

What a host has to discard in silence is not read as a message: wrong checksums, options of length 0, neighbour discovery
that came through a router (RFC 4861, 6.1.1, 7.1.1 and 7.1.2) or in fragments (RFC 6980).
"""

from __future__ import annotations

from dataclasses import replace
from struct import Struct
from typing import Final

from ryu_vmmob.frames.content import (
    SOURCE_LINK_LAYER,
    TARGET_LINK_LAYER,
    Arp,
    EchoRequest,
    Frame,
    Ipv4,
    Ipv6,
    Message,
    NeighbourAdvertisement,
    NeighbourSolicitation,
    RouterSolicitation,
)
from ryu_vmmob.frames.wire import ETHERNET_HEADER, ICMP_HEADER, IPV4_HEADER, IPV6_HEADER, checksum, pseudo_header
from ryu_vmmob.net.protocols import (
    ECHO_REQUEST_V4,
    ECHO_REQUEST_V6,
    ETH_ARP,
    ETH_IPV4,
    ETH_IPV6,
    ETH_VLAN,
    ICMP,
    ICMPV6,
    NEIGHBOUR_ADVERTISEMENT,
    NEIGHBOUR_SOLICITATION,
    ROUTER_SOLICITATION,
)

MAX_TAGS: Final = 4
"""Tags that are read; of a frame with more the innermost stay in ``network``, behind the type of the next."""
MAX_EXTENSION_HEADERS: Final = 16
"""IPv6 extension headers that are followed."""

_ETH_SERVICE_VLAN: Final = 0x88A8
_TAG_TYPES: Final = frozenset({ETH_VLAN, _ETH_SERVICE_VLAN})
_FRAGMENT, _AUTHENTICATION = 44, 51
_EXTENSION_HEADERS: Final = frozenset({0, 43, _FRAGMENT, _AUTHENTICATION, 60, 135, 139, 140})
"""IANA's IPv6 extension header types, without ESP: what lies behind that is encrypted."""
_ND_HOP_LIMIT: Final = 255
_SOLICITED_NODES: Final = (0xFF02 << 112 | 0x1FF << 24) >> 24

_U16 = Struct("!H")
_TAG = Struct("!HH")
_ARP = Struct("!HHBBH6sI6sI")
_IPV4 = Struct("!BBHHHBBHII")
_IPV6 = Struct("!IHBB16s16s")
_ECHO = Struct("!BBHHH")


def parse(data: bytes) -> Frame | None:
    """Read a frame; None when its Ethernet header or one of its tags is cut off."""
    if len(data) < ETHERNET_HEADER:
        return None
    (eth_type,) = _U16.unpack_from(data, 12)
    offset = ETHERNET_HEADER
    vlan_ids: list[int] = []
    while eth_type in _TAG_TYPES and len(vlan_ids) < MAX_TAGS:
        if len(data) < offset + _TAG.size:
            return None
        control, eth_type = _TAG.unpack_from(data, offset)
        vlan_ids.append(control & 0xFFF)
        offset += _TAG.size
    frame = Frame(int.from_bytes(data[:6]), int.from_bytes(data[6:12]), tuple(vlan_ids), eth_type, data[offset:])
    if eth_type == ETH_ARP:
        return replace(frame, content=_arp(frame.network))
    if eth_type == ETH_IPV4:
        return _with_ipv4(frame)
    if eth_type == ETH_IPV6:
        return _with_ipv6(frame)
    return frame


def _arp(data: bytes) -> Arp | None:
    if len(data) < _ARP.size:
        return None
    hardware, protocol, mac_size, ip_size, op, sha, spa, tha, tpa = _ARP.unpack_from(data)
    if (hardware, protocol, mac_size, ip_size) != (1, ETH_IPV4, 6, 4):
        return None
    return Arp(op, int.from_bytes(sha), spa, int.from_bytes(tha), tpa)


def _with_ipv4(frame: Frame) -> Frame:
    data = frame.network
    if len(data) < IPV4_HEADER:
        return frame
    start, tos, total, _, fragment, ttl, proto, _, src, dst = _IPV4.unpack_from(data)
    header = (start & 0xF) * 4
    if start >> 4 != 4 or not IPV4_HEADER <= header <= min(total, len(data)) or checksum(data[:header]):
        return frame
    network = data[:total]
    content = Ipv4(src, dst, proto, ttl, tos, (fragment & 0x1FFF) * 8, bool(fragment & 0x2000))
    payload = b"" if content.fragment_offset else network[header:]
    is_whole = len(network) == total
    message = None
    if is_whole and proto == ICMP and not content.is_fragment and not checksum(payload):
        message = _echo(ECHO_REQUEST_V4, payload, content)
    return replace(frame, network=network, payload=payload, is_whole=is_whole, content=content, message=message)


def _with_ipv6(frame: Frame) -> Frame:
    data = frame.network
    if len(data) < IPV6_HEADER:
        return frame
    start, length, next_header, hop_limit, src, dst = _IPV6.unpack_from(data)
    if start >> 28 != 6:
        return frame
    network = data[: IPV6_HEADER + length]
    content, payload = _follow(
        network,
        Ipv6(
            int.from_bytes(src), int.from_bytes(dst), next_header, hop_limit, start >> 20 & 0xFF,
            None, has_fragment_header=False, fragment_offset=0, more_fragments=False,
        ),
    )  # fmt: skip
    is_whole = len(network) == IPV6_HEADER + length
    message = None
    if is_whole and content.proto == ICMPV6 and not content.is_fragment:
        message = _icmpv6(payload, content)
    return replace(frame, network=network, payload=payload, is_whole=is_whole, content=content, message=message)


def _follow(network: bytes, content: Ipv6) -> tuple[Ipv6, bytes]:
    """Along the extension headers: the header with what they say, and what lies behind them."""
    proto, offset = content.next_header, IPV6_HEADER
    for _ in range(MAX_EXTENSION_HEADERS + 1):
        if proto not in _EXTENSION_HEADERS:
            return replace(content, proto=proto), network[offset:]
        if offset + 8 > len(network):
            break
        following, size = network[offset], network[offset + 1]
        if proto == _FRAGMENT:
            (fragment,) = _U16.unpack_from(network, offset + 2)
            content = replace(
                content, has_fragment_header=True, fragment_offset=fragment & 0xFFF8, more_fragments=bool(fragment & 1)
            )
            if content.fragment_offset:
                return replace(content, proto=following), b""
            offset += 8
        elif proto == _AUTHENTICATION:  # counted in 4 bytes, all others in 8 (RFC 4302, 2.2)
            offset += (size + 2) * 4
        else:
            offset += (size + 1) * 8
        if offset > len(network):
            break
        proto = following
    return content, b""


def _icmpv6(data: bytes, ip: Ipv6) -> Message | None:
    if len(data) < ICMP_HEADER or data[1] or checksum(pseudo_header(ip.src, ip.dst, len(data)) + data):
        return None
    kind = data[0]
    if kind == ECHO_REQUEST_V6:
        return _echo(kind, data, ip)
    if ip.hop_limit != _ND_HOP_LIMIT or ip.has_fragment_header:
        return None
    if kind == ROUTER_SOLICITATION:
        return _router_solicitation(data, ip)
    if kind in (NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT) and len(data) >= 24:
        target = int.from_bytes(data[8:24])
        if target >> 120 != 0xFF:
            return _solicitation(target, data, ip) if kind == NEIGHBOUR_SOLICITATION else _advertisement(target, data, ip)
    return None


def _echo(kind: int, data: bytes, ip: Ipv4 | Ipv6) -> EchoRequest | None:
    if len(data) < ICMP_HEADER or not ip.from_one_host:
        return None
    actual, code, _, identifier, sequence = _ECHO.unpack_from(data)
    return EchoRequest(identifier, sequence, data[ICMP_HEADER:]) if (actual, code) == (kind, 0) else None


def _router_solicitation(data: bytes, ip: Ipv6) -> RouterSolicitation | None:
    options = _options(data, 8)
    if options is None or (not ip.src and SOURCE_LINK_LAYER in options):
        return None
    return RouterSolicitation(_link_layer(options, SOURCE_LINK_LAYER))


def _solicitation(target: int, data: bytes, ip: Ipv6) -> NeighbourSolicitation | None:
    options = _options(data, 24)
    if options is None or (not ip.src and (SOURCE_LINK_LAYER in options or ip.dst >> 24 != _SOLICITED_NODES)):
        return None
    return NeighbourSolicitation(target, _link_layer(options, SOURCE_LINK_LAYER))


def _advertisement(target: int, data: bytes, ip: Ipv6) -> NeighbourAdvertisement | None:
    options = _options(data, 24)
    router, solicited, override = (bool(data[4] & bit) for bit in (0x80, 0x40, 0x20))
    if options is None or (solicited and not ip.to_one_host):
        return None
    return NeighbourAdvertisement(target, router, solicited, override, _link_layer(options, TARGET_LINK_LAYER))


def _options(data: bytes, offset: int) -> dict[int, bytes] | None:
    """Return the first option of each type, with type and length (RFC 4861, 4.6); None when a length is 0 or beyond the end."""
    found: dict[int, bytes] = {}
    while offset < len(data):
        if offset + 2 > len(data):
            return None
        size = data[offset + 1] * 8
        if not size or offset + size > len(data):
            return None
        found.setdefault(data[offset], data[offset : offset + size])
        offset += size
    return found


def _link_layer(options: dict[int, bytes], kind: int) -> int | None:
    """Return the MAC in a link-layer address option; None without one, or when it is not of Ethernet's length (RFC 2464, 6)."""
    option = options.get(kind, b"")
    return int.from_bytes(option[2:]) if len(option) == 8 else None
