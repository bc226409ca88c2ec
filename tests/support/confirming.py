"""Switches that are not there: the engine is told that they connect, take what is pending and confirm it."""

from __future__ import annotations

from collections.abc import Iterable

from ryu_vmmob.engine.engine import Engine


def connect(engine: Engine, now: float, names: Iterable[str] = ()) -> None:
    """Switches (all of them when none is named) connect and are brought in step."""
    for name in names or engine.fleet.names:
        engine.fleet.connected(name, lambda: None, now)
        engine.fleet.confirm(name, engine.fleet.begin_reconciliation(name))
    engine.progress()


def take(engine: Engine, names: Iterable[str] = ()) -> list[str]:
    """Switches take what is pending and confirm it, once; those that had something to take."""
    found = []
    for name in names or engine.fleet.names:
        taken = engine.fleet.take(name)
        if taken is not None:
            engine.fleet.confirm(name, taken[0])
            found.append(name)
    engine.progress()
    return found


def confirm(engine: Engine, names: Iterable[str] = ()) -> None:
    """The same until nothing is left to take."""
    while take(engine, names):
        pass
