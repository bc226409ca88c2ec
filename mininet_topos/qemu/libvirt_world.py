"""A guest that real libvirtds migrate with plain ``virsh migrate --live``, and the peers it talks to (see `world`).

No VLAN-ID of srv-a1 or srv-b2 is one of srv-c1's in the other data centre: between the data centres the guest always needs
another tag than libvirt brings. Only our hook and vmmob-hypervisor tell the controller anything.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from mininet_topos import world
from mininet_topos.endpoint import Endpoint
from mininet_topos.orchestrator import STEP_SECONDS, Orchestrator
from mininet_topos.qemu.image import Image
from mininet_topos.qemu.libvirt_guest import LibvirtGuest
from mininet_topos.qemu.libvirt_host import Libvirtd, until
from mininet_topos.qemu.vm import Pause, QemuVm
from mininet_topos.qemu.world import AWAY, GUEST, HOME, NEXT_RACK, PEERS, acquaint, scratch, start_peers

VLAN_IDS = {HOME: "2-2999", AWAY: "3000-3999", NEXT_RACK: "2-2999"}
HOSTS = tuple(VLAN_IDS)
EVENT_SECONDS = 10.0
_EVENT = re.compile(r"event (\w+) at (\d+)\.(\d+) ")


class Monitor:
    """What QEMU says of a guest at one hypervisor, with QEMU's own times: ``virsh qemu-monitor-event``."""

    def __init__(self, host: Libvirtd, event: str) -> None:
        command = ["stdbuf", "-oL", "virsh", "-c", host.uri, "qemu-monitor-event", "--loop", "--event", event]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self._times: list[int] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if (found := _EVENT.search(line)) is not None:
                self._times.append(int(found[2]) * 10**9 + int(found[3].ljust(6, "0")) * 1000)

    def after(self, since: int) -> int:
        """Return the first event after ``since``, both in ns since the epoch."""
        return int(until(lambda: next((at for at in self._times if at > since), None), lambda: "no event", EVENT_SECONDS))

    def __enter__(self) -> Monitor:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()


@dataclass
class LibvirtProduct:
    """Under the controller, told by libvirt alone."""

    orchestrator: Orchestrator
    guest: LibvirtGuest
    hosts: Mapping[str, Libvirtd]
    peers: Sequence[tuple[Endpoint, int]]
    forbidden: Sequence[tuple[Endpoint, int]] = ()
    kind: str = "product"

    @property
    def vm(self) -> QemuVm:
        """The guest: as far as traffic and moves need it, it is used as one of our QEMUs."""
        return cast(QemuVm, self.guest)

    def move(self, to: str, *, send_on: bool = True, **options: Any) -> tuple[Pause, Mapping[str, Any]]:
        """``virsh migrate --live``, until the controller has committed it. ``options`` and ``send_on`` are libvirt's affair."""
        source, target = self.hosts[self.guest.place], self.hosts[to]
        with Monitor(source, "STOP") as stops, Monitor(target, "RESUME") as resumes:
            began = time.time_ns()
            self.guest.migrate(source, target)
            stopped = stops.after(began)
            resumed = resumes.after(stopped)
        done = until(lambda: self._committed(to), lambda: f"{source.log}\n{target.log}")
        delivered = next((row["complete"] for row in done["timeline"] if row["state"] == "delivered"), None)
        if delivered is None or not any(row["frames"] for row in done["timeline"]):
            print(f"{done['id']}: nothing was sent on\n{source.log}\n{target.log}", file=sys.stderr)
        sent_on = sum(row["frames"] for row in done["timeline"])
        at = None if delivered is None else int(datetime.fromisoformat(delivered).timestamp() * 1e9)
        return Pause(stopped, resumed, at, sent_on, 0, sent_on), done

    def _committed(self, to: str) -> Any:
        (last,) = self.orchestrator.call("GET", "/v1/migrations", vm=GUEST)["items"][-1:]
        return last if last["to"] == to and last["state"] == "committed" else None


@contextmanager
def product(image: Image) -> Iterator[LibvirtProduct]:
    """Provide the laboratory, its controller, three hypervisors, four peers and the guest, all of whom have reached
    each other.
    """
    with ExitStack() as undo:
        directory = undo.enter_context(scratch())
        fabric = directory / "fabric.yaml"
        fabric.write_text(_with_ranges(world.FABRIC.read_text(encoding="utf-8")))
        live = undo.enter_context(world.running(fabric, directory=_made(directory / "controller")))
        interface = start_peers(live)
        body = {"server": HOME, "interfaces": [interface.body()]}
        made = live.orchestrator.call("PUT", f"/v1/vms/{GUEST}", body, wait=STEP_SECONDS)
        hosts = {}
        for name in HOSTS:
            hosts[name] = Libvirtd(live.lab, name, directory / name, live.controller.rest)
            undo.callback(hosts[name].stop)
        guest = LibvirtGuest(GUEST, interface, image, list(hosts.values()))
        undo.callback(guest.close)
        guest.start(hosts[HOME], made["interfaces"][0]["vlan_id"])
        for host in hosts.values():
            host.serve()
        peers = [(live.vms[name], version) for name, version in PEERS]
        acquaint(guest, peers)
        forbidden = [peer for peer in peers if peer[0].name.startswith("db-")]
        yield LibvirtProduct(live.orchestrator, guest, hosts, peers, forbidden)


def _with_ranges(text: str) -> str:
    for server, vlan_ids in VLAN_IDS.items():
        row = rf'^(  {server}: \{{attach: "[^"]+")\}}'
        text, number = re.subn(row, rf'\1, vlan_ids: "{vlan_ids}"}}', text, flags=re.MULTILINE)
        assert number == 1, server
    return text


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory
