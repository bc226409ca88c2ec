"""The dashboard at ``/``, the page of the REST interface at ``/docs``, and their files under ``/dashboard/``.

All come out of the package.

The files hold no data, so they are served without a token. The page requests its data itself, with the user's token. The
headers leave a browser no way to run or load anything else, whatever names say (docs/dashboard.md).
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from webob import Request, Response

from ryu_vmmob.rest.problems import Problem

PAGES: Final = {"index.html": "/", "docs.html": "/docs"}
"""Paths of the pages, by file."""
FOLDER: Final = "/dashboard/"

_TYPES: Final = {
    ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain",
}  # fmt: skip
_HEADERS: Final = {
    # No script, style, picture or connection but our own; nothing inline; no frame, no form sent elsewhere.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    # The files change with the package only, but then all at once: a browser asks each time, and mostly hears 304.
    "Cache-Control": "no-cache",
}


class _File(NamedTuple):
    media_type: str
    content: bytes
    etag: str


@cache
def _files() -> dict[str, _File]:
    """Every file that is served, by its path in a URL. Read once: a request names one of them and never a place on the disk."""
    root = files(__package__)
    found = {}
    for folder, prefix in ((root, ""), (root / "vendor", "vendor/")):
        for item in folder.iterdir():
            suffix = item.name[item.name.rfind(".") :]
            if item.is_file() and suffix in _TYPES:
                content = item.read_bytes()
                digest = hashlib.sha256(content).hexdigest()[:32]
                path = PAGES.get(item.name) or f"{FOLDER}{prefix}{item.name}"
                found[path] = _File(_TYPES[suffix], content, digest)
    return found


def respond(request: Request, path: str) -> Response | None:
    """Return the answer to a request for a page or one of the files; None for every other path.

    Raises a 404 for a file that is not there, and a 405 for other methods than GET and HEAD.
    """
    if path not in PAGES.values() and not path.startswith(FOLDER):
        return None
    file = _files().get(path)
    if file is None:
        raise Problem(404, "the dashboard has no such file")
    if request.method not in ("GET", "HEAD"):
        raise Problem(405, f"{path} takes GET, HEAD", headers={"Allow": "GET, HEAD"})
    response = Response(body=file.content, content_type=file.media_type, charset="UTF-8")
    response.headers.update(_HEADERS)
    response.etag = file.etag
    response.conditional_response = True
    return response
