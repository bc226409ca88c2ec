"""A packet as an immutable value: header fields by their OpenFlow names, a stack of VLAN tags, an opaque payload.

Values are unsigned integers, as in `ryu_vmmob.flows.fields`. A field that a packet does not have is simply absent; switches
read it as zero, as Open vSwitch does. ``eth_type`` is the one behind all tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from ryu_vmmob.flows.fields import (
    ETH_ARP,
    ETH_IPV4,
    ETH_IPV6,
    ETH_RARP,
    FIELDS,
    MAC_BROADCAST,
    MAC_MULTICAST_BIT,
    multicast_mac,
    show,
    solicited_node,
)

HEADER_FIELDS: Final = frozenset(FIELDS) - {"in_port", "metadata", "vlan_vid"}
"""What a packet carries; the other fields belong to the pipeline or follow from the tags."""
MAX_TAG: Final = 0xFFF

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT = 135, 136
SOURCE_LINK_LAYER, TARGET_LINK_LAYER = 1, 2
"""Types of the link-layer address options of neighbour discovery (RFC 4861, 4.6.1)."""
ARP_REQUEST, ARP_REPLY, RARP_REQUEST = 1, 2, 3


class Packet:
    """One frame. Equal to another when fields, tags (outer first) and payload are."""

    __slots__ = ("_fields", "_hash", "payload", "vlans")

    vlans: tuple[int, ...]
    payload: int

    def __init__(self, fields: Mapping[str, int], vlans: tuple[int, ...] = (), payload: int = 0) -> None:
        """Raises ValueError on an unknown field, or a value or VLAN-ID (0 to 4095) that does not fit."""
        for name, value in fields.items():
            if name not in HEADER_FIELDS:
                raise ValueError(f"{name!r} is no header field")
            if not 0 <= value < 1 << 8 * FIELDS[name].size:
                raise ValueError(f"{name} {value:#x} does not fit in {FIELDS[name].size} bytes")
        for vlan_id in vlans:
            if not 0 <= vlan_id <= MAX_TAG:
                raise ValueError(f"VLAN-ID {vlan_id} is outside 0 to {MAX_TAG}")
        self._fields = dict(fields)
        self.vlans = vlans
        self.payload = payload
        self._hash: int | None = None

    @classmethod
    def trusted(cls, fields: dict[str, int], vlans: tuple[int, ...], payload: int) -> Packet:
        """Without checks and without copying ``fields``: for a switch that took a checked packet apart."""
        packet = cls.__new__(cls)
        packet._fields = fields
        packet.vlans = vlans
        packet.payload = payload
        packet._hash = None
        return packet

    @property
    def fields(self) -> Mapping[str, int]:
        """Header fields, read-only."""
        return MappingProxyType(self._fields)

    def __getitem__(self, name: str) -> int:
        return self._fields[name]

    def get(self, name: str, default: int = 0) -> int:
        """A field's value, or ``default`` when the packet does not have it."""
        return self._fields.get(name, default)

    def with_fields(self, **changed: int) -> Packet:
        """A copy with some fields changed or added."""
        return Packet({**self._fields, **changed}, self.vlans, self.payload)

    def with_vlans(self, *vlans: int) -> Packet:
        """A copy with exactly these tags, outer first."""
        return Packet(self._fields, vlans, self.payload)

    def with_payload(self, payload: int) -> Packet:
        """A copy with another payload id."""
        return Packet(self._fields, self.vlans, payload)

    @property
    def is_group_addressed(self) -> bool:
        """Broadcast or multicast."""
        return bool(self._fields["eth_dst"] & MAC_MULTICAST_BIT)

    def same_frame(self, other: Packet) -> bool:
        """Equal in everything but the tags."""
        return self._fields == other._fields and self.payload == other.payload

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Packet) and self.vlans == other.vlans and self.same_frame(other)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash((frozenset(self._fields.items()), self.vlans, self.payload))
        return self._hash

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """(field, value) in wire order."""
        return iter(sorted(self._fields.items(), key=lambda row: FIELDS[row[0]].order))

    def __str__(self) -> str:
        tags = "".join(f"vlan={vlan_id}," for vlan_id in self.vlans)
        return tags + ",".join(f"{name}={show(name, value)}" for name, value in self)

    def __repr__(self) -> str:
        return f"Packet({self}, payload={self.payload})"


def arp_request(mac: int, ip: int, target: int) -> Packet:
    """Who has ``target``, tell ``ip`` (RFC 826)."""
    return _arp(ARP_REQUEST, MAC_BROADCAST, mac, mac, ip, 0, target)


def arp_reply(mac: int, ip: int, to_mac: int, to_ip: int) -> Packet:
    """``ip`` is at ``mac``."""
    return _arp(ARP_REPLY, to_mac, mac, mac, ip, to_mac, to_ip)


