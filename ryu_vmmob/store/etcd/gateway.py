"""etcd's HTTP/JSON gateway (``/v3``): one request at a time, to whichever member answers, within a bounded time.

gRPC is not spoken: its C core does not yield to eventlet. A request is sent again, to the next member, when a member is silent
or has no leader. So each request must do no harm when it is carried out twice; the store's transactions compare what they
change.

An answer of another cluster than the first one does not count: a cluster that was restored from a snapshot has another id
(https://etcd.io/docs/v3.5/op-guide/recovery/), and so has a member that was started as a cluster by itself.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ryu_vmmob.store.base import StoreError
from ryu_vmmob.store.etcd.address import Access, Place, password, shown, tls_context

REQUEST_SECONDS: Final = 2.0
"""A member that is silent for so long is left for the next one. An election takes 1 to 2 s."""
LARGE_SECONDS: Final = 10.0
"""The same for a request whose answer may have some megabytes."""
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 0.4
"""Seconds between two rounds over all members."""

_MOST_SHOWN: Final = 200
"""Bytes of an answer that is not etcd's."""
_FULL, _UNAUTHENTICATED = 8, 16
_TRANSIENT: Final = frozenset({1, 2, 4, 10, 13, 14})
"""Codes of gRPC that a member may say while another would not, or would not a second later (canceled, unknown, deadline
exceeded, aborted, internal, unavailable)."""
_TOKEN_WORDS: Final = ("invalid auth token", "revision of auth store is old", "revision in header is old")

Answer = dict[str, Any]


class UnavailableError(StoreError):
    """No member answered in time. Whether the request was carried out is not known."""


class RefusedError(StoreError):
    """etcd said no. ``code`` is that of gRPC."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Pair(NamedTuple):
    """A key and its value."""

    key: str
    value: bytes


class _MemberError(Exception):
    """One member is of no use now."""


class Gateway:
    """The members of one cluster. ``clock`` is steady, in seconds; times ``until`` are its."""

    def __init__(
        self,
        place: Place,
        access: Access,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.place = place
        self.clock = clock
        self.sleep = sleep
        self.revision = 0
        """etcd's own revision, of the latest answer."""
        self._access = access
        self._tls = tls_context(place, access)
        self._now = 0
        self._connection: http.client.HTTPConnection | None = None
        self._cluster: str | None = None
        self._token: str | None = None

    def call(self, path: str, body: Mapping[str, Any], until: float, silence: float = REQUEST_SECONDS) -> Answer:
        """Return the answer to a request. Raises UnavailableError at ``until``, RefusedError, StoreError.

        ``silence``: seconds that a member may be silent.
        """
        data = json.dumps(body).encode()
        reasons: dict[str, str] = {}
        pause = FIRST_PAUSE
        began = self.clock()
        while True:
            for _ in self.place.members:
                left = until - self.clock()
                if left <= 0:
                    break
                try:
                    return self._authorised(path, data, min(silence, left))
                except _MemberError as error:
                    reasons[shown(self.place.members[self._now])] = str(error)
                    self._leave()
            if self.clock() + pause >= until:
                said = "; ".join(f"{member}: {reason}" for member, reason in reasons.items()) or "no time was left"
                raise UnavailableError(f"no majority of etcd answered within {self.clock() - began:.1f} s ({said})")
            self.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _leave(self) -> None:
        self.close()
        self._now = (self._now + 1) % len(self.place.members)

    def _authorised(self, path: str, data: bytes, timeout: float) -> Answer:
        """Send a request, with a new token where the old one is over."""
        if self._access.user is not None and self._token is None:
            self._authenticate(timeout)
        try:
            return self._ask(path, data, timeout)
        except RefusedError as error:
            over = error.code == _UNAUTHENTICATED or any(words in str(error) for words in _TOKEN_WORDS)
            if self._access.user is None or not over:
                raise
        self._authenticate(timeout)
        return self._ask(path, data, timeout)

    def _authenticate(self, timeout: float) -> None:
        self._token = None
        body = {"name": self._access.user, "password": password(self.place, self._access)}
        self._token = str(self._ask("auth/authenticate", json.dumps(body).encode(), timeout)["token"])

    def _ask(self, path: str, data: bytes, timeout: float) -> Answer:
        headers = {"Content-Type": "application/json"}
        if self._token is not None:
            headers["Authorization"] = self._token
        try:
            connection = self._connected(timeout)
            connection.request("POST", f"/v3/{path}", data, headers)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise _MemberError(_reason(error)) from error
        try:
            answer = json.loads(text)
        except ValueError:
            said = " ".join(text[:_MOST_SHOWN].decode(errors="replace").split())
            raise _MemberError(f"it answers {response.status} and no JSON: {said}") from None
        if not isinstance(answer, dict):
            raise _MemberError(f"it answers {response.status} and no object: is it etcd?")
        self._refused(path, answer, response.status)
        return self._of_the_cluster(answer)

    def _connected(self, timeout: float) -> http.client.HTTPConnection:
        if self._connection is None:
            host, port = self.place.members[self._now]
            if self._tls is not None:
                self._connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls)
            else:
                self._connection = http.client.HTTPConnection(host, port, timeout=timeout)
        self._connection.timeout = timeout
        if self._connection.sock is not None:
            self._connection.sock.settimeout(timeout)
        return self._connection

    def _refused(self, path: str, answer: Answer, status: int) -> None:
        fault = answer.get("error")
        if fault is None and status < http.HTTPStatus.BAD_REQUEST and "code" not in answer:
            return
        # A stream's answer has its error as an object; version 3.6 has the sentence under "message" alone.
        inner = fault if isinstance(fault, dict) else answer
        said = str(inner.get("message") or fault or status)
        code = int(inner.get("code") or inner.get("grpc_code") or 0)
        if code in _TRANSIENT or status in (http.HTTPStatus.BAD_GATEWAY, http.HTTPStatus.SERVICE_UNAVAILABLE):
            raise _MemberError(said)
        if code == _FULL:
            said += "; its quota is used up: docs/etcd.md, When etcd is full"
        raise RefusedError(f"etcd refuses {path}: {said}", code)

    def _of_the_cluster(self, answer: Answer) -> Answer:
        header = answer.get("header") or (answer.get("result") or {}).get("header") or {}
        cluster = header.get("cluster_id")
        if cluster is not None:
            if self._cluster is not None and cluster != self._cluster:
                raise _MemberError("it is of another cluster than before: a restored backup, or a cluster by itself")
            self._cluster = cluster
        self.revision = max(self.revision, int(header.get("revision") or 0))
        return answer

    # What is asked

    def range(self, key: str, end: str | None, until: float, *, limit: int = 0, keys_only: bool = False) -> list[Pair]:
        """Return the pairs from ``key`` until before ``end`` (None: that key alone), in the order of their keys."""
        body = _range(key, end) | ({"limit": str(limit)} if limit else {}) | ({"keys_only": True} if keys_only else {})
        return _pairs(self.call("kv/range", body, until, silence=LARGE_SECONDS))

    def pages(self, key: str, end: str, until: float, *, page: int, keys_only: bool = False) -> list[Pair]:
        """Return a range that is too large for one answer, ``page`` pairs at a time."""
        found: list[Pair] = []
        while True:
            more = self.range(key, end, until, limit=page, keys_only=keys_only)
            found += more
            if len(more) < page:
                return found
            key = more[-1].key + "\0"

    def txn(
        self, compare: Sequence[Mapping[str, Any]], then: Sequence[Mapping[str, Any]], otherwise: Sequence[str], until: float
    ) -> tuple[bool, list[bytes | None]]:
        """Carry out ``then`` if all comparisons hold. Returns whether, and if not the values of the keys ``otherwise``."""
        answer = self.call("kv/txn", {"compare": list(compare), "success": list(then), "failure": _reads(otherwise)}, until)
        return (True, []) if answer.get("succeeded") else (False, _values(answer))

    def read(self, keys: Sequence[str], until: float) -> list[bytes | None]:
        """Return the values of keys, all of one moment."""
        return _values(self.call("kv/txn", {"success": _reads(keys)}, until))


