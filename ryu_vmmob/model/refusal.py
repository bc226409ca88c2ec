"""A refusal: a command that cannot be carried out, with what the client needs to correct it."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """One fault of the input: ``path`` as in ``interfaces[0].mac``."""

    path: str
    message: str


class Refusal(Exception):
    """Raised by a command; the state is as it was. ``status`` is the HTTP status of RFC 9110 that fits.

    ``detail`` names the rule of the draft where one refuses (``R28``). ``command`` is the number, from 0, of the command that
    is refused, where several were to be carried out together. ``retry_after``: after so many seconds the same may do (RFC 9110,
    10.2.3); None: that is not known.
    """

    def __init__(
        self, status: int, title: str, detail: str, faults: tuple[Fault, ...] = (), *, retry_after: float | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.faults = faults
        self.retry_after = retry_after
        self.command = 0


def invalid(*faults: tuple[str, str]) -> Refusal:
    """422: the body is understood but breaks a rule; every fault at once."""
    rows = tuple(Fault(*fault) for fault in faults)
    return Refusal(422, "invalid input", "; ".join(f"{row.path}: {row.message}" for row in rows), rows)


def conflict(detail: str, title: str = "conflict") -> Refusal:
    """409: the state does not admit it."""
    return Refusal(409, title, detail)


def not_found(kind: str, name: str) -> Refusal:
    """404: there is no such object."""
    return Refusal(404, "not found", f"there is no {kind} {name!r}")
