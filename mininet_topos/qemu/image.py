"""What a guest of the laboratory boots: a Linux kernel and an initial file system, made here from Debian packages.

The kernel and its network driver come out of the package ``linux-image-cloud-amd64`` depends on; it is downloaded and unpacked,
not installed. The file system has Debian's static busybox, the driver and `guest.c`, compiled here. Everything is
kept in ``build/guest`` until one of its parts changes. ``python -m mininet_topos.qemu.image`` makes it and says where it is.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import lzma
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mininet_topos.qemu import cpio
from mininet_topos.traffic import FORBIDDEN_PORT, PORT

CACHE = Path(__file__).resolve().parents[2] / "build" / "guest"
SOURCE = Path(__file__).resolve().parent / "guest.c"
META_PACKAGE = "linux-image-cloud-amd64"
PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86", "busybox": "busybox-static", "cc": "gcc and libc6-dev"}
APT = {"apt-get": "apt", "apt-cache": "apt", "dpkg-deb": "dpkg"}
DRIVERS = ("virtio_pci", "virtio_net")
PORTS = tuple(f"{version}:{port + version}" for port in (PORT, FORBIDDEN_PORT) for version in (4, 6))
"""Where the guest receives: IP version and UDP port."""
SERIAL_LINE = "/dev/ttyS1"

INIT = """#!/bin/sh
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
exec </dev/console >/dev/console 2>&1
for module in {modules}; do insmod /lib/$module.ko; done
echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/default/accept_ra
ip link set lo up
exec /bin/guest {line} {ports}
"""


class ImageError(RuntimeError):
    """The guest's image cannot be made here; the text says what is missing or what failed."""


@dataclass(frozen=True)
class Image:
    """Two files that QEMU boots."""

    kernel: Path
    initramfs: Path


def missing() -> str | None:
    """Why guests cannot be had on this machine, in one sentence; None when all programs are there."""
    if (machine := platform.machine()) != "x86_64":
        return f"the guest is an x86-64 one, and its programs are made on this machine, which is {machine}"
    if not Path("/dev/net/tun").exists():
        return "no /dev/net/tun: the guests have no network cards"
    if absent := [f"{tool} (Debian package {package})" for tool, package in PROGRAMS.items() if not shutil.which(tool)]:
        return f"not installed: {', '.join(absent)}"
    if not _kernel_package_kept() and (absent := [tool for tool in APT if not shutil.which(tool)]):
        return f"the guest's kernel is a Debian package, and there is no {', '.join(absent)}"
    if not _static(Path(shutil.which("busybox") or "busybox")):
        return "busybox is not statically linked (Debian package busybox-static)"
    return None


def is_made(cache: Path = CACHE) -> bool:
    """Whether a kernel and an initial file system are at hand."""
    return _kernel_package_kept(cache) and any(cache.glob("initramfs-*.gz"))


def ensure(cache: Path = CACHE) -> Image:
    """Return the image, made now if it is not there. Several processes may ask at once. Raises ImageError."""
    if why := missing():
        raise ImageError(why)
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache):
        tree = _kernel_tree(cache)
        (kernel,) = tree.glob("boot/vmlinuz-*")
        busybox = Path(shutil.which("busybox") or "busybox")
        parts = [SOURCE.read_bytes(), Path(__file__).read_bytes(), kernel.name.encode(), busybox.read_bytes()]
        initramfs = cache / f"initramfs-{hashlib.sha256(b'|'.join(parts)).hexdigest()[:16]}.gz"
        if not initramfs.exists():
            for old in cache.glob("initramfs-*"):
                old.unlink()
            _replace(initramfs, gzip.compress(cpio.archive(_entries(tree, busybox)), 6, mtime=0))
        return Image(kernel, initramfs)


