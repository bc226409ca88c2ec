"""A running laboratory: a fabric in Mininet over a private Open vSwitch, with servers and virtual machines that move.

    with Lab("etc/two-dcs.yaml", controller=("127.0.0.1", 6653)) as lab:
        web = lab.add_vm("web", "srv-a1", [Interface("blue", "02:00:00:00:00:01", ("10.1.0.11/24",))], vlan_ids=[110])
        lab.prepare_server(web, "srv-c1", vlan_ids=[510])
        lab.flip(web, "srv-c1")
        lab.release_server(web, "srv-a1")

It has a network namespace of its own, and while it runs this thread is in there, with every process started meanwhile (a
controller too): addresses on the loopback are the laboratory's. Everything goes away with it. Needs root. ``python -m
mininet_topos.lab clean`` removes what crashed runs left.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from mininet.log import lg
from mininet.net import Mininet
from mininet.node import Host

from mininet_topos import registry
from mininet_topos.names import bond_name, bridge_name, device_name, port_name, uplink_name
from mininet_topos.namespace import own_network
from mininet_topos.nodes import PlainController, bond_flows
from mininet_topos.outside import Outside
from mininet_topos.ovs import PrivateOvs
from mininet_topos.processes import JsonChild, run_inside
from mininet_topos.servers import GUEST_QUEUE, NIC, Interface, Server, Vm
from mininet_topos.topo import FabricTopo, outside_name
from ryu_vmmob.fabric.loader import load
from ryu_vmmob.fabric.model import Fabric, PortRef

SWITCH_NICE = -10  # as Debian runs it
SWITCH_PRIORITY = 5  # real-time; below the network cards and probes
QUEUES = {"net.core.rmem_default": 8 << 20, "net.core.wmem_default": 8 << 20, "net.core.netdev_max_backlog": 20000}


class LabError(RuntimeError):
    """The laboratory cannot do that; the text says why."""


class Lab:
    """One fabric, running. ``controller``: where its switches connect (None: nowhere; program the flows yourself)."""

    def __init__(self, fabric: Fabric | str | Path, controller: tuple[str, int] | None = None) -> None:
        self.fabric = fabric if isinstance(fabric, Fabric) else load(fabric)
        self.controller = controller
        self.ovs = PrivateOvs(nice=SWITCH_NICE, other_config={"n-handler-threads": "1", "n-revalidator-threads": "1"})
        self.servers: dict[str, Server] = {}
        self.vms: dict[str, Vm] = {}
        self.outside: dict[str, Outside] = {}
        self._net: Any = None
        self._taps = 0
        self._undo = ExitStack()

    # life

    def start(self) -> Lab:
        """Build and start it. Raises LabError or OvsError, with nothing left behind."""
        if os.geteuid() != 0:
            raise LabError("a laboratory builds network namespaces and needs root")
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self) -> None:
        registry.clean()
        self._raise_queues()
        self._undo.enter_context(own_network())
        self.ovs.start()
        self._undo.callback(registry.remove, registry.enter(self.ovs.run_dir))
        self._undo.callback(self.ovs.stop)
        with suppress(PermissionError):  # its forwarding thread alone; then the machine's other work is less of a disturbance
            real_time = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
            os.sched_setscheduler(self.ovs.switch_pid, real_time, os.sched_param(SWITCH_PRIORITY))
        self._undo.enter_context(self.ovs.activated())
        lg.setLevel(logging.ERROR)  # its progress messages have no place in ours
        self._net = Mininet(FabricTopo(self.fabric), controller=None)
        self._undo.callback(self._net.stop)
        if self.controller:
            address, port = self.controller
            self._net.addController("c0", controller=PlainController, ip=address, port=port)
        self._net.start()
        for name, server in self.fabric.servers.items():
            self.servers[name] = Server(name, bridge_name(name), self.ovs)
            if len(server.attach) > 1:
                flows = "\n".join(bond_flows(len(server.attach))) + "\n"
                self.ovs.ofctl("add-flows", bond_name(name), "-", stdin=flows)
        for number, name in enumerate(self.fabric.externals, start=1):
            self._open_outside(name, number)

    def stop(self) -> None:
        """Take everything down; also after half a start, and twice."""
        for vm in self.vms.values():
            vm.stop()
        self.vms.clear()
        self.servers.clear()
        self.outside.clear()
        self._undo.close()

    def __enter__(self) -> Lab:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @staticmethod
    def _raise_queues() -> None:
        """Raise the kernel's default queues (never lower them), so that a pause of the machine costs time, not packets.

        They stay raised, as with Mininet's own limits: other laboratories may have come to lean on them.
        """
        for name, wanted in QUEUES.items():
            file = Path("/proc/sys") / name.replace(".", "/")
            if file.exists() and int(file.read_text()) < wanted:
                with suppress(OSError):
                    file.write_text(str(wanted))

    # virtual machines

    def add_vm(self, name: str, server: str, interfaces: Sequence[Interface], vlan_ids: Sequence[int | None]) -> Vm:
        """Return a running VM on ``server``. ``vlan_ids``: for each interface, what the controller says the server is to tag
        with.
        """
        if name in self.vms:
            raise LabError(f"there is a VM {name!r} already")
        host = self._net.addHost(name, cls=Host, ip=None)
        vm = Vm(name, tuple(interfaces), host, JsonChild(NIC, name=f"the network card of {name}"), server)
        self.vms[name] = vm
        taps = []
        for index, interface in enumerate(vm.interfaces):
            tap = self._next_tap("g")
            guest = {"tap": tap, "mac": interface.mac, "vlan_id": interface.guest_vlan_id}
            vm.nic.ask({"op": "guest", "interface": index, **guest})
            taps.append(tap)
        vm.configure(taps)
        self._plug_card(vm, server, vlan_ids)
        return vm

    def remove_vm(self, vm: Vm) -> None:
        """End a VM."""
        for server in list(vm.places):
            self._unplug(vm, server)
        del self.vms[vm.name]
        vm.stop()
        self._net.delHost(vm.host)

    def prepare_server(self, vm: Vm, server: str, vlan_ids: Sequence[int | None]) -> None:
        """Plug the VM to a second server. It reads nothing there and sends nothing there until the flip."""
        if server in vm.places:
            raise LabError(f"{vm.name} is plugged to {server} already")
        self._plug_card(vm, server, vlan_ids)

    def flip(self, vm: Vm, server: str, *, announce: bool = True) -> Mapping[str, Any]:
        """Return the VM stops running on its server, if it has not yet, and runs on the other (see `mininet_topos.nic`)."""
        done = vm.nic.ask({"op": "flip", "to": server, "announce": announce})
        vm.server = server
        return done

    def release_server(self, vm: Vm, server: str) -> None:
        """Unplug the VM from the server it has left, or from one it will not come to."""
        if server == vm.server:
            raise LabError(f"{vm.name} runs on {server}")
        self._unplug(vm, server)

    # devices of servers, for any kind of VM

    def plug(
        self, name: str, server: str, interfaces: Sequence[Interface], vlan_ids: Sequence[int | None], queue: int = GUEST_QUEUE
    ) -> list[str]:
        """Devices on a server's switch for all interfaces of a VM. ``queue``: frames that each holds while no process reads.

        Raises LabError, OvsError.
        """
        self.reserve(server, len(interfaces))
        there = self.servers[server]
        devices = []
        for index, (interface, vlan_id) in enumerate(zip(interfaces, vlan_ids, strict=True)):
            device = there.plug(name, index, vlan_id, interface.guest_vlan_id)
            run_inside(None, "ip", "link", "set", device, "txqueuelen", str(queue))
            devices.append(device)
        return devices

    def unplug(self, name: str, server: str) -> None:
        """Take a VM off a server's switch."""
        self.servers[server].unplug(name)

    def reserve(self, server: str, count: int) -> None:
        """Have that many free devices on a server's bridge, so that plugging a VM later is no work for the switch daemon.

        All switches of the laboratory are one process, which does not forward while it takes a new device in.
        """
        there = self.servers[server]
        while there.spare < count:
            self._new_device(there)

    def _new_device(self, server: Server) -> None:
        tap = self._next_tap("t")
        run_inside(None, "ip", "tuntap", "add", "dev", tap, "mode", "tap")
        Path(f"/proc/sys/net/ipv6/conf/{tap}/disable_ipv6").write_text("1")
        run_inside(None, "ip", "link", "set", tap, "up")
        server.add_device(tap)

    def _plug_card(self, vm: Vm, server: str, vlan_ids: Sequence[int | None]) -> None:
        for index, tap in enumerate(self.plug(vm.name, server, vm.interfaces, vlan_ids)):
            vm.nic.ask({"op": "plug", "interface": index, "place": server, "tap": tap})
        vm.places.append(server)

    def _unplug(self, vm: Vm, server: str) -> None:
        vm.nic.ask({"op": "unplug", "place": server})
        self.unplug(vm.name, server)
        vm.places.remove(server)

    def _next_tap(self, letter: str) -> str:
        self._taps += 1
        return device_name(f"{letter}{self._taps}")

    # the fabric

    def bridge(self, switch: str) -> str:
        """Return the Open vSwitch bridge of a switch, for `ovs.ofctl`. Raises KeyError for an unknown switch."""
        return bridge_name(self.fabric.switches[switch].name)

    def device(self, port: PortRef) -> str:
        """Return the device at a switch port."""
        return port_name(port.switch, port.port)

    def link_devices(self) -> dict[str, str]:
        """Return a device of each cable (frames both ways are seen there): between switches, then to servers, then to the
        outside.
        """
        found = {link.name: self.device(link.a) for link in self.fabric.links}
        for name, server in self.fabric.servers.items():
            for index, port in enumerate(server.attach, start=1):
                found[f"{port}={name}"] = uplink_name(name, index)
        return found | {f"{one.attach}={name}": self.device(one.attach) for name, one in self.fabric.externals.items()}

    def set_link(self, name: str, *, up: bool) -> None:
        """Pull a cable (both ends lose the carrier) or put it back. Raises KeyError for an unknown link."""
        link = self.fabric.link_by_name[name]
        for end in (link.a, link.b):
            run_inside(None, "ip", "link", "set", self.device(end), "up" if up else "down")

    def set_uplink(self, server: str, index: int, *, up: bool) -> None:
        """Do the same for a server's cable; ``index`` counts the members of a LAG, from 1. Raises IndexError."""
        for device in (self.device(self.fabric.servers[server].attach[index - 1]), uplink_name(server, index)):
            run_inside(None, "ip", "link", "set", device, "up" if up else "down")

    def _open_outside(self, name: str, number: int) -> None:
        external = self.fabric.externals[name]
        host = self._net[outside_name(external.routing_domain)]
        self.outside[name] = Outside(external, number, int(host.pid), uplink_name(name, 0))
        self.outside[name].configure()


def main() -> None:
    """``clean``: remove what crashed laboratories left. ``list``: those on record."""
    match sys.argv[1:]:
        case ["clean"]:
            for line in registry.clean() or ["nothing to clean"]:
                print(line)
        case ["list"]:
            for record in registry.records():
                print("running" if record.alive else "dead", f"pid {record.pid}", record.run_dir)
        case _:
            raise SystemExit("usage: python -m mininet_topos.lab clean|list")


if __name__ == "__main__":
    main()
