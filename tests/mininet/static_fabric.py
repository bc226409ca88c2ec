"""A fabric without a controller: flows by hand for etc/two-dcs.yaml, one CUG, along one tree over border-1 and border-3.

It proves the laboratory (servers, cards, probes) apart from the product.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mininet_topos.lab import Lab

TREE = {  # switch: {neighbour: (port, VLAN-ID on that link)}
    "tor-a": {"border-1": (49, 2001)},
    "tor-b": {"border-1": (49, 2001)},
    "border-1": {"tor-a": (1, 2001), "tor-b": (2, 2001), "border-3": (48, 3001)},
    "border-3": {"border-1": (48, 3001), "tor-c": (1, 601), "tor-d": (2, 601)},
    "tor-c": {"border-3": (49, 601)},
    "tor-d": {"border-3": (49, 601)},
}
VLAN_IDS = {"tor-a": 110, "tor-b": 160, "tor-c": 510, "tor-d": 510}


def vlan_id(lab: Lab, server: str) -> int | None:
    """What the server is to tag with."""
    there = lab.fabric.servers[server]
    return VLAN_IDS[there.switch] if there.tagged else None


def _toward(switch: str, target: str, came_from: str | None = None) -> str | None:
    """The neighbour of ``switch`` in the tree that leads to ``target``."""
    for neighbour in TREE[switch]:
        if neighbour == came_from:
            continue
        if neighbour == target or _toward(neighbour, target, switch) is not None:
            return neighbour
    return None


def _distance(switch: str, target: str, came_from: str | None = None) -> int:
    """Cables between two switches of the tree."""
    if switch == target:
        return 0
    ways = (_distance(n, target, switch) for n in TREE[switch] if n != came_from)
    return 1 + min(ways, default=len(TREE))


def _tagged(vlan_id: int, port: int) -> str:
    return f"set_field:{vlan_id | 0x1000}->vlan_vid,output:{port}"


def install(lab: Lab, places: Mapping[str, set[str]], last: str = "tor-d") -> None:
    """Program all switches: ``places`` says at which servers each MAC is to be reached (two: a copy to each).

    ``last``: the switch that a VM leaves; the others know the target before it sends anything there.
    """
    for switch, neighbours in sorted(TREE.items(), key=lambda row: -_distance(row[0], last)):
        table = []
        for mac, servers in places.items():
            actions, onward = [], set()
            for server in sorted(servers):
                there = lab.fabric.servers[server]
                if there.switch == switch:
                    actions.append(_tagged(VLAN_IDS[switch], there.attach[0].port))
                else:
                    onward.add(_toward(switch, there.switch))
            for neighbour in sorted(n for n in onward if n):
                port, vlan = neighbours[neighbour]
                actions.append(_tagged(vlan, port))
            table.append(f"priority=10,vlan_tci=0x1000/0x1000,dl_dst={mac},actions={','.join(actions)}")
        lab.ovs.ofctl("--bundle", "replace-flows", lab.bridge(switch), "-", stdin="\n".join(table) + "\n")
