"""What the tests of the core share: small fabrics with chosen VLAN-ID ranges, and short ways to write commands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from ipaddress import ip_address, ip_network
from pathlib import Path

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.overdue import SILENCE
from ryu_vmmob.fabric import load
from ryu_vmmob.fabric.model import DataCenter, Fabric, L2Domain, Link, PortRef, Role, Server, Switch
from ryu_vmmob.model.commands import Command, PutCug, PutVm, StartMigration, apply
from ryu_vmmob.model.draft import Change
from ryu_vmmob.model.objects import Interface, Migration, Phase
from ryu_vmmob.model.state import State, with_fabric
from ryu_vmmob.store.base import Record, StoreError, Write
from tests.property.waiting import Queue

EXAMPLE = load(Path(__file__).parents[2] / "etc" / "example.yaml")


def two_racks(
    rack_a: Iterable[int] = range(100, 110), core: Iterable[int] = range(200, 210), rack_b: Iterable[int] = range(100, 110)
) -> Fabric:
    """Two ToRs under one spine.

    a1, a2 (tagged), a3 (untagged) - tor-a -core- spine -core- tor-b - b1 (tagged), b2 (untagged), b3 (LAG)
    """
    p = PortRef
    return Fabric(
        "two-racks",
        "02:00:5e:00:00:01",
        {"dc1": DataCenter("dc1")},
        {
            "rack-a": L2Domain("rack-a", tuple(rack_a), "dc1"),
            "core": L2Domain("core", tuple(core), "dc1"),
            "rack-b": L2Domain("rack-b", tuple(rack_b), "dc1"),
        },
        {
            "tor-a": Switch("tor-a", 1, Role.TOR, "rack-a", "dc1"),
            "spine": Switch("spine", 2, Role.SPINE, "core", "dc1"),
            "tor-b": Switch("tor-b", 3, Role.TOR, "rack-b", "dc1"),
        },
        (Link(p("tor-a", 49), p("spine", 1), "core"), Link(p("tor-b", 49), p("spine", 2), "core")),
        {
            "a1": Server("a1", (p("tor-a", 1),), "rack-a"),
            "a2": Server("a2", (p("tor-a", 2),), "rack-a"),
            "a3": Server("a3", (p("tor-a", 3),), None),
            "b1": Server("b1", (p("tor-b", 1),), "rack-b"),
            "b2": Server("b2", (p("tor-b", 2),), None),
            "b3": Server("b3", (p("tor-b", 3), p("tor-b", 4)), "rack-b"),
        },
    )


def per_interface(fabric: Fabric, *names: str, vlan_ids: Iterable[int] = range(2, 4095)) -> Fabric:
    """The fabric with tagging per interface at these servers (all of them when none is named)."""
    numbers = tuple(vlan_ids)
    servers = {
        name: replace(row, l2_domain=None, vlan_ids=numbers) if not names or name in names else row
        for name, row in fabric.servers.items()
    }
    return replace(fabric, servers=servers)


LEFT_A, LEFT_B = "spine-1:1=tor-a:49", "spine-1:2=tor-b:49"


def two_planes(first: Iterable[int] = range(200, 210), second: Iterable[int] = range(300, 310)) -> Fabric:
    """Two ToRs under two spines; each spine's links are an L2 domain of their own, so another way is another domain."""
    p = PortRef
    return Fabric(
        "two-planes",
        "02:00:5e:00:00:01",
        {"dc1": DataCenter("dc1")},
        {
            "rack-a": L2Domain("rack-a", tuple(range(100, 110)), "dc1"),
            "rack-b": L2Domain("rack-b", tuple(range(100, 110)), "dc1"),
            "plane-1": L2Domain("plane-1", tuple(first), "dc1"),
            "plane-2": L2Domain("plane-2", tuple(second), "dc1"),
        },
        {
            "tor-a": Switch("tor-a", 1, Role.TOR, "rack-a", "dc1"),
            "tor-b": Switch("tor-b", 2, Role.TOR, "rack-b", "dc1"),
            "spine-1": Switch("spine-1", 3, Role.SPINE, "plane-1", "dc1"),
            "spine-2": Switch("spine-2", 4, Role.SPINE, "plane-2", "dc1"),
        },
        (
            Link(p("tor-a", 49), p("spine-1", 1), "plane-1"),
            Link(p("tor-b", 49), p("spine-1", 2), "plane-1"),
            Link(p("tor-a", 50), p("spine-2", 1), "plane-2"),
            Link(p("tor-b", 50), p("spine-2", 2), "plane-2"),
        ),
        {
            "a1": Server("a1", (p("tor-a", 1),), "rack-a"),
            "a2": Server("a2", (p("tor-a", 2),), "rack-a"),
            "b1": Server("b1", (p("tor-b", 1),), "rack-b"),
            "b2": Server("b2", (p("tor-b", 2),), "rack-b"),
        },
    )


def rooted(fabric: Fabric, root: str, count: int = 1) -> list[str]:
    """Names of CUGs that use the tree with this root."""
    trees = with_fabric(None, fabric).trees
    names = (f"cug-{number}" for number in range(1000))
    return [name for name in names if trees.of_segment(name).root == root][:count]


