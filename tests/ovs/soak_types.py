"""How many objects of each type a controller has, each minute: an application that ``ryu-manager`` loads first.

A line of JSON each goes to ``types.jsonl``. What is frozen (`ryu_vmmob.memory`) is counted too: the collector hides it, so it
is thawed for the count and frozen again. ``lost`` are objects that were in use and in a cycle when they were frozen, and are
garbage by now: without this count they would never be freed. Numbers, texts and bytes are in no count: the collector does not
know them. A count stops the controller for half a second, so silences mean nothing in a run with it.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

TYPES: Final = "types.jsonl"
INTERVAL: Final = 60.0


def counts() -> tuple[dict[str, int], int]:
    """Return the number of objects by type, and how many were lost since the last count."""
    gc.collect()
    gc.unfreeze()
    lost = gc.collect()
    found = Counter(map(type, gc.get_objects()))
    gc.freeze()
    by_name: Counter[str] = Counter()
    for kind, number in found.items():
        by_name[f"{kind.__module__}.{kind.__name__}"] += number
    return dict(by_name), lost


def watch(directory: Path) -> None:
    """Count, from a green thread of its own."""
    from ryu.lib import hub

    def look() -> None:
        with (directory / TYPES).open("a", buffering=1) as file:
            while True:
                hub.sleep(INTERVAL)
                found, lost = counts()
                file.write(json.dumps({"time": time.time(), "counts": found, "lost": lost}) + "\n")

    hub.spawn(look)


if "--config-file" in sys.argv:
    watch(Path(sys.argv[sys.argv.index("--config-file") + 1]).parent)
