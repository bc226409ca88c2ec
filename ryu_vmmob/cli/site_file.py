"""The file that holds what a site is to be: what ``vmmob export`` writes, and ``diff`` and ``apply`` read."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ryu_vmmob.cli.common import usage
from ryu_vmmob.fabric.findings import Report
from ryu_vmmob.fabric.source import parse

KINDS: Final = ("cugs", "vms", "policies")
_MARKS: Final = {"subnets": "cugs", "interfaces": "vms", "action": "policies"}
"""A key that only objects of this kind have, and all of them."""


def read_site(file: str) -> Any:
    """Return what a YAML or JSON file says, ``-`` is standard input; ends the program when it is neither."""
    name = "standard input" if file == "-" else file
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise usage(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise usage(f"{name} cannot be read: it is no UTF-8 text") from None
    body = _json(name, text) if text.lstrip().startswith("{") else _yaml(name, text)
    if not isinstance(body, dict):
        raise usage(f"{name} is no site: it must have cugs, vms or policies")
    return body


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return _yaml(name, text)  # which may begin with a brace as well


def _yaml(name: str, text: str) -> Any:
    report = Report(name)
    found = parse(text, report)
    if report.has_errors:
        raise usage("; ".join(f"{row.file}:{row.line}: {row.message}" for row in report.findings if row.is_error))
    return found


def objects(site: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield kind, name and body of each object of a site, also of those in lists. The controller judges malformed ones."""
    for kind in KINDS:
        rows = site.get(kind)
        if isinstance(rows, dict) and isinstance(rows.get("items"), list):
            yield from _listed(rows["items"], kind)
        elif isinstance(rows, dict):
            yield from ((kind, name, row) for name, row in rows.items())
    if isinstance(site.get("items"), list):
        yield from _listed(site["items"], None)


def _listed(rows: list[Any], kind: str | None) -> Iterator[tuple[str, str, Any]]:
    for row in rows:
        if isinstance(row, dict) and isinstance(row.get("name"), str):
            found = kind or next((its for mark, its in _MARKS.items() if mark in row), None)
            if found is not None:
                yield found, row["name"], row
