"""The call of a resource's function: its input and its answer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from webob import Request

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.reload import Reloaded
from ryu_vmmob.engine.tickets import Ticket
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.rest import conditions
from ryu_vmmob.rest.owners import switches_view
from ryu_vmmob.rest.problems import bad_query

if TYPE_CHECKING:
    from ryu_vmmob.rest.metrics import Metrics

_Row = TypeVar("_Row")
_View = TypeVar("_View")

Wait = Callable[[Ticket, float], None]
"""Blocks until the switches of a ticket have confirmed it, or so many seconds have passed."""

MAX_WAIT = 600.0
"""Seconds."""
_NUMBER = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Raw(NamedTuple):
    """A body that is not an object: its bytes and its Content-Type."""

    content: bytes
    content_type: str


class Answer(NamedTuple):
    """``body`` None: no content. ``revision`` becomes the ETag."""

    status: int
    body: dict[str, Any] | Raw | None
    revision: int | None = None
    location: str | None = None


@dataclass(frozen=True)
class Services:
    """The services that resources use. ``new_id`` gives ids of migrations."""

    engine: Engine
    new_id: Callable[[], str]
    wait: Wait
    reload: Callable[[bool], Reloaded]
    """Reads the fabric file again; True: a dry run. Raises FabricError, Refusal, StoreError."""
    metrics: Metrics
    aside: Callable[[Callable[[], Any]], Any] = lambda work: work()
    """Does long work while others go on, and returns or raises what came of it."""
    grafana: str | None = None
    """Where Grafana shows this controller's numbers."""


@dataclass(frozen=True)
class Call:
    """One request, checked: ``names`` from the path, ``query`` with known parameters only, ``body`` of the route's type.

    ``is_brief``: who asks has shown no token, and is told no names.
    """

    services: Services
    request: Request
    names: Mapping[str, str]
    query: Mapping[str, str]
    body: Any = None
    is_brief: bool = False
    breath: Breath = field(default_factory=Breath)
    """Its pauses: what is answered may be long, and the state that it is of goes on meanwhile."""

    def each(self, rows: Iterable[_Row], view: Callable[[_Row], _View]) -> list[_View]:
        """Return the views of ``rows``, with pauses."""
        found = []
        for row in rows:
            found.append(view(row))
            self.breath.worked()
        return found

    @property
    def engine(self) -> Engine:
        """The engine."""
        return self.services.engine

    def check_match(self, revision: int | None) -> None:
        """Raise a 412 when the request's conditions do not allow a write to an object of ``revision``."""
        conditions.check(self.request, revision)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a query parameter that is ``true`` or ``false`` (or absent)."""
        text = self.query.get(name, "true" if default else "false")
        if text not in ("true", "false"):
            raise bad_query(name, "must be true or false")
        return text == "true"

    def seconds_to_wait(self) -> float | None:
        """``?wait``; None when the client does not want to. To be asked before anything is done."""
        text = self.query.get("wait")
        if text is None:
            return None
        # float() alone takes digits of other scripts, underscores and blanks too.
        seconds = float(text) if _NUMBER.fullmatch(text) is not None else math.nan
        if not 0 <= seconds <= MAX_WAIT:
            raise bad_query("wait", f"must be a number of seconds from 0 to {MAX_WAIT:g}")
        return seconds

    def confirmed(self, ticket: Ticket, seconds: float | None) -> dict[str, Any]:
        """``{"switches": …}`` after waiting as asked; empty when the client did not ask."""
        if seconds is None:
            return {}
        self.services.wait(ticket, seconds)
        return {"switches": switches_view(self.engine.acknowledged(ticket))}
