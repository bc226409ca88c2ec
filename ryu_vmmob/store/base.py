"""The interface of a store. The engine is its only user; kinds, names and bodies mean nothing to a store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

Body = dict[str, Any]
"""A JSON object."""


class Record(NamedTuple):
    """One stored object."""

    kind: str
    name: str
    body: Body


class Write(NamedTuple):
    """One object to store, or to delete (``body`` None; deleting what is not there is no fault).

    ``text`` is the body as JSON, where that was made beforehand (`ready`).
    """

    kind: str
    name: str
    body: Body | None
    text: str | None = None


class StoreError(Exception):
    """The store cannot be used or did not take a commit; ``str()`` is one sentence for the operator.

    After a refused commit the store holds what it held before, and a later commit may succeed.
    """


def ready(write: Write) -> Write:
    """Return the write with its text: what is left to do in a commit is little. Raises StoreError when the body is no JSON."""
    return write if write.body is None else write._replace(text=text_of(write))


def text_of(write: Write) -> str:
    """Return a write's body as JSON, made now if it was not before; empty when there is none. Raises StoreError."""
    if write.text is not None or write.body is None:
        return write.text or ""
    try:
        return json.dumps(write.body, allow_nan=False, separators=(",", ":"), sort_keys=True)
    except (TypeError, ValueError) as error:
        raise StoreError(f"{write.kind} {write.name!r} cannot be stored: {error}") from error


class Store(Protocol):
    """A durable set of records and the revision that last changed it. One process has it open, one writer at a time."""

    @property
    def revision(self) -> int:
        """The revision of the last commit; 0 in a new store."""

    def load(self) -> Iterable[Record]:
        """Every record, by kind and name; StoreError when one cannot be read."""

    def commit(self, revision: int | None, writes: Iterable[Write], *, sync: bool = True) -> None:
        """Carry out all writes or none, durable on return; StoreError when not. ``revision`` None leaves it as it is.

        ``sync`` False does not wait for the disk: the end of the process loses nothing all the same; a failure of power may
        lose this commit and those after it, until one that is waited for. Only for what would follow again by itself.
        Revisions never fall. Of several writes to one object the last counts.
        """

    def backup(self, path: str, pause: Callable[[], None]) -> None:
        """Write a copy of one moment to a new file, calling ``pause`` often; StoreError when that fails. Commits go on in the
        pauses, and are in the copy or not.
        """

    def tidy(self) -> bool:
        """Do a piece of what keeps the store small and this process's own, to be called about once a second; whether there is
        more to do at once. Raises StoreError when the store cannot be used any more, or not now.
        """

    def close(self) -> None:
        """Let go of everything held; closing twice is no fault."""


class OpenStore(Store, Protocol):
    """A store itself, and not one over another."""

    @property
    def blocks(self) -> bool:
        """Whether a commit holds up the whole process while it waits, as for a disk; one that waits for a network does not."""
