"""IP packets: UDP, TCP and ICMP over IPv4 and IPv6.

Every one has a TTL (`DEFAULT_TTL` unless ``nw_ttl`` says otherwise; IPv6 calls it hop limit), every TCP segment has flags.
"""

from __future__ import annotations

from typing import Final

from ryu_vmmob.net.addresses import MAC_BROADCAST
from ryu_vmmob.net.protocols import ETH_IPV4, ETH_IPV6
from ryu_vmmob.sim.packet.value import Packet

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
DEFAULT_TTL: Final = 64
"""What hosts send with (RFC 1340, "IP TIME TO LIVE PARAMETER")."""
TCP_SYN: Final = 0x002
"""The flags of the segment that opens a connection (RFC 9293, 3.1)."""
ECHO_REQUEST, ECHO_REPLY = 8, 0
ECHO_REQUEST_V6, ECHO_REPLY_V6 = 128, 129
EXPERIMENT: Final = 253
"""A protocol for experiments (RFC 3692)."""


def ipv4(eth_dst: int, eth_src: int, dst: int, src: int, proto: int = EXPERIMENT, **more: int) -> Packet:
    """Return an IPv4 packet; ``more`` are fields of the transport, or another ``nw_ttl``."""
    return Packet(
        {
            "eth_dst": eth_dst, "eth_src": eth_src, "eth_type": ETH_IPV4,
            "ip_proto": proto, "ipv4_dst": dst, "ipv4_src": src, **_defaults(proto), **more,
        }
    )  # fmt: skip


def ipv6(eth_dst: int, eth_src: int, dst: int, src: int, proto: int = EXPERIMENT, **more: int) -> Packet:
    """Return an IPv6 packet; ``more`` as in `ipv4`."""
    return Packet(
        {
            "eth_dst": eth_dst, "eth_src": eth_src, "eth_type": ETH_IPV6,
            "ip_proto": proto, "ipv6_dst": dst, "ipv6_src": src, **_defaults(proto), **more,
        }
    )  # fmt: skip


def _defaults(proto: int) -> dict[str, int]:
    return {"nw_ttl": DEFAULT_TTL, "tcp_flags": TCP_SYN} if proto == TCP else {"nw_ttl": DEFAULT_TTL}


def udp(eth_dst: int, eth_src: int, dst: int, src: int, dst_port: int = 9, src_port: int = 40000) -> Packet:
    """UDP over IPv4."""
    return ipv4(eth_dst, eth_src, dst, src, UDP, udp_dst=dst_port, udp_src=src_port)


def udp6(eth_dst: int, eth_src: int, dst: int, src: int, dst_port: int = 9, src_port: int = 40000) -> Packet:
    """UDP over IPv6."""
    return ipv6(eth_dst, eth_src, dst, src, UDP, udp_dst=dst_port, udp_src=src_port)


def tcp(
    eth_dst: int, eth_src: int, dst: int, src: int, dst_port: int = 80, src_port: int = 40000, flags: int = TCP_SYN
) -> Packet:
    """TCP over IPv4; ``flags`` has 12 bits."""
    return ipv4(eth_dst, eth_src, dst, src, TCP, tcp_dst=dst_port, tcp_src=src_port, tcp_flags=flags)


def tcp6(
    eth_dst: int, eth_src: int, dst: int, src: int, dst_port: int = 80, src_port: int = 40000, flags: int = TCP_SYN
) -> Packet:
    """TCP over IPv6; ``flags`` has 12 bits."""
    return ipv6(eth_dst, eth_src, dst, src, TCP, tcp_dst=dst_port, tcp_src=src_port, tcp_flags=flags)


def ping(eth_dst: int, eth_src: int, dst: int, src: int, kind: int = ECHO_REQUEST) -> Packet:
    """Return an ICMP echo request, or with ``kind`` another ICMP message (RFC 792)."""
    return ipv4(eth_dst, eth_src, dst, src, ICMP, icmpv4_type=kind, icmpv4_code=0)


def ping6(eth_dst: int, eth_src: int, dst: int, src: int, kind: int = ECHO_REQUEST_V6) -> Packet:
    """Return an ICMPv6 echo request, or with ``kind`` another ICMPv6 message (RFC 4443)."""
    return ipv6(eth_dst, eth_src, dst, src, ICMPV6, icmpv6_type=kind, icmpv6_code=0)


def broadcast(mac: int, ip: int) -> Packet:
    """Return a UDP datagram to the broadcast address of the subnet."""
    return udp(MAC_BROADCAST, mac, 0xFFFFFFFF, ip)
