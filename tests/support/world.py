"""A network in miniature: the real engine, a store in memory, and simulated switches that take their updates one at a time.

Every intermediate state is a state: after each single switch's update, and after each command, the invariants are checked by
sending packets through the simulator.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Literal, TypeVar

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.persist import restore
from ryu_vmmob.engine.tickets import Ticket
from ryu_vmmob.fabric.model import Fabric, PortRef
from ryu_vmmob.flows.compiler import full
from ryu_vmmob.flows.delta import SwitchTables
from ryu_vmmob.model.commands import Command, PutCug, PutVm
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.objects import Seat as Place
from ryu_vmmob.model.presence import links_of
from ryu_vmmob.model.state import State
from ryu_vmmob.sim.invariants import check
from ryu_vmmob.sim.remembering import Installed
from ryu_vmmob.sim.view import Seat, View
from tests.support.facts import facts
from tests.support.memory_store import MemoryStore
from tests.support.waiting import Queue

_T = TypeVar("_T")


class World:
    """``now`` is the clock, in seconds, and moves only when told to."""

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.now = 1000.0
        self.store = MemoryStore()
        self.queue = Queue()
        self.engine = Engine(fabric, self.store, lambda: self.now, quarantine=60.0, alone=self.queue)
        self.installed: dict[str, SwitchTables] = {}
        self._read = Installed()
        self.sent: dict[str, int] = dict.fromkeys(fabric.switches, 0)
        self.window: list[State] = []
        """States that some switch may still be in; the newest is the present one."""
        for name in fabric.switches:
            self.connect(name)
        self.settle()

    # The switches

    def connect(self, name: str) -> None:
        """A switch (re)connects with what it has; its whole difference is taken as one update."""
        tables = self.installed.setdefault(name, SwitchTables())
        self.engine.fleet.connected(name, lambda: None, self.now)
        revision = self.engine.fleet.begin_reconciliation(name)
        desired = self.engine.desired.tables[name]
        self.sent[name] += len(desired.flows.keys() ^ tables.flows.keys())
        tables.flows, tables.groups, tables.keys = dict(desired.flows), dict(desired.groups), dict(desired.keys)
        self.engine.fleet.confirm(name, revision)

    def waiting(self) -> list[str]:
        """Switches with an update on the way."""
        return [name for name in self.engine.fleet.names if not self.engine.fleet.has(name, self.engine.state.revision)]

    def update(self, name: str) -> None:
        """One switch takes all that is pending for it, and confirms."""
        taken = self.engine.fleet.take(name)
        if taken is not None:
            revision, delta = taken
            self.sent[name] += delta.messages
            self.installed[name].check(delta)
            self.installed[name].apply(delta)
            self.engine.fleet.confirm(name, revision)
            self._note()
            self.engine.progress()
            self._note()

    def settle(self, checked: bool = False) -> None:
        """Let every switch take its updates, in alphabetical order, until nothing is left to do."""
        for _ in range(100):
            waiting = self.waiting()
            if not waiting:
                self.window = [self.engine.state]
                return
            self.update(waiting[0])
            if checked:
                self.check()
        raise AssertionError("the network does not come to rest")

    # Commands

    def do(self, *commands: Command) -> Ticket:
        ticket = self.engine.execute(*commands)
        self._note()
        return ticket

    def links(self, down: frozenset[str]) -> None:
        self.engine.network.links_seen(down)
        self._note()

    def _note(self) -> None:
        if not self.window or self.window[-1] is not self.engine.state:
            self.window.append(self.engine.state)
        if not self.waiting():
            self.window = [self.engine.state]

    # What must hold

    def check(self) -> None:
        """Every invariant in the present mixture of switches, and the oracles of the engine."""
        violations = list(check(self.view()))
        assert not violations, "\n".join(map(str, violations[:3]))

    def check_oracles(self) -> None:
        """Incremental equals full; what the store holds is the state; at rest the switches have what is desired."""
        state, desired = self.engine.state, self.engine.desired
        fresh = full(state)
        for name in self.fabric.switches:
            surplus, missing = difference(desired.tables[name], fresh.tables[name])
            assert (surplus, missing) == ([], []), name
            assert groups(desired.tables[name]) == groups(fresh.tables[name]), name
            if not self.waiting():
                assert set(self.installed[name].flows) == set(desired.tables[name].flows), name
                assert groups(self.installed[name]) == groups(desired.tables[name]), name
        if state.trees_settled:
            again, _ = restore(self.store.load(), self.fabric, self.store.revision)
            for field in State.__dataclass_fields__.keys() - {"questioned"}:  # after a restart the next frame asks again
                assert getattr(again, field) == getattr(state, field), field

    def tables(self) -> dict[str, tuple[frozenset[int], dict[int, bytes]]]:
        """What every switch has, to compare."""
        return {name: (frozenset(rows.flows), groups(rows)) for name, rows in self.installed.items()}

    def view(self) -> View:
        """The invariants' view of the present mixture: certain where all states in the window agree."""
        tables = self._read.tables(self.installed)
        links: dict[str, frozenset[str]] = {}
        ready: dict[str, frozenset[str]] = {}
        vlan_ids: dict[tuple[str, str], int] = {}
        for state in self.window:
            for cug, found in state.presences.items():
                links[cug] = links.get(cug, frozenset()) | links_of(state.fabric, found)
                ready[cug] = ready.get(cug, frozenset()) | links_of(state.fabric, found, ready=True)
                vlan_ids.update({(domain, cug): vlan_id for domain, vlan_id in state.vlan_ids(cug).items()})
        return View(
            self.fabric, tables, tuple(self._seats(vlan_ids)), vlan_ids, self.engine.state.links_down, links,
            ready, **facts(self.window),
        )  # fmt: skip

    def _seats(self, vlan_ids: dict[tuple[str, str], int]) -> Iterable[Seat]:
        calm = len({(state.trees, state.ways, self._cables(state)) for state in self.window}) == 1
        places: dict[tuple[str, Interface, str], list[Place | None]] = {}
        tags: dict[tuple[str, Interface, str], int | None] = {}
        for number, state in enumerate(self.window):
            for vm in state.vms.values():
                for position, interface in enumerate(vm.interfaces):
                    for place in state.seats_of(vm):
                        key = vm.name, interface, place.server
                        row = places.setdefault(key, [])
                        row.extend([None] * (number - len(row)))
                        row.append(place)
                        tag = state.vnic_vlan_id(vm, position, place.server)
                        domain = self.fabric.servers[place.server].l2_domain
                        tags[key] = tag if domain is None else _wire_tag(interface, vlan_ids[domain, interface.cug])
        for (name, interface, server), found in places.items():
            whole = calm and len(found) == len(self.window) and None not in found
            sure = [place for place in found if place is not None]
            yield Seat(
                name,
                0,
                interface.cug,
                interface.mac,
                interface.ips,
                server,
                self.fabric.servers[server].attach,
                tags[name, interface, server],
                sends=_agreed([place.sends for place in sure]) if whole else None,
                receives=_agreed([place.receives for place in sure]) if whole else None,
                guest=interface.guest_vlan_id is not None,
                ethertypes=interface.ethertypes,
                told=_agreed([_told(place) for place in sure]) if whole else None,
                shifts=whole and self.shifts(name),
                hears=_agreed([place.hears or self.fabric.servers[server].per_interface for place in sure]) if whole else None,
            )

    def shifts(self, vm: str) -> bool:
        """Whether in every state of the window a frame for the VM goes to one of its two seats, and passes to the other."""
        for state in self.window:
            seats = state.seats_of(state.vms[vm])
            if sorted((seat.receives, seat.passing) for seat in seats) != [(False, True), (True, False)]:
                return False
        return True

    def _cables(self, state: State) -> frozenset[str]:
        """Links between switches that are neighbours in every state of the window: where they change, frames may be lost."""
        common = set.intersection(*(set(each.fabric.links_between) for each in self.window))
        return frozenset(link.name for pair in common for link in state.fabric.links_between[pair])


