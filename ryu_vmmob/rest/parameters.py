"""Parameters as the description has them: names in paths, the query, the conditions of a write."""

from __future__ import annotations

from typing import Any, Final

from ryu_vmmob.engine.event_kinds import FAMILIES
from ryu_vmmob.engine.events import KEPT
from ryu_vmmob.flows.pipeline import TABLES
from ryu_vmmob.model.batches.values import BatchState
from ryu_vmmob.model.labels import SELECTOR
from ryu_vmmob.model.objects import STATES
from ryu_vmmob.rest.bodies import NAME_SCHEMA
from ryu_vmmob.rest.call import MAX_WAIT
from ryu_vmmob.rest.events import ABOUT, MAX_EVENT_ID, MAX_HEARTBEAT, PAGE
from ryu_vmmob.rest.paging import MOST

Json = dict[str, Any]

_TAG: Final = r'(W/)?"[!#-~]*"'
# One pattern and no anyOf with a const: generators of clients leave out every operation with such a header.
_CONDITION: Final = {"type": "string", "pattern": rf"^(\*|{_TAG}( *, *{_TAG})*)$"}
CONDITIONS: Final[dict[str, str]] = {
    "If-Match": "Only when the object has one of these entity tags; `*`: only when it is there.",
    "If-None-Match": "Only when the object has none of these entity tags; `*`: only when it is not there.",
}

_PATHS: Final = {
    "cug": ("A CUG.", "web"),
    "vm": ("A VM.", "web1"),
    "policy": ("A policy.", "web-in"),
    "switch": ("A switch of the fabric file.", "tor-a"),
    "server": ("A server of the fabric file.", "srv-a1"),
    "domain": ("An L2 domain of the fabric file.", "rack-a"),
    "id": ("The id that the answer to its beginning gave.", None),
}

_QUERY: Final[dict[str, tuple[str, Json]]] = {
    "wait": (
        "Hold the answer until every connected switch that the write concerns has confirmed it, or for so many seconds.",
        {"type": "number", "minimum": 0, "maximum": MAX_WAIT},
    ),
    "dry_run": ("Say what would happen and change nothing.", {"type": "boolean", "default": False}),
    "flows": ("Of a dry run: every flow and group that would come or go, too.", {"type": "boolean", "default": False}),
    "numbers": ("Segment keys and VLAN-IDs that the controller chose, too.", {"type": "boolean", "default": True}),
    "capability": (
        "Ask a switch of plain OpenFlow 1.3 again what it can do.",
        {"type": "boolean", "default": False},
    ),
    "selector": (
        "Only those whose labels meet all these requirements: `key=value`, `key!=value`, `key`, `!key`, after commas.",
        {"type": "string", "pattern": f"^{SELECTOR}$"},
    ),
    "page": ("Where to go on: `page` of the answer before.", {"type": "string", "minLength": 1}),
    "server": ("Only VMs placed there.", {"type": "string"}),
    "cug": ("Only VMs with an interface in it.", {"type": "string"}),
    "vm": ("Only those of this VM.", {"type": "string"}),
    "table": ("Only flows of this table.", {"type": "string", "enum": [table.label for table in TABLES]}),
    "types": (
        "Only these kinds of events (`vm.changed`), or those that begin so (`migration`), after commas.",
        {"type": "array", "items": {"type": "string", "pattern": rf"^({'|'.join(FAMILIES)})(\.[a-z_]+)?$"}, "minItems": 1},
    ),
    "since": (
        "Only events after the one with this id. Left out: the newest for a page, those to come for a WebSocket.",
        {"type": "integer", "minimum": 0, "maximum": MAX_EVENT_ID},
    ),
    "about": (
        "Of a page: only events that name this object, as its kind and its name: `vm/web1`. A history of what is kept.",
        {"type": "string", "pattern": f"^({'|'.join(ABOUT)})/.+$"},
    ),
    "text": (
        "Of a page: only events with this in their sentence or their kind, whatever its case.",
        {"type": "string"},
    ),
    "after": ("Of a page: only events of this time or later (RFC 3339).", {"type": "string", "format": "date-time"}),
    "before": ("Of a page: only events before this time (RFC 3339).", {"type": "string", "format": "date-time"}),
    "heartbeat": (
        "Of a WebSocket: a message `heartbeat` every so many seconds, so that silence means that the controller is down.",
        {"type": "integer", "minimum": 1, "maximum": MAX_HEARTBEAT},
    ),
    "limit": ("At most so many in a page.", {"type": "integer", "minimum": 1, "maximum": KEPT, "default": PAGE}),
}
_STATES: Final = {"/v1/migrations": STATES, "/v1/batches": tuple(BatchState)}


def in_path(name: str) -> Json:
    """Return the parameter for a name in braces."""
    text, example = _PATHS[name]
    found = {"name": name, "in": "path", "required": True, "description": text, "schema": dict(NAME_SCHEMA)}
    return found if example is None else found | {"example": example}


def in_query(name: str, pattern: str) -> Json:
    """Return a query parameter of the resources at ``pattern``. Raises KeyError for one that is not described."""
    text: str
    schema: Json
    if name == "state":
        text, schema = "Only those in this state.", {"type": "string", "enum": [row.value for row in _STATES[pattern]]}
    elif name == "limit" and pattern != "/v1/events":
        text, schema = "At most so many in a page. Left out: all.", {"type": "integer", "minimum": 1, "maximum": MOST}
    else:
        text, schema = _QUERY[name]
    # After commas, as `types` are written.
    style = {"style": "form", "explode": False} if schema["type"] == "array" else {}
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema} | style


def conditions() -> list[Json]:
    """Return the headers of a conditional write (RFC 9110, 13.1)."""
    return [
        {"name": name, "in": "header", "required": False, "description": text, "schema": dict(_CONDITION)}
        for name, text in CONDITIONS.items()
    ]
