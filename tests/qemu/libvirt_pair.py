"""Real libvirtds on one machine, each a hypervisor of the laboratory, and a guest that they migrate to each other.

Each has its own mount, host name and process namespace, its own host UUID and directories; the network namespace is the
laboratory's. The guest's interface is of a libvirt network of one name everywhere, which is the server's bridge: so plain
``virsh migrate --live`` is enough, as between hypervisors whose bridges have the same name.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mininet_topos.lab import Lab
from mininet_topos.qemu.image import Image
from mininet_topos.qemu.machine import MachineError
from mininet_topos.servers import Interface

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
    """The first true value of ``look``."""
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
        """What virsh prints. Raises VirshError."""
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
        """A command as a process of this hypervisor."""
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
        """The process of a guest here, as we see it. Raises LookupError."""
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


class Guest:
    """A guest of these hypervisors: the laboratory's image, driven over its serial line wherever it runs."""

    def __init__(self, name: str, interface: Interface, image: Image, hosts: Sequence[Libvirtd]) -> None:
        self.name = name
        self.interface = interface
        self.hosts = {host.name: host for host in hosts}
        self._image = image
        self._line: tuple[str, socket.socket] | None = None
        self._unread = b""

    def xml(self, tag: int | None) -> str:
        """Its definition."""
        vlan = "" if tag is None else f"<vlan><tag id='{tag}'/></vlan>"
        host = " ".join(f"{n}='off'" for n in ("csum", "gso", "tso4", "tso6", "ecn", "ufo"))
        guest = " ".join(f"{n}='off'" for n in ("csum", "tso4", "tso6", "ecn", "ufo"))
        return f"""<domain type='qemu'>
  <name>{self.name}</name>
  <memory unit='MiB'>96</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{self._image.kernel}</kernel>
    <initrd>{self._image.initramfs}</initrd>
    <cmdline>console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable</cmdline>
  </os>
  <clock offset='utc'/>
  <devices>
    <emulator>{shutil.which("qemu-system-x86_64")}</emulator>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='file'><source path='/var/log/libvirt/{self.name}.console'/><target port='0'/></serial>
    <serial type='unix'><source mode='bind' path='/run/libvirt/{self.name}.line'/><target port='1'/></serial>
    <interface type='network'>
      <mac address='{self.interface.mac}'/>
      <source network='{NETWORK}'/>
      {vlan}
      <model type='virtio'/>
      <driver name='qemu'><host {host}/><guest {guest}/></driver>
      <rom enabled='no'/>
    </interface>
  </devices>
</domain>
"""

    def start(self, host: Libvirtd, tag: int | None) -> None:
        """Boot it, and give it its addresses. Raises VirshError, MachineError."""
        file = host.directory / f"{self.name}.xml"
        file.write_text(self.xml(tag))
        host.virsh("create", str(file))
        assert self._answer(SECONDS) == "ok ready"
        script = ["ip link set eth0 up"]
        script += [f"ip address add {address} dev eth0" for address in self.interface.ips]
        self.shell(" && ".join(script))
        until(lambda: "tentative" not in self.shell("ip address show dev eth0"))

    @property
    def place(self) -> str:
        """The hypervisor where it runs. Raises LookupError."""
        for name, host in self.hosts.items():
            if any(row.split()[1:] == [self.name, "running"] for row in host.virsh("list").splitlines()):
                return name
        raise LookupError(f"{self.name} runs nowhere")

    def tag(self) -> int | None:
        """The tag that Open vSwitch really puts on it where it runs."""
        host = self.hosts[self.place]
        (device,) = [row.split()[0] for row in host.virsh("domiflist", self.name).splitlines() if self.interface.mac in row]
        said = host._lab.ovs.vsctl("get", "Port", device, "tag").strip()
        return int(said) if said != "[]" else None

    def migrate(self, source: Libvirtd, target: Libvirtd, *options: str) -> None:
        """Plain ``virsh migrate --live``. Raises VirshError."""
        source.virsh("migrate", "--live", *options, self.name, target.uri, "tcp://127.0.0.1")

    # as mininet_topos.qemu.machine has it: counters travel with the guest's memory

    @property
    def machine(self) -> Guest:
        return self

    def address(self, interface: int = 0, version: int = 4) -> str:
        return next(ip.split("/")[0] for ip in self.interface.ips if (":" in ip) == (version == 6))

    def order(self, text: str, seconds: float = SECONDS) -> str:
        """An order to the guest's program; what came after "ok". Raises MachineError."""
        self._serial().sendall(text.encode() + b"\n")
        word, _, rest = self._answer(seconds).partition(" ")
        if word != "ok":
            raise MachineError(f"{text!r}: {word} {rest}")
        return rest

    def shell(self, command: str, seconds: float = SECONDS) -> str:
        """Run a command in the guest. Raises MachineError when its exit status is not 0."""
        status, _, output = self.order(f"sh {command} 2>&1", seconds).partition(" ")
        text = bytes.fromhex(output).decode(errors="replace")
        if status != "0":
            raise MachineError(f"{command!r} in the guest: exit {status}: {text.strip()}")
        return text

    def _serial(self) -> socket.socket:
        place = self.place
        if self._line is None or self._line[0] != place:
            self.close()
            line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            line.connect(str(self.hosts[place].directory / "run" / f"{self.name}.line"))
            self._line = (place, line)
        return self._line[1]

    def _answer(self, seconds: float) -> str:
        line = self._serial()
        deadline = time.monotonic() + seconds
        while b"\n" not in self._unread:
            line.settimeout(max(0.001, deadline - time.monotonic()))
            data = line.recv(65536)
            if not data:
                raise MachineError(f"{self.name} is gone")
            self._unread += data
        said, self._unread = self._unread.split(b"\n", 1)
        return said.decode(errors="replace").strip("\r")

    def close(self) -> None:
        """Let go of its serial line."""
        if self._line is not None:
            self._line[1].close()
            self._line = None
            self._unread = b""
