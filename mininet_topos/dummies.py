"""Bridges of a private Open vSwitch on dummy devices, with the port numbers of a fabric: no root, no cable."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.fabric.attached import attached
from ryu_vmmob.fabric.model import Fabric

STATE_SECONDS = 20.0


class DummyBridge:
    """One bridge with dummy ports. ``ports`` are OpenFlow port numbers, used exactly as given."""

    def __init__(self, ovs: PrivateOvs, name: str, ports: Iterable[int]) -> None:
        self.ovs = ovs
        self.name = name
        self.ports = tuple(sorted(set(ports)))
        command = ["add-br", name, "--", "set", "bridge", name, "fail_mode=secure", "protocols=OpenFlow13"]
        for port in self.ports:
            device = self.device(port)
            command += ["--", "add-port", name, device]
            command += ["--", "set", "interface", device, "type=dummy", f"ofport_request={port}"]
        ovs.vsctl(*command)
        found = self._datapath_ports()
        assert set(found.values()) == set(self.ports), f"{name}: wanted ports {self.ports}, got {found}"
        self.by_datapath_port = found

    def device(self, port: int) -> str:
        """Name of the network device behind a port."""
        return f"{self.name}.{port}"

    def _datapath_ports(self) -> dict[int, int]:
        """{port number in the datapath: OpenFlow port}."""
        found: dict[int, int] = {}
        for device, port, datapath in re.findall(r"^\s+(\S+) (\d+)/(\d+):", self.ovs.appctl("dpif/show"), re.M):
            if device.startswith(f"{self.name}.") and device == self.device(int(port)):
                found[int(datapath)] = int(port)
        return found

    def clear(self) -> None:
        """No flows, no groups."""
        self.ovs.ofctl("del-flows", self.name)
        self.ovs.ofctl("del-groups", self.name)

    def set_link(self, port: int, *, up: bool) -> None:
        """Pull or plug a port's cable; returns when the switch has noticed."""
        self.ovs.appctl("netdev-dummy/set-admin-state", self.device(port), "up" if up else "down")
        deadline = time.monotonic() + STATE_SECONDS
        while True:
            shown = self.ovs.ofctl("dump-ports-desc", self.name)  # all of them: OpenFlow 1.3 cannot ask for one
            (state,) = re.findall(rf"^ {port}\([^)]*\):.*\n.*\n +state: +(.*)$", shown, re.M)
            if ("LINK_DOWN" not in state) is up:
                return
            assert time.monotonic() < deadline, f"port {port} of {self.name} did not change: {shown}"
            time.sleep(0.02)

    def remove(self) -> None:
        """Remove it, with its ports."""
        self.ovs.vsctl("del-br", self.name)

    def receive(self, port: int, *frames: bytes) -> None:
        """Frames come in at a port, one after another."""
        self.ovs.appctl("netdev-dummy/receive", self.device(port), *(frame.hex() for frame in frames))

    def connect(self, dpid: int, target: str) -> None:
        """Be the switch ``dpid``, and ask for a controller at ``target`` (``tcp:127.0.0.1:6653``) again and again."""
        self.ovs.vsctl(
            "set", "bridge", self.name, f"other_config:datapath-id={dpid:016x}", "--", "set-controller", self.name, target
        )


def ports_of(fabric: Fabric, switch: str) -> list[int]:
    """Return the ports that a fabric file names of a switch: of links, servers and external networks."""
    return sorted(attached(fabric, switch))
