"""A guest that real libvirtds migrate to each other, driven over its serial line wherever it runs."""

from __future__ import annotations

import shlex
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

from mininet_topos.qemu.image import Image
from mininet_topos.qemu.libvirt_host import NETWORK, Libvirtd, until
from mininet_topos.qemu.machine import BOOT_SECONDS, MEMORY_KIB
from mininet_topos.qemu.serial import MachineError, Serial
from mininet_topos.servers import Interface


class LibvirtGuest(Serial):
    """The laboratory's guest image as a libvirt domain with one interface.

    libvirt rounds memory up to a MiB, which a guest of QEMU before 9.0 may not survive (see `machine.MEMORY_KIB`): so QEMU is
    given the size by arguments of its own.
    """

    def __init__(self, name: str, interface: Interface, image: Image, hosts: Sequence[Libvirtd]) -> None:
        super().__init__()
        self.name = name
        self.interface = interface
        self.hosts = {host.name: host for host in hosts}
        self._image = image
        self._at = ""
        """The hypervisor whose serial line is open."""

    def xml(self, tag: int | None) -> str:
        """Its definition."""
        vlan = "" if tag is None else f"<vlan><tag id='{tag}'/></vlan>"
        host = " ".join(f"{n}='off'" for n in ("csum", "gso", "tso4", "tso6", "ecn", "ufo"))
        guest = " ".join(f"{n}='off'" for n in ("csum", "tso4", "tso6", "ecn", "ufo"))
        size = f"{MEMORY_KIB}k"
        own = ("-object", f"memory-backend-ram,id=own,size={size}", "-machine", "memory-backend=own", "-m", size)
        arguments = "".join(f"<qemu:arg value='{word}'/>" for word in own)
        return f"""<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
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
  <qemu:commandline>{arguments}</qemu:commandline>
</domain>
"""

    def start(self, host: Libvirtd, tag: int | None) -> None:
        """Boot it, and give it its addresses. Raises VirshError, MachineError."""
        file = host.directory / f"{self.name}.xml"
        file.write_text(self.xml(tag))
        host.virsh("create", str(file))
        if (said := self._answer(BOOT_SECONDS)) != "ok ready":
            raise MachineError(f"the guest began with {said!r}")
        script = ["ip link set eth0 up"]
        script += [f"ip address add {address} dev eth0" for address in self.interface.ips]
        for gateway in self.interface.gateways:
            script.append(f"ip {'-6' if ':' in gateway else '-4'} route add default via {gateway} dev eth0")
        self.shell(" && ".join(script))
        until(lambda: "tentative" not in self.shell("ip address show dev eth0"))

    @property
    def place(self) -> str:
        """The hypervisor where it runs. Raises LookupError."""
        for name, host in self.hosts.items():
            if any(row.split()[1:] == [self.name, "running"] for row in host.virsh("list").splitlines()):
                return name
        raise LookupError(f"{self.name} runs nowhere")

    @property
    def hypervisor(self) -> Libvirtd:
        """The hypervisor where it runs. Raises LookupError."""
        return self.hosts[self.place]

    @property
    def server(self) -> str:
        """The server where it runs, which has the hypervisor's name. Raises LookupError."""
        return self.place

    def tag(self) -> int | None:
        """Return the tag that Open vSwitch really puts on it where it runs."""
        host = self.hosts[self.place]
        (device,) = [row.split()[0] for row in host.virsh("domiflist", self.name).splitlines() if self.interface.mac in row]
        said = host.ovs.vsctl("get", "Port", device, "tag").strip()
        return int(said) if said != "[]" else None

    def migrate(self, source: Libvirtd, target: Libvirtd, *options: str) -> None:
        """Plain ``virsh migrate --live``. Raises VirshError."""
        source.virsh("migrate", "--live", *options, self.name, target.uri, "tcp://127.0.0.1")

    # as mininet_topos.qemu.machine has it: counters travel with the guest's memory

    @property
    def machine(self) -> LibvirtGuest:
        """Itself: its program is talked to as that of a QEMU of ours."""
        return self

    def address(self, interface: int = 0, version: int = 4) -> str:
        """Its address, without the prefix length. Raises StopIteration when it has none of this version."""
        return next(ip.split("/")[0] for ip in self.interface.ips if (":" in ip) == (version == 6))

    def _path(self) -> Path:
        return self.hosts[self._at].directory / "run" / f"{self.name}.line"

    def _serial(self) -> socket.socket:
        if self._line is None or _is_closed(self._line):  # the QEMU that it left has ended
            self.close()
            self._at = self.place
        return super()._serial()

    def run(self, *command: str) -> str:
        """Run a command of busybox inside and return what it printed. Raises MachineError."""
        return self.shell(shlex.join(command))


def _is_closed(line: socket.socket) -> bool:
    line.settimeout(0)
    try:
        return line.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        line.settimeout(None)
