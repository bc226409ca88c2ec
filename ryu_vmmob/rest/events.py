"""``/v1/events``: the newest events as a page, or all that come as a WebSocket."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Final

from pydantic import ConfigDict
from typing_extensions import TypedDict

from ryu_vmmob.engine.event_kinds import FAMILIES, Level, sentence
from ryu_vmmob.engine.events import KEPT, MAX_LISTENERS, Cursor, Numbered, event_view, row_view
from ryu_vmmob.rest.answers import Count, Time
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.operations import Operation
from ryu_vmmob.rest.origins import is_websocket
from ryu_vmmob.rest.problems import Problem, bad_query
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.says import says
from ryu_vmmob.rest.views import time_text

WEBSOCKET: Final = "vmmob.websocket"
"""Key of the WSGI environment under which a server that can do WebSockets says so: a function, to be given the cursor of a
request that is good. The server then answers instead of us."""
MAX_EVENT_ID: Final = 10**16 - 1
"""The highest id that can be asked for."""
MAX_HEARTBEAT: Final = 60
"""Seconds between two signs of life at most."""
HEARTBEAT: Final = "heartbeat"
"""What the message says in place of an event's kind."""
_AT_ONCE: Final = 64
"""Events that are looked at without a pause."""
PAGE: Final = 1000
"""So many events are in a page unless ``limit`` says otherwise."""


ABOUT: Final = {
    "vm": ("vm",),
    "cug": ("cug",),
    "policy": ("policy",),
    "migration": ("migration",),
    "batch": ("batch",),
    "switch": ("switch", "edges"),
    "server": ("server", "servers", "source", "target", "placed"),
    "link": ("link",),
    "external": ("external",),
    "l2_domain": ("l2_domain", "l2_domains"),
    "routing_domain": ("routing_domain",),
}
"""Kinds of objects whose events can be asked for, and the particulars of an event that may name one."""
_PAGE_ONLY: Final = ("limit", "about", "text", "after", "before")


class Event(TypedDict):
    """An event; what else it has depends on its kind."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    id: Annotated[Count, says("The number of the event. It grows, also over a restart.")]
    time: Annotated[Time, says("When it happened.")]
    event: Annotated[str, says("Its kind, such as `vm.changed`. `gap` stands for events that are not kept any more.")]
    level: Level
    text: Annotated[str, says("What happened, as a sentence for people.")]


class Events(TypedDict):
    """Events in order, and the id of the newest there is."""

    items: Annotated[list[Event], says("The events, the oldest first.")]
    last: Annotated[Count, says("The id of the newest event there is, whatever its kind.")]


def get_events(call: Call) -> Answer:
    """Events: with ``Upgrade: websocket`` as they come, else those that are kept."""
    families, since = _families(call), _number(call, "since", 0, None)
    stream = call.engine.events
    if is_websocket(call.request):
        for name in _PAGE_ONLY:
            if name in call.query:
                raise bad_query(name, "is for a page; a WebSocket has no end")
        take_over = call.request.environ.get(WEBSOCKET)
        if take_over is None:
            raise Problem(501, "this server does no WebSockets")
        if call.request.headers.get("Sec-WebSocket-Version") != "13":
            raise Problem(426, "WebSocket version 13 is spoken here", headers={"Sec-WebSocket-Version": "13"})
        if stream.is_full:
            raise Problem(503, f"{MAX_LISTENERS} listen already", headers={"Retry-After": "10"})
        cursor = stream.cursor(families, since)
        cursor.heartbeat = _number(call, "heartbeat", 1, MAX_HEARTBEAT)
        take_over(cursor)
        return Answer(101, None)
    _number(call, "heartbeat", 1, MAX_HEARTBEAT)  # without effect: a page is there at once
    limit = _number(call, "limit", 1, KEPT) or PAGE
    chosen = _choice(call)
    if chosen is None:
        rows = _kept(call, families, since, limit)
    else:
        rows = _kept(call, families, since, KEPT)
        rows = [row for row in call.breath.through(rows) if chosen(row)]
        rows = rows[-limit:] if since is None else rows[:limit]
    return Answer(200, {"items": call.each(rows, lambda row: row_view(row, time_text)), "last": stream.next_id - 1})


def _kept(call: Call, families: Sequence[str], since: int | None, limit: int) -> list[Numbered]:
    """Return the newest events, or those from ``since`` on, up to those that there are now."""
    stream = call.engine.events
    if since is None:
        return stream.newest(families, limit, call.breath)
    cursor, end = stream.cursor(families, since), stream.next_id
    rows = cursor.take(limit, _AT_ONCE)
    while cursor.position < end and len(rows) < limit:
        call.breath.worked()
        rows += cursor.take(limit - len(rows), _AT_ONCE)
    return rows


def message(row: Numbered) -> str:
    """Return an event as the text of a WebSocket message."""
    return json.dumps(row_view(row, time_text), allow_nan=False)


def heartbeat(cursor: Cursor) -> str:
    """Return the message that says that the controller lives, for who has been told all up to here."""
    row = {"event": HEARTBEAT, "id": cursor.position - 1, "time": time_text(cursor.stream.now())}
    return json.dumps(row)


def _families(call: Call) -> tuple[str, ...]:
    text = call.query.get("types")
    if text is None:
        return ()
    found = tuple(dict.fromkeys(text.split(",")))
    for family in found:
        if family.split(".")[0] not in FAMILIES:
            raise bad_query("types", f"must be kinds of events, or what they begin with, after commas: {', '.join(FAMILIES)}")
    return found


def _choice(call: Call) -> Callable[[Numbered], bool] | None:
    """Return whether an event is one of those asked for by what is in it or when it was; None: all are."""
    about, text = _about(call), call.query.get("text", "").lower()
    after, before = _time(call, "after"), _time(call, "before")
    if about is None and not text and after is None and before is None:
        return None

    def chosen(row: Numbered) -> bool:
        if (after is not None and row.time < after) or (before is not None and row.time >= before):
            return False
        kind, view = row.event.kind, event_view(row.event)
        if about is not None and not any(_names(view.get(name), about[1]) for name in ABOUT[about[0]]):
            return False
        return not text or text in kind or text in sentence(kind, view).lower()

    return chosen


def _names(value: object, name: str) -> bool:
    return name in value if isinstance(value, (list, tuple)) else value == name


def _about(call: Call) -> tuple[str, str] | None:
    value = call.query.get("about")
    if value is None:
        return None
    kind, _, name = value.partition("/")
    if kind not in ABOUT or not name:
        raise bad_query("about", f"must be KIND/NAME, as vm/web1; kinds are {', '.join(ABOUT)}")
    return kind, name


def _time(call: Call, name: str) -> float | None:
    value = call.query.get(name)
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value.upper())
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise bad_query(name, "must be a time with its zone, as 2026-11-30T08:00:00Z")
    return found.timestamp()


def _number(call: Call, name: str, least: int, most: int | None) -> int | None:
    text = call.query.get(name)
    if text is None:
        return None
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else -1
    if number < least or (most is not None and number > most):
        raise bad_query(name, f"must be a number from {least} to {most}" if most is not None else "must be the id of an event")
    return number


_EVENTS: Final = Operation("list_events", "Observation", {101: None, 200: Events}, (426, 501))
ROUTES: Final = (Route("GET", "/v1/events", get_events, _EVENTS, frozenset({"types", "since", "heartbeat", *_PAGE_ONLY})),)
