"""Which laboratories run on this machine, so that each has device names of its own and a crashed one can be cleaned up.

A laboratory owns a prefix of three characters; every device it makes in our network namespace begins with it. The record is
a file in a directory of root's, made with O_EXCL, which names the owner's process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import string
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

DIRECTORY = Path("/run/vmmob-lab")
PREFIXES = tuple(f"v{c}-" for c in string.digits + string.ascii_lowercase)
DAEMON_SECONDS = 5.0


class RegistryError(RuntimeError):
    """No prefix is free."""


@dataclass
class Record:
    """One laboratory: its prefix, its owner (process id and start time in clock ticks), its run directory."""

    prefix: str
    pid: int
    started: int
    run_dir: str = ""

    @property
    def file(self) -> Path:
        """Where the record is kept."""
        return DIRECTORY / f"{self.prefix}.json"

    @property
    def alive(self) -> bool:
        """Whether its owner still runs (a process id that was given out again does not count)."""
        return start_time(self.pid) == self.started

    def save(self) -> None:
        """Write the record."""
        self.file.write_text(json.dumps(asdict(self)))

    def forget(self) -> None:
        """Remove the record."""
        self.file.unlink(missing_ok=True)


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks after boot; None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rsplit(")", 1)[1].split()[19])


def devices(prefix: str) -> list[str]:
    """Network devices of a laboratory in our namespace."""
    return sorted(p.name for p in Path("/sys/class/net").iterdir() if p.name.startswith(prefix))


def reserve() -> Record:
    """A prefix that no laboratory and no device uses; the caller saves what else is to be known. Raises RegistryError."""
    DIRECTORY.mkdir(mode=0o700, exist_ok=True)
    for prefix in PREFIXES:
        record = Record(prefix, os.getpid(), start_time(os.getpid()) or 0)
        if devices(prefix):
            continue
        try:
            with record.file.open("x") as file:
                json.dump(asdict(record), file)
        except FileExistsError:
            continue
        return record
    hint = "`python -m mininet_topos.lab clean` frees those of crashed runs"
    raise RegistryError(f"all {len(PREFIXES)} prefixes are in use; {hint}")


def records() -> list[Record]:
    """All laboratories on record, also dead ones."""
    found = []
    for file in sorted(DIRECTORY.glob("*.json")):
        with suppress(ValueError, TypeError, OSError):  # being written, or being removed
            found.append(Record(**json.loads(file.read_text())))
    return found


def clean() -> list[str]:
    """Remove what dead laboratories left: daemons, devices, directories. Says what was done; touches no living one."""
    done = []
    for record in records():
        if not record.alive:
            done += remove(record)
    return done


def remove(record: Record) -> list[str]:
    """Remove everything of one laboratory that its own end did not."""
    done = [f"ended process {pid} of {record.prefix}" for pid in _daemons(record.run_dir) if _end(pid)]
    for name in devices(record.prefix):
        # the other end of a pair goes with the first
        if subprocess.run(["ip", "link", "delete", name], capture_output=True).returncode == 0:
            done.append(f"deleted device {name}")
    if record.run_dir and Path(record.run_dir).is_dir():
        shutil.rmtree(record.run_dir, ignore_errors=True)
        done.append(f"removed {record.run_dir}")
    record.forget()
    return done


def _daemons(run_dir: str) -> list[int]:
    """Processes with this run directory on their command line, from the pid files there."""
    found = []
    for file in Path(run_dir).glob("*.pid") if run_dir else ():
        with suppress(ValueError, OSError):
            pid = int(file.read_text())
            if run_dir.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def _end(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + DAEMON_SECONDS
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
    return True
