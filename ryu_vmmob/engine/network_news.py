"""Changes that the network reports: links, external networks, neighbours outside, and punted frames.

Each piece of news may have to wait until a long command has ended. So it is held once more against the state as it is then:
what it is about may be gone from the fabric, or be over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ryu_vmmob.engine.arrivals import Arrivals
from ryu_vmmob.engine.clock import Clock
from ryu_vmmob.engine.conflicts import Conflicts
from ryu_vmmob.engine.overdue import Overdue
from ryu_vmmob.engine.precedence import Exclusion
from ryu_vmmob.engine.refusals import Refusals, announced_early
from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.flows.flow import Flow
from ryu_vmmob.flows.packet_ins import is_seen
from ryu_vmmob.frames.content import Frame
from ryu_vmmob.model.commands import Activate, Command, ExternalsChanged, LinksChanged, NeighbourHeard
from ryu_vmmob.model.draft import Event
from ryu_vmmob.model.objects import Phase
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import mac_text
from ryu_vmmob.store.base import StoreError


class Host(Protocol):
    """The part of the engine that this needs."""

    arrivals: Arrivals
    overdue: Overdue
    conflicts: Conflicts
    refusals: Refusals
    clock: Clock

    @property
    def alone(self) -> Exclusion:
        """Entered in a hurry: traffic waits for what the network says."""
        ...

    @property
    def state(self) -> State:
        """The present state."""
        ...

    def execute(self, *commands: Command) -> Any:
        """Carry out; raises Refusal and StoreError."""
        ...

    def flow_met(self, switch: str, cookie: int) -> Flow | None:
        """Return the desired flow of a switch that bears a cookie."""
        ...

    def calm(self) -> bool:
        """Whether every connected switch has confirmed all there is."""
        ...

    def progress(self) -> None:
        """Look for what has to follow by itself."""
        ...

    def emit(self, event: Event) -> None:
        """Tell the listeners."""
        ...


class NetworkNews:
    """``announced`` keeps the activation of a VM that has arrived, when the store did not take it."""

    def __init__(self, host: Host, announced: Callable[[Activate], None]) -> None:
        self._host = host
        self._announced = announced

    def links_seen(self, down: frozenset[str]) -> None:
        """Take the links that are down now, by name, and the servers' ports, as ``switch:port``."""
        if down == self._host.state.links_down:
            return
        with self._host.alone.urgently():
            if down != self._host.state.links_down:
                self._host.execute(LinksChanged(down, calm=self._host.calm()))
        self._host.progress()

    def externals_seen(self, down: frozenset[str]) -> None:
        """Take the external networks that are down now, by name."""
        if down == self._host.state.externals_down:
            return
        with self._host.alone.urgently():
            self._host.execute(ExternalsChanged(down.intersection(self._host.state.fabric.externals)))
        self._host.progress()

    def neighbour_heard(self, found: NeighbourHeard) -> None:
        """Note which MAC answers for an address outside, or that none does any more."""
        if self._host.state.neighbours.get((found.external, found.address)) == found.mac:
            return
        with self._host.alone.urgently():
            if found.external in self._host.state.fabric.externals:
                self._host.execute(found)
        self._host.progress()

    def frame_seen(self, switch: str, cookie: int) -> None:
        """Take a copy of a frame that met the flow with this cookie at a switch: a VM that is awaited speaks.

        Only of flows that admit an interface and ask for a copy: whatever else a switch sends is no news of a VM.
        """
        if self._host.flow_met(switch, cookie) is not None:
            with self._host.alone.urgently():
                self._frame_seen(switch, cookie)

    def _frame_seen(self, switch: str, cookie: int) -> None:
        flow = self._host.flow_met(switch, cookie)
        if flow is None or not is_seen(flow):
            return
        fields = {name: value for name, value, _ in flow.match}
        port = PortRef(switch, fields["in_port"])
        vm, server = self._host.state.vms.get(flow.owner.name), self._host.state.fabric.server_at.get(port)
        if vm is None or server is None:
            return
        migration, asked = self._host.state.migration_of(vm), vm.name in self._host.state.questioned
        if asked and migration is None and server.name == vm.server:
            self._host.arrivals.heard(vm.name, self._host.clock())
            return
        if asked and migration is not None and (server.name == migration.source or migration.activate_on == "request"):
            self._host.overdue.heard(migration, server.name, self._host.clock())
            return
        waits = migration is not None and migration.phase in (Phase.PREPARING, Phase.PREPARED) and not migration.is_returning
        if migration is None or not waits or server.name != migration.target:
            return
        if migration.activate_on == "announcement":
            command = Activate(migration.id, f"seen at {port}")
            try:
                self._host.execute(command)
            except StoreError:
                self._announced(command)
                raise
            return
        more = self._host.refusals.due("announced", port, fields["eth_src"], self._host.clock())
        if more is not None:
            mac = mac_text(fields["eth_src"])
            data = {"switch": switch, "port": port.port, "server": server.name, "mac": mac, "more": more}
            self._host.emit(announced_early(migration, data))

    def frame_refused(self, switch: str, in_port: int, metadata: int, frame: Frame) -> None:
        """Take a frame that a switch refused at a server's port, and shows."""
        now, port = self._host.clock(), PortRef(switch, in_port)
        if self._host.conflicts.seen(port, metadata, frame, now):
            return
        event = self._host.refusals.seen(self._host.state, port, metadata, frame, now)
        if event is not None and event.kind == "refused.move":
            event = self._host.arrivals.seen(event, metadata, frame, now)
        if event is not None:
            self._host.emit(event)
