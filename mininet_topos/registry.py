"""Which laboratories run on this machine, so that what a crashed one left behind can be removed.

The kernel removes the devices and most processes of a crashed laboratory by itself (`mininet_topos.namespace`,
`mininet_topos.processes`). What can stay is the run directory of its Open vSwitch, and in rare cases the daemons. A
record is a file in a directory of root's and names the owner's process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

DIRECTORY = Path("/run/vmmob-lab")
DAEMON_SECONDS = 5.0


@dataclass(frozen=True)
class Record:
    """One laboratory: its owner (process id, and start time in clock ticks) and its run directory."""

    pid: int
    started: int
    run_dir: str

    @property
    def file(self) -> Path:
        """Where the record is kept."""
        return DIRECTORY / f"{Path(self.run_dir).name}.json"

    @property
    def alive(self) -> bool:
        """Whether its owner still runs (a process id that was given out again does not count)."""
        return start_time(self.pid) == self.started


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks after boot; None when it has ended (a zombie has)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def enter(run_dir: Path) -> Record:
    """Put a laboratory of this process on record."""
    DIRECTORY.mkdir(mode=0o700, exist_ok=True)
    record = Record(os.getpid(), start_time(os.getpid()) or 0, str(run_dir))
    record.file.write_text(json.dumps(asdict(record)))
    return record


def records() -> list[Record]:
    """All laboratories on record, also dead ones."""
    found = []
    for file in sorted(DIRECTORY.glob("*.json")):
        with suppress(ValueError, TypeError, OSError):  # being written, or being removed
            found.append(Record(**json.loads(file.read_text())))
    return found


def clean() -> list[str]:
    """Remove what dead laboratories left. Says what was done; touches no living one."""
    done = []
    for record in records():
        if not record.alive:
            done += remove(record)
    return done


def remove(record: Record) -> list[str]:
    """Remove everything of one laboratory that its own end did not."""
    done = [f"ended process {pid}" for pid in _daemons(record.run_dir) if _end(pid)]
    if Path(record.run_dir).is_dir():
        shutil.rmtree(record.run_dir, ignore_errors=True)
        done.append(f"removed {record.run_dir}")
    record.file.unlink(missing_ok=True)
    return done


def _daemons(run_dir: str) -> list[int]:
    """Return processes with this run directory on their command line, from the pid files there."""
    found = []
    for file in Path(run_dir).glob("*.pid"):
        with suppress(ValueError, OSError):
            pid = int(file.read_text())
            if run_dir.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def _end(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + DAEMON_SECONDS
        while start_time(pid) is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
    return True
