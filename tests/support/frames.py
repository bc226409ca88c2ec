"""Packets of the simulator as real bytes, built by Scapy."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6Unknown,
    IPv6,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from ryu_vmmob.net.addresses import mac_text
from ryu_vmmob.net.protocols import ETH_ARP, ETH_IPV4, ETH_IPV6, ETH_RARP
from ryu_vmmob.sim.packet import CUT_OFF, SOURCE_LINK_LAYER, TARGET_LINK_LAYER, Packet


def to_bytes(packet: Packet) -> bytes:
    """The frame on the wire, checksums and all."""
    layers: Any = Ether(dst=mac_text(packet["eth_dst"]), src=mac_text(packet["eth_src"]), type=packet["eth_type"])
    if packet.vlans:
        layers.type = 0x8100
    for number, vlan_id in enumerate(packet.vlans):
        last = number == len(packet.vlans) - 1
        layers /= Dot1Q(prio=vlan_id >> 13, vlan=vlan_id & 0xFFF, type=packet["eth_type"] if last else 0x8100)
    kind = packet["eth_type"]
    if kind in (ETH_ARP, ETH_RARP):
        layers /= ARP(
            op=packet["arp_op"], hwsrc=mac_text(packet["arp_sha"]), psrc=str(IPv4Address(packet["arp_spa"])),
            hwdst=mac_text(packet["arp_tha"]), pdst=str(IPv4Address(packet["arp_tpa"])),
        )  # fmt: skip
    elif kind == ETH_IPV4:
        layers /= IP(
            src=str(IPv4Address(packet["ipv4_src"])), dst=str(IPv4Address(packet["ipv4_dst"])), proto=packet["ip_proto"],
            ttl=packet["nw_ttl"], flags="MF" if packet.get("ip_frag") else 0, frag=_offset(packet),
        )  # fmt: skip
        layers /= _carried(packet)
    elif kind == ETH_IPV6:
        proto, fragment = packet["ip_proto"], packet.get("ip_frag")
        layers /= IPv6(
            src=str(IPv6Address(packet["ipv6_src"])), dst=str(IPv6Address(packet["ipv6_dst"])), nh=44 if fragment else proto,
            hlim=packet["nw_ttl"],
        )  # fmt: skip
        if fragment:
            layers /= IPv6ExtHdrFragment(nh=17 if proto == 44 else proto, m=1, offset=_offset(packet), id=7)
        layers /= _carried(packet)
    else:
        layers /= Raw(bytes(46))
    return bytes(layers)


LATER: Final = 3
_OFFSET: Final = 185
"""Of later fragments, in units of 8 bytes: a link of 1500 bytes makes such."""
_BEGINS: Final = {1: "icmpv4_type", 6: "tcp_dst", 17: "udp_dst", 58: "icmpv6_type"}
"""By protocol, what a first fragment lacks that ends before it."""


def _offset(packet: Packet) -> int:
    return _OFFSET if packet.get("ip_frag") == LATER else 0


def _carried(packet: Packet) -> Any:
    """What stands behind IP: the transport, the beginning of one, or what is none."""
    proto = packet["ip_proto"]
    if packet.get("ip_frag") == LATER:
        return Raw(bytes(16))
    if packet["eth_type"] == ETH_IPV6 and proto == CUT_OFF:
        return Raw(bytes((6, 8)) + bytes(14))  # hop-by-hop options, 72 bytes as they say, of which 16 are there
    if _BEGINS.get(proto) not in (None, *packet.fields):
        return Raw(struct.pack("!HHI", 40000, 22, 1) if proto == 6 else b"")
    return _icmpv6(packet) if proto == 58 else _transport(packet)


def _transport(packet: Packet) -> Any:
    match packet["ip_proto"]:
        case 1:
            return ICMP(type=packet["icmpv4_type"], code=packet["icmpv4_code"])
        case 6:
            return TCP(sport=packet["tcp_src"], dport=packet["tcp_dst"], flags=packet["tcp_flags"])
        case 17:
            return UDP(sport=packet["udp_src"], dport=packet["udp_dst"]) / Raw(packet.payload.to_bytes(8, "big"))
    return Raw(bytes(16))


def _icmpv6(packet: Packet) -> Any:
    target = str(IPv6Address(packet.get("ipv6_nd_target")))
    match packet["icmpv6_type"]:
        case 133:
            return ICMPv6ND_RS(code=packet["icmpv6_code"])
        case 135:
            message: Any = ICMPv6ND_NS(code=packet["icmpv6_code"], tgt=target, res=packet["nd_reserved"])
        case 136:
            flags = packet["nd_reserved"]
            message = ICMPv6ND_NA(
                code=packet["icmpv6_code"], tgt=target, R=flags >> 31, S=flags >> 30 & 1, O=flags >> 29 & 1,
                res=flags & 0x1FFFFFFF,
            )  # fmt: skip
        case kind:
            return ICMPv6Unknown(type=kind, code=packet["icmpv6_code"]) / Raw(bytes(8))
    match packet.get("nd_options_type"):
        case 1:
            assert SOURCE_LINK_LAYER == 1
            message /= ICMPv6NDOptSrcLLAddr(lladdr=mac_text(packet["ipv6_nd_sll"]))
        case 2:
            assert TARGET_LINK_LAYER == 2
            message /= ICMPv6NDOptDstLLAddr(lladdr=mac_text(packet["ipv6_nd_tll"]))
    return message
