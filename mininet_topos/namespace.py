"""A network namespace of our own.

Every laboratory lives in one. So device names are free to choose, ports of the loopback too, several laboratories run at
once (Open vSwitch's userspace datapath needs one namespace for each instance), and the kernel itself removes all devices
when the last process in the namespace ends, crash or not.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
OWN_NAMESPACE = Path("/proc/thread-self/ns/net")

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


@contextmanager
def own_network() -> Iterator[None]:
    """Be in a new network namespace, its loopback up, during the block: this thread, and processes it starts meanwhile.

    Sockets that are open already stay where they are. Raises OSError without the rights to do so.
    """
    home = os.open(OWN_NAMESPACE, os.O_RDONLY)
    try:
        _check(_libc.unshare(CLONE_NEWNET), "unshare")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            _check(_libc.setns(home, CLONE_NEWNET), "setns")
    finally:
        os.close(home)
