"""What the compiler makes is carried out by a real switch exactly as the simulator carries it out, a whole move long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.fabric.loader import load
from ryu_vmmob.fabric.model import Dialect, Fabric
from ryu_vmmob.flows.flow import ToGroup
from ryu_vmmob.model.commands import Abort, Activate, Command, Commit, DeleteVm, PutVm, StartMigration
from ryu_vmmob.model.migrations import Deliver
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim import probes
from ryu_vmmob.sim.view import View
from tests.ovs.twin import FABRIC_FILE, Twin
from tests.support.world import cug, interface, vm


@pytest.fixture
def twins(ovs: PrivateOvs) -> Iterator[Callable[[Fabric], Twin]]:
    """Makes a twin of a fabric; removed in the end."""
    with ExitStack() as stack:

        def make_one(fabric: Fabric) -> Twin:
            twin = Twin(ovs, fabric)
            stack.callback(twin.remove)
            return twin

        yield make_one


FABRIC = load(FABRIC_FILE)
PLAIN = replace(FABRIC, switches={name: replace(row, dialect=Dialect.OPENFLOW13) for name, row in FABRIC.switches.items()})
BROOM = [2, 3, *(1 << bit for bit in range(2, 11)), 2048, 2049, *(2048 + (1 << bit) for bit in range(1, 11))]
"""VLAN-IDs whose tree (`horizon`) is as deep as one can be: each half of it a path through all its bits."""


def neighbours(numbers: Iterable[int], server: str, pins: Iterable[int] = ()) -> list[PutVm]:
    """VMs of cug0 on one server."""
    tags = iter(pins)
    return [vm(f"n{n}", server, replace(interface(0, n, v6=True), vlan_id=next(tags, None))) for n in numbers]


def heard(twin: Twin, view: View) -> None:
    """A broadcast of each member comes once to each other one, to nobody twice and never back; real switches do the same."""
    sent = []
    for one in view.seats:
        packet = make.broadcast(one.mac, one.v4[0]).with_vlans(*one.tags)
        journey = view.network.inject(packet, one.ports[0])
        there = Counter((twin.world.fabric.server_at[port].name, arrived.vlans) for port, arrived in journey.deliveries)
        assert there == Counter((other.server, other.tags) for other in view.seats if other.owner != one.owner), str(journey)
        sent.append((packet, one.ports[0]))
    assert twin.follow(view, sent) >= len(sent)


@pytest.mark.requirement("R8", "R12")
@pytest.mark.parametrize(
    ("fabric", "server"),
    [(FABRIC, "srv-a1"), (FABRIC, "srv-b1"), (PLAIN, "srv-a1")],
    ids=["cable", "lag", "cable of plain OpenFlow"],
)
def test_sixty_neighbours_on_one_server(twins: Callable[[Fabric], Twin], fabric: Fabric, server: str) -> None:
    """Broadcasts, unicast to each other, and lies: also when half of them have gone, and others have come."""
    twin = twins(fabric)
    twin.do(cug(0, v6=True))
    twin.do(*neighbours(range(10, 70), server))
    twin.do(vm("far", "srv-c1", interface(0, 100, v6=True)), vm("near", "srv-a2", interface(0, 101, v6=True)))
    check(twin, server, 60)
    twin.do(*(DeleteVm(f"n{n}") for n in range(10, 70, 2)))
    twin.do(*neighbours(range(70, 75), server))
    check(twin, server, 35)
    twin.do(*(DeleteVm(f"n{n}") for n in (*range(11, 70, 2), *range(72, 75))))
    check(twin, server, 2)


def check(twin: Twin, server: str, number: int) -> None:
    """What neighbours on a server say, honest and not, is carried out alike; each packet to one comes to that one alone."""
    view = twin.world.view()
    heard(twin, view)
    there = [seat for seat in view.seats if seat.server == server]
    assert len({seat.tags for seat in there}) == len(there) == number
    sent = []
    for one, other in zip(there, [*there[1:], there[0]], strict=True):
        packet = make.udp(other.mac, one.mac, other.v4[0], one.v4[0]).with_vlans(*one.tags)
        ((port, arrived),) = view.network.inject(packet, one.ports[-1]).deliveries
        assert (port in other.ports, arrived) == (True, packet.with_vlans(*other.tags))
        sent.append((packet, one.ports[-1]))
        sent += [(asks.with_vlans(*one.tags), one.ports[0]) for asks, _ in probes.requests(one, other)][:1]
    for liar in there[:2]:
        lies = [packet.with_vlans(*liar.tags) for packet in probes.forgeries(view, liar)]
        assert all(view.network.inject(packet, liar.ports[0]).deliveries == [] for packet in lies)
        sent += [(packet, liar.ports[0]) for packet in lies[::8]]
    assert twin.follow(view, sent) >= len(set(sent))


def test_the_deepest_tree_of_neighbours_is_followed_to_its_end(twins: Callable[[Fabric], Twin]) -> None:
    """Groups that lead to groups, as many one behind another as there can be: the switch gives up on none."""
    twin = twins(FABRIC)
    twin.do(cug(0, v6=True))
    twin.do(*neighbours(range(10, 10 + len(BROOM)), "srv-a1", BROOM), vm("far", "srv-c1", interface(0, 100, v6=True)))
    groups = twin.world.installed["tor-a"].groups

    def depth(number: int) -> int:
        inner = [action.group for bucket in groups[number].buckets for action in bucket.actions if isinstance(action, ToGroup)]
        return 1 + max(map(depth, inner), default=0)

    assert max(map(depth, groups)) == 22
    heard(twin, twin.world.view())


@pytest.mark.parametrize("end", [Activate, Abort])
@pytest.mark.parametrize("order", [min, max], ids=["forwards", "backwards"])
def test_frames_in_passing_in_every_mixture_of_switches(
    twins: Callable[[Fabric], Twin], order: Callable[[Iterable[str]], str], end: type[Activate | Abort]
) -> None:
    """From the source's pause on, in whatever order the switches learn of it; and when the move is given up after that."""
    twin = twins(FABRIC)
    twin.do(cug(0, v6=True))
    twin.do(*neighbours((10, 11), "srv-a1"), *neighbours((12,), "srv-c1"), *neighbours((13,), "srv-b1"))
    twin.do(StartMigration("m", "n10", "srv-c1", activate_on="request", commit="request"))
    found = mixtures(twin, Deliver("m"), order)
    assert found + mixtures(twin, end("m"), order) > 40


