"""Servers and virtual machines of the laboratory, as they are on the machine (see `mininet_topos.hypervisor` for the flows)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

from mininet_topos import hypervisor
from mininet_topos.hypervisor import Plug
from mininet_topos.ovs import OvsError, PrivateOvs
from mininet_topos.processes import ChildError, JsonChild, run_inside

NIC = Path(__file__).resolve().parent / "nic.py"
GUEST_QUEUE = 10000  # frames; so that a pause of the machine is no loss
FIRST_PORT = 100  # OpenFlow port numbers of guests' devices begin here


@dataclass(frozen=True)
class Interface:
    """A virtual network interface: one CUG, one MAC, its addresses (with prefix lengths), perhaps the guest's own tag."""

    cug: str
    mac: str
    ips: tuple[str, ...] = ()
    guest_vlan_id: int | None = None
    gateways: tuple[str, ...] = ()

    def body(self) -> dict[str, Any]:
        """As REST wants it."""
        addresses = [str(ip_interface(address).ip) for address in self.ips]
        return {"cug": self.cug, "mac": self.mac, "ips": addresses, "guest_vlan_id": self.guest_vlan_id}


class Server:
    """A hypervisor: a bridge with uplinks, and the interfaces plugged there."""

    def __init__(self, name: str, bridge: str, uplinks: Sequence[int], tagged: bool, ovs: PrivateOvs) -> None:
        self.name = name
        self.bridge = bridge
        self.uplinks = tuple(uplinks)
        self.tagged = tagged
        self._ovs = ovs
        self._plugs: dict[tuple[str, int], Plug] = {}
        self._devices: dict[int, str] = {}
        self._spare: list[int] = []
        self._next_port = FIRST_PORT

    @property
    def spare(self) -> int:
        """Devices on the bridge that no interface uses."""
        return len(self._spare)

    def add_device(self, device: str) -> None:
        """Add a (persistent) tap device to the bridge, spare for now; its port number is chosen here. Raises OvsError."""
        number, self._next_port = self._next_port, self._next_port + 1
        setting = ("--", "set", "Interface", device, f"ofport_request={number}")
        self._ovs.vsctl("add-port", self.bridge, device, *setting)
        got = self._ovs.vsctl("get", "Interface", device, "ofport").strip()
        if got != str(number):
            raise OvsError(f"{self.bridge}: {device} got port {got} instead of {number}")
        self._devices[number] = device
        self._spare.append(number)

    def plug(self, vm: str, index: int, plug: Plug) -> str:
        """Give an interface one of the spare devices; its name. `apply` opens it. Raises IndexError without a spare one."""
        number = self._spare.pop()
        self._plugs[vm, index] = replace(plug, port=number)
        return self._devices[number]

    def device(self, vm: str, index: int = 0) -> str:
        """The device of a plugged interface: frames are there as the guest sends and gets them. Raises KeyError."""
        return self._devices[self._plugs[vm, index].port]

    def unplug(self, vm: str) -> None:
        """Take all interfaces of a VM off; their devices are spare then."""
        gone = [key for key in self._plugs if key[0] == vm]
        freed = [self._plugs.pop(key).port for key in gone]
        self.apply()
        self._spare += freed

    def set_moving(self, vm: str, moving: bool) -> None:
        """Say whether a VM is on the move; `apply` makes it so."""
        for key, plug in self._plugs.items():
            if key[0] == vm:
                self._plugs[key] = replace(plug, moving=moving)

    def apply(self) -> None:
        """Make the bridge's flow table what it should be, in one bundle."""
        wanted = hypervisor.flows(list(self._plugs.values()), self.uplinks, self.tagged)
        self._ovs.ofctl("--bundle", "replace-flows", self.bridge, "-", stdin="\n".join(wanted) + "\n")


@dataclass
class Vm:
    """A virtual machine: a network namespace, and its network card, a process of its own (`mininet_topos.nic`)."""

    name: str
    interfaces: tuple[Interface, ...]
    host: Any  # a Mininet Host
    nic: JsonChild
    server: str
    places: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """The process that holds the VM's network namespace."""
        return int(self.host.pid)

    def run(self, *command: str) -> str:
        """Run a command inside the VM and return what it printed. Raises ChildError."""
        return run_inside(self.pid, *command)

    def address(self, interface: int = 0, version: int = 4) -> str:
        """The VM's address on an interface, without the prefix length. Raises LookupError."""
        for text in self.interfaces[interface].ips:
            address = ip_interface(text).ip
            if address.version == version:
                return str(address)
        raise LookupError(f"{self.name} has no IPv{version} address on interface {interface}")

    def configure(self, taps: Sequence[str]) -> None:
        """Move the guest's devices in and give them their addresses."""
        version6 = any(":" in address for interface in self.interfaces for address in interface.ips)
        settings = {"all/accept_ra": 0, "default/accept_ra": 0, "default/accept_dad": 0}
        if not version6:
            settings = {"all/disable_ipv6": 1, "default/disable_ipv6": 1}
        script = [f"echo {value} > /proc/sys/net/ipv6/conf/{name}" for name, value in settings.items()]
        script.append("ip link set lo up")
        for index, (tap, interface) in enumerate(zip(taps, self.interfaces, strict=True)):
            run_inside(None, "ip", "link", "set", tap, "netns", str(self.pid))
            name = f"eth{index}"
            script.append(f"ip link set {tap} name {name} address {interface.mac} mtu 1500 txqueuelen {GUEST_QUEUE}")
            if version6:  # only the addresses that the controller was told of
                script.append(f"ip link set {name} addrgenmode none")
            script.append(f"ethtool -K {name} tx off >/dev/null")
            script.append(f"ip link set {name} up")
            for address in interface.ips:
                script.append(f"ip address add {address} dev {name}" + (" nodad" if ":" in address else ""))
            for gateway in interface.gateways:
                script.append(f"ip {'-6' if ':' in gateway else '-4'} route add default via {gateway} dev {name}")
        self.run("sh", "-ec", "\n".join(script))

    def freeze_neighbour(self, address: str, mac: str, interface: int = 0) -> None:
        """A permanent ARP or ND entry: what this VM believes about ``address`` stays so, whatever is announced."""
        self.run("ip", "neighbour", "replace", address, "lladdr", mac, "dev", f"eth{interface}", "nud", "permanent")

    def card(self) -> Mapping[str, Any]:
        """What the network card has counted (see `mininet_topos.nic`)."""
        return self.nic.ask({"op": "stats"})

    def stop(self) -> None:
        """End the card; the devices go with it."""
        try:
            self.nic.ask({"op": "stop"}, timeout=2)
        except ChildError:
            pass  # gone already
        finally:
            self.nic.stop()
