"""The REST application inside Ryu's WSGI server: it serves every path that no other application has registered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ryu.app.wsgi import ControllerBase, WSGIApplication

from ryu_vmmob.apps.event_socket import EventSocket
from ryu_vmmob.engine.events import Cursor
from ryu_vmmob.rest.events import WEBSOCKET

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def mount(server: WSGIApplication, application: WsgiApp) -> None:
    """Hand everything to ``application``; Ryu's WSGI knows of it no more than this."""

    class Everything(ControllerBase):  # type: ignore[misc]
        def __call__(self, request: Any) -> Any:
            cursors: list[Cursor] = []
            request.environ[WEBSOCKET] = cursors.append
            response = request.get_response(application)
            return EventSocket(cursors[0]) if cursors else response

    # Two routes: routes' wildcard does not match the empty path.
    server.mapper.connect("vmmob_root", "/", controller=Everything)
    server.mapper.connect("vmmob", "/{path:.*}", controller=Everything)
