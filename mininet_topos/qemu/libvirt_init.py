"""Process 1 of a hypervisor in namespaces of its own: it puts directories in place, starts libvirtd and reaps orphans.

    python libvirt_init.py NAME DIRECTORY

Without a process 1 that reaps, libvirt waits for ever while it asks QEMU what it can do. When this process ends, the kernel
ends all others of its namespace.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

PLACES = {
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "cache": "/var/cache/libvirt",
    "log": "/var/log/libvirt",
    "run": "/run/libvirt",
}
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000


def mount(source: str, target: str, flags: int) -> None:
    """Return the system call of this name. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), target.encode(), None, flags, None):
        raise OSError(ctypes.get_errno(), f"mount {source} {target}")


def main(name: str, directory: str) -> int:
    """Until libvirtd ends."""
    mount("none", "/", _MS_REC | _MS_PRIVATE)
    for part, place in PLACES.items():
        Path(place).mkdir(parents=True, exist_ok=True)
        mount(f"{directory}/{part}", place, _MS_BIND)
    socket.sethostname(name)
    with open(f"{directory}/libvirtd.log", "ab") as log:
        command = ["libvirtd", "--config", "/etc/libvirt/libvirtd.conf", "--pid-file", "/run/libvirt/libvirtd.pid"]
        libvirtd = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    signal.signal(signal.SIGTERM, lambda *_: libvirtd.terminate())
    while True:
        try:
            pid, status = os.wait()
        except InterruptedError:
            continue
        if pid == libvirtd.pid:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
