"""Routing of requests: the function for a method and a path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ryu_vmmob.fabric.findings import NAME, quote
from ryu_vmmob.model.refusal import Fault
from ryu_vmmob.rest.problems import Problem, invalid_input

if TYPE_CHECKING:
    from ryu_vmmob.model.breath import Breath
    from ryu_vmmob.rest.bodies import Body
    from ryu_vmmob.rest.call import Answer, Call
    from ryu_vmmob.rest.operations import Operation


SMALL_BODY: Final = 2**20
"""Bytes; the body of one object is far smaller. A byte of MessagePack can become a list of 56 bytes in memory."""
LARGE_BODY: Final = 16 * 2**20
"""Bytes. A bulk body with 50 thousand VMs fits."""
SMALL_COUNT: Final = 16_384
"""Keys and elements of the body of one object; each costs some microseconds, in one piece."""
LARGE_COUNT: Final = 1_000_000
"""Of a bulk body, which is read with pauses: 15 of each VM with one interface."""


@dataclass(frozen=True)
class Route:
    """One method of one resource.

    ``pattern`` has names in braces, ``/v1/cugs/{cug}``; each takes one segment of the path and must follow the rule of
    the fabric file's names. ``operation``: what the description says of it beside all that follows. ``query`` are the
    parameters it knows. ``body`` is the type of the body it takes (None: it takes none); ``body_required`` is false where an
    absent body stands for an empty object. ``open``: without token. ``brief``: without a token too, and then
    in brief (`call.Call.is_brief`). ``question``: a POST that changes nothing, so that a reader may ask it. ``urgent``:
    a VM's traffic waits for it. ``max_body``: bytes of its body at most, ``max_count`` keys and
    elements. ``read`` makes the body of a value where that takes long enough to pause (None: `bodies.read` does). ``media``:
    its answers are of these media types, whatever ``Accept`` says; empty: JSON or MessagePack, as that wants.
    """

    method: str
    pattern: str
    handler: Callable[[Call], Answer]
    operation: Operation
    query: frozenset[str] = field(default_factory=frozenset)
    body: type[Body] | None = None
    body_required: bool = True
    open: bool = False
    brief: bool = False
    question: bool = False
    urgent: bool = False
    max_body: int = SMALL_BODY
    max_count: int = SMALL_COUNT
    read: Callable[[Any, Breath], Body] | None = None
    media: tuple[str, ...] = ()

    @property
    def reads(self) -> bool:
        """Whether it only looks, and changes nothing."""
        return self.method == "GET" or self.question


class Router:
    """A table of routes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._resources: dict[str, tuple[re.Pattern[str], dict[str, Route]]] = {}
        for route in self.routes:
            regex = re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(route.pattern)))
            methods = self._resources.setdefault(route.pattern, (regex, {}))[1]
            if route.method in methods:
                raise ValueError(f"{route.method} {route.pattern} is routed twice")
            methods[route.method] = route

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return the route and the names in the path. Raises 404, 405 (with Allow) and 422 (a name that cannot be one)."""
        for regex, methods in self._resources.values():
            match = regex.fullmatch(path)
            if match is None:
                continue
            route = methods.get("GET" if method == "HEAD" else method)
            if route is None:
                allowed = ", ".join(sorted(methods.keys() | ({"HEAD"} if "GET" in methods else set())))
                raise Problem(405, f"{path} takes {allowed}", headers={"Allow": allowed})
            names = match.groupdict()
            faults = [Fault(key, f"{quote(name)} {NOT_A_NAME}") for key, name in names.items() if not NAME.fullmatch(name)]
            if faults:
                raise invalid_input(faults)
            return route, names
        raise Problem(404, f"there is nothing at {quote(path)}")

    def is_open(self, path: str) -> bool:
        """Whether a path is answered without a token, whatever the method."""
        return any(
            regex.fullmatch(path) and all(route.open for route in methods.values())
            for regex, methods in self._resources.values()
        )

    def is_brief(self, path: str) -> bool:
        """Whether a path is answered in brief without a token, whatever the method."""
        return any(
            regex.fullmatch(path) and all(route.brief for route in methods.values())
            for regex, methods in self._resources.values()
        )


NOT_A_NAME = "is no name: letters, digits, dots, underscores and hyphens, at most 63, the first a letter or digit"
