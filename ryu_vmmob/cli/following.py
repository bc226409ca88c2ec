"""Something that the controller is doing, looked at until it is over: when an event tells of it, and now and then anyway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from time import monotonic, sleep
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ryu_vmmob.client import Client, ClientError

POLL: Final = 0.5
"""Seconds between two looks where no events come, and between two thoughts of the deadline where they do."""
ANYWAY: Final = 10
"""After so many silent pauses it is looked at without an event: a switch may have confirmed something."""


def looks(client: Client, migration: str, since: int | None, deadline: float) -> Iterator[Any]:
    """Yield a migration again and again, whenever an event after ``since`` tells of it, until ``deadline`` (`monotonic`).

    Where events do not come (None, or the connection is lost) it is asked for every `POLL` seconds. Raises ClientError.
    """
    if since is not None:
        silent = 0
        try:
            with closing(client.events(("migration",), since, idle=POLL)) as events:
                for event in events:
                    silent = silent + 1 if event is None else 0
                    if event is None and monotonic() > deadline:
                        return
                    told = event is not None and event.get("migration", migration) == migration
                    if told or (silent and silent % ANYWAY == 0):
                        yield client.migrations.get(migration)
        except ClientError:
            pass  # the answers themselves say whether the controller is still there
    while monotonic() <= deadline:
        sleep(POLL)
        yield client.migrations.get(migration)


def newest(client: Client) -> int | None:
    """Return the id of the newest event, None where there are no events."""
    try:
        return client.last_event()
    except ClientError:
        return None


@contextmanager
def bar(total: int | None, *, shown: bool) -> Iterator[Callable[[str, int], None]]:
    """Provide a bar on standard error for as long as the block lasts, if that is a terminal.

    What is given back sets its text and how many of ``total`` are done (None: unknown, so it only turns).
    """
    console = Console(stderr=True)
    if not shown or not console.is_terminal:
        yield lambda text, done: None
        return
    columns = (BarColumn(30), TextColumn("{task.completed}/{task.total}")) if total is not None else (SpinnerColumn(),)
    with Progress(*columns, TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda text, done: progress.update(task, description=text, completed=done)
