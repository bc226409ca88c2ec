"""A network of real bridges beside the simulator's, each with the same compiled flows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.engine.messages import additions, deletions
from ryu_vmmob.fabric.loader import load
from ryu_vmmob.fabric.model import Fabric, PortRef
from ryu_vmmob.flows.delta import difference
from ryu_vmmob.flows.segment import Entry
from ryu_vmmob.model.commands import Command
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.view import View
from tests.ovs.trace import all_bridges, assert_agrees, everything_sent
from tests.support.bridges import Bridge
from tests.support.world import World

FABRIC_FILE = Path(__file__).parents[2] / "etc" / "two-dcs.yaml"


class Twin:
    """A world in the simulator and its twin in a real switch daemon, kept in step by the real messages."""

    def __init__(self, ovs: PrivateOvs, fabric: Fabric | None = None) -> None:
        self.world = World(fabric or load(FABRIC_FILE))
        self.bridges: dict[str, Bridge] = all_bridges(ovs, self.world.fabric)
        self.there: dict[str, list[Entry]] = {name: [] for name in self.bridges}
        for bridge in self.bridges.values():
            with bridge.client() as switch:
                switch.set_meters()

    def do(self, *commands: Command) -> None:
        """Carry out commands, send each switch its difference in one bundle, and compare."""
        self.world.do(*commands)
        self.world.settle()
        for name in self.bridges:
            self.push(name)

    def push(self, name: str) -> None:
        """Make one real switch what the simulated one is, in one bundle, and compare."""
        bridge, tables = self.bridges[name], self.world.installed[name]
        now: list[Entry] = [*tables.flows.values(), *tables.groups.values()]
        delta = difference([(self.there[name], now)])
        with bridge.client() as switch:
            messages = [*additions(delta, switch.xid), *deletions(delta, switch.xid)]
            assert switch.bundle(message.wire for message in messages) == []
            assert sorted(switch.cookies()) == sorted(tables.flows)
            assert switch.groups() == {number: group.body for number, group in tables.groups.items()}
        self.there[name] = now

    def compare(self) -> int:
        """Every packet of members and forgers, at every switch it comes to; how many that were."""
        view = self.world.view()
        return self.follow(view, everything_sent(view))

    def follow(self, view: View, sent: Iterable[tuple[Packet, PortRef]]) -> int:
        """The packets, at every switch they come to; how many visits that were."""
        visits = {
            (visit.switch, visit.in_port, visit.packet)
            for packet, port in sent
            for visit in view.network.inject(packet, port).visits
        }
        for name, in_port, packet in sorted(visits, key=str):
            assert_agrees(self.bridges[name], view.tables[name], packet, in_port)
        return len(visits)

    def remove(self) -> None:
        """Take the real switches away."""
        for bridge in self.bridges.values():
            bridge.remove()