def mixtures(twin: Twin, command: Command, order: Callable[[Iterable[str]], str]) -> int:
    """Carry out a command one switch at a time; what is said to n10 meanwhile goes to one place. Counts visits compared."""
    twin.world.do(command)
    compared = 0
    while waiting := twin.world.waiting():
        name = order(waiting)
        twin.world.update(name)
        twin.push(name)
        view, mover = twin.world.view(), twin.world.engine.state.vms["n10"].interfaces[0]
        sent = []
        for one in view.seats:
            if one.vm != "n10":
                packet = make.udp(mover.mac, one.mac, int(mover.ips[0]), one.v4[0]).with_vlans(*one.tags)
                assert len(view.network.inject(packet, one.ports[0]).deliveries) == 1, (name, one)
                sent += [(packet, port) for port in one.ports]
        compared += twin.follow(view, sent)
    return compared


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
        move = StartMigration("m", "a", "srv-c1", activate_on="request", commit="request")
        twin.do(move)
        assert twin.compare() > 200
        twin.do(Deliver("m"))
        assert twin.compare() > 200
        twin.do(Activate("m"))
        twin.do(Commit("m"))
        assert twin.compare() > 200
        # Home again: the tables are those from which the journey began.
        home = StartMigration("n", "a", "srv-a1", mode="cold", commit="automatic")
        twin.do(home)
        for migration in [row for row in twin.world.engine.state.migrations.values() if not row.phase.is_final]:
            twin.do(Activate(migration.id))
        assert {name: set(map(str, rows)) for name, rows in twin.there.items()} == before
    finally:
        twin.remove()
