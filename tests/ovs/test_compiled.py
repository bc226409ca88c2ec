"""What the compiler makes is carried out by a real switch exactly as the simulator carries it out, a whole move long."""

from __future__ import annotations

from pathlib import Path

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.engine.messages import additions, deletions
from ryu_vmmob.fabric.loader import load
from ryu_vmmob.flows.delta import difference
from ryu_vmmob.flows.segment import Entry
from ryu_vmmob.model.commands import Activate, Command, Commit, StartMigration
from tests.ovs.bridges import Bridge
from tests.ovs.test_trace import all_bridges, everything_sent
from tests.ovs.trace import assert_agrees
from tests.property.world import World, cug, interface, vm

FABRIC_FILE = Path(__file__).parents[2] / "etc" / "two-dcs.yaml"


class Twin:
    """A world in the simulator and its twin in a real switch daemon, kept in step by the real messages."""

    def __init__(self, ovs: PrivateOvs) -> None:
        self.world = World(load(FABRIC_FILE))
        self.bridges: dict[str, Bridge] = all_bridges(ovs, self.world.fabric)
        self.there: dict[str, list[Entry]] = {name: [] for name in self.bridges}
        for bridge in self.bridges.values():
            with bridge.client() as switch:
                switch.set_meters()

    def do(self, *commands: Command) -> None:
        """Carry out commands, send each switch its difference in one bundle, and compare."""
        self.world.do(*commands)
        self.world.settle()
        for name, bridge in self.bridges.items():
            tables = self.world.installed[name]
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
        visits = {
            (visit.switch, visit.in_port, visit.packet)
            for packet, port in everything_sent(view)
            for visit in view.network.inject(packet, port).visits
        }
        for name, in_port, packet in sorted(visits, key=str):
            assert_agrees(self.bridges[name], view.tables[name], packet, in_port)
        return len(visits)


def test_a_move_between_data_centres_step_by_step(ovs: PrivateOvs) -> None:
    twin = Twin(ovs)
    try:
        twin.do(cug(0, v6=True), cug(1))
        twin.do(
            vm("a", "srv-a1", interface(0, 2, v6=True), interface(1, 2)),
            vm("b", "srv-b1", interface(0, 3, v6=True)),
            vm("c", "srv-a2", interface(1, 4)),
        )
        before = {name: set(map(str, rows)) for name, rows in twin.there.items()}
        assert twin.compare() > 200
        move = StartMigration("m", "a", "srv-c1", activate_on="request", commit="request", now=twin.world.now)
        twin.do(move)
        assert twin.compare() > 200
        twin.do(Activate("m", twin.world.now))
        twin.do(Commit("m", twin.world.now))
        assert twin.compare() > 200
        # Home again: the tables are those from which the journey began.
        home = StartMigration("n", "a", "srv-a1", mode="cold", commit="automatic", now=twin.world.now)
        twin.do(home)
        for migration in [row for row in twin.world.engine.state.migrations.values() if not row.phase.is_final]:
            twin.do(Activate(migration.id, twin.world.now))
        assert {name: set(map(str, rows)) for name, rows in twin.there.items()} == before
    finally:
        for bridge in twin.bridges.values():
            bridge.remove()
