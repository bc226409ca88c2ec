"""Flows that every switch has, whatever it carries: the table-miss flows, and drops and replies common to all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ryu_vmmob.fabric.model import Server
from ryu_vmmob.flows.flow import CONTROLLER, Flow, Match, Output, match
from ryu_vmmob.flows.fragments import unreadable
from ryu_vmmob.flows.pipeline import (
    ASKED,
    OUTSIDE,
    ROUTED,
    TABLES,
    VIA,
    Meter,
    Priority,
    Table,
    metadata,
    meter_id,
)
from ryu_vmmob.net.addresses import ON_LINK
from ryu_vmmob.net.protocols import (
    ETH_ARP,
    ETH_IPV4,
    ETH_IPV6,
    ETH_RARP,
    ICMPV6,
    ND_TYPES,
    NEIGHBOUR_ADVERTISEMENT,
    NEIGHBOUR_SOLICITATION,
)

WHOLE = 0xFFFF
"""OFPCML_NO_BUFFER: the controller gets the whole frame."""
SHOWN = 128
"""Bytes of a refused frame that the controller gets to see."""
ETH_IP = (ETH_IPV4, ETH_IPV6)

_RESERVED_GROUPS = (0x0180C2000000, 0xFFFFFFFFFFF0)
"""Spanning trees, LACP, LLDP and their like, which are between two neighbours on a cable (IEEE 802.1Q, table 8-1)."""

_NOT_ROUTED: tuple[dict[str, Any], ...] = (
    {"eth_type": ETH_IPV4, "ipv4_dst": (0xE0000000, 0xE0000000)},  # multicast, reserved and broadcast (RFC 5735)
    {"eth_type": ETH_IPV4, "ipv4_dst": (0x7F000000, 0xFF000000)},
    {"eth_type": ETH_IPV4, "ipv4_dst": (0xA9FE0000, 0xFFFF0000)},  # link-local (RFC 3927, 2.7)
    {"eth_type": ETH_IPV6, "ipv6_dst": (0xFF << 120, 0xFF << 120)},
    {"eth_type": ETH_IPV6, "ipv6_dst": (0xFE80 << 112, 0xFFC0 << 112)},  # link-local (RFC 4291, 2.5.6)
    {"eth_type": ETH_IPV6, "ipv6_src": (0xFE80 << 112, 0xFFC0 << 112)},
)
"""What no router forwards."""


def asks_controller(table: Table, priority: int, rows: Match) -> Flow:
    """Return a packet that the controller answers, as far as it likes, and as the meter of its port lets through (`punt`)."""
    return Flow(table, priority, rows, (), Table.PUNT, ASKED.of(table.id))


def punt(port: int) -> Flow:
    """Return the flow of what comes in at a port and wants an answer of the controller."""
    rows = match(in_port=port)
    return Flow(Table.PUNT, Priority.NORMAL, rows, (Output(CONTROLLER, WHOLE),), meter=meter_id(Meter.ANSWERS, port))


def tells_of_neighbour(priority: int, port: int, rows: Match) -> Flow:
    """Return an answer to a question of ours at an external network's port."""
    return Flow(Table.ADMIT, priority, rows, (Output(CONTROLLER, WHOLE),), meter=meter_id(Meter.NEIGHBOURS, port))


def base_flows(gateway_mac: int) -> Iterator[Flow]:
    """Yield the end of each table, the requests that only their target may answer, and what a router does at all."""
    for table in TABLES:
        yield Flow(table, Priority.MISS, match(), goto=table.miss)
    yield from unreadable(ND_TYPES)
    yield from _address_probes()
    yield from _unreadable_discovery()
    yield Flow(Table.ADMIT, Priority.RESERVED, match(eth_dst=_RESERVED_GROUPS), goto=Table.REFUSE)
    yield from _policy_defaults(gateway_mac)
    yield from routed_here(gateway_mac, *metadata(via=VIA.of(0), outside=OUTSIDE.of(0)))
    for rule in _NOT_ROUTED:
        yield Flow(Table.ROUTE, Priority.EXCEPTION, match(**rule))


