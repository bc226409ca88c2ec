"""A switch as a router: its own MAC address, and how it hands a packet on."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

from ryu_vmmob.flows.flow import Action, SetField, ToGroup
from ryu_vmmob.flows.segment import next_hop_id
from ryu_vmmob.model.objects import RoutingDomain
from ryu_vmmob.model.state import State


@lru_cache(maxsize=64)
def _of_fabric(name: str) -> int:
    return 0x02 << 40 | int.from_bytes(blake2b(name.encode(), digest_size=3).digest(), "big") << 16


def router_mac(state: State, switch: str) -> int:
    """Return the MAC of an edge as a router among routers: on routed segments and on external networks.

    Locally administered, made of the fabric's name and the switch's key: two fabrics on one external network differ.
    """
    return _of_fabric(state.fabric.name) | state.switch_keys[switch]


def to_edge(state: State, domain: RoutingDomain, at: str, edge: str) -> tuple[Action, ...]:
    """Send a copy over the routed segment to another edge, which routes it to its end (RFC 9135, symmetric)."""
    return (
        SetField("eth_src", router_mac(state, at)),
        SetField("eth_dst", router_mac(state, edge)),
        ToGroup(next_hop_id(state, domain, edge)),
    )
