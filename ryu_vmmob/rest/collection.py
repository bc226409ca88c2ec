"""A collection of objects that are written by name: list, get, put and delete, the same for CUGs, VMs and policies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

from ryu_vmmob.engine.tickets import Ticket
from ryu_vmmob.model.commands import Command
from ryu_vmmob.model.labels import Requirements, parse, selects
from ryu_vmmob.model.refusal import not_found
from ryu_vmmob.model.state import State
from ryu_vmmob.rest import paging, read_only
from ryu_vmmob.rest.bodies import Body
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.operations import deleting, getting, paged, putting
from ryu_vmmob.rest.paging import PAGED
from ryu_vmmob.rest.plans import DRY, is_dry, plan_view
from ryu_vmmob.rest.problems import bad_query
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.views import View


class Written(Protocol):
    """An object with the revision that last wrote it, and labels."""

    @property
    def name(self) -> str:
        """Return what it is called."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """For selectors (`model.labels`)."""
        ...

    @property
    def revision(self) -> int:
        """The revision of the whole state that last changed it."""
        ...


_Object = TypeVar("_Object", bound=Written)
_LIST: Final = frozenset({"selector"}) | PAGED
_WRITE: Final = frozenset({"wait"}) | DRY


@dataclass(frozen=True, kw_only=True)
class Collection(Generic[_Object]):
    """``/v1/<name>`` and ``/v1/<name>/{<key>}``.

    ``noun``: what one of them is called. ``objects``: all of them, by name. ``view``: one as an answer, of the types ``answer``
    and ``answers``. ``put`` and ``delete`` make the commands, of a body and a name, and of a name. ``select``: those that a
    list shows, in order, as its ``query`` says; None: all, by name. Its docstring describes the list.
    """

    name: str
    key: str
    noun: str
    tag: str
    objects: Callable[[State], Mapping[str, _Object]]
    view: Callable[[State, _Object], View]
    answer: Any
    answers: Any
    body: type[Body]
    example: Mapping[str, Any]
    put: Callable[[Any, str], Command]
    delete: Callable[[str], Command]
    query: frozenset[str] = field(default_factory=frozenset)
    select: Callable[[Call], Iterable[_Object]] | None = None
    replaced: str = "replace it"

    def routes(self) -> tuple[Route, ...]:
        """Return the four routes. The description takes its sentences from the docstrings."""
        many, one = f"/v1/{self.name}", f"/v1/{self.name}/{{{self.key}}}"
        listed = self.select.__doc__ if self.select is not None else f"Every {self.noun}, by name."
        write = f"Create a {self.noun} (201) or {self.replaced} (200)."
        delete = f"Delete a {self.noun}: 204, and with ``?wait`` or ``?dry_run`` 200."
        return (
            Route(
                "GET", many, _told(self._list, listed), paged(f"list_{self.name}", self.tag, self.answers),
                self.query | _LIST,
            ),
            Route("GET", one, _told(self._get, f"One {self.noun}."), getting(f"get_{self.key}", self.tag, self.answer)),
            Route(
                "PUT", one, _told(self._put, write), putting(f"put_{self.key}", self.tag, self.answer, self.example), _WRITE,
                self.body,
            ),
            Route("DELETE", one, _told(self._delete, delete), deleting(f"delete_{self.key}", self.tag), _WRITE),
        )  # fmt: skip

    def _list(self, call: Call) -> Answer:
        state = call.engine.state
        rows = self.select(call) if self.select is not None else (row for _, row in sorted(self.objects(state).items()))
        wanted = _requirements(call)
        if wanted:
            rows = (row for row in rows if selects(wanted, row.labels))
        return Answer(200, paging.items(call, rows, lambda row: (row.name,), lambda row: self.view(state, row)))

    def _get(self, call: Call) -> Answer:
        found = self._named(call)
        return Answer(200, self.view(call.engine.state, found), found.revision)

    def _put(self, call: Call) -> Answer:
        name = call.names[self.key]
        seconds, dry = call.seconds_to_wait(), is_dry(call)
        before = self.objects(call.engine.state).get(name)
        self.check(call.engine.state, name, call.body)
        call.check_match(before.revision if before is not None else None)
        command = self.put(call.body, name)
        ticket, more = self._done(call, name, command, seconds, dry=dry)
        after = self.objects(ticket.state)[name]
        body = self.view(ticket.state, after) | more
        return Answer(201 if before is None else 200, body, after.revision)

    def check(self, state: State, name: str, body: Any) -> None:
        """Raise 422 or 409 where a body's read-only keys contradict its name or the object as it is (`read_only`)."""
        read_only.check_name(body, name)
        there = self.objects(state).get(name)
        if there is not None:
            read_only.check(body, self.view(state, there))

    def _delete(self, call: Call) -> Answer:
        seconds, dry = call.seconds_to_wait(), is_dry(call)
        call.check_match(self._named(call).revision)
        name = call.names[self.key]
        _, body = self._done(call, name, self.delete(name), seconds, dry=dry)
        return Answer(200, body) if body else Answer(204, None)

    def _done(self, call: Call, name: str, command: Command, seconds: float | None, *, dry: bool) -> tuple[Ticket, View]:
        """Carry out a command, or try it; return what the answer says of that."""
        if dry:
            found = call.engine.rehearse(command)
            return found.ticket, plan_view(call, found, [(self, name)])
        ticket = call.engine.execute(command)
        return ticket, call.confirmed(ticket, seconds)

    def _named(self, call: Call) -> _Object:
        name = call.names[self.key]
        found = self.objects(call.engine.state).get(name)
        if found is None:
            raise not_found(self.noun, name)
        return found


def _requirements(call: Call) -> Requirements:
    """Return what ``?selector`` asks for. Raises 400."""
    text = call.query.get("selector")
    try:
        return () if text is None else parse(text)
    except ValueError as error:
        raise bad_query("selector", str(error)) from error


def _told(function: Callable[[Call], Answer], text: str | None) -> Callable[[Call], Answer]:
    """Return the function with a docstring of its own."""

    def handler(call: Call) -> Answer:
        return function(call)

    handler.__doc__ = text
    return handler
