"""``/v1/events``: the newest events as a page, or all that come as a WebSocket."""

from __future__ import annotations

import json
from typing import Annotated, Final

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from ryu_vmmob.engine.event_kinds import FAMILIES, Level
from ryu_vmmob.engine.events import KEPT, MAX_LISTENERS, Cursor, Numbered, row_view
from ryu_vmmob.rest.answers import Time
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.operations import Operation
from ryu_vmmob.rest.origins import is_websocket
from ryu_vmmob.rest.problems import Problem, bad_query
from ryu_vmmob.rest.routes import Route
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
PAGE: Final = 1000
"""So many events are in a page unless ``limit`` says otherwise."""


class Event(TypedDict):
    """An event; what else it has depends on its kind."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    id: int
    time: Time
    event: str
    level: Level
    text: Annotated[str, Field(description="What happened, in words.")]


class Events(TypedDict):
    """Events in order, and the id of the newest there is."""

    items: list[Event]
    last: int


def get_events(call: Call) -> Answer:
    """Events: with ``Upgrade: websocket`` as they come, else those that are kept."""
    families, since = _families(call), _number(call, "since", 0, None)
    stream = call.engine.events
    if is_websocket(call.request):
        if "limit" in call.query:
            raise bad_query("limit", "is for a page; a WebSocket has no end")
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
    rows = stream.newest(families, limit) if since is None else stream.cursor(families, since).take(limit)
    return Answer(200, {"items": call.each(rows, lambda row: row_view(row, time_text)), "last": stream.next_id - 1})


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


def _number(call: Call, name: str, least: int, most: int | None) -> int | None:
    text = call.query.get(name)
    if text is None:
        return None
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else -1
    if number < least or (most is not None and number > most):
        raise bad_query(name, f"must be a number from {least} to {most}" if most is not None else "must be the id of an event")
    return number


_EVENTS: Final = Operation("list_events", "Observation", {101: None, 200: Events}, (426, 501))
ROUTES: Final = (Route("GET", "/v1/events", get_events, _EVENTS, frozenset({"types", "since", "limit", "heartbeat"})),)
