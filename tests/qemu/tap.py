"""A tap device as a hypervisor has it, and frames that the host sends to its guest."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
from types import TracebackType
from typing import Self

_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000


class TapDevice:
    """Gone when it is closed, as when QEMU ends. Nothing reads it, as while a VM is paused."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._device = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self._device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
        # Neither IPv6 nor anything else of the host is to speak on it.
        subprocess.run(["sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1"], check=True, capture_output=True)
        subprocess.run(["ip", "link", "set", name, "up"], check=True, capture_output=True)
        self._host = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._host.bind((name, 0))

    def to_guest(self, *frames: bytes) -> None:
        """Send frames to the guest."""
        for frame in frames:
            self._host.sendall(frame)

    def from_guest(self, frame: bytes) -> None:
        """What the guest sends."""
        os.write(self._device, frame)

    def close(self) -> None:
        self._host.close()
        if self._device >= 0:
            os.close(self._device)
            self._device = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
