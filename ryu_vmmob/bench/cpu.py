"""Processor time of another process: what it costs, whatever else the machine does meanwhile."""

from __future__ import annotations

from pathlib import Path


class CpuTime:
    """Of the main thread of a process, from now on. (The controller has no other that works; Linux only.)"""

    def __init__(self, pid: int) -> None:
        self._path = Path(f"/proc/{pid}/schedstat")
        self._before = self._total()

    def _total(self) -> int:
        return int(self._path.read_text().split()[0])

    @property
    def seconds(self) -> float:
        """Seconds of processor time since this was made."""
        return (self._total() - self._before) / 1e9
