"""Errors as the client sees them: ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from webob import Response

from ryu_vmmob.model.refusal import Fault, Refusal

CONTENT_TYPE = "application/problem+json"
MOST_FAULTS = 100
"""That one answer tells; of more it says how many there are."""


class Problem(Exception):
    """Ends a request with an error. ``headers`` go into the answer; without a title it has the phrase of the status.

    ``left_out``: faults that are not among ``faults``. Of those the first `MOST_FAULTS` are told.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        faults: Iterable[Fault] = (),
        *,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
        left_out: int = 0,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title if title is not None else HTTPStatus(status).phrase.lower()
        self.detail = detail
        rows = tuple(faults)
        self.faults = rows[:MOST_FAULTS]
        self.left_out = left_out + len(rows) - len(self.faults)
        self.headers = dict(headers or {})

    @classmethod
    def of(cls, refusal: Refusal) -> Problem:
        """Return a command's refusal as a problem."""
        headers = {} if refusal.retry_after is None else retry_after(refusal.retry_after)
        return cls(refusal.status, refusal.detail, refusal.faults, title=refusal.title, headers=headers)

    def response(self) -> Response:
        """Return the HTTP answer. ASCII, so that whatever a client sent can be quoted back."""
        body: dict[str, object] = {"title": self.title, "status": self.status, "detail": self.detail}
        if self.faults:
            body["errors"] = [{"path": fault.path, "message": fault.message} for fault in self.faults]
        if self.left_out:
            body["errors_left_out"] = self.left_out
        response = Response(body=json.dumps(body).encode("ascii"), status=self.status, content_type=CONTENT_TYPE)
        response.headers.update(self.headers)
        return response


def retry_after(seconds: float) -> dict[str, str]:
    """Return the header that says when to ask again: whole seconds (RFC 9110, 10.2.3), and never "at once"."""
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def invalid_input(faults: Iterable[Fault], status: int = 422, *, left_out: int = 0) -> Problem:
    """Return the faults of the input at once, the first `MOST_FAULTS` of them; ``left_out``: that are not in
    ``faults`` at all.
    """
    rows = tuple(faults)
    left_out += max(0, len(rows) - MOST_FAULTS)
    told = [f"{row.path}: {row.message}" if row.path else row.message for row in rows[:MOST_FAULTS]]
    if left_out:
        told.append(f"and {left_out} more")
    return Problem(status, "; ".join(told), rows[:MOST_FAULTS], title="invalid input", left_out=left_out)


def bad_query(name: str, message: str) -> Problem:
    """400: a query parameter is not what it should be."""
    return invalid_input([Fault(f"?{name}", message)], 400)
