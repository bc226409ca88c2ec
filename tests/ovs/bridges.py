"""Bridges of a private Open vSwitch, with an OpenFlow connection of the tests' own."""

from __future__ import annotations

from mininet_topos.dummies import DummyBridge
from tests.ovs.raw_client import RawClient


class Bridge(DummyBridge):
    """One bridge with dummy ports."""

    def client(self) -> RawClient:
        """An OpenFlow connection."""
        return RawClient(self.ovs.run_dir / f"{self.name}.mgmt")

    def add_port(self, port: int) -> None:
        """One more port, as when a cable is plugged into an empty socket."""
        device = self.device(port)
        self.ovs.vsctl("add-port", self.name, device, "--", "set", "interface", device, "type=dummy", f"ofport_request={port}")
        self.ports = tuple(sorted({*self.ports, port}))
        self.by_datapath_port = self._datapath_ports()
