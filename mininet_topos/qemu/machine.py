"""One QEMU process: a guest that runs, or waits for its memory to come (``incoming``)."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mininet_topos.qemu.image import Image
from mininet_topos.qemu.qmp import Qmp, QmpError
from mininet_topos.qemu.serial import MachineError, Serial

QEMU = "qemu-system-x86_64"
MEMORY_KIB = 96 * 1024 + 8
"""No multiple of 256 KiB: with such a size two guests were lost after a move. QEMU before 9.0 can forget there what an emulated
processor writes while memory is copied, which is taken for the cause: "physmem: Fix migration dirty bitmap coherency with TCG
memory access", February 2024."""
BOOT_SECONDS = 120.0  # a few on a quiet machine; an emulated processor on a busy one takes its time
END_SECONDS = 10.0
OFFLOADS = (  # what a tap and Open vSwitch's userspace datapath do not pass on
    "csum", "guest_csum", "gso", "guest_tso4", "guest_tso6", "guest_ecn", "guest_ufo", "host_tso4", "host_tso6",
    "host_ecn", "host_ufo",
)  # fmt: skip


@dataclass(frozen=True)
class Nic:
    """A network card: the guest's MAC, and the (persistent) tap device on a server's switch."""

    mac: str
    tap: str


class Machine(Serial):
    """A QEMU process with its monitor and the guest's serial line. ``directory``: for sockets and logs, of its own.

    The kernel ends it with our thread, so even ``kill -9`` of us leaves no QEMU behind.
    """

    def __init__(self, directory: Path, image: Image, nics: Sequence[Nic], *, incoming: bool = False) -> None:
        super().__init__()
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._log = directory / "qemu.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._command(image, nics, incoming=incoming)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            self.qmp = Qmp(directory / "qmp")
        except QmpError as error:
            said = self._log.read_text(errors="replace")
            self._end()
            raise MachineError(f"QEMU did not start: {error}\n{said}") from error

    def _command(self, image: Image, nics: Sequence[Nic], *, incoming: bool) -> list[str]:
        here = self._directory
        command = [
            shutil.which(QEMU) or QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-machine", "pc,accel=tcg,usb=off", "-m", f"{MEMORY_KIB}K", "-smp", "1",
            "-kernel", str(image.kernel), "-initrd", str(image.initramfs),
            "-append", "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable",
            "-serial", f"file:{here / 'console.log'}",
            "-serial", f"unix:{here / 'line'},server=on,wait=off",
            "-qmp", f"unix:{here / 'qmp'},server=on,wait=off",
            "-qmp", f"unix:{here / 'second-qmp'},server=on,wait=off",
        ]  # fmt: skip
        for index, nic in enumerate(nics):
            command += ["-netdev", f"tap,id=net{index},ifname={nic.tap},script=no,downscript=no,vhost=off"]
            without = ",".join(f"{name}=off" for name in OFFLOADS)
            command += ["-device", f"virtio-net-pci,id=nic{index},netdev=net{index},mac={nic.mac},romfile=,{without}"]
        return [*command, "-incoming", f"unix:{here / 'incoming'}"] if incoming else command

    @property
    def pid(self) -> int:
        """QEMU's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    @property
    def second_monitor(self) -> Path:
        """A QMP socket for another program: a monitor takes one client."""
        return self._directory / "second-qmp"

    @property
    def incoming(self) -> str:
        """The address to which the source's QEMU sends the memory."""
        return f"unix:{self._directory / 'incoming'}"

    def frames_got(self, nic: int) -> int:
        """How many frames the guest got by a network card, modulo 65536: the index of its receive queue's used ring."""
        path = f"/machine/peripheral/nic{nic}/virtio-backend"
        return int(self.qmp.ask("x-query-virtio-queue-status", path=path, queue=0)["used-idx"])

    # the guest's program

    def until_booted(self, seconds: float = BOOT_SECONDS) -> None:
        """Return when the guest's program takes orders. Raises MachineError with the guest's console."""
        try:
            said = self._answer(seconds)
            if said != "ok ready":
                raise MachineError(f"the guest began with {said!r}")
        except MachineError as error:
            raise MachineError(f"the guest did not boot: {error}; {self._last_words()}") from error

    def _path(self) -> Path:
        return self._directory / "line"

    def _last_words(self) -> str:
        """How QEMU is, and the ends of its log and of the guest's console."""
        status = self._process.poll()
        files = (self._log, self._directory / "console.log")
        texts = [file.read_text(errors="replace").strip()[-1500:] for file in files if file.exists()]
        return "\n".join(["QEMU runs" if status is None else f"QEMU ended with status {status}", *texts])

    # its end

    def stop(self) -> None:
        """End QEMU, by force if it does not end when asked; also twice."""
        if self.running:
            try:
                self.qmp.ask("quit", seconds=END_SECONDS)
                self._process.wait(END_SECONDS)
            except (QmpError, TimeoutError, subprocess.TimeoutExpired):
                self._process.kill()
        self._end()

    def _end(self) -> None:
        if self.running:
            self._process.kill()
        self._process.wait()
        self.close()
        if hasattr(self, "qmp"):
            self.qmp.close()
