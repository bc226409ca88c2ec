"""The pieces in which a controller works: how long a green thread kept the processor before others had their turn.

An application that ``ryu-manager`` loads before the product's, which knows nothing of it. Each piece of `TOLD` seconds or more
is a line of JSON in ``pieces.jsonl`` beside the configuration file: ``seconds`` on the wall, ``processor`` seconds of the
thread (whatever else the machine does), ``at`` the calls that it was in when half of `TOLD` was over and later.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

FILE: Final = "pieces.jsonl"
TOLD: Final = 0.05
_LOOK: Final = TOLD / 2
_CALLS: Final = 12


def longest(pieces: Iterable[dict[str, Any]]) -> float:
    """Seconds of processor time of the longest; `TOLD` when none was as long."""
    return max((float(row["processor"]) for row in pieces), default=TOLD)


class Pieces:
    """Times every switch from one green thread to another."""

    def __init__(self, file: Path) -> None:
        from eventlet import hubs, patcher

        threading, clock = patcher.original("threading"), patcher.original("time")
        self._file = file.open("a", buffering=1)
        self._hub = hubs.get_hub().greenlet
        self._thread = threading.get_ident()
        self._began = time.perf_counter(), time.thread_time()
        self._current: Any = None
        self._seen: list[str] = []
        self._sleep = clock.sleep
        watcher = threading.Thread(target=self._watch, daemon=True)
        watcher.start()

    def switched(self, event: str, switch: tuple[Any, Any]) -> None:
        """For ``greenlet.settrace``."""
        del event
        wall, processor = time.perf_counter(), time.thread_time()
        seconds, used = wall - self._began[0], processor - self._began[1]
        if used >= TOLD or (seconds >= TOLD and switch[0] is not self._hub):
            row = {"time": time.time(), "seconds": seconds, "processor": used, "at": self._seen}
            self._file.write(json.dumps(row) + "\n")
        self._seen = []
        self._began = wall, processor
        self._current = switch[1]

    def _watch(self) -> None:
        while True:
            self._sleep(_LOOK)
            began = self._began
            if self._current is self._hub or time.perf_counter() - began[0] < _LOOK:
                continue
            frame = sys._current_frames().get(self._thread)
            if frame is not None and began is self._began and len(self._seen) < 8:
                calls = traceback.extract_stack(frame)[-_CALLS:]
                self._seen.append(" < ".join(f"{Path(row.filename).stem}.{row.name}:{row.lineno}" for row in reversed(calls)))


def install(file: Path) -> None:
    """Watch the thread that calls this."""
    import greenlet

    greenlet.settrace(Pieces(file).switched)


if "--config-file" in sys.argv:
    install(Path(sys.argv[sys.argv.index("--config-file") + 1]).with_name(FILE))
