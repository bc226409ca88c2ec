"""Flows that every switch has, whatever it carries: what happens to frames that nothing else wants."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_vmmob.flows.fields import ETH_ARP, ETH_IPV6, MAC_BROADCAST
from ryu_vmmob.flows.flow import Flow, match
from ryu_vmmob.flows.pipeline import TABLES, Priority, Table

NEIGHBOUR_SOLICITATION = 135
NEIGHBOUR_ADVERTISEMENT = 136
ICMPV6 = 58


def base_flows() -> Iterator[Flow]:
    """A counted drop at the end of each table, and the requests that nobody may answer in another's place."""
    for table in TABLES:
        if table is not Table.ANSWER:
            yield Flow(table, Priority.MISS, match())
    yield Flow(Table.ANSWER, Priority.MISS, match(), goto=Table.BRIDGE)
    # Address probes ask whether anybody else has the address (RFC 5227, RFC 4862): an answer would cost the asker its own.
    yield Flow(
        Table.ANSWER,
        Priority.EXCEPTION,
        match(eth_dst=MAC_BROADCAST, eth_type=ETH_ARP, arp_op=1, arp_spa=0),
        goto=Table.BRIDGE,
    )
    yield Flow(
        Table.ANSWER,
        Priority.EXCEPTION,
        match(eth_type=ETH_IPV6, ip_proto=ICMPV6, ipv6_src=0, icmpv6_type=NEIGHBOUR_SOLICITATION),
        goto=Table.BRIDGE,
    )
