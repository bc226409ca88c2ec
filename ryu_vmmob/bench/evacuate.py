"""A server with 200 VMs is evacuated: three switches of a real ``ovs-vswitchd``, the real controller, asked by REST.

The VMs of four CUGs stand on one server and go to a server in the other rack, all their moves announced by the VM's first frame
there (RARP), put in as soon as a migration is prepared. Then they go back. Devices are dummies, so no VM is really copied:
what is measured is what the network adds to a move. Needs the source tree (``etc``, ``mininet_topos``) and Open vSwitch.
"""

from __future__ import annotations

import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ryu_vmmob.bench.measure import Row
from ryu_vmmob.client import Client
from ryu_vmmob.fabric import load
from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.net.addresses import mac, mac_text

if TYPE_CHECKING:
    from mininet_topos.dummies import DummyBridge

FABRIC: Final = Path(__file__).parents[2] / "etc" / "one-dc.yaml"
HOME, AWAY = "srv-a1", "srv-b1"
VMS: Final = 200
CUGS: Final = 4
PARALLEL: Final = (8, 64)
JOURNEYS: Final = 4
"""Evacuations for each number of moves at once, there and back in turns."""
SECONDS: Final = 300.0
"""How long anything may take."""
POLL: Final = 0.01
AGAIN: Final = 1.0
"""Seconds after which a VM that is still not noticed sends another frame, as hypervisors do."""


def crowded() -> str:
    """Return the fabric file with one VLAN-ID for each CUG on the cable of `HOME`: with one for each vNIC 4,093 have room
    there.
    """
    text, row = FABRIC.read_text(), f'{HOME}: {{attach: "tor-a:1"}}'
    if row not in text:
        raise RuntimeError(f"{FABRIC.name} has {HOME} otherwise than this benchmark expects")
    return text.replace(row, f'{HOME}: {{attach: "tor-a:1", tagging: per_cug}}')


def bodies(vms: int, cugs: int, server: str) -> dict[str, Any]:
    """Return the body of ``POST /v1/bulk``: so many CUGs and VMs, each VM with one interface, all on one server."""
    nets = {f"net-{number}": {"subnets": [f"10.{number}.0.0/16"]} for number in range(cugs)}
    machines = {}
    for number in range(vms):
        net, host = number % cugs, 2 + number // cugs
        address = mac_text(0x020000000000 | net << 16 | host)
        interface = {"cug": f"net-{net}", "mac": address, "ips": [f"10.{net}.{host >> 8}.{host & 255}"]}
        machines[f"vm-{number:04}"] = {"server": server, "interfaces": [interface]}
    return {"cugs": nets, "vms": machines}


def rarp(address: str, vlan_id: int | None) -> bytes:
    """Return what a hypervisor sends for a VM that has arrived: RARP with no IP addresses in it (RFC 903)."""
    own = mac(address).to_bytes(6, "big")
    tag = b"" if vlan_id is None else struct.pack("!HH", 0x8100, vlan_id)
    arp = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 3, own, bytes(4), own, bytes(4))
    return (b"\xff" * 6 + own + tag + b"\x80\x35" + arp).ljust(60, b"\0")


