"""A VM that starts to speak where it was not sent: two racks, of which one accepts unannounced moves."""

from __future__ import annotations

from dataclasses import replace

from ryu_vmmob.fabric.model import Fabric, PortRef
from ryu_vmmob.flows.compiler import full
from ryu_vmmob.model.commands import Command
from ryu_vmmob.sim import packet as make
from tests.support.commands import cug, nic, vm
from tests.support.engine_site import Site
from tests.support.fabrics import two_racks
from tests.support.simulated_frames import send

NIC = nic(11, ips=["10.1.0.11", "2001:db8:1::b"])


RARP = make.rarp(NIC.mac)


B1, B2 = PortRef("tor-b", 1), PortRef("tor-b", 2)


def accepting(*domains: str, plan: Fabric | None = None) -> Fabric:
    plan = plan or two_racks()
    rows = {name: replace(row, accept_unannounced=name in domains) for name, row in plan.l2_domains.items()}
    return replace(plan, l2_domains=rows)


class Lab(Site):
    """web1 on a1, a member on each ToR; who is asked for is noted."""

    def __init__(self, *commands: Command, fabric: Fabric | None = None) -> None:
        everything = (cug(), vm("web1", "a1", NIC), vm("web2", "a2", nic(12)), vm("web3", "b3", nic(13)), *commands)
        super().__init__(fabric or accepting("rack-b"), *everything)
        self.asked: list[str] = []
        self.engine.on_question.add(self.asked.append)

    def speak(self, port: PortRef = B1) -> None:
        """web1 says something there, and switches confirm whatever follows."""
        tagged = self.fabric.server_at[port].tagged
        send(self, port, RARP.with_vlans(*([100] if tagged else [])))
        self.confirm()

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * 2)):
            self.now += 0.5
            self.engine.progress()
            self.confirm()

    def reasons(self) -> list[object]:
        return [row["reason"] for row in self.events("refused.move")]

    def unannounced(self) -> list[str]:
        return [row.id for row in self.state.migrations.values() if row.seen is not None]

    def right(self) -> None:
        """The flows are those of a compile from nothing."""
        fresh = full(self.state)
        for name, rows in self.engine.desired.tables.items():
            assert rows.flows.keys() == fresh.tables[name].flows.keys()
