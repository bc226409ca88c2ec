"""Lists in pages: ``?limit`` says how many, ``page`` of an answer where to go on.

A page begins after the last item of the one before, in the order of the list. So whatever comes and goes meanwhile, an item
that is there all the time is told exactly once.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ryu_vmmob.rest.problems import Problem, bad_query
from ryu_vmmob.rest.views import View

if TYPE_CHECKING:
    from ryu_vmmob.rest.call import Call

_Row = TypeVar("_Row")
PAGED: Final = frozenset({"limit", "page"})
"""Query parameters of a list in pages."""
MOST: Final = 10_000
"""Items of a page."""


def items(call: Call, rows: Iterable[_Row], key: Callable[[_Row], Sequence[str | float]], view: Callable[[_Row], View]) -> View:
    """Return a page of rows, sorted by ``key``: ``{"items": ...}``, with ``page`` where more follow. Raises 400, 404."""
    limit, after = _limit(call), _after(call)
    path = call.request.path_info
    found: list[_Row] = []
    for row in call.breath.through(rows):
        if after is not None:
            place = list(key(row))
            if [*map(type, place)] != [*map(type, after)]:
                raise _unknown()
            if place <= after:
                continue
        if limit is not None and len(found) == limit:
            return {"items": call.each(found, view), "page": _token(path, key(found[-1]))}
        found.append(row)
    return {"items": call.each(found, view)}


def _limit(call: Call) -> int | None:
    text = call.query.get("limit")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST)) and 1 <= int(text) <= MOST):
        raise bad_query("limit", f"must be a whole number from 1 to {MOST}")
    return int(text)


def _token(path: str, key: Sequence[str | float]) -> str:
    return urlsafe_b64encode(json.dumps([path, *key]).encode()).rstrip(b"=").decode()


def _after(call: Call) -> list[Any] | None:
    """Return the key of the last item told; None at the beginning."""
    text = call.query.get("page")
    if text is None:
        return None
    try:
        path, *key = json.loads(urlsafe_b64decode(f"{text}{'=' * (-len(text) % 4)}"))
        if path == call.request.path_info and _token(path, key) == text:
            return list(key)
    except (ValueError, TypeError):
        pass
    raise _unknown()


def _unknown() -> Problem:
    return Problem(404, "there is no such page: page must be what an answer of this list has named")
