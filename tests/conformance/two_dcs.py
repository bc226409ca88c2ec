"""Two data centres under the real engine, with simulated switches; who can send what to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ryu_vmmob.fabric.loader import load
from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.model.commands import Activate, Command, Commit, PutVm, StartMigration
from ryu_vmmob.model.migrations import Deliver
from ryu_vmmob.model.move_options import Delivery
from ryu_vmmob.model.objects import Interface, Migration
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim.network import Journey, Network
from ryu_vmmob.sim.packet import Packet
from tests.support.world import World, cug, interface, vm

FABRIC = load(Path(__file__).parents[2] / "etc" / "two-dcs.yaml")
"""dc1: tor-a (srv-a1, srv-a2, untagged srv-a3), tor-b (LAG srv-b1, srv-b2); dc2: tor-c and tor-d in one domain, pod-c."""
"""Each vNIC has a VLAN-ID of its own on its server's cable, but on srv-a3."""


def per_cug(fabric: Fabric) -> Fabric:
    """The same fabric, where servers with tagging per interface have one VLAN-ID per CUG on their cables."""
    servers = {
        name: replace(row, l2_domain=fabric.switches[row.switch].l2_domain, vlan_ids=()) if row.per_interface else row
        for name, row in fabric.servers.items()
    }
    return replace(fabric, servers=servers)


PER_CUG = per_cug(FABRIC)
ONE_PER_KIND = ("srv-a1", "srv-a3", "srv-b1", "srv-c1", "srv-d1")


class TwoDcs(World):
    """VMs are named after their server and CUG: ``srv-a1/0`` is the one of cug0 on srv-a1."""

    def __init__(self, fabric: Fabric = FABRIC, cugs: int = 2) -> None:
        super().__init__(fabric)
        self.hosts: dict[str, int] = {}
        for number in range(cugs):
            self.do(cug(number))
        self.settle()

    def host(self, server: str, cug_number: int) -> PutVm:
        """A VM with one interface; its addresses are its own wherever it goes."""
        name = f"{server}/{cug_number}"
        return vm(name, server, interface(cug_number, self.hosts.setdefault(name, len(self.hosts) + 2)))

    def populate(self, cug_number: int, servers: Iterable[str] = ONE_PER_KIND) -> None:
        """A VM of this CUG on each of the servers."""
        for server in servers:
            self.do(self.host(server, cug_number))
        self.settle()

    def move(self, name: str, to: str) -> Migration:
        """A whole move, with every invariant checked after each switch's update."""
        for step in self._steps(name, to, "at_pause"):
            self.do(step)
            self.settle(checked=True)
            self.check()
        self.check_oracles()
        return self.engine.state.migrations["m"]

    def stages(
        self,
        name: str,
        to: str,
        turn: Callable[[Sequence[str]], str] = lambda waiting: waiting[0],
        delivery: Delivery = "at_pause",
    ) -> Iterator[str]:
        """A whole move; gives the name of the step in every state of the network: before, after each switch's update, at rest.

        ``turn`` says which of the switches that have an update on the way takes it next. At rest after `Deliver` the name is
        ``delivered``.
        """
        yield "before"
        for step in self._steps(name, to, delivery):
            self.do(step)
            yield type(step).__name__
            while waiting := self.waiting():
                self.update(turn(waiting))
                at_rest = "delivered" if isinstance(step, Deliver) else self.engine.state.migrations["m"].phase.value
                yield type(step).__name__ if self.waiting() else at_rest

    def _steps(self, name: str, to: str, delivery: Delivery) -> Iterator[Command]:
        yield StartMigration("m", name, to, delivery=delivery, activate_on="request", commit="request")
        if delivery == "at_pause":
            yield Deliver("m")
        yield Activate("m")
        yield Commit("m")

    # Frames

    @property
    def network(self) -> Network:
        """The switches as they are now."""
        return Network(self.fabric, self._read.tables(self.installed), self.engine.state.links_down)

    def card(self, name: str, cug_number: int) -> Interface:
        """A VM's interface in a CUG."""
        return next(row for row in self.engine.state.vms[name].interfaces if row.cug == f"cug{cug_number}")

    def tags(self, name: str, cug_number: int, at: str | None = None) -> tuple[int, ...]:
        """The tag of a VM's frames of a CUG on the cable of its server, or of the server ``at``, where it has a seat as well or
        had one in a state that a switch may still be in.
        """
        number = self.engine.state.vms[name].interfaces.index(self.card(name, cug_number))
        server = at or self.engine.state.vms[name].server
        for state in (self.engine.state, *reversed(self.window)):
            vm = state.vms[name]
            if any(seat.server == server for seat in state.seats_of(vm)):
                vlan_id = state.vnic_vlan_id(vm, number, server)
                return () if vlan_id is None else (vlan_id,)
        raise KeyError(server)

    def send(self, name: str, packet: Packet, cug_number: int) -> Journey:
        """A VM sends a frame, under the VLAN-ID that its server was told to use."""
        return self.inject(packet.with_vlans(*self.tags(name, cug_number)), self.engine.state.vms[name].server)

    def inject(self, packet: Packet, server: str) -> Journey:
        """A frame, as it is, from a server."""
        return self.network.inject(packet, self.fabric.servers[server].attach[0])

    def frame(self, name: str, peer: str, cug_number: int) -> Packet:
        """A UDP packet from one member to another, untagged as the guests see it."""
        one, other = self.card(name, cug_number), self.card(peer, cug_number)
        return make.udp(other.mac, one.mac, int(other.ips[0]), int(one.ips[0]))

    def talk(self, name: str, peer: str, cug_number: int) -> Journey:
        """It is sent."""
        return self.send(name, self.frame(name, peer, cug_number), cug_number)

    def shout(self, name: str, cug_number: int) -> Journey:
        """A broadcast of a member."""
        one = self.card(name, cug_number)
        return self.send(name, make.broadcast(one.mac, int(one.ips[0])), cug_number)

    def servers(self, journey: Journey) -> list[str]:
        """Where its copies came out, one entry a copy."""
        return sorted(self.fabric.server_at[port].name for port, _ in journey.deliveries)

    def carried(self, cug_number: int) -> set[str]:
        """Links that frames of a CUG cross, from every member to every other and to all."""
        name = f"cug{cug_number}"
        members = [row.name for row in self.engine.state.vms.values() if any(card.cug == name for card in row.interfaces)]
        journeys = [self.shout(one, cug_number) for one in members]
        journeys += [self.talk(one, other, cug_number) for one in members for other in members if one != other]
        return {crossing.link.name for journey in journeys for crossing in journey.crossings}
