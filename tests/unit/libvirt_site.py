"""etc/libvirt/qemu as libvirt calls it: a process with libvirt's arguments and XML, against the real REST application."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.rest_service import TOKEN, Service, per_cug
from tests.unit.cli_support import serving

HOOK = Path(__file__).parents[2] / "etc" / "libvirt" / "qemu"


UUID = "6ad9a4c1-3c1c-4a3e-9d0a-2f0b8f1d7a11"


XML = f"""<domain type='kvm' id='3'>
  <name>web1</name>
  <uuid>{UUID}</uuid>
  <memory unit='KiB'>1048576</memory>
  <devices>
    <interface type='bridge'>
      <mac address='02:00:00:00:00:0b'/>
      <source bridge='br0'/>
      <virtualport type='openvswitch'/>
      <target dev='vnet3'/>
      <model type='virtio'/>
    </interface>
  </devices>
</domain>
"""


class Hypervisor:
    """One that has the hook, as the server ``name``."""

    def __init__(self, directory: Path, url: str, name: str, **settings: str) -> None:
        token = directory / "token"
        token.write_text(f"operator {TOKEN} {name}\n")
        token.chmod(0o600)
        self.config = directory / f"{name}.conf"
        rows = {"url": url, "token_file": str(token), "server": name, **settings}
        self.config.write_text("[vmmob]\n" + "".join(f"{key} = {value}\n" for key, value in rows.items()))
        self.running = directory / f"{name}.run"
        self.running.mkdir(exist_ok=True)
        self.environment = {"VMMOB_HOOK_CONF": str(self.config), "VMMOB_HOOK_RUN": str(self.running)}
        self.printed = ""

    def calls(self, operation: str, sub: str, extra: str = "-", *, status: int = 0, guest: str = "web1", xml: str = XML) -> str:
        """What the hook says when libvirt calls it; what it prints is kept as ``printed``."""
        # -S and -I: a bare hypervisor has no packages of ours
        done = subprocess.run(
            [sys.executable, "-S", "-I", str(HOOK), guest, operation, sub, extra],
            input=xml, capture_output=True, text=True, check=False, env=self.environment,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        assert done.stderr.count("\n") <= 1, done.stderr
        assert done.stdout == "" or (status == 0 and operation in ("migrate", "restore")), "libvirt would take this for XML"
        self.printed = done.stdout
        return done.stderr

    def receives_xml(self, xml: str) -> str:
        """The XML that libvirt takes for a guest that comes."""
        self.calls("migrate", "begin", xml=xml)
        return self.printed or xml

    def receives(self) -> None:
        """What libvirt calls at the target until the guest's process waits for its memory."""
        self.calls("migrate", "begin")
        for operation in ("prepare", "start", "started"):
            self.calls(operation, "begin")


class HookSite:
    """web1 on srv-a1; the hook there and at srv-c1. ``swift``: the switches confirm every request as soon as it is answered."""

    def __init__(self, service: Service, url: str, directory: Path) -> None:
        self.service, self.url, self.directory = service, url, directory
        self.swift = False
        self.source = self.hypervisor("srv-a1")
        self.target = self.hypervisor("srv-c1")

    def hypervisor(self, name: str, **settings: str) -> Hypervisor:
        return Hypervisor(self.directory, self.url, name, **settings)

    def moves(self) -> list[tuple[str, str]]:
        """(target, state) of every move."""
        return [(row["to"], row["state"]) for row in self.service.get("/v1/migrations")["items"]]

    def place(self) -> str:
        place: str = self.service.get("/v1/vms/web1")["server"]
        return place


@pytest.fixture
def site(tmp_path: Path) -> Iterator[HookSite]:
    service = Service(fabric=per_cug(tmp_path)).with_web()
    service.connect()
    service.while_waiting = service.confirm
    made: list[HookSite] = []

    def application(environ: Any, start: Any) -> Any:
        answer = service.app(environ, start)
        if made[0].swift:
            service.confirm()
        return answer

    with serving(application) as url:
        made.append(HookSite(service, url, tmp_path))
        yield made[0]
