"""A site whose CUGs are routed to each other and to the outside: who can say what to whom, and who routes it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from ipaddress import ip_address

from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.flows.flow import DecTtl
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.flows.router import router_mac
from ryu_vmmob.model.commands import Command, PutVm
from ryu_vmmob.model.objects import Address
from ryu_vmmob.model.policies import PutPolicy
from ryu_vmmob.model.routing_domains import NeighbourHeard
from ryu_vmmob.net.addresses import mac
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim.network import Delivery, Journey
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.policy import Talk
from tests.conformance.two_dcs import FABRIC, TwoDcs
from tests.support.routed_networks import allow
from tests.support.world import cug, interface, vm

GATEWAY = mac(FABRIC.gateway_mac)
OUTSIDE = {
    "internet-1": {4: ip_address("203.0.113.9"), 6: ip_address("2001:db8:aaaa::9")},
    "internet-2": {4: ip_address("198.18.0.9"), 6: ip_address("2001:db8:bbbb::9")},
}
"""Somebody behind each of the networks outside; every one of these leads to both."""
NEXT_HOP = 0x02BB00000001
"""The MAC of every next hop; the same one, for no two are on one wire."""

ASKED, REFUSED = Talk(make.UDP, 5000), Talk(make.UDP, 5001)
OPEN = (
    allow("out", "cug:cug0", "any", protocol=make.UDP, ports=((5000, 5000),)),
    allow("in", "any", "cug:cug0", protocol=make.UDP, ports=((5000, 5000),)),
)
"""cug0 and everybody else may say `ASKED` to each other, and nothing else."""


class RoutedTwoDcs(TwoDcs):
    """cug0, cug1, ... in one routing domain, `red`, with IPv4 and IPv6; every next hop outside has answered."""

    def __init__(self, fabric: Fabric = FABRIC, cugs: int = 2, policies: Iterable[PutPolicy] = OPEN) -> None:
        super().__init__(fabric, 0)
        heard: list[Command] = [
            NeighbourHeard(external.name, hop, NEXT_HOP) for external in fabric.externals.values() for hop in external.next_hops
        ]
        self.do(*(replace(cug(number, v6=True), routing_domain="red") for number in range(cugs)), *heard, *policies)
        self.settle()

    def host(self, server: str, cug_number: int) -> PutVm:
        name = f"{server}/{cug_number}"
        return vm(name, server, interface(cug_number, self.hosts.setdefault(name, len(self.hosts) + 2), v6=True))

    # Who is where

    def edge(self, name: str) -> str:
        """The switch that a VM hangs on now, or that a network outside hangs on."""
        if name in self.fabric.externals:
            return self.fabric.externals[name].attach.switch
        return self.fabric.servers[self.engine.state.vms[name].server].switch

    def places(self, name: str) -> list[str]:
        """Servers at which a VM may get packets while switches are on their way to the present phase; first where it runs."""
        seats = [seat.server for state in self.window for seat in state.seats_of(state.vms[name])]
        return list(dict.fromkeys([self.engine.state.vms[name].server, *seats]))

    def receiving(self, name: str) -> set[str]:
        """Servers at which a VM gets its packets in some state that a switch may still be in."""
        return {seat.server for state in self.window for seat in state.seats_of(state.vms[name]) if seat.receives}

    def address(self, name: str, version: int) -> Address:
        """An address of a VM; of a network outside, that of somebody behind it."""
        if name in self.fabric.externals:
            return OUTSIDE[name][version]
        return next(ip for ip in self.card(name, _cug(name)).ips if ip.version == version)

    def router(self, edge: str) -> int:
        """The MAC of an edge among routers."""
        return router_mac(self.engine.state, edge)

    # What they say

    def packet(self, source: str, target: str, talk: Talk = ASKED, version: int = 4) -> Packet:
        """What one end sends to another: inside a CUG to the other's MAC, else to a router."""
        ends = self.address(target, version), self.address(source, version)
        if source in self.fabric.externals:
            return talk.packet(self.router(self.edge(source)), NEXT_HOP, *ends)
        own = self.card(source, _cug(source))
        inside = target in self.engine.state.vms and _cug(source) == _cug(target)
        return talk.packet(self.card(target, _cug(target)).mac if inside else GATEWAY, own.mac, *ends)

    def say(self, source: str, target: str, talk: Talk = ASKED, version: int = 4, at: str | None = None) -> Journey:
        """It is sent; by a VM from where it runs, or from the server ``at``."""
        packet = self.packet(source, target, talk, version)
        if source in self.fabric.externals:
            external = self.fabric.externals[source]
            tags = () if external.vlan_id is None else (external.vlan_id,)
            return self.network.inject(packet.with_vlans(*tags), external.attach)
        server = at or self.engine.state.vms[source].server
        return self.inject(packet.with_vlans(*self.tags(source, _cug(source), server)), server)

    def ask_gateway(self, name: str, server: str) -> Journey:
        """An ARP request of a VM for its gateway, from one of its places."""
        own, gateway = self.card(name, _cug(name)), self.engine.state.cugs[f"cug{_cug(name)}"].gateways[0]
        request = make.arp_request(own.mac, int(own.ips[0]), int(gateway))
        return self.inject(request.with_vlans(*self.tags(name, _cug(name), server)), server)

    def arrival(self, journey: Journey, target: str) -> Delivery:
        """The one copy that arrives where the target gets its packets.

        While a move with `early` delivery is under way a second one may come to its other place, in vain. In all others there
        is one copy in every mixture of switches, at a place that receives before or after their updates.
        """
        assert not journey.loop, str(journey)
        if target in self.fabric.externals:
            (found,) = journey.deliveries
            return found
        migration = self.engine.state.migration_of(self.engine.state.vms[target])
        if migration is None or migration.phase.is_final or migration.delivery != "early":
            (found,) = journey.deliveries
            assert self.fabric.server_at[found.port].name in self.receiving(target), str(journey)
            return found
        running, *others = self.places(target)
        found, *doubles = [row for row in journey.deliveries if self.fabric.server_at[row.port].name == running]
        assert doubles == [], str(journey)
        rest = self.servers(journey)
        rest.remove(running)
        assert set(rest) <= set(others), str(journey)
        assert len(rest) == len(set(rest)), str(journey)
        return found

    def check_way(self, journey: Journey, first: str, last: Collection[str]) -> None:
        """Assert that ``first`` routes, and then the edges in ``last``; none else does, nor any twice, and between them they
        hand the packet to each other under their own MACs. ``last`` without ``first`` where both are one.
        """
        seen = routers(journey)
        assert journey.visits[0].switch == first
        assert seen[0] == first, str(journey)
        assert set(seen[1:]) <= set(last), str(journey)
        assert len(seen) == len(set(seen)), str(journey)
        allowed = {self.router(edge) for edge in last}
        for crossing in journey.crossings:
            carried = crossing.packet
            assert (carried["eth_src"], carried["nw_ttl"]) == (self.router(first), make.DEFAULT_TTL - 1), str(journey)
            assert carried["eth_dst"] in allowed, str(journey)


def _cug(name: str) -> int:
    return int(name.split("/")[1])


def routers(journey: Journey) -> list[str]:
    """Switches that routed a copy of a packet, in the order in which it came to them."""
    return [
        visit.switch
        for visit in journey.visits
        if any(step.table is Table.ROUTE and step.flow and DecTtl() in step.flow.actions for step in visit.result.path)
    ]
