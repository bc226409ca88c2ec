"""ARP and RARP frames (RFC 826, RFC 903, RFC 5227)."""

from __future__ import annotations

from ryu_vmmob.net.addresses import MAC_BROADCAST
from ryu_vmmob.net.protocols import ETH_ARP, ETH_RARP
from ryu_vmmob.sim.packet.value import Packet

ARP_REQUEST, ARP_REPLY, RARP_REQUEST = 1, 2, 3


def arp_request(mac: int, ip: int, target: int) -> Packet:
    """Who has ``target``, tell ``ip`` (RFC 826)."""
    return _arp(ARP_REQUEST, MAC_BROADCAST, mac, mac, ip, 0, target)


def arp_reply(mac: int, ip: int, to_mac: int, to_ip: int) -> Packet:
    """``ip`` is at ``mac``."""
    return _arp(ARP_REPLY, to_mac, mac, mac, ip, to_mac, to_ip)


def gratuitous_arp(mac: int, ip: int) -> Packet:
    """Return an ARP announcement: a broadcast request for one's own address (RFC 5227, 2.3)."""
    return _arp(ARP_REQUEST, MAC_BROADCAST, mac, mac, ip, 0, ip)


def arp_probe(mac: int, target: int) -> Packet:
    """Is ``target`` in use? The sender's address is zero (RFC 5227, 2.1.1)."""
    return _arp(ARP_REQUEST, MAC_BROADCAST, mac, mac, 0, 0, target)


def rarp(mac: int) -> Packet:
    """Return what a hypervisor broadcasts for a guest that has just arrived (RFC 903 request for its own MAC)."""
    return _arp(RARP_REQUEST, MAC_BROADCAST, mac, mac, 0, mac, 0, eth_type=ETH_RARP)


def _arp(op: int, eth_dst: int, eth_src: int, sha: int, spa: int, tha: int, tpa: int, eth_type: int = ETH_ARP) -> Packet:
    return Packet(
        {
            "eth_dst": eth_dst, "eth_src": eth_src, "eth_type": eth_type, "arp_op": op,
            "arp_sha": sha, "arp_spa": spa, "arp_tha": tha, "arp_tpa": tpa,
        }
    )  # fmt: skip
