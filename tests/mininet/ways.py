"""The way of routed packets over the cables of a laboratory, as sniffers saw it, and what it has to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import networkx

if TYPE_CHECKING:
    from mininet_topos.endpoint import Endpoint
    from mininet_topos.lab import Lab
    from mininet_topos.observers import Seen, Sniff

FIRST_TTL = 64  # what Linux sends with
SLACK = 4  # packets that were under way when the sniffers began and ended


def ends(cable: str) -> tuple[str, str]:
    """The switches, servers or external networks at a cable's two ends, from its name."""
    a, _, b = cable.partition("=")
    return a.split(":")[0], b.split(":")[0]


def edge(lab: Lab, end: Endpoint) -> str:
    """The switch that is the first router of packets from ``end``, and the last one of packets to it."""
    return lab.fabric.servers[end.server].switch if end.server else lab.fabric.externals[end.name].attach.switch


def places(lab: Lab, cables: Iterable[str]) -> set[str]:
    """The data centres that cables touch (those of the network between them touch two)."""
    switches = {end for cable in cables for end in ends(cable) if end in lab.fabric.switches}
    return {centre for name in switches if (centre := lab.fabric.switches[name].data_center)}


def check(lab: Lab, wires: Sniff, source: Endpoint, target: Endpoint, version: int) -> list[str]:
    """Assert that packets went the straight way: first and last router at the ends, no cable twice; gives the cables.

    ``source`` and ``target`` are not on one server. A target outside is taken at whichever border the packets left by.
    """
    seen = wires.packets(source.address(version=version), target.address(version=version))
    said = f"{source.name} > {target.name}, IPv{version}: {seen}"
    assert seen, said
    start, finish = source.server or source.name, target.server or _left_by(lab, seen)
    rows = {cable: _one(kinds, said) for cable, kinds in seen.items()}
    _simple(rows, start, finish, said)
    first, last = _at(rows, start), _at(rows, finish)
    between = [row for cable, row in rows.items() if not {start, finish} & set(ends(cable))]
    routers = 2 if between else 1
    assert first.ttl == FIRST_TTL, said
    assert last.ttl == FIRST_TTL - routers, said
    gateway = lab.fabric.gateway_mac
    if source.server:
        assert first.destination == gateway, said
    if target.server:
        assert last.source == gateway, said
    assert {row.ttl for row in between} <= {FIRST_TTL - 1}, said
    pairs = {(row.source, row.destination) for row in between}
    assert len(pairs) <= 1, said
    ours = {gateway, first.source, last.destination}
    assert not {mac for pair in pairs for mac in pair} & ours, said
    counts = [row.frames for row in rows.values()]
    assert max(counts) - min(counts) <= SLACK, said
    return sorted(rows)


def _left_by(lab: Lab, seen: Mapping[str, object]) -> str:
    (name,) = {end for cable in seen for end in ends(cable) if end in lab.fabric.externals}
    return name


def _one(kinds: list[Seen], said: str) -> Seen:
    """On each cable a packet is seen once: one TTL, one VLAN-ID, one pair of MACs."""
    assert len(kinds) == 1, said
    return kinds[0]


def _at(rows: Mapping[str, Seen], place: str) -> Seen:
    (row,) = [row for cable, row in rows.items() if place in ends(cable)]
    return row


def _simple(cables: Iterable[str], start: str, finish: str, said: str) -> None:
    """The cables are one path from start to finish, without a branch or a loop."""
    graph: networkx.MultiGraph[str] = networkx.MultiGraph()
    for cable in cables:
        graph.add_edge(*ends(cable))
    assert networkx.is_connected(graph), said
    assert {node for node in graph if graph.degree(node) == 1} == {start, finish}, said
    assert all(graph.degree(node) <= 2 for node in graph), said
