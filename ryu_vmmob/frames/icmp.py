"""ICMP and ICMPv6 frames that the controller sends for gateways: answers to pings, and errors about packets.

``source`` is the address that speaks, ``eth_src`` and ``eth_dst`` are the MACs of the frame. Frames come without tag; values
that do not fit raise OverflowError.
"""

from __future__ import annotations

from collections.abc import Container
from enum import Enum
from typing import Final

from ryu_vmmob.frames.content import EchoRequest, Frame, Ipv4, Ipv6
from ryu_vmmob.frames.wire import ICMP_HEADER, IPV4_HEADER, IPV6_HEADER, icmpv4, icmpv6
from ryu_vmmob.net.addresses import MAC_MULTICAST_BIT
from ryu_vmmob.net.protocols import ECHO_REPLY_V4, ECHO_REPLY_V6, ICMP, ICMPV6

_TIME_EXCEEDED_V4, _UNREACHABLE_V4 = 11, 3
_TIME_EXCEEDED_V6, _UNREACHABLE_V6 = 3, 1

_QUOTE_V4: Final = 576 - IPV4_HEADER - ICMP_HEADER
_QUOTE_V6: Final = 1280 - IPV6_HEADER - ICMP_HEADER
"""Bytes of a packet that fit into an error about it: so much passes everywhere (RFC 1812, 4.3.2.3; RFC 4443, 2.4 c)."""
_INTERNETWORK_CONTROL: Final = 0xC0
"""The precedence of IPv4 errors (RFC 1812, 4.3.2.5)."""
_QUERIES_V4: Final = frozenset({0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 42, 43})
"""ICMP types that are questions or answers; all others are errors, or not known to be none."""
_REDIRECT_V6: Final = 137


class Unreachable(Enum):
    """Why a packet does not arrive: the codes of ICMP (RFC 792; RFC 1812, 5.2.7.1) and of ICMPv6 (RFC 4443, 3.1)."""

    NET = (0, 0)
    """No route there."""
    HOST = (1, 3)
    """A route exists, but no host has the address."""
    PORT = (3, 4)
    """The address is a gateway's own, and nothing listens there."""
    PROHIBITED = (13, 1)
    """Not allowed by policy."""

    def __init__(self, v4: int, v6: int) -> None:
        self.v4 = v4
        self.v6 = v6


def may_report(frame: Frame, broadcasts: Container[int] = frozenset()) -> bool:
    """Whether an ICMP error about this frame may be sent (RFC 1122, 3.2.2; RFC 1812, 4.3.2.7; RFC 4443, 2.4 e).

    Not about errors and redirects, fragments other than the first, what goes to a group or does not come from one host, and
    frames addressed to a group. ``broadcasts`` are the subnets' broadcast addresses, which look like any other. What was
    not understood so far that this is certain is not reported.
    """
    ip = frame.content
    if not isinstance(ip, Ipv4 | Ipv6) or (frame.dst | frame.src) & MAC_MULTICAST_BIT:
        return False
    if not (ip.from_one_host and ip.to_one_host) or ip.src in broadcasts or ip.dst in broadcasts or ip.fragment_offset:
        return False
    if isinstance(ip, Ipv4):
        return ip.proto != ICMP or (bool(frame.payload) and frame.payload[0] in _QUERIES_V4)
    if ip.proto == ICMPV6:  # from 128 on they are no errors (RFC 4443, 2.1)
        return bool(frame.payload) and frame.payload[0] >= 128 and frame.payload[0] != _REDIRECT_V6
    return ip.proto is not None


def echo_reply(frame: Frame, source: int, eth_src: int, eth_dst: int) -> bytes:
    """Return the answer to a ping, to where it came from (RFC 792; RFC 4443, 4.2).

    ``source`` is the address that was asked, if that was one host's. Raises ValueError when ``frame.message`` is no
    EchoRequest.
    """
    ip, echo = frame.content, frame.message
    if not isinstance(echo, EchoRequest) or not isinstance(ip, Ipv4 | Ipv6):
        raise ValueError("the frame is no echo request")
    body = echo.identifier.to_bytes(2) + echo.sequence.to_bytes(2) + echo.payload
    if isinstance(ip, Ipv4):
        return icmpv4(eth_dst, eth_src, ip.src, source, ECHO_REPLY_V4, body, tos=ip.tos)
    return icmpv6(eth_dst, eth_src, ip.src, source, ECHO_REPLY_V6, body, traffic_class=ip.traffic_class)


def time_exceeded(original: bytes, source: int, eth_src: int, eth_dst: int) -> bytes:
    """Return the error that the packet's TTL or hop limit ended here. ``original`` is the packet, ``Frame.network``; ask
    `may_report` first.

    Raises ValueError when ``original`` is no IP packet.
    """
    return _error(original, source, eth_src, eth_dst, (_TIME_EXCEEDED_V4, 0), (_TIME_EXCEEDED_V6, 0))


def unreachable(original: bytes, kind: Unreachable, source: int, eth_src: int, eth_dst: int) -> bytes:
    """Return the error that the packet cannot be delivered. As `time_exceeded`, with the reason."""
    return _error(original, source, eth_src, eth_dst, (_UNREACHABLE_V4, kind.v4), (_UNREACHABLE_V6, kind.v6))


def _error(original: bytes, source: int, eth_src: int, eth_dst: int, v4: tuple[int, int], v6: tuple[int, int]) -> bytes:
    """Return an error, (type, code) for each family, to the packet's source: 4 unused bytes and as much of the
    packet as fits.
    """
    version = original[0] >> 4 if original else 0
    if version == 4 and len(original) >= IPV4_HEADER:
        dst, body = int.from_bytes(original[12:16]), bytes(4) + original[:_QUOTE_V4]
        return icmpv4(eth_dst, eth_src, dst, source, v4[0], body, code=v4[1], tos=_INTERNETWORK_CONTROL)
    if version == 6 and len(original) >= IPV6_HEADER:
        dst, body = int.from_bytes(original[8:24]), bytes(4) + original[:_QUOTE_V6]
        return icmpv6(eth_dst, eth_src, dst, source, v6[0], body, code=v6[1])
    raise ValueError("no IP packet to report")
