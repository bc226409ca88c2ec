"""A world with routing: CUGs of both IP versions, two of them in a routing domain with the outside, policies between them.

=========  ==========  ==========================================================================
VM         server      part
=========  ==========  ==========================================================================
web-1      srv-a1      the one that moves
web-2      srv-a2      its neighbour in the first rack
web-3      srv-d1      in the other data centre, not where web-1 goes
web-4      srv-b2      in the second rack
db-1       srv-a1      CUG db, on the server web-1 leaves
db-2       srv-c1      CUG db, on the server web-1 comes to
db-3       srv-a2      CUG db, in the first rack
db-4       srv-d1      CUG db, in the other data centre
lone-1     srv-a1      CUG lone: a routing domain of its own, with web-1's very addresses
lone-2     srv-c1      CUG lone, with web-2's
=========  ==========  ==========================================================================

The CUGs web and db and both external networks are in routing domain red, lone is in blue. Between web and db, and between
web and the outside, the ports of `Stream`, of `TcpProbe` and ICMP are allowed. All else is denied: other ports, db and the
outside. Every VM has the gateway's MAC nailed down, for both IP versions; it is never asked for again (R34).
"""

from __future__ import annotations

import time
from collections.abc import Collection
from ipaddress import ip_network
from typing import Any

from mininet_topos.endpoint import Endpoint
from mininet_topos.observers import TCP_PORT
from mininet_topos.processes import ChildError
from mininet_topos.servers import Interface, Vm
from mininet_topos.traffic import PORT
from mininet_topos.world import World

CUGS = {  # name: routing domain, subnets
    "web": ("red", ("10.1.0.0/24", "2001:db8:1::/64")),
    "db": ("red", ("10.2.0.0/24", "2001:db8:2::/64")),
    "lone": ("blue", ("10.1.0.0/24", "2001:db8:1::/64")),
}
VMS = (  # name, server, CUG, last byte of the address
    ("web-1", "srv-a1", "web", 11),
    ("web-2", "srv-a2", "web", 12),
    ("web-3", "srv-d1", "web", 13),
    ("web-4", "srv-b2", "web", 14),
    ("db-1", "srv-a1", "db", 21),
    ("db-2", "srv-c1", "db", 22),
    ("db-3", "srv-a2", "db", 23),
    ("db-4", "srv-d1", "db", 24),
    ("lone-1", "srv-a1", "lone", 11),
    ("lone-2", "srv-c1", "lone", 12),
)
ALL = tuple(name for name, *_ in VMS)
OUTSIDE = ("203.0.113.0/24", "2001:db8:cafe::/64")
VERSIONS = (4, 6)
REACH_SECONDS = 15.0


def policies() -> dict[str, dict[str, Any]]:
    """Return the bodies of all policies, by name (``from_`` for ``from``)."""
    streams = [str(PORT + version) for version in VERSIONS]
    web, db = {"cug": "web"}, {"cug": "db"}
    ends: dict[str, tuple[Any, Any]] = {"web-db": (web, db), "db-web": (db, web)}
    for version, prefix in zip(VERSIONS, OUTSIDE, strict=True):
        ends |= {f"in-{version}": ({"prefix": prefix}, web), f"out-{version}": (web, {"prefix": prefix})}
    found = {}
    for name, (source, target) in ends.items():
        allow = {"priority": 100, "action": "allow", "from_": source, "to": target}
        found[f"{name}-udp"] = {**allow, "protocol": "udp", "ports": streams}
        found[f"{name}-icmp"] = {**allow, "protocol": "icmp"}
        if name != "db-web":
            found[f"{name}-tcp"] = {**allow, "protocol": "tcp", "ports": [str(TCP_PORT)], "replies": True}
    return found


def interface(cug: str, number: int, guest_vlan_id: int | None = None) -> Interface:
    """Return the interface number ``number`` (2 to 254) of a CUG of this world."""
    subnets = [ip_network(subnet) for subnet in CUGS[cug][1]]
    addresses = tuple(f"{subnet[number]}/{subnet.prefixlen}" for subnet in subnets)
    gateways = tuple(str(subnet[1]) for subnet in subnets)
    mac = f"02:00:00:00:{list(CUGS).index(cug) + 1:02x}:{number:02x}"
    return Interface(cug, mac, addresses, guest_vlan_id, gateways)


def start_vm(world: World, name: str, server: str, of: Interface) -> Vm:
    """Return a VM of one interface whose ARP entry for its gateway is static."""
    world.vms[name] = vm = world.orchestrator.start_vm(name, server, [of])
    for address in of.gateways:
        vm.freeze_neighbour(address, world.lab.fabric.gateway_mac)
    return vm


def populate(world: World, names: Collection[str] = ALL, *, replies: bool = True) -> None:
    """Create CUGs and policies, start the VMs of these names, and let each pair that is to talk reach each other once.

    Without ``replies`` no TCP is allowed between CUGs: some switches cannot tell an answer from a question.
    """
    used = {cug for name, _, cug, _ in VMS if name in names}
    for cug, (routing_domain, subnets) in CUGS.items():
        if cug in used:
            world.orchestrator.put_cug(cug, subnets, routing_domain=routing_domain)
    for policy, body in policies().items():
        if replies or not body.get("replies"):
            world.orchestrator.put_policy(policy, **body)
    members: dict[str, list[Vm]] = {}
    for name, server, cug, number in VMS:
        if name in names:
            members.setdefault(cug, []).append(start_vm(world, name, server, interface(cug, number)))
    for version in VERSIONS:
        for first, *others in members.values():
            world.scenario.acquaint(first, others, version=version)
        peers: list[Endpoint] = [*members["db"], *world.lab.outside.values()]
        for peer in peers:
            until_reached(members["web"][0], peer, version)


def until_reached(vm: Vm, peer: Endpoint, version: int, seconds: float = REACH_SECONDS) -> None:
    """Wait until a ping is answered: a border has to find its next hop first. Raises ChildError."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            vm.run("ping", "-c", "1", "-W", "1", peer.address(version=version))
        except ChildError:
            if time.monotonic() > deadline:
                raise
        else:
            return
