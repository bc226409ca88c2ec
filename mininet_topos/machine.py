"""What the machine itself loses: packets that full kernel queues dropped, which no network would have.

Counted where the kernel counts: raw sockets (Open vSwitch's, one a port), the per-CPU backlog between the two ends of a
cable, and the queues of the taps. A loss that is counted here is the machine's; any other is the network's.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_DROPS = re.compile(r"skmem:\([^)]*,d(\d+)\)")
_PORT = re.compile(r"\*:(\S+)\s")


@dataclass(frozen=True)
class Machine:
    """Dropped packets so far: by raw sockets (per device), by the backlog of all CPUs, and by device queues."""

    sockets: dict[str, int]
    backlog: int
    queues: dict[str, int]

    def since(self, before: Machine) -> dict[str, int]:
        """Return what was dropped between two samples, by place; empty when nothing was."""
        found = {f"socket {n}": c - before.sockets.get(n, 0) for n, c in self.sockets.items()}
        found |= {f"queue {n}": c - before.queues.get(n, 0) for n, c in self.queues.items()}
        found["backlog"] = self.backlog - before.backlog
        return {place: count for place, count in found.items() if count > 0}


def sample() -> Machine:
    """Return the counters now, of our network namespace (and the backlog, which is the whole machine's)."""
    return Machine(_sockets(), _backlog(), _queues())


def _sockets() -> dict[str, int]:
    said = subprocess.run(["ss", "-0", "-H", "-O", "-n", "-m", "-e"], capture_output=True, text=True).stdout
    found: dict[str, int] = {}
    for line in said.splitlines():
        port, drops = _PORT.search(line), _DROPS.search(line)
        if port and drops:
            found[port[1]] = found.get(port[1], 0) + int(drops[1])
    return found


def _backlog() -> int:
    """Second column of softnet_stat, hexadecimal, a line for each CPU."""
    return sum(int(line.split()[1], 16) for line in Path("/proc/net/softnet_stat").read_text().splitlines())


def _queues() -> dict[str, int]:
    said = subprocess.run(["ip", "-j", "-s", "link"], capture_output=True, text=True, check=True).stdout
    return {device["ifname"]: int(device["stats64"]["tx"]["dropped"]) for device in json.loads(said)}
