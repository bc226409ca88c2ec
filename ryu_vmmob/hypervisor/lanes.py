"""Work for many VMs at once, one piece after another for each of them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

LOG: Final = logging.getLogger("vmmob.hypervisor")


class Lanes:
    """A lane for each VM, on ``workers`` threads. What a piece of work raises is logged and ends nothing else."""

    def __init__(self, workers: int = 16) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="vm")
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[Callable[[], None]]] = {}

    def put(self, vm: str, work: Callable[[], None]) -> None:
        """Have it done after what was put for this VM before; returns at once."""
        with self._lock:
            lane = self._waiting.get(vm)
            if lane is not None:
                lane.append(work)
                return
            self._waiting[vm] = deque([work])
        self._pool.submit(self._drain, vm)

    def close(self) -> None:
        """Begin nothing more, and wait for what has begun."""
        with self._lock:
            for lane in self._waiting.values():
                lane.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _drain(self, vm: str) -> None:
        while True:
            with self._lock:
                lane = self._waiting[vm]
                if not lane:
                    del self._waiting[vm]
                    return
                work = lane.popleft()
            try:
                work()
            except Exception:
                LOG.exception("VM %s", vm)
