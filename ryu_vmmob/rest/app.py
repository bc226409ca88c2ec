"""The WSGI application: from a request to the resource's function and back.

The order is part of the interface: token, path and method, what may be answered, query, body, and only then the
function. So nothing is done for a request whose answer could not be given.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from os import PathLike
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from webob import Request, Response

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.reload import Reloaded
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.rest import (
    backup,
    batches,
    bodies,
    bulk,
    controller,
    cugs,
    dashboard,
    domains,
    events,
    fabric,
    fabric_reload,
    formats,
    migrations,
    openapi,
    policies,
    ports,
    switches,
    system,
    trace,
    vms,
)  # fmt: skip
from ryu_vmmob.rest.call import Answer, Call, Raw, Services, Wait
from ryu_vmmob.rest.conditions import etag
from ryu_vmmob.rest.gate import HEADERS, Gate
from ryu_vmmob.rest.metrics import NO_ROUTE, Metrics
from ryu_vmmob.rest.metrics_route import ROUTES as METRICS
from ryu_vmmob.rest.problems import Problem, bad_query
from ryu_vmmob.rest.rates import Rates
from ryu_vmmob.rest.routes import LARGE_BODY, Route, Router
from ryu_vmmob.rest.tokens import TokenFile
from ryu_vmmob.store.base import StoreError

_LOG = logging.getLogger(__name__)

_ROUTE: Final = "vmmob.route"
"""Key of the WSGI environment with the pattern of the route that answers, once it is found."""

_PIECE: Final = 2**16
"""Bytes."""
_READS: Final = frozenset({"GET", "HEAD"})
"""Reads are short, and a client waits for the answer: they do not queue behind changes."""

ROUTES: Final = openapi.with_description((
    *cugs.ROUTES, *vms.ROUTES, *policies.ROUTES, *migrations.ROUTES, *batches.ROUTES, *bulk.ROUTES, *fabric.ROUTES,
    *domains.ROUTES, *switches.ROUTES, *ports.ROUTES, *fabric_reload.ROUTES,
    *trace.ROUTES, *events.ROUTES, *system.ROUTES, *controller.ROUTES, *backup.ROUTES, *METRICS,
))  # fmt: skip


def no_file(dry_run: bool) -> Reloaded:  # noqa: FBT001  (a callback)
    """For a controller that was not started from a fabric file."""
    raise Problem(404, "this controller has no fabric file that it could read again")


class RestApp:
    """A WSGI application (PEP 3333).

    ``wait`` blocks the caller as `call.Wait` says; ``ids`` gives ids of migrations;
    ``token_file`` None: no token is needed; ``reload`` reads the fabric file again (`call.Services`); ``origins``
    are those of web pages that may open a WebSocket besides our own; ``max_body`` in bytes; ``routes`` are the resources;
    ``rates`` None: without a rate limit; ``metrics`` is where numbers are kept, ``grafana`` the
    address where they are drawn. ``turn`` is called right before
    something is changed, with the request read, and told whether it is urgent: it returns when nothing else is being changed.
    ``aside`` does what it is given while others go on, and returns or raises what came of it.
    Raises TokenFileError.
    """

    def __init__(
        self,
        engine: Engine,
        wait: Wait,
        ids: Callable[[], str],
        token_file: str | PathLike[str] | None = None,
        *,
        reload: Callable[[bool], Reloaded] = no_file,
        origins: Iterable[str] = (),
        max_body: int = LARGE_BODY,
        routes: Iterable[Route] = ROUTES,
        rates: Rates | None = None,
        metrics: Metrics | None = None,
        grafana: str | None = None,
        turn: Callable[[bool], None] = lambda urgent: None,
        aside: Callable[[Callable[[], Any]], Any] = lambda work: work(),
    ) -> None:
        self.metrics = Metrics() if metrics is None else metrics
        self.metrics.watch(engine)
        # Made now, and kept: 0.2 to 0.3 s of the processor in one piece, which the first reader would make everything wait for.
        openapi.describe(ROUTES)
        self._services = Services(engine, ids, wait, reload, self.metrics, aside, grafana)
        self._gate = Gate(None if token_file is None else TokenFile(token_file), rates, origins)
        self._max_body = max_body
        self._turn = turn
        self._aside = aside
        self.router = Router(routes)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        began = time.perf_counter()
        try:
            response = self._respond(request)
        except Problem as problem:
            response = problem.response()
        except Refusal as refusal:
            response = Problem.of(refusal).response()
        except StoreError as error:
            _LOG.error("%s %s: %s", request.method, request.path_qs, error)
            response = Problem(503, f"nothing was changed: {error}", title="not stored").response()
        except Exception:
            # The client is told no more than that: a traceback shows how the controller is built.
            _LOG.exception("%s %s failed", request.method, environ.get("PATH_INFO"))
            response = Problem(500, "the controller failed at this request; its log says why").response()
        for header, value in HEADERS.items():
            response.headers.setdefault(header, value)
        self._gate.audit(request, response.status_int, response.headers.get("ETag"))
        route = environ.get(_ROUTE, NO_ROUTE)
        self.metrics.answered(request.method, route, response.status_int, time.perf_counter() - began)
        chunks: Iterable[bytes] = response(environ, start_response)
        return chunks

    def _respond(self, request: Request) -> Response:
        try:
            path = request.path_info
        except UnicodeDecodeError as error:
            raise Problem(400, "the path is not UTF-8 text") from error
        page = dashboard.respond(request, path)
        is_open = page is not None or self.router.is_open(path)
        is_brief = self._gate.admit(request, open_to_all=is_open, brief=self.router.is_brief(path))
        if page is not None:
            return page
        route, names = self.router.find(request.method, path)
        self._gate.authorize(request, route)
        request.environ[_ROUTE] = route.pattern
        media_type = "" if route.media else formats.wanted(request)
        query = _query(request, route)
        # A body that is read with pauses blocks no other request, and the pauses are not its client's time.
        with self._gate.weighed(request) if route.read is None else nullcontext():
            body = self._body(request, route)
        if route.method not in _READS:
            self._turn(route.urgent)
        pause = self._services.engine.alone.pause
        # What is changed is weighed by the rates alone: a command may wait for others.
        weighed = self._gate.weighed(request, pause) if route.reads else nullcontext(Breath(pause))
        with weighed as breath:
            call = Call(self._services, request, names, query, body, is_brief, breath)
            return _response(route.handler(call), media_type, breath)

    def _body(self, request: Request, route: Route) -> bodies.Body | None:
        if route.body is None:
            return None
        data = formats.read_body(request, min(self._max_body, route.max_body))
        if not data and not route.body_required:
            return bodies.read(route.body, {})
        breath = Breath(self._services.engine.alone.pause)
        value = formats.decode(request, data, route.max_count, breath, self._aside)
        return bodies.read(route.body, value) if route.read is None else route.read(value, breath)


def _query(request: Request, route: Route) -> dict[str, str]:
    try:
        pairs = list(_pairs(request.query_string))
    except UnicodeDecodeError as error:
        raise Problem(400, "the query is not UTF-8 text") from error
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in route.query:
            known = f"known here: {', '.join(sorted(route.query))}" if route.query else "none is known here"
            raise bad_query(name, f"is not a known parameter; {known}")
        if name in found:
            raise bad_query(name, "stands twice")
        found[name] = value
    return found


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    """Names and values of a query (URL Standard, 5.1: only ``&`` separates, where WebOb also takes ``;``).

    Raises UnicodeDecodeError where it is not UTF-8.
    """
    for pair in query.encode("latin-1").replace(b"+", b" ").split(b"&"):
        if pair:
            name, _, value = pair.partition(b"=")
            yield unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()


def _response(answer: Answer, media_type: str, breath: Breath) -> Response:
    response = Response(status=answer.status)
    if answer.body is None:
        del response.content_type
    elif isinstance(answer.body, Raw):
        response.headers["Content-Type"] = answer.body.content_type
        content = answer.body.content
        # In pieces: the server sends what is left of one again and again, and copies it each time.
        response.app_iter = (content[at : at + _PIECE] for at in range(0, len(content), _PIECE))
        response.content_length = len(content)
    else:
        response.content_type = media_type
        response.charset = None
        response.body = formats.encode(answer.body, media_type, breath)
    response.headers["Vary"] = "Accept"
    if answer.revision is not None:
        response.headers["ETag"] = etag(answer.revision)
    if answer.location is not None:
        response.headers["Location"] = answer.location
    return response
