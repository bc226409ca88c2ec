"""The kinds of nodes and cables of the laboratory, as Mininet classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mininet.link import Link
from mininet.node import Host, OVSSwitch, RemoteController
from mininet.util import quietRun

LINK_MTU = 1600  # room for VLAN tags above the guests' 1500


class FabricSwitch(OVSSwitch):  # type: ignore[misc]  # Mininet has no types
    """An OpenFlow 1.3 switch of the fabric; secure: without a controller it forwards only what its flows say."""

    def __init__(self, name: str, **params: Any) -> None:
        params.setdefault("protocols", "OpenFlow13")
        super().__init__(name, failMode="secure", datapath="user", **params)


class ServerSwitch(OVSSwitch):  # type: ignore[misc]  # Mininet has no types
    """The virtual switch of a hypervisor: it has no controller and learns."""

    def __init__(self, name: str, **params: Any) -> None:
        super().__init__(name, failMode="standalone", datapath="user", **params)

    def start(self, controllers: list[Any]) -> None:
        """Start the bridge without any controller."""
        super().start([])


class BondDriver(OVSSwitch):  # type: ignore[misc]  # Mininet has no types
    """A server's static LAG as Linux's bonding driver makes it, below the virtual switch: no learning, one member a sender.

    The kernel need not have that driver. Open vSwitch's own bonds drop what comes by another member, unless LACP was spoken.
    """

    def __init__(self, name: str, **params: Any) -> None:
        params.setdefault("protocols", "OpenFlow13")
        super().__init__(name, failMode="secure", datapath="user", **params)

    def start(self, controllers: list[Any]) -> None:
        """Start the bridge without any controller; `Lab` gives it `bond_flows`."""
        super().start([])


def bond_flows(members: int) -> list[str]:
    """Return the flows of a bonding driver: ports 1 to ``members`` are cables, the next one leads to the server's switch."""
    inner = members + 1
    ports = ",".join(map(str, range(1, inner)))
    flows = [f"in_port={port},actions=output:{inner}" for port in range(1, inner)]
    return [*flows, f"in_port={inner},actions=bundle(eth_src,0,hrw,ofport,members:{ports})"]


class ExternalHost(Host):  # type: ignore[misc]  # Mininet has no types
    """The world outside: the next hops beyond the borders, and everything behind them."""


class PlainController(RemoteController):  # type: ignore[misc]  # Mininet has no types
    """A controller somewhere else, named to the switches without a trial connection first."""

    def checkListening(self) -> None:  # noqa: N802  (Mininet's name)
        """Nothing: switches connect whenever it is there."""


class Cable(Link):  # type: ignore[misc]  # Mininet has no types
    """A pair of virtual Ethernet devices which carries what the switches put on it and nothing of the kernel's own."""

    @classmethod
    def makeIntfPair(cls, intfname1: str, intfname2: str, *args: Any, **kwargs: Any) -> Any:  # noqa: N802
        """Make the pair; silence IPv6 on both ends (they are still in our own namespace) before they come up."""
        made = super().makeIntfPair(intfname1, intfname2, *args, **kwargs)
        for name in (intfname1, intfname2):
            silence = Path("/proc/sys/net/ipv6/conf") / name / "disable_ipv6"
            if silence.exists():
                silence.write_text("1")
            quietRun(f"ip link set {name} mtu {LINK_MTU}")
        return made
