"""Errors as the client sees them: ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from webob import Response

from ryu_vmmob.model.refusal import Fault, Refusal

CONTENT_TYPE = "application/problem+json"


class Problem(Exception):
    """Ends a request with an error. ``headers`` go into the answer; without a title it has the phrase of the status."""

    def __init__(
        self,
        status: int,
        detail: str,
        faults: Iterable[Fault] = (),
        *,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title if title is not None else HTTPStatus(status).phrase.lower()
        self.detail = detail
        self.faults = tuple(faults)
        self.headers = dict(headers or {})

    @classmethod
    def of(cls, refusal: Refusal) -> Problem:
        """A command's refusal as a problem."""
        headers = {} if refusal.retry_after is None else retry_after(refusal.retry_after)
        return cls(refusal.status, refusal.detail, refusal.faults, title=refusal.title, headers=headers)

    def response(self) -> Response:
        """The HTTP answer. ASCII, so that whatever a client sent can be quoted back."""
        body: dict[str, object] = {"title": self.title, "status": self.status, "detail": self.detail}
        if self.faults:
            body["errors"] = [{"path": fault.path, "message": fault.message} for fault in self.faults]
        response = Response(body=json.dumps(body).encode("ascii"), status=self.status, content_type=CONTENT_TYPE)
        response.headers.update(self.headers)
        return response


def retry_after(seconds: float) -> dict[str, str]:
    """The header that says when to ask again: whole seconds (RFC 9110, 10.2.3), and never "at once"."""
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def invalid_input(faults: Iterable[Fault], status: int = 422) -> Problem:
    """Every fault of the input at once."""
    rows = tuple(faults)
    detail = "; ".join(f"{row.path}: {row.message}" if row.path else row.message for row in rows)
    return Problem(status, detail, rows, title="invalid input")


def bad_query(name: str, message: str) -> Problem:
    """400: a query parameter is not what it should be."""
    return invalid_input([Fault(f"?{name}", message)], 400)
