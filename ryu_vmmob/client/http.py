"""One request to a controller and its answer, in JSON or MessagePack. Knows no resource; what the paths mean stands in
docs/rest.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from time import sleep
from typing import Any, Final, Literal
from urllib.parse import quote

import msgpack  # type: ignore[import-untyped]
import requests
from urllib3.exceptions import NewConnectionError

from ryu_vmmob.client.address import check_address, of_connection, of_tls
from ryu_vmmob.client.errors import ClientError, UnreachableError, causes, document, refused

DEFAULT_URL: Final = "http://127.0.0.1:8080"
MAX_WAIT: Final = 600
"""Seconds that a write may be made to wait for its switches."""
Format = Literal["json", "msgpack"]
_TYPES: Final[dict[Format, str]] = {"json": "application/json", "msgpack": "application/msgpack"}
_IDEMPOTENT: Final = ("GET", "PUT", "DELETE")
_PASSING: Final = (502, 503, 504)
"""What something between us and the controller says while it is away, and the controller while its store is."""
FIRST_PAUSE: Final = 0.2
"""Seconds before a request is sent again; twice as many before the next time."""


_COPY: Final = "application/vnd.sqlite3"


class _Bearer(requests.auth.AuthBase):
    """The token as a header. Given even without one, so that ~/.netrc is not used in its place."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def path(*names: str) -> str:
    """Return a path under /v1, each name in one segment: ``path("vms", "web1")``."""
    return "/".join(["/v1", *(quote(name, safe="") for name in names)])


