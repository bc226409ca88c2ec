"""The parsed content of a frame, as immutable values. MACs and addresses are unsigned integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ryu_vmmob.net.addresses import MAC_MULTICAST_BIT

ARP_REQUEST, ARP_REPLY = 1, 2
SOURCE_LINK_LAYER, TARGET_LINK_LAYER, PREFIX_INFORMATION, MTU = 1, 2, 3, 5
"""Types of options of neighbour discovery (RFC 4861, 4.6)."""

_V4_LOOPBACK: Final = 127
_V4_MULTICAST: Final = 224
_V6_LOOPBACK: Final = 1
_V6_MULTICAST: Final = 0xFF


@dataclass(frozen=True, slots=True)
class Arp:
    """ARP for IPv4 over Ethernet (RFC 826): operation, sender's and target's MAC and address."""

    op: int
    sha: int
    spa: int
    tha: int
    tpa: int


@dataclass(frozen=True, slots=True)
class Ipv4:
    """An IPv4 header whose checksum is right. ``fragment_offset`` is in bytes."""

    src: int
    dst: int
    proto: int
    ttl: int
    tos: int
    fragment_offset: int
    more_fragments: bool

    @property
    def is_fragment(self) -> bool:
        """Whether this is only a part of what was sent."""
        return self.fragment_offset > 0 or self.more_fragments

    @property
    def from_one_host(self) -> bool:
        """Whether an answer to the source reaches one host: it is neither 0/8, loopback, multicast nor above (RFC 1812, 5.3.7).

        A subnet's own broadcast address cannot be told from here.
        """
        return _is_v4_host(self.src)

    @property
    def to_one_host(self) -> bool:
        """The same of the destination."""
        return _is_v4_host(self.dst)


@dataclass(frozen=True, slots=True)
class Ipv6:
    """An IPv6 header, and where its extension headers lead (RFC 8200, 4).

    ``next_header`` is the first one's, ``proto`` the protocol behind all extension headers: None where they are cut off or too
    many. Behind the fragment header of a later fragment no header follows; ``proto`` is what that fragment header names.
    ``fragment_offset`` is in bytes.
    """

    src: int
    dst: int
    next_header: int
    hop_limit: int
    traffic_class: int
    proto: int | None
    has_fragment_header: bool
    fragment_offset: int
    more_fragments: bool

    @property
    def is_fragment(self) -> bool:
        """Whether this is only a part of what was sent. A fragment that is all of it is none (RFC 6946)."""
        return self.fragment_offset > 0 or self.more_fragments

    @property
    def from_one_host(self) -> bool:
        """Whether an answer to the source reaches one host: it is neither unspecified, loopback nor multicast."""
        return _is_v6_host(self.src)

    @property
    def to_one_host(self) -> bool:
        """The same of the destination."""
        return _is_v6_host(self.dst)


@dataclass(frozen=True, slots=True)
class NeighbourSolicitation:
    """Who has ``target``? ``link_layer`` is the asker's MAC, None where the option is missing (RFC 4861, 4.3)."""

    target: int
    link_layer: int | None


@dataclass(frozen=True, slots=True)
class NeighbourAdvertisement:
    """``target`` is at ``link_layer``; None where the option is missing (RFC 4861, 4.4)."""

    target: int
    router: bool
    solicited: bool
    override: bool
    link_layer: int | None


@dataclass(frozen=True, slots=True)
class RouterSolicitation:
    """Which routers are here? ``link_layer`` is the asker's MAC, None where the option is missing (RFC 4861, 4.1)."""

    link_layer: int | None


@dataclass(frozen=True, slots=True)
class EchoRequest:
    """A ping that can be answered, of either family: the frame's content says which (RFC 792; RFC 4443, 4.1)."""

    identifier: int
    sequence: int
    payload: bytes


Content = Arp | Ipv4 | Ipv6
Message = NeighbourSolicitation | NeighbourAdvertisement | RouterSolicitation | EchoRequest


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, as far as it was there and could be understood.

    ``vlan_ids`` are those of its tags, outer first; ``eth_type`` is the one behind them. ``network`` is what follows: for IP
    the packet without Ethernet's padding. ``payload`` is what follows the IP headers; empty in a later fragment, and where
    there is no IP. ``is_whole`` is false when a packet is shorter than it says, as when the switch handed up only its
    beginning. ``content`` is None for what is neither ARP nor IP or is malformed, ``message`` for all but the few that the
    controller answers or learns from, and for those that a host has to discard.
    """

    dst: int
    src: int
    vlan_ids: tuple[int, ...]
    eth_type: int
    network: bytes
    payload: bytes = b""
    is_whole: bool = True
    content: Content | None = None
    message: Message | None = None

    @property
    def is_group_addressed(self) -> bool:
        """Broadcast or multicast."""
        return bool(self.dst & MAC_MULTICAST_BIT)


def _is_v4_host(address: int) -> bool:
    return 0 < address >> 24 < _V4_MULTICAST and address >> 24 != _V4_LOOPBACK


def _is_v6_host(address: int) -> bool:
    return address > _V6_LOOPBACK and address >> 120 != _V6_MULTICAST
