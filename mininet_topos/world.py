"""The world of the demonstration: two data centres, two CUGs, and who lives where.

=========  ==========  =======================================================
VM         server      part
=========  ==========  =======================================================
web-1      srv-a1      the one that moves
web-2      srv-a2      its neighbour in the first rack
web-3      srv-d1      in the other data centre, not where web-1 goes
web-4      srv-b2      in the second rack
db-1       srv-a1      another CUG, on the server web-1 leaves
db-2       srv-c1      another CUG, on the server web-1 comes to
=========  ==========  =======================================================
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mininet_topos.controller import Controller
from mininet_topos.lab import Lab
from mininet_topos.orchestrator import Orchestrator
from mininet_topos.scenario import Scenario
from mininet_topos.servers import Interface, Vm
from mininet_topos.topo import ROOT

FABRIC = ROOT / "etc" / "two-dcs.yaml"
CUGS = {"web": "10.1.0.0/24", "db": "10.2.0.0/24"}
VMS = (  # name, server, CUG, last byte of the address
    ("web-1", "srv-a1", "web", 11),
    ("web-2", "srv-a2", "web", 12),
    ("web-3", "srv-d1", "web", 13),
    ("web-4", "srv-b2", "web", 14),
    ("db-1", "srv-a1", "db", 21),
    ("db-2", "srv-c1", "db", 22),
)


def interface(cug: str, number: int) -> Interface:
    """Return the interface number ``number`` of a CUG of this world."""
    network = CUGS[cug].rsplit(".", 1)[0]
    which = list(CUGS).index(cug) + 1
    return Interface(cug, f"02:00:00:00:{which:02x}:{number:02x}", (f"{network}.{number}/24",))


@dataclass
class World:
    """Everything that runs."""

    lab: Lab
    controller: Controller
    orchestrator: Orchestrator
    scenario: Scenario
    vms: dict[str, Vm]

    def everyone(self, *names: str) -> list[Vm]:
        """VMs by name."""
        return [self.vms[name] for name in names]


@contextmanager
def running(
    fabric: Path = FABRIC, rate: float = 1000.0, directory: Path | None = None, first: Sequence[Path] = ()
) -> Iterator[World]:
    """Provide a laboratory and its controller, every switch in step, no CUG or VM yet.

    ``directory`` keeps the controller's files; without it they go away in the end. ``first`` as `Controller`
    has it.
    """
    scratch = Path(tempfile.mkdtemp(prefix="vmmob-")) if directory is None else directory
    try:
        with Lab(fabric, controller=("127.0.0.1", 6653)) as lab, Controller(fabric, scratch, first=first) as controller:
            orchestrator = Orchestrator(lab, controller.rest)
            orchestrator.until_in_step()
            yield World(lab, controller, orchestrator, Scenario(orchestrator, rate), {})
    finally:
        if directory is None:
            shutil.rmtree(scratch, ignore_errors=True)


def populate(world: World) -> None:
    """Create the CUGs, start the VMs, and let the members of each CUG meet."""
    for cug, subnet in CUGS.items():
        world.orchestrator.put_cug(cug, [subnet])
    for name, server, cug, number in VMS:
        world.vms[name] = world.orchestrator.start_vm(name, server, [interface(cug, number)])
    world.scenario.acquaint(world.vms["web-1"], world.everyone("web-2", "web-3", "web-4"))
    world.scenario.acquaint(world.vms["db-1"], world.everyone("db-2"))
