"""A real virtual machine of the laboratory: a QEMU guest behind a server's learning switch, and its live migration."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_interface
from pathlib import Path

from mininet_topos.lab import Lab
from mininet_topos.qemu.image import Image
from mininet_topos.qemu.late import Late, Tap
from mininet_topos.qemu.machine import Machine, Nic
from mininet_topos.qemu.qmp import Event
from mininet_topos.qemu.serial import MachineError
from mininet_topos.servers import Interface
from mininet_topos.switchover import Network
from ryu_vmmob.hypervisor.spare_frame import send_spare

TAP_QUEUE = 1000  # frames; the kernel's default
COPY_SECONDS = 120.0
LOOK_EVERY = 0.005
COUNT_EVERY = 0.01
AFTERWARDS_SECONDS = 0.3  # after the guest went on, for frames that were under way to its source


@dataclass(frozen=True)
class Pause:
    """A live migration's switch-over. Times in ns since the epoch, by the clock of the host on which both QEMUs run.

    ``stopped`` and ``resumed`` are QEMU's own; ``delivered``: when the network had confirmed, None: it was told nothing.
    ``late``: frames for the guest that came to its old tap and that it did not get, ``unread`` of them before it stopped;
    ``sent_on``: those that the network took.
    """

    stopped: int
    resumed: int
    delivered: int | None
    late: int
    unread: int
    sent_on: int

    @property
    def milliseconds(self) -> float:
        """How long the guest stood still."""
        return (self.resumed - self.stopped) / 1e6


class QemuVm:
    """One guest. ``directory`` takes sockets and logs of its QEMU processes; its path must be short."""

    def __init__(self, lab: Lab, name: str, interfaces: Sequence[Interface], image: Image, directory: Path) -> None:
        self.lab = lab
        self.name = name
        self.interfaces = tuple(interfaces)
        self.server = ""
        self._image = image
        self._directory = directory
        self._machines: dict[str, Machine] = {}
        self._number = 0

    @property
    def machine(self) -> Machine:
        """The QEMU in which it runs. Raises KeyError before it is started."""
        return self._machines[self.server]

    def machine_at(self, server: str) -> Machine:
        """Return the QEMU at a server. Raises KeyError where it is not plugged."""
        return self._machines[server]

    @property
    def places(self) -> list[str]:
        """The servers to which it is plugged."""
        return list(self._machines)

    def address(self, interface: int = 0, version: int = 4) -> str:
        """Its address on an interface, without the prefix length. Raises LookupError."""
        for text in self.interfaces[interface].ips:
            address = ip_interface(text).ip
            if address.version == version:
                return str(address)
        raise LookupError(f"{self.name} has no IPv{version} address on interface {interface}")

    def run(self, *command: str) -> str:
        """Run a command of busybox inside and return what it printed. Raises MachineError."""
        return self.machine.shell(shlex.join(command))

    # life

    def start(self, server: str, vlan_ids: Sequence[int | None]) -> None:
        """Boot it on a server, and give it its addresses."""
        self._open(server, vlan_ids, incoming=False)
        self.server = server
        self.machine.until_booted()
        for index, interface in enumerate(self.interfaces):
            device = f"eth{index}"
            script = [f"ip link set {device} up"]
            script += [f"ip address add {address} dev {device}" for address in interface.ips]
            script += [
                f"ip {'-6' if ':' in gateway else '-4'} route add default via {gateway} dev {device}"
                for gateway in interface.gateways
            ]
            self.machine.shell(" && ".join(script))

    def stop(self) -> None:
        """End it; also twice."""
        for server, machine in list(self._machines.items()):
            machine.stop()
            del self._machines[server]
            if server in self.lab.servers:
                self.lab.unplug(self.name, server)

    def _open(self, server: str, vlan_ids: Sequence[int | None], *, incoming: bool) -> Machine:
        taps = self.lab.plug(self.name, server, self.interfaces, vlan_ids, queue=TAP_QUEUE)
        nics = [Nic(interface.mac, tap) for interface, tap in zip(self.interfaces, taps, strict=True)]
        self._number += 1
        try:
            machine = Machine(self._directory / f"{self.name}-{self._number}", self._image, nics, incoming=incoming)
        except BaseException:
            self.lab.unplug(self.name, server)
            raise
        self._machines[server] = machine
        return machine

    # moves

    def receive_at(self, server: str, vlan_ids: Sequence[int | None]) -> None:
        """Plug it to a second server, where a QEMU waits for its memory."""
        self._open(server, vlan_ids, incoming=True)
        for index, interface in enumerate(self.interfaces):
            send_spare(self.lab.servers[server].device(self.name, index), interface.mac)

    def migrate(self, server: str, network: Network | None) -> Pause:
        """Copy it to a server where it is awaited, under way, and let it go on there. Raises MachineError.

        The network is told when the source has stopped, and given what still reaches the old tap; None: it is told nothing.
        The QEMU at the source stays, stopped, until `leave`.
        """
        source, target, old = self.machine, self._machines[server], self.server
        with ExitStack() as stack:
            taps = []
            for index in range(len(self.interfaces)):
                taps.append(Tap(self.lab.servers[old].device(self.name, index), partial(source.frames_got, index)))
                stack.callback(taps[-1].close)
            late = Late(taps, [interface.mac for interface in self.interfaces], network)
            source.qmp.ask("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
            source.qmp.ask("migrate", uri=target.incoming)
            stopped = self._until_stopped(source, late)
            delivered = None
            if network is not None:
                network.deliver()
                delivered = time.time_ns()
            resumed = None
            end = time.monotonic() + COPY_SECONDS
            while resumed is None or time.monotonic() < end:
                late.send_on(stopped.time)
                if resumed is None and (resumed := target.qmp.poll("RESUME")):
                    end = time.monotonic() + AFTERWARDS_SECONDS
                if resumed is None and time.monotonic() > end:
                    raise MachineError(f"{self.name} did not go on at {server} in {COPY_SECONDS:g} s")
                time.sleep(LOOK_EVERY)
            self.server = server
            if dropped := sum(tap.dropped() for tap in taps):
                raise MachineError(f"{dropped} frames to {self.name} were not captured: this machine is too slow")
        return Pause(stopped.time, resumed.time, delivered, late.seen, late.before, late.sent)

    @staticmethod
    def _until_stopped(source: Machine, late: Late) -> Event:
        deadline = time.monotonic() + COPY_SECONDS
        while True:
            try:
                return source.qmp.until_named("STOP", COUNT_EVERY)
            except TimeoutError:
                late.look()
            status = source.qmp.ask("query-migrate").get("status")
            if status in ("failed", "cancelled") or time.monotonic() > deadline:
                raise MachineError(f"the live migration is {status}")

    def leave(self, server: str) -> None:
        """End the QEMU at a server that the guest has left, or to which it did not come."""
        if server == self.server:
            raise MachineError(f"{self.name} runs on {server}")
        self._machines.pop(server).stop()
        self.lab.unplug(self.name, server)
