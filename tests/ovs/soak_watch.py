"""What a soak sees of the controller from inside, and a clock that it sets: an application that ``ryu-manager`` loads first.

It wraps the product from outside, which knows nothing of it. Every `INTERVAL` seconds a line of JSON goes to ``samples.jsonl``
beside the configuration file: memory, blocks of Python's allocator, descriptors, green threads, timers. Pieces of work without
a pause are in ``pieces.jsonl`` (`ryu_vmmob.bench.pieces`). The clock on the wall is ahead by the seconds in the file ``ahead``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakSet

from ryu_vmmob.bench.pieces import Pieces

SAMPLES, PIECES, AHEAD = "samples.jsonl", "pieces.jsonl", "ahead"
INTERVAL = 1.0


def set_clock(directory: Path) -> None:
    """Let the engine's wall be ahead by what the file says."""
    from ryu_vmmob.engine.clock import Clock

    file, original = directory / AHEAD, Clock.__init__

    def wall_of(wall: Callable[[], float]) -> Callable[[], float]:
        return lambda: wall() + (float(file.read_text() or 0) if file.exists() else 0.0)

    def init(self: Clock, wall: Callable[[], float], passed: Callable[[], float]) -> None:
        original(self, wall_of(wall), passed)

    Clock.__init__ = init  # type: ignore[method-assign]


def watch(directory: Path) -> None:
    """Sample, from a green thread of its own."""
    import greenlet
    from eventlet import hubs
    from ryu.lib import hub

    seen: WeakSet[Any] = WeakSet()
    pieces = Pieces(directory / PIECES)

    def switched(event: str, switch: tuple[Any, Any]) -> None:
        pieces.switched(event, switch)
        seen.add(switch[1])

    def sample() -> None:
        page, main = os.sysconf("SC_PAGE_SIZE"), hubs.get_hub()
        with (directory / SAMPLES).open("a", buffering=1) as file:
            while True:
                row = {
                    "time": time.time(),
                    "pid": os.getpid(),
                    "memory": int(Path("/proc/self/statm").read_text().split()[1]) * page,
                    "blocks": sys.getallocatedblocks(),
                    "descriptors": len(os.listdir("/proc/self/fd")),
                    "green_threads": sum(not row.dead for row in list(seen)),
                    "timers": len(main.timers),
                    "listeners": sum(map(len, main.listeners.values())),
                }
                file.write(json.dumps(row) + "\n")
                hub.sleep(INTERVAL)

    greenlet.settrace(switched)
    hub.spawn(sample)


if "--config-file" in sys.argv:
    _directory = Path(sys.argv[sys.argv.index("--config-file") + 1]).parent
    set_clock(_directory)
    watch(_directory)