def _wire_tag(interface: Interface, vlan_id: int | None) -> int | None:
    return vlan_id if interface.guest_vlan_id is None else interface.guest_vlan_id


def _told(place: Place) -> Literal["all", "group", "none"]:
    """Of which frames of a place the controller gets a copy."""
    return "all" if place.awaited else "group" if place.watched else "none"


def _agreed(values: list[_T]) -> _T | None:
    return values[0] if len(set(values)) == 1 else None


def groups(tables: SwitchTables) -> dict[int, bytes]:
    return {number: group.body for number, group in tables.groups.items()}


def difference(one: SwitchTables, other: SwitchTables) -> tuple[list[str], list[str]]:
    """Flows of each that the other lacks."""
    return (
        [f"{flow} {flow.owner}" for cookie, flow in one.flows.items() if cookie not in other.flows],
        [f"{flow} {flow.owner}" for cookie, flow in other.flows.items() if cookie not in one.flows],
    )


def cug(number: int, v6: bool = False) -> PutCug:
    """CUG number 0 to 99."""
    subnets = [ip_network(f"10.{number}.0.0/24"), ip_network(f"2001:db8:{number:x}::/64")]
    return PutCug(f"cug{number}", tuple(subnets if v6 else subnets[:1]))


def interface(cug_number: int, host: int, v6: bool = False, guest: int | None = None) -> Interface:
    """Interface of host 2 to 254 in a CUG; MACs differ between CUGs, as they must on an untagged server. ``guest``: its tag."""
    ips = [ip_address(f"10.{cug_number}.0.{host}"), ip_address(f"2001:db8:{cug_number:x}::{host:x}")]
    return Interface(f"cug{cug_number}", 0x020000000000 | cug_number << 8 | host, tuple(ips if v6 else ips[:1]), guest)


def vm(name: str, server: str, *interfaces: Interface) -> PutVm:
    return PutVm(name, server, interfaces)


def ports(fabric: Fabric) -> list[PortRef]:
    return [port for link in fabric.links for port in (link.a, link.b)]
