"""A real libvirtd as a hypervisor of the laboratory, with our hook and vmmob-hypervisor; several of them share the machine.

Each has its own mount, host name and process namespace, its own host UUID and directories; the network namespace is the
laboratory's. The guest's interface is of a libvirt network of one name everywhere, which is the server's bridge: so plain
``virsh migrate --live`` is enough, as between hypervisors whose bridges have the same name.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mininet_topos.lab import Lab

ROOT = Path(__file__).parents[2]
INIT = Path(__file__).with_name("libvirt_init.py")
SECONDS = 120.0
PROGRAMS = {"libvirtd": "libvirt-daemon-system", "virsh": "libvirt-clients", "unshare": "util-linux", "nsenter": "util-linux"}
NETWORK = "lab"
HOOK = """#!/bin/sh
# Notes what libvirt calls, and hands on to the hook as it is installed.
echo "$*" >> /run/libvirt/hook.log
VMMOB_HOOK_CONF=/etc/libvirt/hook.conf exec /etc/libvirt/vmmob/qemu "$@"
"""


def missing() -> str | None:
    """Why there can be no libvirtd here, None when there can."""
    if absent := [f"{name} (Debian package {package})" for name, package in PROGRAMS.items() if not shutil.which(name)]:
        return f"not installed: {', '.join(absent)}"
    try:
        import libvirt  # noqa: F401
    except ImportError:
        return "no libvirt-python (Debian package python3-libvirt; tools/setup.sh links it into the environment)"
    return None


def until(look: Callable[[], Any], what: Callable[[], object] = lambda: "", seconds: float | None = None) -> Any:
    """Return the first true value of ``look``."""
    deadline = time.monotonic() + (seconds or SECONDS)
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited in vain: {what()}"
        time.sleep(0.05)
    return found


class VirshError(RuntimeError):
    """virsh ended with another exit status than 0; the text is what it said."""


class Libvirtd:
    """One hypervisor: libvirtd, the hook and, after `serve`, vmmob-hypervisor. ``directory``: its path must be short."""

    def __init__(self, lab: Lab, name: str, directory: Path, url: str, hook: dict[str, str] | None = None) -> None:
        self.name = name
        self.directory = directory
        self.url = url
        self.ovs = lab.ovs
        self._lab = lab
        self._service: subprocess.Popen[bytes] | None = None
        self._prepare(hook or {})
        command = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command, sys.executable, str(INIT), name, str(directory)],
            env={**lab.ovs.env, "LC_ALL": "C"}, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            until(self._answers, lambda: self.log)
            self._define_network()
        except BaseException:
            self.stop()
            raise

    def _prepare(self, hook: dict[str, str]) -> None:
        etc = self.directory / "etc"
        for part in ("etc/hooks", "etc/vmmob", "lib", "cache", "log", "run"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        (etc / "libvirtd.conf").write_text(
            f'host_uuid = "{uuid.uuid4()}"\nauth_unix_rw = "none"\nunix_sock_rw_perms = "0700"\nlog_outputs = "4:stderr"\n'
        )
        (etc / "qemu.conf").write_text(
            'user = "root"\ngroup = "root"\nsecurity_driver = "none"\nnamespaces = []\ncgroup_controllers = []\n'
            'stdio_handler = "file"\nremember_owner = 0\n'
        )
        shutil.copy2(ROOT / "etc" / "libvirt" / "qemu", etc / "vmmob" / "qemu")
        shutil.copytree(ROOT / "etc" / "libvirt" / "vmmob_hook", etc / "vmmob" / "vmmob_hook")
        (etc / "hooks" / "qemu").write_text(HOOK)
        (etc / "hooks" / "qemu").chmod(0o755)
        self.configure_hook(**hook)

    def configure_hook(self, **settings: str) -> None:
        """Have the hook be installed with these settings."""
        rows = {"url": self.url, "server": self.name, **settings}
        text = "[vmmob]\n" + "".join(f"{key} = {value}\n" for key, value in rows.items())
        (self.directory / "etc" / "hook.conf").write_text(text)

    @property
    def uri(self) -> str:
        """Where virsh finds it."""
        return f"qemu+unix:///system?socket={self.directory}/run/libvirt-sock"

    @property
    def log(self) -> str:
        """What libvirtd and the service have said."""
        files = [self.directory / "libvirtd.log", self.directory / "service.log", self.directory / "run" / "hook.log"]
        return "\n".join(file.read_text(errors="replace")[-6000:] for file in files if file.exists())

    @property
    def hook_calls(self) -> list[str]:
        """What libvirt called: GUEST OPERATION SUB-OPERATION EXTRA."""
        file = self.directory / "run" / "hook.log"
        return file.read_text().splitlines() if file.exists() else []

    def virsh(self, *words: str) -> str:
        """Return what virsh prints. Raises VirshError."""
        done = subprocess.run(["virsh", "-c", self.uri, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise VirshError(f"virsh {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log
        try:
            return "QEMU" in self.virsh("version")
        except VirshError:
            return False

    def _define_network(self) -> None:
        bridge = self._lab.servers[self.name].bridge
        file = self.directory / "network.xml"
        file.write_text(
            f"<network><name>{NETWORK}</name><forward mode='bridge'/><bridge name='{bridge}'/>"
            "<virtualport type='openvswitch'/></network>"
        )
        self.virsh("net-define", str(file))
        self.virsh("net-start", NETWORK)

    def inside(self, *command: str) -> list[str]:
        """Return a command as a process of this hypervisor."""
        return ["nsenter", "--target", str(self._init_pid), "--mount", "--uts", "--pid", *command]

    @property
    def _init_pid(self) -> int:
        """Its process 1, as we see it. setpriv and unshare are one process after the other; what unshare forks is it."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0])

    @property
    def is_serving(self) -> bool:
        """Whether vmmob-hypervisor runs."""
        return self._service is not None

    def serve(self, *options: str) -> None:
        """Start vmmob-hypervisor."""
        command = [sys.executable, "-m", "ryu_vmmob.hypervisor.main", "--url", self.url, "--interval", "1", *options]
        log_file = self.directory / "service.log"
        log_file.touch()
        size = log_file.stat().st_size
        with log_file.open("ab") as log:
            self._service = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.inside(*command)], env={**self._lab.ovs.env, "no_proxy": "*"},
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until(lambda: b"listening to libvirt" in log_file.read_bytes()[size:], lambda: self.log)

    def stop_serving(self) -> int:
        """End vmmob-hypervisor in order; its exit status, 0 when there is none."""
        service, self._service = self._service, None
        if service is None:
            return 0
        # nsenter waits for the service: both are told.
        children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
        for pid in map(int, children):
            os.kill(pid, signal.SIGTERM)
        return service.wait(SECONDS)

    def pid_of(self, guest: str) -> int:
        """Return the process of a guest here, as we see it. Raises LookupError."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                mine = os.readlink(folder / "ns" / "pid") == os.readlink(f"/proc/{self._init_pid}/ns/pid")
            except OSError:
                continue
            if mine and b"qemu-system" in words[0] and f"guest={guest},debug-threads=on".encode() in words:
                return int(folder.name)
        raise LookupError(f"no process of {guest} at {self.name}")

    def stop(self) -> None:
        """End it, and all its guests with it."""
        if self._service is not None:
            self._service.kill()
            self._service.wait()
            self._service = None
        self._process.kill()
        self._process.wait()
