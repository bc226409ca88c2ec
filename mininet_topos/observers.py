"""What is on the wires, what a virtual machine hears, the routers on a way, and whether a TCP connection lives."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mininet_topos.endpoint import Endpoint
from mininet_topos.lab import Lab
from mininet_topos.processes import PROBES, JsonChild
from mininet_topos.servers import Vm

TCP_PORT = 5100


class Seen(NamedTuple):
    """Frames of one kind seen on one device; ``vlan_id`` None: untagged. In ARP the addresses are of sender and target."""

    direction: str
    vlan_id: int | None
    source: str
    destination: str
    ethertype: int
    ttl: int | None
    ip_source: str | None
    ip_destination: str | None
    frames: int


@dataclass
class Sniff:
    """What was seen, by device (or by the name given to it), and how many frames the sniffer itself missed."""

    frames: dict[str, list[Seen]] = field(default_factory=dict)
    dropped: int = 0

    def vlan_ids(self, addresses: Iterable[str] | None = None) -> dict[str, set[int | None]]:
        """VLAN-IDs on each wire, of frames from or to one of these MAC or IP addresses (None: of all frames).

        Wires without any are left out.
        """
        wanted = None if addresses is None else set(addresses)
        found = {
            name: {s.vlan_id for s in seen if wanted is None or set(s[2:4] + s[6:8]) & wanted}
            for name, seen in self.frames.items()
        }
        return {name: vlan_ids for name, vlan_ids in found.items() if vlan_ids}

    def total(self) -> dict[str, int]:
        """Frames on each wire."""
        return {name: sum(s.frames for s in seen) for name, seen in self.frames.items()}

    def packets(self, source: str, destination: str) -> dict[str, list[Seen]]:
        """IP packets between two addresses, this way only, on each wire that has any."""
        found = {
            name: [s for s in seen if (s.ip_source, s.ip_destination) == (source, destination) and s.ttl is not None]
            for name, seen in self.frames.items()
        }
        return {name: seen for name, seen in found.items() if seen}

    def count(self, macs: Iterable[str]) -> dict[str, int]:
        """Frames from or to one of ``macs`` on each wire; wires without any have 0."""
        wanted = set(macs)
        return {name: sum(s.frames for s in seen if {s.source, s.destination} & wanted) for name, seen in self.frames.items()}


@contextmanager
def sniffing(devices: Mapping[str, str], netns_pid: int | None = None) -> Iterator[Sniff]:
    """Count frames on ``devices`` (name for the result: device) during the block; the result is filled at its end."""
    result = Sniff()
    child = JsonChild(PROBES / "sniff.py", *devices.values(), netns_pid=netns_pid)
    try:
        child.answer()
        yield result
        said = child.ask({"op": "stop"})
        result.dropped = said["dropped"]
        result.frames = {name: [Seen(*row) for row in said["frames"][device]] for name, device in devices.items()}
    finally:
        child.stop()


def look_at_wires(lab: Lab, seconds: float = 0.3) -> Sniff:
    """Every cable of the fabric for a while. Not during a count of lost packets: it costs a good part of a CPU."""
    with sniffing(lab.link_devices()) as sniff:
        time.sleep(seconds)
    return sniff


@contextmanager
def listening(vm: Vm) -> Iterator[Sniff]:
    """Everything that reaches a VM's interfaces during the block; `foreign` then picks what should not have."""
    with sniffing({f"eth{i}": f"eth{i}" for i in range(len(vm.interfaces))}, vm.pid) as sniff:
        yield sniff


def foreign(vm: Vm, sniff: Sniff, members: Mapping[str, Iterable[str]]) -> dict[str, list[Seen]]:
    """Frames a VM heard that are not of its CUG: sent by no member of it, or to another's unicast address.

    ``members`` has the MACs of each CUG (the gateway's too, where there is one). Frames the VM sent itself do not count.
    """
    found = {}
    for index, interface in enumerate(vm.interfaces):
        own = {mac.lower() for mac in members[interface.cug]}
        heard = [s for s in sniff.frames.get(f"eth{index}", ()) if s.direction == "in"]
        wrong = [s for s in heard if s.source not in own or not _for_me(s.destination, interface.mac)]
        if wrong:
            found[f"eth{index}"] = wrong
    return found


def _for_me(destination: str, mac: str) -> bool:
    return destination == mac.lower() or bool(int(destination[:2], 16) & 1)


def route(source: Endpoint, target: str) -> list[str | None]:
    """Return the routers on the way to an address, then the address itself (see ``probes/traceroute.py``); None: a
    silent one.
    """
    own = source.address(version=6 if ":" in target else 4)
    said = source.run(sys.executable, "-I", "-S", str(PROBES / "traceroute.py"), own, target)
    hops: list[str | None] = json.loads(said)["hops"]
    return hops


def send_frames(vm: Vm, frames: Iterable[bytes], count: int = 5, interface: int = 0) -> None:
    """Have a VM send frames as they are written, each ``count`` times."""
    program = str(PROBES / "raw_send.py")
    vm.run(sys.executable, "-I", "-S", program, f"eth{interface}", str(count), *(frame.hex() for frame in frames))


class TcpProbe:
    """A TCP connection from one end to another with numbered lines both ways (see ``probes/tcp_stream.py``)."""

    def __init__(self, client: Endpoint, server: Endpoint, version: int = 4) -> None:
        address = server.address(version=version)
        self._names = {"client": client.name, "server": server.name}
        self._server = JsonChild(
            PROBES / "tcp_stream.py", "listen", address, str(TCP_PORT), netns_pid=server.pid, name=f"TCP in {server.name}"
        )
        try:
            self._server.answer()
            self._client = JsonChild(
                PROBES / "tcp_stream.py", "connect", address, str(TCP_PORT), client.address(version=version),
                netns_pid=client.pid, name=f"TCP in {client.name}",
            )  # fmt: skip
            self._client.answer()
        except BaseException:
            self.end()
            raise

    def stop(self) -> dict[str, Any]:
        """Stop writing, wait for the last echoes, and give the account."""
        try:
            return self._client.ask({"op": "stop"}) | self._names
        finally:
            self.end()

    def end(self) -> None:
        """End both sides without an account."""
        for name in ("_client", "_server"):
            child = getattr(self, name, None)
            if child is not None:
                child.stop()