class Connection:
    """One controller, at one of several addresses.

    ``url``: its addresses, with commas between them. The one that answered last is asked first. Where one does not answer, the
    next is asked at once, each of them once in an attempt. A request that must not be sent twice goes on to the next address
    only if it was not sent: the connection was refused, or did not come about.

    ``timeout`` in seconds is for the connection, and for the answer on top of what it shall wait. ``retries``: so many times a
    request is sent again after a pause without an answer, or after a 502, 503 or 504, and if it may be sent twice: GET,
    PUT and DELETE without ``revision``, and steps that are idempotent. A request that took too long is not sent again to the
    same address. ``ca``: a file with the certificates that the controller's must come from (https), else those of the system
    count.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        token: str | None = None,
        timeout: float = 30.0,
        *,
        format: Format = "json",
        retries: int = 2,
        ca: str | None = None,
        pause: Callable[[float], None] = sleep,
    ) -> None:
        self._urls = [part.strip().rstrip("/") for part in url.split(",")]
        self._token = token
        self._timeout = timeout
        self._format: Format = format
        self._retries = retries
        self._ca = ca
        self._pause = pause
        self._session = requests.Session()
        self._session.auth = _Bearer(token)
        self._session.headers["Accept"] = _TYPES[format]

    @property
    def url(self) -> str:
        """The address that is asked next."""
        return self._urls[0]

    def get(self, path: str, **query: object) -> Any:
        """Return what is at ``path``. Raises ClientError, as all of these do."""
        return self.ask("GET", path, None, query)

    def put(self, path: str, body: object, *, revision: int | None = None, **query: object) -> Any:
        """Create or replace; with ``revision`` only an object that is at that revision (412 otherwise)."""
        return self.ask("PUT", path, body, query, revision=revision)

    def post(self, path: str, body: object = None, *, again: bool = False, packed: bool = False, **query: object) -> Any:
        """Start or do something; ``again``: doing it twice comes to the same; ``packed``: the body goes as MessagePack."""
        return self.ask("POST", path, body, query, again=again, packed=packed)

    def delete(self, path: str, *, revision: int | None = None, **query: object) -> Any:
        """Delete; None when there is nothing to say about it."""
        return self.ask("DELETE", path, None, query, revision=revision)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, object] | None = None,
        *,
        revision: int | None = None,
        again: bool | None = None,
        also: tuple[int, ...] = (),
        packed: bool = False,
    ) -> Any:
        """One request; query parameters that are None are left out. Redirections are not followed: the token is for here.

        ``again``: whether it may be sent twice; by default what the method says. ``also``: statuses of 300 and above that are
        an answer as good as others. ``packed``: the body goes as MessagePack whatever the format, because it holds bytes.
        """
        if again is None:
            again = method in _IDEMPOTENT and revision is None
        seconds = FIRST_PAUSE
        for left in range(self._retries if again else 0, -1, -1):
            try:
                form: Format = "msgpack" if packed else self._format
                answer = self._anywhere(method, path, body, query, revision, form, again=again, also=also)
            except UnreachableError as error:
                if not left or isinstance(error, _LateError):
                    raise
            else:
                if not left or answer.status_code not in _PASSING or answer.status_code in also:
                    return self._read(answer, also)
            self._pause(seconds)
            seconds *= 2
        raise AssertionError("the last attempt ends here")

    def _anywhere(self, *request: Any, again: bool, also: tuple[int, ...]) -> requests.Response:
        """Ask one address after the other until one answers. Raises ClientError."""
        said = list[str]()
        away: requests.Response | None = None
        for left in range(len(self._urls) - 1, -1, -1):
            try:
                answer = self._send(*request)
            except UnreachableError as error:
                said.append(str(error))
                self.next_address()
                if away is None and not (left and (again or isinstance(error, _UnsentError))):
                    raise type(error)("; ".join(said)) from error
                continue
            if answer.status_code not in _PASSING or answer.status_code in also:
                return answer
            away = answer
            self.next_address()
            if not again:
                break
        if away is None:
            raise AssertionError("the last address ends here")
        return away

    def next_address(self) -> None:
        """Have the next address asked next."""
        self._urls.append(self._urls.pop(0))

    def _send(
        self,
        method: str,
        path: str,
        body: object,
        query: Mapping[str, object] | None,
        revision: int | None,
        form: Format,
    ) -> requests.Response:
        check_address(self.url)
        given = {name: str(value) for name, value in (query or {}).items() if value is not None}
        headers = {} if revision is None else {"If-Match": f'"{revision}"'}
        data: bytes | None = None
        if body is not None:
            data = msgpack.packb(body) if form == "msgpack" else json.dumps(body).encode()
            headers["Content-Type"] = _TYPES[form]
        try:
            return self._session.request(
                method,
                self.url + path,
                params=given,
                data=data,
                headers=headers,
                timeout=(self._timeout, self._timeout + float(given.get("wait", 0))),
                allow_redirects=False,
                verify=self._ca,
            )
        except requests.ReadTimeout as error:
            raise _LateError(f"the controller at {self.url} did not answer in time") from error
        except requests.Timeout as error:
            raise _UnsentError(f"the controller at {self.url} did not answer in time") from error
        except requests.exceptions.SSLError as error:
            raise of_tls(self.url, error) from error
        except requests.ConnectionError as error:
            found = of_connection(self.url, error)
            is_unsent = any(isinstance(row, NewConnectionError) for row in causes(error))
            raise (_UnsentError(str(found)) if is_unsent else found) from error
        except (requests.RequestException, ValueError) as error:
            raise ClientError(f"{self.url} cannot be asked: {error}") from error

    def _read(self, answer: requests.Response, also: tuple[int, ...]) -> Any:
        if answer.status_code >= 300 and answer.status_code not in also:
            error = refused(answer.status_code, answer.reason, document(answer.content))
            error.retry_after = _seconds(answer.headers.get("Retry-After"))
            raise error
        if not answer.content:
            return None
        if answer.headers.get("Content-Type", "").partition(";")[0] == _TYPES["msgpack"]:
            try:
                return msgpack.unpackb(answer.content)
            except (ValueError, msgpack.UnpackException) as error:
                raise ClientError(f"what answers at {self.url} is no controller: it does not speak MessagePack") from error
        if answer.headers.get("Content-Type") == _COPY:
            return answer.content
        try:
            return answer.json()
        except ValueError as error:
            raise ClientError(f"what answers at {self.url} is no controller: it does not speak JSON") from error


class _UnsentError(UnreachableError):
    """There was no connection, so the request was not sent."""


class _LateError(UnreachableError):
    """The request was sent and the answer is late: sending it again would only take as long again."""


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds; the form with a date is not ours."""
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
