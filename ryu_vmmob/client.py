"""The REST interface from the other side: one request, its JSON answer, and every error as one sentence.

Knows no resource; what the paths mean stands in docs/rest.md.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import requests

DEFAULT_URL: Final = "http://127.0.0.1:8080"
_QUIET: Final[dict[str, Any]] = {"compression": None, "close_timeout": 2}
"""Of a WebSocket: events are short, and who leaves does not wait long (seconds) for a goodbye."""
MAX_WAIT: Final = 600
"""Seconds that a write may be made to wait for its switches."""


class ClientError(Exception):
    """A request that got no answer worth having; the text is one sentence."""


class RefusedError(ClientError):
    """The controller says no: ``status`` is HTTP's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status

    @property
    def is_about_state(self) -> bool:
        """Whether the request was good and only the present state is against it (or the object is not there)."""
        return self.status in (404, 409, 412)


class _Bearer(requests.auth.AuthBase):
    """The token as a header. Given even without one, so that nobody's ~/.netrc is used in its place."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def read_token(file: str | PathLike[str]) -> str:
    """The first token of a token file, the controller's own or one with the token alone. Raises ClientError.

    A line is a token, or ``reader TOKEN NAME`` or ``operator TOKEN NAME``; lines with # say nothing.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ClientError(f"token file {file} cannot be read: {reason}") from error
    for line in lines:
        if line.strip() and not line.lstrip().startswith("#"):
            words = line.split()
            return words[1] if words[0] in ("reader", "operator") and len(words) > 1 else line.strip()
    raise ClientError(f"there is no token in {file}")


def path(*names: str) -> str:
    """A path under /v1, each name in one segment: ``path("vms", "web1")``."""
    return "/".join(["/v1", *(quote(name, safe="") for name in names)])


class Client:
    """One controller. ``timeout`` in seconds is for the connection, and for the answer on top of what it shall wait."""

    def __init__(self, url: str = DEFAULT_URL, token: str | None = None, timeout: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._timeout = timeout
        self._session = requests.Session()
        self._session.auth = _Bearer(token)
        self._session.headers["Accept"] = "application/json"

    def get(self, path: str, **query: object) -> Any:
        """What is at ``path``. Raises ClientError, as all of these do."""
        return self.ask("GET", path, None, query)

    def put(self, path: str, body: object, **query: object) -> Any:
        """Create or replace."""
        return self.ask("PUT", path, body, query)

    def post(self, path: str, body: object = None, **query: object) -> Any:
        """Start or do something."""
        return self.ask("POST", path, body, query)

    def delete(self, path: str, **query: object) -> Any:
        """Delete; None when there is nothing to say about it."""
        return self.ask("DELETE", path, None, query)

    def events(self, types: Iterable[str] = (), since: int | None = None) -> Generator[Any, None, None]:
        """Events as they come, one JSON object each, for as long as the connection holds; docs/rest.md says what they are.

        ``types``: only kinds that are one of these or begin with one (``migration``). ``since``: first those after the one with
        this id. An event ``{"event": "gap", "missed": …}`` stands for those that are not there any more. Raises ClientError
        when the connection ends: go on with the id of the last event.
        """
        from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
        from websockets.sync.client import connect

        query = {name: value for name, value in (("types", ",".join(types)), ("since", since)) if value not in ("", None)}
        url = f"ws{self.url.removeprefix('http')}{path('events')}?{urlencode(query)}"
        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        try:
            with connect(url, additional_headers=headers, open_timeout=self._timeout, **_QUIET) as connection:
                while True:
                    yield json.loads(connection.recv())
        except InvalidStatus as error:
            answer = error.response
            text = _sentence(answer.status_code, answer.reason_phrase, answer.body or b"")
            raise RefusedError(answer.status_code, text) from error
        except ConnectionClosed as error:
            last = error.rcvd
            why = f"{last.code} {last.reason}".strip() if last is not None else "the connection is lost"
            raise ClientError(f"the controller at {self.url} tells no more: {why}") from error
        except TimeoutError as error:
            raise ClientError(f"the controller at {self.url} did not answer in time") from error
        except OSError as error:
            raise ClientError(f"the controller at {self.url} cannot be reached: {_root(error)}") from error
        except (WebSocketException, ValueError) as error:
            raise ClientError(f"{self.url} cannot be asked: {error}") from error

    def ask(self, method: str, path: str, body: object = None, query: Mapping[str, object] | None = None) -> Any:
        """One request; query parameters that are None are left out. Redirections are not followed: the token is for here."""
        given = {name: str(value) for name, value in (query or {}).items() if value is not None}
        try:
            answer = self._session.request(
                method,
                self.url + path,
                params=given,
                json=body,
                timeout=(self._timeout, self._timeout + float(given.get("wait", 0))),
                allow_redirects=False,
            )
        except requests.Timeout as error:
            raise ClientError(f"the controller at {self.url} did not answer in time") from error
        except requests.ConnectionError as error:
            raise ClientError(f"the controller at {self.url} cannot be reached: {_root(error)}") from error
        except (requests.RequestException, ValueError) as error:
            raise ClientError(f"{self.url} cannot be asked: {error}") from error
        if answer.status_code >= 300:
            raise RefusedError(answer.status_code, _sentence(answer.status_code, answer.reason, answer.content))
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError as error:
            raise ClientError(f"what answers at {self.url} is no controller: it does not speak JSON") from error


def _root(error: BaseException) -> str:
    """The operating system's own words, behind all that libraries put around them."""
    seen: BaseException | None = error
    while seen is not None:
        reason = getattr(seen, "reason", None)
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        seen = reason if isinstance(reason, BaseException) else seen.__cause__ or seen.__context__ or _inner(seen)
    return "the connection failed"


def _inner(error: BaseException) -> BaseException | None:
    return next((value for value in error.args if isinstance(value, BaseException)), None)


def _sentence(status: int, reason: str, body: bytes | bytearray) -> str:
    """An error document (RFC 9457) in one line; its detail names every fault already."""
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict) or "detail" not in problem:
        return f"the answer is {status} {reason}"
    return f"{problem.get('title') or reason} ({status}): {problem['detail']}"
