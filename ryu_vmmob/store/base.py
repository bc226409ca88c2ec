"""What every store does. The engine is its only user; kinds, names and bodies mean nothing to a store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

Body = dict[str, Any]
"""A JSON object."""


class Record(NamedTuple):
    """One stored object."""

    kind: str
    name: str
    body: Body


class Write(NamedTuple):
    """One object to store, or to delete (``body`` None; deleting what is not there is no fault)."""

    kind: str
    name: str
    body: Body | None


class StoreError(Exception):
    """The store cannot be used or did not take a commit; ``str()`` is one sentence for whoever runs the controller.

    After a refused commit the store holds what it held before, and a later commit may succeed.
    """


class Store(Protocol):
    """A durable set of records and the revision that last changed it. One process has it open, one writer at a time."""

    @property
    def revision(self) -> int:
        """The revision of the last commit; 0 in a new store."""

    def load(self) -> Iterable[Record]:
        """Every record, by kind and name; StoreError when one cannot be read."""

    def commit(self, revision: int, writes: Iterable[Write], *, sync: bool = True) -> None:
        """Carry out all writes or none, durable on return; StoreError when not.

        ``sync`` False does not wait for the disk: the end of the process loses nothing all the same; a failure of power may
        lose this commit and those after it, until one that is waited for. Only for what would follow again by itself.
        Revisions never fall. Of several writes to one object the last counts.
        """

    def close(self) -> None:
        """Let go of everything held; closing twice is no fault."""
