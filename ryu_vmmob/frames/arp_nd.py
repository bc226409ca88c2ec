"""Frames of ARP and neighbour discovery that the controller sends: questions, answers, and what a gateway says of itself.

``mac`` and ``ip`` are always the sender's. Frames come without tag; values that do not fit raise OverflowError.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ryu_vmmob.frames.content import ARP_REPLY, ARP_REQUEST, MTU, PREFIX_INFORMATION, SOURCE_LINK_LAYER, TARGET_LINK_LAYER
from ryu_vmmob.frames.wire import ethernet, icmpv6
from ryu_vmmob.net.addresses import MAC_BROADCAST, multicast_mac, solicited_node
from ryu_vmmob.net.protocols import ETH_ARP, ETH_IPV4, NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, ROUTER_ADVERTISEMENT

ALL_NODES: Final = 0xFF02 << 112 | 1
_HOP_LIMIT: Final = 255
"""So that receivers can tell that no router was in between (RFC 4861, 11.2)."""
_ADVERTISED_HOP_LIMIT: Final = 64
_VALID, _PREFERRED = 2592000, 604800
"""Lifetimes of an advertised prefix in seconds: the defaults, 30 and 7 days (RFC 4861, 6.2.1)."""
_ON_LINK, _AUTONOMOUS = 0x80, 0x40
"""Flags of an advertised prefix: no router is needed to reach it; hosts take an address out of it (RFC 4861, 4.6.2)."""
_MANAGED, _OTHER = 0x80, 0x40
"""Flags of a router advertisement: addresses, and other settings, are to be asked for by DHCPv6 (RFC 4861, 4.2)."""


def arp_request(mac: int, ip: int, target: int, to_mac: int = MAC_BROADCAST) -> bytes:
    """Who has ``target``, tell ``ip`` (RFC 826). Of a known neighbour's ``to_mac``: is it still there? (RFC 1122, 2.3.2.1)"""
    return _arp(ARP_REQUEST, to_mac, mac, ip, 0, target)


def arp_reply(mac: int, ip: int, to_mac: int, to_ip: int) -> bytes:
    """``ip`` is at ``mac``."""
    return _arp(ARP_REPLY, to_mac, mac, ip, to_mac, to_ip)


def _arp(op: int, to_mac: int, sha: int, spa: int, tha: int, tpa: int) -> bytes:
    head = (1).to_bytes(2) + ETH_IPV4.to_bytes(2) + bytes((6, 4)) + op.to_bytes(2)
    pairs = sha.to_bytes(6) + spa.to_bytes(4) + tha.to_bytes(6) + tpa.to_bytes(4)
    return ethernet(to_mac, sha, ETH_ARP, head + pairs)


def neighbour_solicitation(mac: int, ip: int, target: int, to_mac: int = 0) -> bytes:
    """Who has ``target``? (RFC 4861, 4.3). To a known neighbour's ``to_mac``: is it still there?

    ``ip`` 0 is duplicate address detection, which carries no option and goes to the group only: else ValueError.
    """
    if to_mac and not ip:
        raise ValueError("duplicate address detection is sent to a multicast address (RFC 4862, 5.4.2)")
    dst = target if to_mac else solicited_node(target)
    body = bytes(4) + target.to_bytes(16) + (_link_layer(SOURCE_LINK_LAYER, mac) if ip else b"")
    return icmpv6(to_mac or multicast_mac(dst), mac, dst, ip, NEIGHBOUR_SOLICITATION, body, hop_limit=_HOP_LIMIT)


def neighbour_advertisement(
    mac: int, ip: int, to_mac: int = 0, to_ip: int = 0, *, router: bool, solicited: bool, override: bool
) -> bytes:
    """``ip`` is at ``mac``: to one neighbour, or to all nodes when ``to_ip`` is 0 (RFC 4861, 4.4).

    Raises ValueError for a solicited advertisement to all nodes: a solicited one goes to its asker (RFC 4861, 7.2.4).
    """
    if solicited and not to_ip:
        raise ValueError("an advertisement to all nodes is not solicited (RFC 4861, 7.2.4)")
    dst = to_ip or ALL_NODES
    flags = (router << 7 | solicited << 6 | override << 5).to_bytes(1)
    body = flags + bytes(3) + ip.to_bytes(16) + _link_layer(TARGET_LINK_LAYER, mac)
    return icmpv6(_mac_of(to_mac, to_ip), mac, dst, ip, NEIGHBOUR_ADVERTISEMENT, body, hop_limit=_HOP_LIMIT)


def router_advertisement(
    mac: int,
    ip: int,
    prefixes: Iterable[tuple[int, int]],
    lifetime: int,
    mtu: int | None = None,
    to_mac: int = 0,
    to_ip: int = 0,
    *,
    managed: bool = False,
    other: bool = False,
    autonomous: bool = False,
) -> bytes:
    """Return the advertisement that a router is at ``mac``, to one host or, when ``to_ip`` is 0, to all nodes (RFC 4861, 4.2).

    ``ip`` is the router's link-local address. ``lifetime`` is how long it may be the default router, in seconds (0: it is
    none; to 65535, RFC 8319). ``prefixes`` are (prefix, length) pairs: on the link, and with ``autonomous`` (A) hosts
    take addresses out of them by themselves.
    ``managed`` (M): hosts ask for addresses by DHCPv6; ``other`` (O): for all else.
    Raises ValueError when ``ip`` is not link-local (hosts would discard it) or a prefix has bits beyond its length.
    """
    if ip >> 118 != 0xFE80 >> 6:
        raise ValueError("a router advertises itself by its link-local address (RFC 4861, 6.1.2)")
    flags = managed * _MANAGED | other * _OTHER
    body = bytes((_ADVERTISED_HOP_LIMIT, flags)) + lifetime.to_bytes(2) + bytes(8) + _link_layer(SOURCE_LINK_LAYER, mac)
    if mtu is not None:
        body += bytes((MTU, 1, 0, 0)) + mtu.to_bytes(4)
    for prefix, length in prefixes:
        body += _prefix(prefix, length, autonomous=autonomous)
    dst = to_ip or ALL_NODES
    return icmpv6(_mac_of(to_mac, to_ip), mac, dst, ip, ROUTER_ADVERTISEMENT, body, hop_limit=_HOP_LIMIT)


def _prefix(prefix: int, length: int, *, autonomous: bool) -> bytes:
    if not 0 <= length <= 128 or prefix & (1 << 128 - length) - 1:
        raise ValueError(f"{prefix:#x} is no prefix of {length} bits")
    lifetimes = _VALID.to_bytes(4) + _PREFERRED.to_bytes(4)
    flags = _ON_LINK | autonomous * _AUTONOMOUS
    return bytes((PREFIX_INFORMATION, 4, length, flags)) + lifetimes + bytes(4) + prefix.to_bytes(16)


def _mac_of(to_mac: int, to_ip: int) -> int:
    """Return where a message to one neighbour, or to all nodes, goes; ValueError for a neighbour without MAC or the reverse."""
    if bool(to_mac) is not bool(to_ip):
        raise ValueError("one neighbour has a MAC and an address")
    return to_mac or multicast_mac(ALL_NODES)


def _link_layer(kind: int, mac: int) -> bytes:
    """Return the link-layer address option (RFC 4861, 4.6.1)."""
    return bytes((kind, 1)) + mac.to_bytes(6)
