"""Small bounds for what a controller keeps, so that all of it is full within a minute: an application that ``ryu-manager``
loads first, before the product's modules.

What grows after that is kept without a bound. Each bound of the product that holds back memory stands here: the newest events,
finished migrations and batches, offenders, rate limits, and every `lru_cache`. How full caches are goes to ``caches.json``.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

OF_CACHES: Final = 64
"""A cache holds this share (1 / `OF_CACHES`) of what it holds in the product, and `LEAST` entries at least."""
LEAST: Final = 16
EVENTS: Final = 500
CONSTANTS: Final[Mapping[tuple[str, str], int]] = {
    ("ryu_vmmob.model.migration_steps", "KEPT"): 40,
    ("ryu_vmmob.model.batches.rows", "KEPT"): 5,
    ("ryu_vmmob.engine.refusals", "_MAX_OFFENDERS"): 64,
    ("ryu_vmmob.southbound.packets", "MAX_BUCKETS"): 64,
    ("ryu_vmmob.southbound.intake", "_MAX_FLOWS"): 64,
}
"""By module and name. Each is looked up when it is used."""
CACHES: Final = "caches.json"
MADE: Final[dict[str, Any]] = {}
"""Every cache of the product, by the name of its function (with a number where several have one name)."""


def small(maxsize: int) -> int:
    """How many entries a cache may hold here that holds ``maxsize`` in the product."""
    return min(maxsize, max(LEAST, maxsize // OF_CACHES))


def _is_ours(thing: Any) -> bool:
    """Whether it is a cache with a bound, of a function of the product."""
    if not hasattr(thing, "cache_info") or not thing.cache_info().maxsize:
        return False
    return str(thing.__wrapped__.__module__).startswith("ryu_vmmob.")


def shrink_caches() -> None:
    """From now on caches of the product are made small. Raises RuntimeError when some are made already and in use."""
    loaded = {name: module for name, module in sys.modules.items() if name.startswith("ryu_vmmob.")}
    early = sorted(name for name, module in loaded.items() if any(map(_is_ours, vars(module).values())))
    if early:
        raise RuntimeError(f"loaded already, with the caches as they are in the product: {early}")
    original = functools.lru_cache

    def lru_cache(maxsize: Any = 128, typed: Any = False) -> Any:
        if not isinstance(maxsize, int):
            return original(maxsize, typed)

        def wrap(function: Callable[..., Any]) -> Any:
            if not function.__module__.startswith("ryu_vmmob."):
                return original(maxsize, typed)(function)
            made = original(small(maxsize), typed)(function)
            name = f"{function.__module__}.{function.__qualname__}"
            MADE[f"{name}/{sum(key.startswith(name) for key in MADE)}"] = made
            return made

        return wrap

    functools.lru_cache = lru_cache


def shrink_the_rest() -> None:
    """Events, migrations and so on."""
    for (module, name), value in CONSTANTS.items():
        loaded = importlib.import_module(module)
        if not isinstance(getattr(loaded, name), int):
            raise TypeError(f"{module}.{name} is no number")
        setattr(loaded, name, value)
    events = importlib.import_module("ryu_vmmob.engine.events")
    clock, size, first = "clock", "size", "first"
    made = events.EventStream.__init__

    def init(self: Any, *arguments: Any, **options: Any) -> None:
        if len(arguments) > 1 or size in options or options.keys() - {clock, size, first}:
            raise TypeError("an event stream is given a size, which is to be small here")
        made(self, *arguments, size=EVENTS, **options)

    events.EventStream.__init__ = init


def write_down(directory: Path) -> None:
    """Every second: how many entries each cache has, and may have."""
    from ryu.lib import hub

    def look() -> None:
        while True:
            found = {name: cache.cache_info() for name, cache in list(MADE.items())}
            draft = directory / f"{CACHES}.new"
            draft.write_text(json.dumps({name: [row.currsize, row.maxsize, row.misses] for name, row in found.items()}))
            draft.rename(directory / CACHES)
            hub.sleep(1.0)

    hub.spawn(look)


if "--config-file" in sys.argv:
    shrink_caches()
    shrink_the_rest()
    write_down(Path(sys.argv[sys.argv.index("--config-file") + 1]).parent)