def cug(name: str = "web", number: int = 1, pins: dict[str, int] | None = None, v6: bool = True, **more: object) -> PutCug:
    """A CUG with 10.NUMBER.0.0/24 and, with ``v6``, 2001:db8:NUMBER::/64."""
    subnets = (ip_network(f"10.{number}.0.0/24"), ip_network(f"2001:db8:{number:x}::/64"))
    return PutCug(name, subnets if v6 else subnets[:1], pins=pins or {}, **more)  # type: ignore[arg-type]


def nic(
    host: int = 11, cug_name: str = "web", number: int = 1, mac: int | None = None, ips: Iterable[str] | None = None
) -> Interface:
    """Interface of a host in the CUG's IPv4 subnet; every (CUG, host) has its own MAC."""
    addresses = [f"10.{number}.0.{host}"] if ips is None else ips
    return Interface(cug_name, 0x020000000000 | number << 16 | host if mac is None else mac, tuple(map(ip_address, addresses)))


def vm(name: str = "web1", server: str = "a1", *interfaces: Interface, now: float = 0.0) -> PutVm:
    """A VM, by default with host 11 of CUG ``web``."""
    return PutVm(name, server, interfaces or (nic(),), now)


def start(fabric: Fabric, *commands: Command) -> State:
    """The state that these commands make of an empty one, each carried out by itself."""
    state = with_fabric(None, fabric)
    for command in commands:
        state = apply(state, command).state
    return state


def do(state: State, *commands: Command, now: float = 0.0) -> Change:
    """Several commands, each carried out by itself; the last one's change."""
    for command in commands:
        change = apply(state, command, now=now)
        state = change.state
    return change


class MemoryStore:
    """A store in a dictionary that refuses commits when told to."""

    def __init__(self) -> None:
        self.revision = 0
        self.records: dict[tuple[str, str], Record] = {}
        self.full = False
        self.commits = 0
        self.synced: list[bool] = []
        """Of each commit, whether it waits for the disk."""

    def load(self) -> Iterable[Record]:
        return list(self.records.values())

    def commit(self, revision: int, writes: Iterable[Write], *, sync: bool = True) -> None:
        if self.full:
            raise StoreError("the disk is full")
        assert revision >= self.revision
        self.commits += 1
        self.synced.append(sync)
        self.revision = revision
        for kind, name, body, _ in writes:
            if body is None:
                self.records.pop((kind, name), None)
            else:
                self.records[kind, name] = Record(kind, name, body)

    def close(self) -> None:
        pass


class Site:
    """An engine over a `MemoryStore`, with switches that confirm when the test says so. ``now`` in seconds."""

    def __init__(
        self, fabric: Fabric, *commands: Command, store: MemoryStore | None = None, connected: bool = True, now: float = 1000.0
    ) -> None:
        self.fabric = fabric
        self.now = now
        self.store = store or MemoryStore()
        self.queue = Queue()
        self.engine = Engine(fabric, self.store, lambda: self.now, quarantine=60.0, alone=self.queue)
        if connected:
            self.connect()
        for command in commands:
            self.engine.execute(command)
        if connected:
            self.confirm()

    def connect(self, *names: str) -> None:
        """Switches (all of them when none is named) connect and are brought in step."""
        for name in names or self.engine.fleet.names:
            self.engine.fleet.connected(name, lambda: None, self.now)
            self.engine.fleet.confirm(name, self.engine.fleet.begin_reconciliation(name))
        self.engine.progress()

    def take(self, *names: str) -> list[str]:
        """Switches take what is pending and confirm it, once; those that had something to take."""
        found = []
        for name in names or self.engine.fleet.names:
            taken = self.engine.fleet.take(name)
            if taken is not None:
                self.engine.fleet.confirm(name, taken[0])
                found.append(name)
        self.engine.progress()
        return found

    def confirm(self, *names: str) -> None:
        """The same until nothing is left to take."""
        while self.take(*names):
            pass

    def silence(self) -> None:
        """Both places of moves whose time is over are listened to and asked, and nobody answers (`engine.overdue`)."""
        self.engine.progress()
        self.confirm()
        self.now += SILENCE
        self.engine.progress()

    def restart(self, connected: bool = False) -> Site:
        """Another controller on the same store, at the same time."""
        again = Site(self.fabric, store=self.store, connected=False, now=self.now)
        if connected:
            again.connect()
        return again

    @property
    def state(self) -> State:
        return self.engine.state

    def events(self, *kinds: str) -> list[dict[str, object]]:
        """Particulars of the events of these kinds, in order."""
        return [event.data for event in self.engine.events if event.kind in kinds]


MOVE = StartMigration("m1", "web1", "b1", timeout=300.0, now=1000.0)
LATER = replace(MOVE, commit="request")


def racks(*commands: Command) -> Site:
    """Two racks with CUG web, web1 on a1 and web2 on a2, everything in step; then these commands."""
    return Site(two_racks(), cug(), vm(), vm("web2", "a2", nic(12)), *commands)


def migration(of: Site, name: str = "m1") -> Migration:
    return of.state.migrations[name]


def phase(of: Site, name: str = "m1") -> Phase:
    return migration(of, name).phase


def same(one: State, other: State) -> None:
    """Equal in every field, indexes included."""
    for field in fields(State):
        assert getattr(one, field.name) == getattr(other, field.name), field.name