def gratuitous_arp(mac: int, ip: int) -> Packet:
    """An ARP announcement: a broadcast request for one's own address (RFC 5227, 2.3)."""
    return _arp(ARP_REQUEST, MAC_BROADCAST, mac, mac, ip, 0, ip)


def arp_probe(mac: int, target: int) -> Packet:
    """Is ``target`` in use? The sender's address is zero (RFC 5227, 2.1.1)."""
    return _arp(ARP_REQUEST, MAC_BROADCAST, mac, mac, 0, 0, target)


def rarp(mac: int) -> Packet:
    """What a hypervisor broadcasts for a guest that has just arrived (RFC 903 request for its own MAC)."""
    return _arp(RARP_REQUEST, MAC_BROADCAST, mac, mac, 0, mac, 0, eth_type=ETH_RARP)


def _arp(
    op: int, eth_dst: int, eth_src: int, sha: int, spa: int, tha: int, tpa: int, eth_type: int = ETH_ARP
) -> Packet:
    return Packet(
        {
            "eth_dst": eth_dst, "eth_src": eth_src, "eth_type": eth_type, "arp_op": op,
            "arp_sha": sha, "arp_spa": spa, "arp_tha": tha, "arp_tpa": tpa,
        }
    )  # fmt: skip


def ipv4(eth_dst: int, eth_src: int, dst: int, src: int, proto: int = 253, **transport: int) -> Packet:
    """An IPv4 packet; protocol 253 is for experiments (RFC 3692)."""
    return Packet(
        {
            "eth_dst": eth_dst, "eth_src": eth_src, "eth_type": ETH_IPV4,
            "ip_proto": proto, "ipv4_dst": dst, "ipv4_src": src, **transport,
        }
    )  # fmt: skip


def ipv6(eth_dst: int, eth_src: int, dst: int, src: int, proto: int = 253, **transport: int) -> Packet:
    """An IPv6 packet."""
    return Packet(
        {
            "eth_dst": eth_dst, "eth_src": eth_src, "eth_type": ETH_IPV6,
            "ip_proto": proto, "ipv6_dst": dst, "ipv6_src": src, **transport,
        }
    )  # fmt: skip


def udp(eth_dst: int, eth_src: int, dst: int, src: int, dst_port: int = 9, src_port: int = 40000) -> Packet:
    """UDP over IPv4."""
    return ipv4(eth_dst, eth_src, dst, src, UDP, udp_dst=dst_port, udp_src=src_port)


def tcp(eth_dst: int, eth_src: int, dst: int, src: int, dst_port: int = 80, src_port: int = 40000) -> Packet:
    """TCP over IPv4."""
    return ipv4(eth_dst, eth_src, dst, src, TCP, tcp_dst=dst_port, tcp_src=src_port)


def ping(eth_dst: int, eth_src: int, dst: int, src: int) -> Packet:
    """An ICMP echo request."""
    return ipv4(eth_dst, eth_src, dst, src, ICMP, icmpv4_type=8, icmpv4_code=0)


def broadcast(mac: int, ip: int) -> Packet:
    """A UDP datagram to everybody on the subnet."""
    return udp(MAC_BROADCAST, mac, 0xFFFFFFFF, ip)


def neighbour_solicitation(mac: int, ip: int, target: int) -> Packet:
    """Who has ``target``? ``ip`` 0 is duplicate address detection, which carries no option (RFC 4861, 4.3)."""
    group = solicited_node(target)
    option = {"nd_options_type": SOURCE_LINK_LAYER, "ipv6_nd_sll": mac} if ip else {"nd_options_type": 0}
    return ipv6(
        multicast_mac(group), mac, group, ip, ICMPV6, icmpv6_type=NEIGHBOUR_SOLICITATION, icmpv6_code=0,
        ipv6_nd_target=target, nd_reserved=0, **option,
    )  # fmt: skip


SOLICITED, OVERRIDE = 0x40000000, 0x20000000
"""Flags of a neighbour advertisement, in the 32 bits that ``nd_reserved`` names (RFC 4861, 4.4)."""
ALL_NODES: Final = 0xFF02 << 112 | 1


def neighbour_advertisement(mac: int, ip: int, to_mac: int = 0, to_ip: int = 0) -> Packet:
    """``ip`` is at ``mac``: the answer to ``to_ip``, or unsolicited to all nodes when that is 0."""
    dst = to_ip or ALL_NODES
    return ipv6(
        to_mac or multicast_mac(dst), mac, dst, ip, ICMPV6, icmpv6_type=NEIGHBOUR_ADVERTISEMENT, icmpv6_code=0,
        ipv6_nd_target=ip, ipv6_nd_tll=mac, nd_options_type=TARGET_LINK_LAYER,
        nd_reserved=(SOLICITED if to_ip else 0) | OVERRIDE,
    )  # fmt: skip