class Orchestrator:
    """Lets VMs appear at their targets as soon as their migrations are prepared. Each has one interface."""

    def __init__(self, client: Client, fabric: Fabric, bridges: Mapping[str, DummyBridge], vms: Mapping[str, Any]) -> None:
        self._client = client
        self._fabric = fabric
        self._bridges = bridges
        self._macs = {name: body["interfaces"][0]["mac"] for name, body in vms.items()}
        self._announced: dict[str, float] = {}

    def see_through(self, id_: str, enough: Callable[[Any], bool] = lambda batch: False) -> Any:
        """Return the batch when it is over, or when that is ``enough``. Raises RuntimeError when it takes too long."""
        deadline = time.monotonic() + SECONDS
        while True:
            # The summary will do: the rows of all VMs are asked for once, at the end.
            (batch,) = (row for row in self._client.get("/v1/batches")["items"] if row["id"] == id_)
            if batch["state"] in ("finished", "aborted") or enough(batch):
                return self._client.get(f"/v1/batches/{id_}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"the batch came no further than {batch['counts']}")
            if not self._announce():
                time.sleep(POLL)

    def _announce(self) -> int:
        """Return a frame of each VM that is prepared, put in at the port of its new server; how many there were."""
        now = time.monotonic()
        frames: dict[str, list[bytes]] = {}
        for row in self._client.get("/v1/migrations", state="prepared")["items"]:
            if now - self._announced.get(row["id"], -AGAIN) >= AGAIN:
                self._announced[row["id"]] = now
                frame = rarp(self._macs[row["vm"]], row["interfaces"][0]["to_vlan_id"])
                frames.setdefault(row["to"], []).append(frame)
        for server, found in frames.items():
            port = self._fabric.servers[server].attach[0]
            self._bridges[port.switch].receive(port.port, *found)
        return sum(map(len, frames.values()))


def run() -> Iterator[Row]:
    """Seconds for all, and messages to switches for each VM. Raises RuntimeError when a VM does not arrive."""
    try:
        from mininet_topos.controller import Controller, free_ports
        from mininet_topos.dummies import DummyBridge, ports_of
        from mininet_topos.ovs import PrivateOvs
    except ImportError as error:
        raise RuntimeError(f"this benchmark runs in the source tree only: {error}") from error
    fabric = load(FABRIC)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vmmob-bench-")))
        ovs = stack.enter_context(PrivateOvs(dummy=True))
        openflow, rest = free_ports(2)
        controller = Controller(FABRIC, directory, openflow_port=openflow, rest_port=rest, settings={"audit_interval": "0"})
        stack.enter_context(controller)
        bridges = {name: DummyBridge(ovs, name, ports_of(fabric, name)) for name in fabric.switches}
        for name, bridge in bridges.items():
            bridge.connect(fabric.switches[name].dpid, f"tcp:127.0.0.1:{openflow}")
        client = Client(controller.rest, timeout=SECONDS)
        _until_in_step(client)
        asked = bodies(VMS, CUGS, HOME)
        client.post("/v1/bulk", asked, wait=SECONDS)
        orchestrator = Orchestrator(client, fabric, bridges, asked["vms"])
        for parallel in PARALLEL:
            yield from _measured(client, orchestrator, parallel)


def _measured(client: Client, orchestrator: Orchestrator, parallel: int) -> Iterator[Row]:
    times: list[float] = []
    messages: list[int] = []
    places = [HOME, AWAY]
    for _ in range(JOURNEYS):
        began = time.monotonic()
        asked = {"to": places[1:], "parallel": parallel, "timeout": SECONDS}
        batch = orchestrator.see_through(client.post(f"/v1/servers/{places[0]}/evacuate", asked)["id"])
        times.append(time.monotonic() - began)
        if batch["counts"] != {"committed": VMS}:
            raise RuntimeError(f"not every VM arrived: {batch['counts']}")
        rows = client.get("/v1/migrations")["items"]
        mine = [row for row in rows if row["batch"] == batch["id"]]
        messages += [sum(sum(entry["flow_mods"].values()) for entry in row["timeline"]) for row in mine]
        places.reverse()
        _until_in_step(client)
    case = f"{VMS} VMs, {parallel} at once"
    what = "a server evacuated, each VM announced by RARP at its target"
    yield Row(f"{case}: time", what, "seconds", statistics.median(times), min(times), max(times), len(times))
    yield Row(
        f"{case}: messages", "flow-mods and group-mods of a VM's move, all switches together", "per VM",
        statistics.median(messages), min(messages), max(messages), len(messages),
    )  # fmt: skip


def _until_in_step(client: Client) -> None:
    deadline = time.monotonic() + SECONDS
    while not all(row["connected"] and row["in_step"] for row in client.get("/v1/switches")["items"]):
        if time.monotonic() > deadline:
            raise RuntimeError("the switches are not in step")
        time.sleep(POLL)
