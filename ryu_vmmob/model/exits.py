"""Which external network an edge uses for a prefix: the nearest that works.

Pure; what works is in the state: a port with a live cable, and for prefixes behind next hops one that answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, NamedTuple

from ryu_vmmob.fabric.model import External
from ryu_vmmob.fabric.trees import Tree

if TYPE_CHECKING:
    from ryu_vmmob.model.state import State


class Exit(NamedTuple):
    """A way out. ``hop`` None: the prefix is on the external network's own wire."""

    prefix: IPv4Network | IPv6Network
    external: External
    hop: IPv4Address | IPv6Address | None


def working_exits(state: State, routing_domain: str) -> Iterator[Exit]:
    """Every way out of a routing domain that works now."""
    for name, external in sorted(state.fabric.externals.items()):
        if external.routing_domain != routing_domain or name in state.externals_down:
            continue
        for address in external.addresses:
            yield Exit(address.network, external, None)
        for prefix in external.prefixes:
            hop = next(
                (hop for hop in external.next_hops if hop.version == prefix.version and (name, hop) in state.neighbours), None
            )
            if hop is not None:
                yield Exit(prefix, external, hop)


def nearest_exits(state: State, routing_domain: str, way: Tree, at: str) -> list[Exit]:
    """For each prefix the exit that edge ``at`` uses: in its own data centre if there is one, then the fewest links away.

    Links are those of the tree on which the routed segment runs; what it does not reach is no exit.
    """
    best: dict[IPv4Network | IPv6Network, tuple[tuple[bool, int, str], Exit]] = {}
    center = state.fabric.switches[at].data_center
    for found in working_exits(state, routing_domain):
        edge = found.external.attach.switch
        links = way.distance(at, edge)
        if links is None:
            continue
        rank = (state.fabric.switches[edge].data_center != center, links, found.external.name)
        if found.prefix not in best or rank < best[found.prefix][0]:
            best[found.prefix] = (rank, found)
    return [found for _, found in best.values()]
