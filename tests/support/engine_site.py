"""The engine over a store in memory, with switches that confirm when the test says so."""

from __future__ import annotations

from dataclasses import replace

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.overdue import SILENCE
from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.model.commands import Command, StartMigration
from ryu_vmmob.model.objects import Migration, Phase
from ryu_vmmob.model.state import State
from tests.support import confirming
from tests.support.commands import cug, nic, vm
from tests.support.fabrics import two_racks
from tests.support.memory_store import MemoryStore
from tests.support.waiting import Queue


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
        confirming.connect(self.engine, self.now, names)

    def take(self, *names: str) -> list[str]:
        """Switches take what is pending and confirm it, once; those that had something to take."""
        return confirming.take(self.engine, names)

    def confirm(self, *names: str) -> None:
        """The same until nothing is left to take."""
        confirming.confirm(self.engine, names)

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


MOVE = StartMigration("m1", "web1", "b1", timeout=300.0)
LATER = replace(MOVE, commit="request")


def racks(*commands: Command) -> Site:
    """Two racks with CUG web, web1 on a1 and web2 on a2, everything in step; then these commands."""
    return Site(two_racks(), cug(), vm(), vm("web2", "a2", nic(12)), *commands)


def migration(of: Site, name: str = "m1") -> Migration:
    return of.state.migrations[name]


def phase(of: Site, name: str = "m1") -> Phase:
    return migration(of, name).phase
