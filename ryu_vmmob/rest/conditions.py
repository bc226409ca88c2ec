"""Conditional writes (RFC 9110, 13.1): the entity tag of an object is its revision in quotes."""

from __future__ import annotations

import re

from webob import Request

from ryu_vmmob.rest.problems import Problem

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
"""RFC 9110, 5.6.1 and 8.8.3: elements may be empty, and a comma may stand inside a tag."""


def etag(revision: int) -> str:
    """Return the entity tag of a revision."""
    return f'"{revision}"'


def check(request: Request, revision: int | None) -> None:
    """Raise a 412 when If-Match or If-None-Match does not allow a write to an object of ``revision`` (None: not there)."""
    # Both are parsed before either is evaluated: a malformed list of tags is a 400 whatever the other says.
    given = {name: _tags(request.headers[name], name) for name in ("If-Match", "If-None-Match") if name in request.headers}
    if "If-Match" in given:
        tags = given["If-Match"]
        # Strong comparison: a weak tag matches nothing.
        if revision is None or (tags is not None and etag(revision) not in tags):
            raise Problem(412, f"If-Match: {_found(revision)}")
    if "If-None-Match" in given:
        tags = given["If-None-Match"]
        if revision is not None and (tags is None or {etag(revision), f"W/{etag(revision)}"} & tags):
            raise Problem(412, f"If-None-Match: {_found(revision)}")


def _found(revision: int | None) -> str:
    return "the object is not there" if revision is None else f"the object has revision {revision}"


def _tags(header: str, name: str) -> set[str] | None:
    """Return the tags as written; None for ``*``."""
    if header.strip() == "*":
        return None
    if _LIST.fullmatch(header) is None:
        raise Problem(400, f'{name} is a list of tags such as "12", or *')
    return set(re.findall(_TAG, header))
