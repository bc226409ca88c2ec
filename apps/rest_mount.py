"""Our REST application inside Ryu's WSGI server: every path that no other application has taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ryu.app.wsgi import ControllerBase, WSGIApplication

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def mount(server: WSGIApplication, application: WsgiApp) -> None:
    """Hand everything to ``application``; Ryu's WSGI knows of it no more than this."""

    class Everything(ControllerBase):  # type: ignore[misc]
        def __call__(self, request: Any) -> Any:
            return request.get_response(application)

    # Two routes: routes' wildcard does not match the empty path.
    server.mapper.connect("vmmob_root", "/", controller=Everything)
    server.mapper.connect("vmmob", "/{path:.*}", controller=Everything)
