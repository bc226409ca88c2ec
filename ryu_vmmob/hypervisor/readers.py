"""What reads a guest's taps: QEMU itself, or the kernel for it (vhost-net). Told by what any user may read in /proc."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")


def is_read_by_qemu(uuid: str, proc: Path = PROC) -> bool:
    """Whether the QEMU of the domain with this UUID runs here and has no vhost; False when it is not found.

    A vhost worker is a kernel thread ``vhost-PID``, since Linux 6.4 a thread of that name of QEMU (drivers/vhost/vhost.c).
    """
    processes = [row for row in _listed(proc) if row.name.isdigit()]
    found = next((row for row in processes if "qemu" in _text(row / "comm") and uuid in _arguments(row)), None)
    if found is None:
        return False
    worker = f"vhost-{found.name}"
    threads = list(_listed(found / "task"))
    return not any(_text(row / "comm").strip() == worker for row in processes + threads)


def _arguments(process: Path) -> list[str]:
    return _text(process / "cmdline").split("\0")


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""  # it has ended


def _listed(directory: Path) -> Iterator[Path]:
    try:
        yield from list(directory.iterdir())
    except OSError:
        return
