"""Servers and virtual machines of the laboratory, as they are on the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

from mininet_topos.ovs import PrivateOvs
from mininet_topos.processes import ChildError, JsonChild, run_inside

NIC = Path(__file__).resolve().parent / "nic.py"
GUEST_QUEUE = 10000  # frames; so that a pause of the machine is no loss
CLOSED = ("vlan_mode=trunk", "tag=[]", "trunks=4095")  # a VLAN-ID that no frame may have


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
    """A hypervisor: an Open vSwitch bridge that learns, as a stranger's would, and the interfaces plugged there.

    A port of the bridge is an access port with the VLAN-ID that REST reports; without one (an untagged server) it has no tag;
    of a guest that tags itself it passes that tag alone. Nothing else is set: the bridge floods, learns and forwards.
    """

    def __init__(self, name: str, bridge: str, ovs: PrivateOvs) -> None:
        self.name = name
        self.bridge = bridge
        self._ovs = ovs
        self._plugs: dict[tuple[str, int], str] = {}
        self._spare: list[str] = []

    @property
    def spare(self) -> int:
        """Devices on the bridge that no interface uses."""
        return len(self._spare)

    def add_device(self, device: str) -> None:
        """Add a (persistent) tap device to the bridge, spare for now: nothing passes it. Raises OvsError."""
        self._ovs.vsctl("add-port", self.bridge, device, "--", "set", "Port", device, *CLOSED)
        self._spare.append(device)

    def plug(self, vm: str, index: int, vlan_id: int | None, guest_vlan_id: int | None = None) -> str:
        """Give an interface one of the spare devices; its name. Raises IndexError without a spare one, ValueError, OvsError."""
        settings = port_settings(vlan_id, guest_vlan_id)
        device = self._spare.pop()
        self._plugs[vm, index] = device
        self._ovs.vsctl("set", "Port", device, *settings)
        return device

    def device(self, vm: str, index: int = 0) -> str:
        """Return the device of a plugged interface: frames are there as the guest sends and gets them. Raises KeyError."""
        return self._plugs[vm, index]

    def unplug(self, vm: str) -> None:
        """Take all interfaces of a VM off; their devices are spare then, and the bridge forgets what it learned behind them."""
        for key in [key for key in self._plugs if key[0] == vm]:
            device = self._plugs.pop(key)
            self._ovs.vsctl("set", "Port", device, *CLOSED)
            self._spare.append(device)


def port_settings(vlan_id: int | None, guest_vlan_id: int | None = None) -> tuple[str, ...]:
    """Return what is set for a vNIC's port: the columns of Open vSwitch's table Port. Raises ValueError for two
    tags at once.
    """
    if guest_vlan_id is None:
        return ("vlan_mode=access", f"tag={vlan_id or 0}", "trunks=[]")
    if vlan_id is not None:
        raise ValueError(f"the guest tags with {guest_vlan_id} itself, and the server cannot tag with {vlan_id} as well")
    # what has no tag is of the hypervisor, which announces the guest and knows nothing of its tags
    return ("vlan_mode=native-tagged", f"tag={guest_vlan_id}", f"trunks={guest_vlan_id}")


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
        """Return the VM's address on an interface, without the prefix length. Raises LookupError."""
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
            if version6:  # only the addresses that the controller knows
                script.append(f"ip link set {name} addrgenmode none")
            script.append(f"ethtool -K {name} tx off >/dev/null")
            script.append(f"ip link set {name} up")
            for address in interface.ips:
                script.append(f"ip address add {address} dev {name}" + (" nodad" if ":" in address else ""))
            for gateway in interface.gateways:
                script.append(f"ip {'-6' if ':' in gateway else '-4'} route add default via {gateway} dev {name}")
        self.run("sh", "-ec", "\n".join(script))

    def freeze_neighbour(self, address: str, mac: str, interface: int = 0) -> None:
        """Set a permanent ARP or ND entry: what this VM believes about ``address`` stays so, whatever is announced."""
        self.run("ip", "neighbour", "replace", address, "lladdr", mac, "dev", f"eth{interface}", "nud", "permanent")

    def card(self) -> Mapping[str, Any]:
        """Return what the network card has counted (see `mininet_topos.nic`)."""
        return self.nic.ask({"op": "stats"})

    def stop(self) -> None:
        """End the card; the devices go with it."""
        try:
            self.nic.ask({"op": "stop"}, timeout=2)
        except ChildError:
            pass  # gone already
        finally:
            self.nic.stop()
