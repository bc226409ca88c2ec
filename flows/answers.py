"""ARP and neighbour solicitations answered by the edge the asker hangs on, with no packet to the controller.

The frame is turned into its own reply by field moves (Open vSwitch's NXAST_REG_MOVE) and goes back where it came from. Only
multicast requests are answered: a unicast probe of a known neighbour asks whether it is alive, and that only it can say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ryu_vmmob.flows.base import ICMPV6, NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION
from ryu_vmmob.flows.fields import ETH_ARP, ETH_IPV6, MAC_BROADCAST, eui64_link_local
from ryu_vmmob.flows.flow import Flow, Move, SetField, match
from ryu_vmmob.flows.pipeline import HAIRPIN, SEGMENT, Priority, Table
from ryu_vmmob.model.objects import Cug, Interface

_ARP_REQUEST, _ARP_REPLY = 1, 2
_SOLICITED_OVERRIDE = 0x60000000  # RFC 4861, 4.4: S and O flags of an advertisement
_TARGET_LINK_LAYER_OPTION = 2
_ND_MULTICAST = (0x333300000000, 0xFFFF00000000)


def answers(cug: Cug, interface: Interface) -> Iterator[Flow]:
    """Replies in the name of one interface, at an edge where its CUG is present."""
    for ip in interface.ips:
        if ip.version == 4:
            yield _arp_reply(cug, interface.mac, int(ip))
    v6 = {int(ip) for ip in interface.ips if ip.version == 6}
    for target in sorted(v6 | {eui64_link_local(interface.mac)}) if v6 else ():
        yield from _advertisement(cug, interface.mac, target)


def own_announcements(cug: Cug, interface: Interface) -> Iterator[Flow]:
    """A gratuitous ARP asks for its sender's own address: it is news for the CUG, not a question (RFC 5227, 3)."""
    for ip in interface.ips:
        if ip.version == 4:
            yield Flow(
                Table.ANSWER,
                Priority.SPECIAL,
                match(
                    metadata=SEGMENT.of(cug.key),
                    eth_dst=MAC_BROADCAST,
                    eth_type=ETH_ARP,
                    arp_op=_ARP_REQUEST,
                    arp_spa=int(ip),
                    arp_tpa=int(ip),
                ),
                goto=Table.BRIDGE,
            )


def _arp_reply(cug: Cug, mac: int, ip: int) -> Flow:
    return Flow(
        Table.ANSWER,
        Priority.NORMAL,
        match(
            metadata=SEGMENT.of(cug.key), eth_dst=MAC_BROADCAST, eth_type=ETH_ARP, arp_op=_ARP_REQUEST, arp_tpa=ip
        ),
        (
            Move("eth_src", "eth_dst"),
            SetField("eth_src", mac),
            SetField("arp_op", _ARP_REPLY),
            Move("arp_sha", "arp_tha"),
            Move("arp_spa", "arp_tpa"),
            SetField("arp_sha", mac),
            SetField("arp_spa", ip),
        ),
        Table.DELIVER,
        HAIRPIN.of(1),
    )


def _advertisement(cug: Cug, mac: int, target: int) -> Iterator[Flow]:
    """Two tables, because a switch lets `nd_tll` be set only where the match already says type 136."""
    icmp: dict[str, Any] = {"metadata": SEGMENT.of(cug.key), "eth_type": ETH_IPV6, "ip_proto": ICMPV6}
    yield Flow(
        Table.ANSWER,
        Priority.NORMAL,
        match(eth_dst=_ND_MULTICAST, icmpv6_type=NEIGHBOUR_SOLICITATION, ipv6_nd_target=target, **icmp),
        (
            Move("eth_src", "eth_dst"),
            SetField("eth_src", mac),
            Move("ipv6_src", "ipv6_dst"),
            SetField("ipv6_src", target),
            SetField("nd_reserved", _SOLICITED_OVERRIDE),
            SetField("icmpv6_type", NEIGHBOUR_ADVERTISEMENT),
        ),
        Table.ADVERTISE,
        HAIRPIN.of(1),
    )
    yield Flow(
        Table.ADVERTISE,
        Priority.NORMAL,
        match(icmpv6_type=NEIGHBOUR_ADVERTISEMENT, ipv6_nd_target=target, **icmp),
        (SetField("nd_options_type", _TARGET_LINK_LAYER_OPTION), SetField("ipv6_nd_tll", mac)),
        Table.DELIVER,
    )
