"""Python's cycle collector kept away from the flows. There may be millions, none in a cycle, and a full collection that
looks at all of them stops everything for seconds: echo replies come late, and switches give us up.

What has lasted is frozen (`gc.freeze`): it is still freed when nobody refers to it any more, and not looked at again.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

ENOUGH: Final = 50_000
"""Flows made since the last time; to look at so many takes some 20 ms."""


@contextmanager
def undisturbed() -> Iterator[None]:
    """Build something large that will last."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


class Freezer:
    """Freezes now and then, by how much was made: what is only passing through, and is in a cycle, would never be freed.

    ``flows_made`` returns the number of flows that were made since the start.
    """

    def __init__(self, flows_made: Callable[[], int]) -> None:
        self._flows_made = flows_made
        self._made = flows_made()

    def look(self) -> None:
        """Check the memory; called every half second or so."""
        made = self._flows_made()
        if made - self._made >= ENOUGH:
            self._made = made
            gc.collect(1)
            gc.freeze()
