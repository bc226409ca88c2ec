"""Packets as immutable values (`value`), and builders for each family: `arp`, `ip`, `fragment`, `nd`."""

from ryu_vmmob.sim.packet.arp import (
    ARP_REPLY,
    ARP_REQUEST,
    RARP_REQUEST,
    arp_probe,
    arp_reply,
    arp_request,
    gratuitous_arp,
    rarp,
)
from ryu_vmmob.sim.packet.fragment import (
    CUT_OFF,
    behind_unknown_header,
    cut_off_chain,
    first_fragment,
    fragments,
    later_fragment,
    tiny_fragment,
)
from ryu_vmmob.sim.packet.ip import (
    DEFAULT_TTL,
    ECHO_REPLY,
    ECHO_REPLY_V6,
    ECHO_REQUEST,
    ECHO_REQUEST_V6,
    EXPERIMENT,
    ICMP,
    ICMPV6,
    TCP,
    TCP_SYN,
    UDP,
    broadcast,
    ipv4,
    ipv6,
    ping,
    ping6,
    tcp,
    tcp6,
    udp,
    udp6,
)
from ryu_vmmob.sim.packet.nd import (
    ALL_NODES,
    ALL_ROUTERS,
    NEIGHBOUR_ADVERTISEMENT,
    NEIGHBOUR_SOLICITATION,
    OVERRIDE,
    ROUTER_SOLICITATION,
    SOLICITED,
    SOURCE_LINK_LAYER,
    TARGET_LINK_LAYER,
    neighbour_advertisement,
    neighbour_solicitation,
    router_solicitation,
)
from ryu_vmmob.sim.packet.value import HEADER_FIELDS, MAX_TAG, Packet

__all__ = [
    "ALL_NODES", "ALL_ROUTERS", "ARP_REPLY", "ARP_REQUEST", "CUT_OFF", "DEFAULT_TTL", "ECHO_REPLY", "ECHO_REPLY_V6",
    "ECHO_REQUEST", "ECHO_REQUEST_V6", "EXPERIMENT", "HEADER_FIELDS", "ICMP", "ICMPV6", "MAX_TAG",
    "NEIGHBOUR_ADVERTISEMENT", "NEIGHBOUR_SOLICITATION", "OVERRIDE", "RARP_REQUEST", "ROUTER_SOLICITATION", "SOLICITED",
    "SOURCE_LINK_LAYER", "TARGET_LINK_LAYER", "TCP", "TCP_SYN", "UDP", "Packet", "arp_probe", "arp_reply", "arp_request",
    "behind_unknown_header", "broadcast", "cut_off_chain", "first_fragment", "fragments", "gratuitous_arp", "ipv4",
    "ipv6", "later_fragment", "neighbour_advertisement", "neighbour_solicitation", "ping", "ping6", "rarp",
    "router_solicitation", "tcp", "tcp6", "tiny_fragment", "udp", "udp6",
]  # fmt: skip
