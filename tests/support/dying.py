"""A controller that ends itself with SIGKILL at a named point: an application that `ryu-manager` loads before the product's.

It wraps functions of the product from outside; the product knows nothing of it. The plan stands in a file ``die-at`` beside the
configuration file: a point, and at which passage to die. A plan is carried out once: the file goes with the process, so the
controller that is started next lives. Points:

==============================  ===============================================================================
``STEP before the store``       a command (its class's name) is about to be stored
``STEP in the transaction``     all its writes are made, and nothing is committed
``STEP stored``                 durable, and not yet adopted: no switch can have heard of it
``STEP adopted``                adopted, and no switch was sent anything
``METHOD answered``             the answer to a request is made, and none of it was sent
``a switch is next``            a session has taken a delta and sent nothing of it
``bundle filled``               the switch has confirmed all of a bundle's messages; the commit was not sent
``commit asked``                the bundle's commit was sent, and may or may not arrive
``bundle committed``            the switch has committed, and the session has not read the reply
``confirmed``                   the fleet has noted it, and nobody has looked what follows
==============================  ===============================================================================

A passage counts from when the plan was made.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PLAN = "die-at"


def die_at(directory: Path, point: str, passage: int = 1) -> None:
    """Make the plan for the controller whose files are in ``directory``."""
    draft = directory / f"{PLAN}.new"
    draft.write_text(json.dumps([point, passage]))
    draft.rename(directory / PLAN)


class Reaper:
    """Counts passages of the one point that the plan names."""

    def __init__(self, plan: Path) -> None:
        self._plan = plan
        self._made = 0
        self._passages = 0
        self.doing = ["start"]

    def passes(self, point: str) -> None:
        """The controller is at ``point`` now."""
        try:
            made = self._plan.stat().st_mtime_ns
            wanted, passage = json.loads(self._plan.read_text())
        except FileNotFoundError:
            return
        if made != self._made:
            self._made, self._passages = made, 0
        if point == wanted:
            self._passages += 1
            if self._passages == passage:
                self._plan.unlink()
                os.kill(os.getpid(), signal.SIGKILL)

    def at(self, where: str) -> None:
        """The command under way is at ``where``."""
        self.passes(f"{self.doing[-1]} {where}")


def wrap(owner: Any, name: str, around: Callable[..., Any]) -> None:
    """Replace a method: ``around(original, self, *args)`` is called instead."""
    original = getattr(owner, name)
    setattr(owner, name, lambda self, *args, **kwargs: around(original, self, *args, **kwargs))


def core(reaper: Reaper) -> None:
    """Points of the engine and the store."""
    from ryu_vmmob.engine.engine import Engine
    from ryu_vmmob.engine.fleet import Fleet
    from ryu_vmmob.engine.keeper import Keeper
    from ryu_vmmob.rest.app import RestApp
    from ryu_vmmob.store.sqlite import SqliteStore

    def execute(original: Any, self: Any, commands: Any, *rest: Any, **options: Any) -> Any:
        reaper.doing.append(" ".join(type(command).__name__ for command in commands))
        try:
            return original(self, commands, *rest, **options)
        finally:
            reaper.doing.pop()

    def commit(original: Any, self: Any, *args: Any, **options: Any) -> None:
        reaper.at("before the store")
        original(self, *args, **options)
        reaper.at("stored")

    transaction = SqliteStore._transaction

    @contextmanager
    def in_transaction(self: Any) -> Iterator[None]:
        with transaction(self):
            yield
            reaper.at("in the transaction")

    def adopt(original: Any, self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        reaper.at("adopted")

    def confirm(original: Any, self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        reaper.passes("confirmed")

    def respond(original: Any, self: Any, request: Any) -> Any:
        answer = original(self, request)
        reaper.passes(f"{request.method} answered")
        return answer

    wrap(Engine, "_execute", execute)
    wrap(Engine, "_adopt", adopt)
    wrap(Keeper, "commit", commit)
    wrap(Fleet, "confirm", confirm)
    wrap(RestApp, "_respond", respond)
    SqliteStore._transaction = in_transaction  # type: ignore[method-assign]


def switches(reaper: Reaper) -> None:
    """Points between a session and its switch."""
    from ryu.lib import hub

    from ryu_vmmob.apps.session import Session
    from ryu_vmmob.flows import wire

    filling: set[Any] = set()
    filled: set[Any] = set()

    def bring(original: Any, self: Any, revision: int, delta: Any, **options: Any) -> None:
        if delta:
            reaper.passes("a switch is next")
        original(self, revision, delta, **options)

    def in_bundle(original: Any, self: Any, messages: Any) -> Any:
        filling.add(self)
        try:
            return original(self, messages)
        finally:
            filling.discard(self)
            filled.discard(self)

    def barrier(original: Any, self: Any) -> None:
        original(self)
        if self in filling:
            filled.add(self)
            reaper.passes("bundle filled")

    def send(original: Any, self: Any, parts: Any) -> None:
        original(self, parts)
        if self in filled:
            hub.sleep(0)  # Ryu's own green thread writes to the socket
            reaper.passes("commit asked")

    def reply(original: Any, self: Any, message: Any) -> None:
        if self in filled and getattr(message, "type", None) == wire.BUNDLE_COMMIT_REPLY:
            reaper.passes("bundle committed")
        original(self, message)

    for name, around in (
        ("bring", bring), ("_in_bundle", in_bundle), ("_barrier", barrier), ("_send", send), ("reply", reply),
    ):  # fmt: skip
        wrap(Session, name, around)


if "--config-file" in sys.argv:
    _reaper = Reaper(Path(sys.argv[sys.argv.index("--config-file") + 1]).with_name(PLAN))
    core(_reaper)
    switches(_reaper)
