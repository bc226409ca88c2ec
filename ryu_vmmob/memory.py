"""Python's cycle collector kept away from the flows. There may be millions, none in a cycle, and a full collection that
looks at all of them stops everything for seconds: echo replies come late, and switches give us up.

What has lasted is frozen (`gc.freeze`): it is still freed when its last reference goes, and not looked at again. Full
collections never begin by themselves, in the middle of a command that has made millions of flows: they are made here, often
enough that each finds little.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

ENOUGH: Final = 50_000
"""Objects that are not frozen; to look at so many takes some 10 ms."""
MADE: Final = 10
"""Collections of the middle generation (some 7,000 new objects each) after which there is a full one."""
_YOUNG: Final = (700, 10)
"""As Python has them (`gc.set_threshold`)."""
_NEVER: Final = 1 << 30


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
    """Collects, and freezes what lasts when it has become much.

    What is in use when it is frozen, and is in a cycle, is never freed.
    """

    def __init__(self) -> None:
        gc.set_threshold(*_YOUNG, _NEVER)

    def run(self, sleep: Callable[[], None]) -> None:
        """Look, again and again. A thread of its own: others wait for commands, and what those make is what there is to do."""
        while True:
            sleep()
            self.look()

    def look(self) -> None:
        """Collect, if there is reason to; called every quarter of a second or so."""
        if gc.get_count()[2] < MADE:
            return
        gc.collect()
        if len(gc.get_objects()) >= ENOUGH:
            gc.freeze()
