"""The same fabric without any controller, of switches that learn: one VLAN, one tree, no notice of a move.

It is what a live migration costs without the product, on the same switches, servers and cables.
"""

from __future__ import annotations

import networkx as nx

from mininet_topos.lab import Lab

VLAN_ID = 100


def learn(lab: Lab) -> None:
    """Let all switches of a laboratory without a controller learn, on the cables of one tree; the others are pulled."""
    graph: nx.MultiGraph[str] = nx.MultiGraph()
    graph.add_nodes_from(lab.fabric.switches)
    for link in lab.fabric.links:
        graph.add_edge(link.a.switch, link.b.switch, key=link.name)
    tree = {key for _, _, key in nx.minimum_spanning_edges(graph, keys=True, data=False)}
    for link in lab.fabric.links:
        if link.name not in tree:
            lab.set_link(link.name, up=False)
    for name, server in lab.fabric.servers.items():
        for index in range(2, len(server.attach) + 1):
            lab.set_uplink(name, index, up=False)
    for switch in lab.fabric.switches:
        lab.ovs.vsctl("set-fail-mode", lab.bridge(switch), "standalone")