def module_order(found: dict[str, bytes], wanted: tuple[str, ...]) -> list[str]:
    """Kernel modules in the order in which they can be loaded; ``found``: the contents of each by name. Raises ImageError."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        if name not in found:
            raise ImageError(f"the kernel package has no module {name}")
        depends = re.search(rb"\0depends=([^\0]*)\0", found[name])
        for other in depends[1].decode().split(",") if depends and depends[1] else ():
            visit(other.replace("-", "_"))
        order.append(name)

    for name in wanted:
        visit(name)
    return order


def _entries(tree: Path, busybox: Path) -> Iterator[cpio.Entry]:
    found = {file.name.split(".ko")[0].replace("-", "_"): _plain(file) for file in tree.glob("lib/modules/**/*.ko*")}
    order = module_order(found, DRIVERS)
    for name in ("bin", "dev", "lib", "proc", "sys", "tmp"):
        yield cpio.directory(name)
    yield cpio.terminal("dev/console", 5, 1)
    yield cpio.program("bin/busybox", busybox.read_bytes())
    for applet in ("sh", "mount", "insmod", "ip", "ping", "ping6", "cat", "echo", "arp", "ifconfig", "sysctl"):
        yield cpio.link(f"bin/{applet}", "busybox")
    yield cpio.program("bin/guest", _compiled())
    for name in order:
        yield cpio.program(f"lib/{name}.ko", found[name])
    init = INIT.format(modules=" ".join(order), line=SERIAL_LINE, ports=" ".join(PORTS))
    yield cpio.program("init", init.encode())


def _plain(module: Path) -> bytes:
    data = module.read_bytes()
    return lzma.decompress(data) if module.suffix == ".xz" else data


def _compiled() -> bytes:
    with tempfile.TemporaryDirectory(prefix="vmmob-") as scratch:
        program = Path(scratch) / "guest"
        _run("cc", "-O2", "-static", "-s", "-o", str(program), str(SOURCE))
        return program.read_bytes()


def _kernel_package_kept(cache: Path = CACHE) -> bool:
    return any(cache.glob("kernel-*/boot/vmlinuz-*"))


def _kernel_tree(cache: Path) -> Path:
    """Return the unpacked kernel package: the one at hand, else Debian's present one."""
    for tree in sorted(cache.glob("kernel-*")):
        if any(tree.glob("boot/vmlinuz-*")):
            return tree
    package = _kernel_package()
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        fetch = ("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download")
        try:
            _run(*fetch, package, cwd=scratch)
        except ImageError:  # lists that are old name a package that is not kept any more
            _run("apt-get", "-q", "update")
            package = _kernel_package()
            _run(*fetch, package, cwd=scratch)
        (archive,) = Path(scratch).glob("*.deb")
        _run("dpkg-deb", "-x", str(archive), f"{scratch}/tree")
        target = cache / f"kernel-{package}"
        shutil.rmtree(target, ignore_errors=True)
        (Path(scratch) / "tree").rename(target)
    return target


def _kernel_package() -> str:
    """Return the package with the kernel itself; the lists of packages are fetched when there are none."""
    for fetch in (False, True):
        if fetch:
            _run("apt-get", "-q", "update")
        said = _run("apt-cache", "depends", "--important", META_PACKAGE, check=False)
        if named := re.search(r"Depends: (linux-image-\S+)", said):
            return named[1]
    raise ImageError(f"no package {META_PACKAGE} can be found: is this Debian, on an x86 machine?")


def _static(program: Path) -> bool:
    """Whether a program needs no libraries, which the guest has not: no interpreter is named in its program headers."""
    return b"/ld-" not in program.read_bytes()[:4096]


def _replace(file: Path, data: bytes) -> None:
    part = file.with_suffix(".part")
    part.write_bytes(data)
    part.rename(file)


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(*command: str, cwd: str | None = None, check: bool = True) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if check and done.returncode:
        raise ImageError(f"{' '.join(command)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    made = ensure()
    print(f"{made.kernel}\n{made.initramfs}")
