"""Bridges of a private Open vSwitch, with an OpenFlow connection of the tests' own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from mininet_topos.dummies import DummyBridge
from mininet_topos.ovs import PrivateOvs, missing_programs
from tests.support.raw_client import RawClient


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


MakeBridge = Callable[..., Bridge]


@pytest.fixture(scope="session")
def ovs() -> Iterator[PrivateOvs]:
    """A private Open vSwitch. Skips, loudly (see tests/conftest.py), where Open vSwitch is not installed."""
    if missing := missing_programs():
        pytest.skip(f"Open vSwitch is not installed: {', '.join(missing)} not found")
    with PrivateOvs(dummy=True) as running:
        yield running
