"""A QEMU guest that moves, and the imitated VMs it talks to: under the product, and on the same fabric without a controller.

=======  ========  =====================================================================
VM       server    part
=======  ========  =====================================================================
web-1    srv-a1    the QEMU guest
web-2    srv-a2    its neighbour in the first rack: bridged, IPv4
web-3    srv-d1    in the other data centre, not where web-1 goes: bridged, IPv6
db-1     srv-a1    another CUG, on the server web-1 leaves: routed, IPv4
db-2     srv-c1    another CUG, on the server web-1 comes to: routed, IPv6
=======  ========  =====================================================================

Without a controller there is no router: all four are in the guest's subnets, in one VLAN.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mininet_topos import routed_world, world
from mininet_topos.endpoint import Endpoint
from mininet_topos.lab import Lab
from mininet_topos.observers import look_at_wires
from mininet_topos.orchestrator import STEP_SECONDS, Orchestrator
from mininet_topos.processes import ChildError
from mininet_topos.qemu import plain
from mininet_topos.qemu.image import Image
from mininet_topos.qemu.libvirt_guest import LibvirtGuest
from mininet_topos.qemu.serial import MachineError
from mininet_topos.qemu.streams import GuestTraffic, Outcome
from mininet_topos.qemu.vm import Pause, QemuVm
from mininet_topos.scenario import WIRE_RATE, WIRE_SECONDS, Hops
from mininet_topos.servers import Interface
from mininet_topos.switchover import Rest

GUEST, HOME, AWAY, NEXT_RACK = "web-1", "srv-a1", "srv-c1", "srv-b2"
PEERS = (("web-2", 4), ("web-3", 6), ("db-1", 4), ("db-2", 6))
REACH_SECONDS = 30.0
BEFORE_SECONDS = 0.5  # of traffic, then the move
AFTER_SECONDS = 0.5
STILL_SECONDS = 0.9


@dataclass(frozen=True)
class Record:
    """One move: who did it ("product" or "plain"), the pause, what became of the packets, the migration's last body if any."""

    kind: str
    source: str
    target: str
    pause: Pause
    outcome: Outcome
    migration: Mapping[str, Any] | None
    hops_before: Hops
    hops_after: Hops


class GuestWorld(Protocol):
    """A guest, its peers, and how it is moved."""

    kind: str
    vm: QemuVm
    peers: Sequence[tuple[Endpoint, int]]
    forbidden: Sequence[tuple[Endpoint, int]]

    def move(self, to: str, *, send_on: bool = True, **options: Any) -> tuple[Pause, Mapping[str, Any] | None]:
        """One live migration, to its end; ``send_on``: whether late frames are given to the network."""


def measured(
    where: GuestWorld, to: str, rate: float, *, tcp: bool = False, wires: bool = False, send_on: bool = True, **options: Any
) -> Record:
    """Move the guest under traffic.

    ``tcp``: with a connection to the first peer as well, at full speed. ``wires``: look at the cables before and after.
    ``options`` go into the migration.
    """
    source = where.vm.server
    before = hops(where) if wires else {}
    tcp_peer = where.peers[0][0] if tcp else None
    with GuestTraffic(where.vm, where.peers, rate, forbidden=where.forbidden, tcp_peer=tcp_peer) as traffic:
        time.sleep(BEFORE_SECONDS)
        pause, migration = where.move(to, send_on=send_on, **options)
        time.sleep(AFTER_SECONDS)
        outcome = traffic.stop(pause)
    return Record(where.kind, source, to, pause, outcome, migration, before, hops(where) if wires else {})


def still(where: GuestWorld, rate: float, seconds: float = STILL_SECONDS) -> Outcome:
    """Return the same traffic without any move: what this machine does to it."""
    with GuestTraffic(where.vm, where.peers, rate, forbidden=where.forbidden) as traffic:
        time.sleep(seconds)
        return traffic.stop(Pause(0, 0, None, 0, 0, 0))


def hops(where: GuestWorld) -> Hops:
    """VLAN-IDs on every cable with packets of the guest, while a few packets of each stream are sent."""
    own = {interface.mac for interface in where.vm.interfaces}
    own |= {where.vm.address(version=version) for _, version in where.peers}
    with GuestTraffic(where.vm, where.peers, WIRE_RATE):
        found = look_at_wires(where.vm.lab, WIRE_SECONDS).vlan_ids(own)
    return {link: sorted(vlan_ids, key=lambda v: (v is not None, v)) for link, vlan_ids in sorted(found.items())}


class _Unheard(Rest):
    """A hypervisor that says when it has paused, and sends nothing on."""

    def send_on(self, interface: int, frames: Sequence[bytes]) -> int:
        """Nothing."""
        return 0


