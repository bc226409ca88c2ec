"""Errors of the client; the text of each is one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


class ClientError(Exception):
    """A request that got no answer worth having; the text is one sentence."""


class UnreachableError(ClientError):
    """The controller does not answer, or not in time. Whether a request that was sent has been carried out is not known."""


class RefusedError(ClientError):
    """The controller says no: ``status`` is HTTP's, ``problem`` the error document (RFC 9457), empty when there is none.

    ``retry_after``: seconds after which the controller says that it will do (RFC 9110, 10.2.3), None when it says nothing.
    """

    retry_after: float | None = None

    def __init__(self, status: int, text: str, problem: dict[str, Any] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.problem = problem or {}

    @property
    def is_about_state(self) -> bool:
        """Whether the request was good and only the present state is against it (or the object is not there)."""
        return self.status in (404, 409, 412)

    @property
    def is_for_now(self) -> bool:
        """Whether the same request may do later: the store does not take it, too many ask, or something in between is down."""
        return self.status in (429, 502, 503, 504)


def refused(status: int, reason: str, problem: Any) -> RefusedError:
    """Return the error for an answer of 300 and above; ``problem`` is its body, if that could be read."""
    if not isinstance(problem, dict) or "detail" not in problem:
        return RefusedError(status, f"the answer is {status} {reason}")
    return RefusedError(status, f"{problem.get('title') or reason} ({status}): {problem['detail']}", problem)


def document(body: bytes | bytearray) -> Any:
    """Return a JSON body; None when it is none."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what is behind it, the outermost first."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        reason = getattr(seen, "reason", None)
        seen = reason if isinstance(reason, BaseException) else seen.__cause__ or seen.__context__ or _inner(seen)


def root_cause(error: BaseException) -> str:
    """Return the operating system's own words, behind all that libraries put around them."""
    words = (row.strerror for row in causes(error) if isinstance(row, OSError) and row.strerror)
    return next(words, "the connection failed")


def _inner(error: BaseException) -> BaseException | None:
    return next((value for value in error.args if isinstance(value, BaseException)), None)
