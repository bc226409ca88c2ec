"""Bridges of a private Open vSwitch, with an OpenFlow connection of the tests' own."""

from __future__ import annotations

from mininet_topos.dummies import DummyBridge
from tests.ovs.raw_client import RawClient


class Bridge(DummyBridge):
    """One bridge with dummy ports."""

    def client(self) -> RawClient:
        """An OpenFlow connection."""
        return RawClient(self.ovs.run_dir / f"{self.name}.mgmt")