def _address_probes() -> Iterator[Flow]:
    """Address probes for an address that no interface has and that is not the asker's (RFC 5227, RFC 4862).

    The asker's own come here at all only where it may not send (`admission`), and those for an address that is taken are
    answered by the flows above.
    """
    yield Flow(Table.ANSWER, Priority.FALLBACK, match(eth_type=ETH_ARP, arp_op=1, arp_spa=0), goto=Table.REFUSE)
    probe: dict[str, Any] = {
        "eth_type": ETH_IPV6, "ip_proto": ICMPV6, "ipv6_src": 0, "icmpv6_type": NEIGHBOUR_SOLICITATION,
    }  # fmt: skip
    yield Flow(Table.ANSWER, Priority.LAST, match(**probe), goto=Table.REFUSE)
    # A link-local address may be one that a guest has chosen itself: all members are asked.
    yield Flow(Table.ANSWER, Priority.FALLBACK, match(**probe, ipv6_nd_target=ON_LINK), goto=Table.BRIDGE)


def _unreadable_discovery() -> Iterator[Flow]:
    """Solicitations and advertisements in which the switch finds no target: of another code than 0, or with two link-layer
    options, of which it reads none and a host might read the wrong one. Hosts discard the first (RFC 4861, 7.1).
    """
    for kind in (NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT):
        rows = match(eth_type=ETH_IPV6, ip_proto=ICMPV6, icmpv6_type=kind, ipv6_nd_target=0)
        yield Flow(Table.ADMIT, Priority.OVERRIDING, rows, goto=Table.REFUSE)


def _policy_defaults(gateway_mac: int) -> Iterator[Flow]:
    """Where no policy says anything: what stays inside a CUG may pass, what is routed may not (R11).

    What comes from outside is judged where it comes in, too: a packet that is denied costs the fabric nothing.
    """
    for eth_type in ETH_IP:
        yield Flow(Table.POLICY_OUT, Priority.FALLBACK, match(metadata=OUTSIDE.of(1), eth_type=eth_type))
        yield Flow(Table.POLICY_OUT, Priority.FALLBACK, match(eth_dst=gateway_mac, eth_type=eth_type))
        yield Flow(Table.POLICY_IN, Priority.FALLBACK, match(metadata=ROUTED.of(1), eth_type=eth_type))
    for kind in ND_TYPES:
        discovery = match(eth_type=ETH_IPV6, ip_proto=ICMPV6, icmpv6_type=kind)
        yield Flow(Table.POLICY_OUT, Priority.EXEMPT, discovery, goto=Table.BRIDGE)
        yield Flow(Table.POLICY_IN, Priority.EXEMPT, discovery, goto=Table.DELIVER)


def routed_here(mac: int, value: int, mask: int) -> Iterator[Flow]:
    """IP packets for one of the router's own MACs are routed; where their time is over, the sender is told (RFC 1812, 5.3.1).

    ``value`` and ``mask`` say in the metadata on which way a packet with this MAC may have come.
    """
    for eth_type in ETH_IP:
        mine: dict[str, Any] = {"metadata": (value, mask), "eth_dst": mac, "eth_type": eth_type}
        yield Flow(Table.GATEWAY, Priority.NORMAL, match(**mine), goto=Table.ROUTE)
        for ttl in (0, 1):
            yield asks_controller(Table.GATEWAY, Priority.SPECIAL, match(**mine, nw_ttl=ttl))


def refusals(server: Server) -> Iterator[Flow]:
    """Yield what comes in at a server's ports and belongs to no interface there: counted, and partly shown to the controller
    (R49).

    On a tagged port the VLAN-ID says the CUG, and ADMIT the rest; on an untagged one the source MAC says both. A VLAN-ID that
    means nothing at the port may still be that of a CUG elsewhere in the domain, whose VM speaks here without leave.
    """
    for port in server.attach:
        at_port = match(in_port=port.port)
        shown, number = (Output(CONTROLLER, SHOWN),), port.port
        yield Flow(Table.REFUSE, Priority.NORMAL, at_port, shown, meter=meter_id(Meter.REFUSALS, number))
        # The first frame of a VM that arrives unannounced is reported, whatever else the port is flooded with.
        for kind in (ETH_RARP, ETH_ARP):
            said = match(in_port=number, eth_type=kind)
            yield Flow(Table.REFUSE, Priority.SPECIAL, said, shown, meter=meter_id(Meter.ANNOUNCEMENTS, number))
        yield Flow(Table.INGRESS, Priority.FALLBACK, at_port, goto=Table.REFUSE)
