"""A fabric of fake switches, and the real controller under ``ryu-manager`` to which they connect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ryu_vmmob.bench.fake_connection import FakeSwitch
from ryu_vmmob.bench.fake_switch import FakeFleet
from ryu_vmmob.flows.audit import Habits, Reading
from tests.support.controller import Site, until


class FakeSite(Site):
    """As `Site`, with fake switches in place of bridges; ``fleet`` says how they behave."""

    fleet: FakeFleet

    def __init__(self, directory: Path, fabric: str = "example.yaml", **settings: str) -> None:
        nobody: Any = None
        self.refusing: frozenset[str] = frozenset()
        """Switches that refuse what every switch is told, so that they are never in step."""
        self.fakes: dict[str, FakeSwitch] = {}
        self.fleet = FakeFleet(self.fakes)
        super().__init__(nobody, directory, fabric, settings=settings)

    def add_bridge(self, name: str) -> None:
        """A switch that connects when the fleet starts."""
        ends = [*self.fabric.link_at, *self.fabric.server_at, *(row.attach for row in self.fabric.externals.values())]
        ports = sorted({end.port for end in ends if end.switch == name})
        self.fakes[name] = FakeSwitch(("127.0.0.1", self.openflow_port), self.fabric.switches[name].dpid, ports)

    def start(self, *, in_step: bool = True) -> None:
        """Start the controller, and let those switches connect that are to; ``in_step``: and wait until they are."""
        self.controller.start()
        self.fleet.start()
        if in_step:
            absent = frozenset(name for name, row in self.fakes.items() if not row.behaviour.connects)
            self.until_in_step(but=absent | self.refusing)
            for name in self.refusing:
                until(lambda name=name: self.switch(name)["standing"] == "refused")  # type: ignore[misc]

    def __enter__(self) -> FakeSite:
        super().__enter__()
        return self

    def until_undone(self, id_: str, state: str = "aborted") -> Any:
        """The migration, once it is aborted or has ``failed``, whichever switches have confirmed that."""
        return until(lambda: row if (row := self.migration(id_))["state"] == state else None, lambda: self.migration(id_))

    def audit(self, name: str) -> None:
        """Have a switch audited; returns when that is done."""
        number = self.rest.post(f"/v1/switches/{name}/audit")["audit"]
        until(lambda: self.switch(name)["audits"] >= number)

    def close(self) -> None:
        self.fleet.stop()
        super().close()

    def differences(self) -> list[str]:
        """Where a switch has anything else than a fresh compile, entry by entry."""
        fresh, found = self.fresh(), []
        for name, switch in self.fakes.items():
            want = fresh.tables[name]
            reading = Reading(Habits())

            def read(reading: Reading = reading, switch: FakeSwitch = switch, name: str = name) -> None:
                reading.take_flows(b"".join(row.stats() for row in switch.tables.flows.values()), fresh.tables[name].flows)
                reading.groups.update((number, body) for number, body in switch.tables.groups.items())

            self.fleet.do(read)
            if reading.odd or reading.right.keys() != want.flows.keys():
                found.append(f"{name}: odd {reading.odd}, lacks {want.flows.keys() - reading.right}")
            if reading.groups != {number: group.body for number, group in want.groups.items()}:
                found.append(f"{name}: groups {reading.groups}")
        return found

    def be(self, name: str, **behaviour: object) -> None:
        """Let a switch behave otherwise."""
        self.fleet.change(name, **behaviour)

    def until_connected(self, name: str, connected: bool = True) -> None:
        """Wait until the controller sees a switch come or go."""
        until(lambda: self.switch(name)["connected"] is connected)
