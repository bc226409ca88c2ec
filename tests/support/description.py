"""Real answers held against the description of the interface: its statuses, headers, media types and bodies."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import jsonschema_rs
import msgpack  # type: ignore[import-untyped]
from webob import Response

from ryu_vmmob.rest import dashboard
from ryu_vmmob.rest.app import ROUTES
from ryu_vmmob.rest.openapi import describe

_READERS: Final[dict[str, Callable[[bytes], Any]]] = {
    "application/json": json.loads, "application/problem+json": json.loads, "application/msgpack": msgpack.unpackb,
    "application/vnd.sqlite3": lambda data: data.decode("latin-1"),
}  # fmt: skip
"""Whatever else there is, is text."""
METHODS = ("get", "put", "post", "delete")


@cache
def description() -> Any:
    """The description as it is served."""
    return json.loads(json.dumps(describe(ROUTES)))


def closed(value: Any) -> Any:
    """A description in which an object has no other keys than those described: what is served leaves room for more."""
    if isinstance(value, list):
        return [closed(row) for row in value]
    if not isinstance(value, dict):
        return value
    found = {key: closed(row) for key, row in value.items()}
    if value.get("type") == "object" and isinstance(value.get("properties"), dict):
        found.setdefault("additionalProperties", False)
    return found


@cache
def _paths() -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path) for path in description()["paths"]]


@cache
def _validator(schema: str) -> Any:
    components = closed(copy.deepcopy(description()["components"]))
    return jsonschema_rs.Draft202012Validator(json.loads(schema) | {"components": components}, validate_formats=True)


def operation(method: str, path: str) -> Any:
    """The description of what answers there; None where nothing does."""
    wanted = "get" if method == "HEAD" else method.lower()
    for pattern, name in _paths():
        if pattern.fullmatch(path):
            return description()["paths"][name].get(wanted)
    return None


def assert_described(method: str, path: str, answer: Response) -> None:
    """The answer is one that the description has, and looks as it says."""
    row = operation(method, path)
    if row is None:
        is_page = path in dashboard.PAGES.values() or path.startswith(dashboard.FOLDER)
        assert is_page or answer.content_type == "application/problem+json", answer.text
        return
    where = f"{method} {path} {answer.status}"
    assert str(answer.status_int) in row["responses"], where
    said = row["responses"][str(answer.status_int)]
    if "$ref" in said:
        said = description()["components"]["responses"][said["$ref"].rpartition("/")[2]]
    for name, header in said.get("headers", {}).items():
        assert name in answer.headers, f"{where}: no {name}"
        faults = [str(row) for row in _validator(json.dumps(header["schema"])).iter_errors(answer.headers[name])]
        assert not faults, f"{where}: {name}: {faults}"
    for name in ("ETag", "Location"):
        assert name not in answer.headers or name in said.get("headers", {}), f"{where}: {name} is not described"
    if method == "HEAD":
        return
    if "content" not in said:
        assert answer.body == b"", where
        return
    assert answer.content_type in said["content"], f"{where}: {answer.content_type}"
    body = _READERS.get(answer.content_type, bytes.decode)(answer.body)
    schema = said["content"][answer.content_type]["schema"]
    faults = [f"{row.instance_path}: {row.message}" for row in _validator(json.dumps(schema)).iter_errors(body)]
    assert not faults, f"{where}: {faults}"
