"""Neighbour discovery (RFC 4861): solicitations and advertisements, with the hop limit 255 that proves them local (7.1.1)."""

from __future__ import annotations

from typing import Final

from ryu_vmmob.sim.addresses import multicast_mac, solicited_node
from ryu_vmmob.sim.packet.ip import ICMPV6, ipv6
from ryu_vmmob.sim.packet.value import Packet

ROUTER_SOLICITATION, NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT = 133, 135, 136
SOURCE_LINK_LAYER, TARGET_LINK_LAYER = 1, 2
"""Types of the link-layer address options of neighbour discovery (RFC 4861, 4.6.1)."""
HOP_LIMIT: Final = 255
ALL_ROUTERS: Final = 0xFF02 << 112 | 2


def neighbour_solicitation(mac: int, ip: int, target: int) -> Packet:
    """Who has ``target``? ``ip`` 0 is duplicate address detection, which carries no option (RFC 4861, 4.3)."""
    group = solicited_node(target)
    option = {"nd_options_type": SOURCE_LINK_LAYER, "ipv6_nd_sll": mac} if ip else {"nd_options_type": 0}
    return ipv6(
        multicast_mac(group), mac, group, ip, ICMPV6, icmpv6_type=NEIGHBOUR_SOLICITATION, icmpv6_code=0,
        nw_ttl=HOP_LIMIT, ipv6_nd_target=target, nd_reserved=0, **option,
    )  # fmt: skip


def router_solicitation(mac: int, ip: int) -> Packet:
    """Is there a router? (RFC 4861, 4.1). Its option is not modelled."""
    return ipv6(
        multicast_mac(ALL_ROUTERS), mac, ALL_ROUTERS, ip, ICMPV6, icmpv6_type=ROUTER_SOLICITATION, icmpv6_code=0,
        nw_ttl=HOP_LIMIT,
    )  # fmt: skip


SOLICITED, OVERRIDE = 0x40000000, 0x20000000
"""Flags of a neighbour advertisement, in the 32 bits that ``nd_reserved`` names (RFC 4861, 4.4)."""
ALL_NODES: Final = 0xFF02 << 112 | 1


def neighbour_advertisement(mac: int, ip: int, to_mac: int = 0, to_ip: int = 0) -> Packet:
    """``ip`` is at ``mac``: the answer to ``to_ip``, or unsolicited to all nodes when that is 0."""
    dst = to_ip or ALL_NODES
    return ipv6(
        to_mac or multicast_mac(dst), mac, dst, ip, ICMPV6, icmpv6_type=NEIGHBOUR_ADVERTISEMENT, icmpv6_code=0,
        nw_ttl=HOP_LIMIT, ipv6_nd_target=ip, ipv6_nd_tll=mac, nd_options_type=TARGET_LINK_LAYER,
        nd_reserved=(SOLICITED if to_ip else 0) | OVERRIDE,
    )  # fmt: skip