@dataclass
class Product:
    """Under the controller."""

    orchestrator: Orchestrator
    vm: QemuVm
    peers: Sequence[tuple[Endpoint, int]]
    forbidden: Sequence[tuple[Endpoint, int]] = ()
    kind: str = "product"

    def move(self, to: str, *, send_on: bool = True, **options: Any) -> tuple[Pause, Mapping[str, Any]]:
        """Announce, plug, copy, deliver at the pause, send on, wait for the commit. ``options`` go into the migration."""
        orchestrator, source = self.orchestrator, self.vm.server
        migration = orchestrator.call("POST", "/v1/migrations", {"vm": self.vm.name, "to": to, **options})
        network = orchestrator.network(migration)
        if network is not None and not send_on:
            network = _Unheard(migration["id"], orchestrator.post)
        try:
            orchestrator.until_state(migration["id"], "prepared")
            self.vm.receive_at(to, [leg["to_vlan_id"] for leg in migration["interfaces"]])
            pause = self.vm.migrate(to, network)
        except BaseException:
            orchestrator.call("POST", f"/v1/migrations/{migration['id']}/abort", wait=STEP_SECONDS)
            raise
        done = orchestrator.until_state(migration["id"], "committed")
        self.vm.leave(source)
        return pause, done


@dataclass
class Plain:
    """On learning switches, without a controller."""

    vm: QemuVm
    peers: Sequence[tuple[Endpoint, int]]
    forbidden: Sequence[tuple[Endpoint, int]] = ()
    kind: str = "plain"

    def move(self, to: str, *, send_on: bool = True, **options: Any) -> tuple[Pause, None]:
        """Plug and copy; the guest's own announcement is all that the network hears."""
        source = self.vm.server
        self.vm.receive_at(to, [plain.VLAN_ID])
        pause = self.vm.migrate(to, None)
        self.vm.leave(source)
        return pause, None


@contextmanager
def product(image: Image, directory: Path | None = None, fabric: Path = world.FABRIC) -> Iterator[Product]:
    """Provide the laboratory, its controller, four peers and the guest, all of whom have reached each other."""
    with scratch() as place, world.running(fabric, directory=directory) as live:
        interface = start_peers(live)
        body = {"server": HOME, "interfaces": [interface.body()]}
        answer = live.orchestrator.call("PUT", f"/v1/vms/{GUEST}", body, wait=STEP_SECONDS)
        vm = QemuVm(live.lab, GUEST, [interface], image, place)
        try:
            vm.start(HOME, [one["vlan_id"] for one in answer["interfaces"]])
            peers = [(live.vms[name], version) for name, version in PEERS]
            acquaint(vm, peers)
            yield Product(live.orchestrator, vm, peers, [peer for peer in peers if peer[0].name.startswith("db-")])
        finally:
            vm.stop()


def start_peers(live: world.World) -> Interface:
    """Create the CUGs, their policies and the guest's peers; the guest's interface."""
    for cug in ("web", "db"):
        routing_domain, subnets = routed_world.CUGS[cug]
        live.orchestrator.put_cug(cug, subnets, routing_domain=routing_domain)
    for policy, body in routed_world.policies().items():
        live.orchestrator.put_policy(policy, **body)
    homes = {name: (server, cug, number) for name, server, cug, number in routed_world.VMS}
    for name, _ in PEERS:
        server, cug, number = homes[name]
        routed_world.start_vm(live, name, server, routed_world.interface(cug, number))
    _, cug, number = homes[GUEST]
    return routed_world.interface(cug, number)


@contextmanager
def without_controller(image: Image, fabric: Path = world.FABRIC) -> Iterator[Plain]:
    """Provide the same fabric as learning switches, four peers in one VLAN, and the guest."""
    with scratch() as place, Lab(fabric) as lab:
        plain.learn(lab)
        homes = {name: (server, number) for name, server, _, number in routed_world.VMS}
        for name, _ in PEERS:
            server, number = homes[name]
            lab.add_vm(name, server, [routed_world.interface("web", number)], [plain.VLAN_ID])
        server, number = homes[GUEST]
        vm = QemuVm(lab, GUEST, [routed_world.interface("web", number)], image, place)
        try:
            vm.start(server, [plain.VLAN_ID])
            peers = [(lab.vms[name], version) for name, version in PEERS]
            acquaint(vm, peers)
            yield Plain(vm, peers)
        finally:
            vm.stop()


def acquaint(vm: QemuVm | LibvirtGuest, peers: Sequence[tuple[Endpoint, int]]) -> None:
    """Let the guest reach each peer once. Raises MachineError."""
    deadline = time.monotonic() + REACH_SECONDS
    for peer, version in peers:
        while True:
            try:
                vm.run("ping", "-c", "1", "-W", "1", peer.address(version=version))
                peer.run("ping", "-c", "1", "-W", "2", vm.address(version=version))
            except (MachineError, ChildError):
                if time.monotonic() > deadline:
                    raise
            else:
                break


@contextmanager
def scratch() -> Iterator[Path]:
    """Provide a directory with a short path, for sockets, that goes with the block."""
    path = Path(tempfile.mkdtemp(prefix="vmmob-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
