"""A Mininet topology from a fabric file. It describes; nothing is built here.

Port numbers and datapath ids are exactly those of the file. Servers are bridges of their own; virtual machines come
later (`mininet_topos.lab`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mininet.topo import Topo

from mininet_topos.names import bond_name, bond_port_name, bridge_name, device_name, port_name, uplink_name
from mininet_topos.nodes import BondDriver, Cable, ExternalHost, FabricSwitch, ServerSwitch
from ryu_vmmob.fabric.loader import load
from ryu_vmmob.fabric.model import Fabric, PortRef

ROOT = Path(__file__).resolve().parent.parent


class FabricTopo(Topo):  # type: ignore[misc]  # Mininet has no types
    """Every switch, server, external network and cable of a fabric."""

    def build(self, fabric: Fabric | str | Path | None = None, **_: Any) -> None:
        """Describe ``fabric`` (or the file at that path). Raises FabricError for a faulty file."""
        if fabric is None:
            raise ValueError("a fabric, or the path of a fabric file, is needed: --topo fabric,etc/two-dcs.yaml")
        self.fabric = fabric if isinstance(fabric, Fabric) else load(fabric)
        self._add_switches()
        self._add_servers()
        self._add_externals()

    def _add_switches(self) -> None:
        for name, switch in self.fabric.switches.items():
            self.addSwitch(bridge_name(name), cls=FabricSwitch, dpid=f"{switch.dpid:016x}")
        for link in self.fabric.links:
            self._cable(link.a, bridge_name(link.b.switch), link.b.port, self._port_name(link.b))

    def _add_servers(self) -> None:
        ordinal = max((switch.dpid for switch in self.fabric.switches.values()), default=0)
        for number, (name, server) in enumerate(self.fabric.servers.items(), start=1):
            node = bridge_name(name)
            self.addSwitch(node, cls=ServerSwitch, dpid=f"{(ordinal + number) % 2**48:016x}")
            if len(server.attach) > 1:
                node = self._bond(name, node, len(server.attach), (ordinal + len(self.fabric.servers) + number) % 2**48)
            for index, port in enumerate(server.attach, start=1):
                self._cable(port, node, index, uplink_name(name, index))

    def _bond(self, server: str, bridge: str, members: int, dpid: int) -> str:
        """Return the bonding driver between a server's cables and its switch."""
        node = bond_name(server)
        self.addSwitch(node, cls=BondDriver, dpid=f"{dpid:016x}")
        self.addLink(
            node, bridge, port1=members + 1, port2=1,
            intfName1=bond_port_name(server, 0), intfName2=bond_port_name(server, 1), cls=Cable,
        )  # fmt: skip
        return node

    def _add_externals(self) -> None:
        """One host for all external networks of a routing domain: there is one world outside."""
        for number, (name, external) in enumerate(self.fabric.externals.items()):
            if external.vlan_id is not None:
                raise ValueError(f"external network {name}: tagged ports cannot be imitated here; leave its vlan_id out")
            node = self.addHost(outside_name(external.routing_domain), cls=ExternalHost, ip=None)
            self._cable(external.attach, node, number, uplink_name(name, 0))

    def _port_name(self, port: PortRef) -> str:
        return port_name(port.switch, port.port)

    def _cable(self, near: PortRef, node: str, port: int, device: str) -> None:
        self.addLink(
            bridge_name(near.switch), node, port1=near.port, port2=port,
            intfName1=self._port_name(near), intfName2=device, cls=Cable,
        )  # fmt: skip


def outside_name(routing_domain: str) -> str:
    """Return the host that is the world outside, for a routing domain."""
    return device_name(f"outside-{routing_domain}")


def one_dc() -> FabricTopo:
    """One data centre with two racks (``etc/one-dc.yaml``)."""
    return FabricTopo(ROOT / "etc" / "one-dc.yaml")


def two_dcs() -> FabricTopo:
    """Two data centres with different VLAN plans (``etc/two-dcs.yaml``)."""
    return FabricTopo(ROOT / "etc" / "two-dcs.yaml")