def _reason(error: Exception) -> str:
    """Return an error in words: eventlet's have names for numbers."""
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


def text64(text: str) -> str:
    """Return a key as the gateway has it."""
    return base64.b64encode(text.encode()).decode()


def same(key: str, value: bytes) -> Answer:
    """Return the comparison that a key has a value."""
    return {"key": text64(key), "target": "VALUE", "result": "EQUAL", "value": base64.b64encode(value).decode()}


def absent(key: str) -> Answer:
    """Return the comparison that there is no such key."""
    return {"key": text64(key), "target": "VERSION", "result": "EQUAL", "version": "0"}


def put(key: str, value: bytes, lease: str | None = None) -> Answer:
    """Return the operation that sets a key, under a lease where one is named."""
    body = {"key": text64(key), "value": base64.b64encode(value).decode()}
    return {"request_put": body | ({"lease": lease} if lease else {})}


def delete(key: str, end: str | None = None) -> Answer:
    """Return the operation that deletes a key, or those until before ``end``."""
    return {"request_delete_range": _range(key, end)}


def _range(key: str, end: str | None) -> Answer:
    return {"key": text64(key)} | ({"range_end": text64(end)} if end is not None else {})


def _reads(keys: Sequence[str]) -> list[Answer]:
    return [{"request_range": _range(key, None)} for key in keys]


def _values(answer: Answer) -> list[bytes | None]:
    rows = [_pairs(row.get("response_range") or {}) for row in answer.get("responses", ())]
    return [row[0].value if row else None for row in rows]


def _pairs(answer: Answer) -> list[Pair]:
    decode = base64.b64decode
    return [Pair(decode(row["key"]).decode(), decode(row.get("value", ""))) for row in answer.get("kvs", ())]
