"""The product's caches of function results, found wherever they are, so that a measurement can begin with all of them empty.

A case that fits a cache finds in it what earlier commands have put there, and a larger one does not: what they cost is then
another, whatever the code does. With empty caches both begin alike.
"""

from __future__ import annotations

import gc
from functools import lru_cache
from typing import Any

_KIND = type(lru_cache(len))


def caches() -> list[Any]:
    """Return every `functools.lru_cache` with a bound of a function of the product. Thaws what is frozen (`gc.freeze`)."""
    gc.unfreeze()
    found = [thing for thing in gc.get_objects() if isinstance(thing, _KIND)]
    return [row for row in found if str(row.__wrapped__.__module__).startswith("ryu_vmmob.") and row.cache_info().maxsize]


def empty_caches() -> None:
    """Forget what all of `caches` hold."""
    for row in caches():
        row.cache_clear()
