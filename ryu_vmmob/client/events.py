"""Events as they happen: over one WebSocket, and over reconnections without end."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from time import sleep
from typing import Any, Final
from urllib.parse import urlencode

from ryu_vmmob.client.address import AddressError, check_address, of_connection, of_tls
from ryu_vmmob.client.errors import ClientError, RefusedError, UnreachableError, document, refused
from ryu_vmmob.client.http import Connection, path

_QUIET: Final[dict[str, Any]] = {"compression": None, "close_timeout": 2}
"""Of a WebSocket: events are short, and who leaves does not wait long (seconds) for a goodbye."""
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
"""Seconds between two attempts to connect again; each pause is twice the one before."""


class Listener(Connection):
    """A connection that can also listen."""

    def events(
        self, types: Iterable[str] = (), since: int | None = None, idle: float | None = None
    ) -> Generator[Any, None, None]:
        """Events as they come, one JSON object each, for as long as the connection holds; docs/rest.md says what they are.

        ``types``: only kinds that are one of these or begin with one (``migration``). ``since``: first those after the one with
        this id. ``idle``: None is given whenever nothing has come for so many seconds. An event ``{"event": "gap", "missed":
        …}`` stands for those that are not there any more. Raises ClientError when the connection ends: go on with the id of
        the last event.
        """
        from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
        from websockets.sync.client import connect

        check_address(self.url)
        query = {name: value for name, value in (("types", ",".join(types)), ("since", since)) if value not in ("", None)}
        url = f"ws{self.url.removeprefix('http')}{path('events')}?{urlencode(query)}"
        options = dict(_QUIET)
        if self._ca is not None and url.startswith("wss:"):
            options["ssl"] = ssl.create_default_context(cafile=self._ca)
        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        try:
            with connect(url, additional_headers=headers, open_timeout=self._timeout, **options) as connection:
                while True:
                    try:
                        message = connection.recv(timeout=idle)
                    except TimeoutError:
                        yield None
                    else:
                        yield json.loads(message)
        except InvalidStatus as error:
            answer = error.response
            raise refused(answer.status_code, answer.reason_phrase, document(answer.body or b"")) from error
        except ConnectionClosed as error:
            last = error.rcvd
            why = f"{last.code} {last.reason}".strip() if last is not None else "the connection is lost"
            raise self._gone(f"tells no more: {why}") from error
        except TimeoutError as error:
            raise self._gone("did not answer in time") from error
        except ssl.SSLError as error:
            raise of_tls(self.url, error) from error
        except OSError as error:
            found = of_connection(self.url, error)
            self.next_address()
            raise found from error
        except (WebSocketException, ValueError) as error:
            raise ClientError(f"{self.url} cannot be asked: {error}") from error

    def _gone(self, what: str) -> UnreachableError:
        """Return the error of the address that was asked; the next one is asked next."""
        error = UnreachableError(f"the controller at {self.url} {what}")
        self.next_address()
        return error

    def last_event(self) -> int:
        """Return the id of the newest event: ``events(since=last_event())`` misses nothing from here on. Raises ClientError."""
        return int(self.get(path("events"), limit=1)["last"])


def followed(
    client: Listener,
    families: Iterable[str] = (),
    since: int | None = None,
    say: Callable[[str], None] = lambda text: None,
    pause: Callable[[float], None] = sleep,
) -> Iterator[Any]:
    """Events without end: a connection that is lost is made again, and goes on after the last event.

    ``say`` is told why, and when it is tried again. Raises ClientError when the controller cannot be asked at all, RefusedError
    when it says no.
    """
    if since is None:
        since = client.last_event()
    seconds = _FIRST_PAUSE
    while True:
        try:
            with closing(client.events(families, since)) as events:
                for event in events:
                    seconds = _FIRST_PAUSE
                    since = event["id"]
                    yield event
        except ClientError as error:
            # What is behind a 5xx may pass: too many listen, or something between us and the controller finds it gone.
            if isinstance(error, AddressError) or (isinstance(error, RefusedError) and error.status < 500):
                raise
            say(f"{error}; retry in {seconds:g} s")
        pause(seconds)
        seconds = min(2 * seconds, _LONGEST_PAUSE)
