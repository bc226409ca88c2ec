"""From YAML text to plain values with a line for every path.

The text is only composed, never constructed: the nodes carry the positions that findings need, every duplicate key is
seen (not only the first), and no tag can make an object of another type. Work is bounded for hostile input too.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ryu_vmmob.fabric.findings import Path, Report, quote
from ryu_vmmob.fabric.rules import Rule

Value = dict[str, Any] | list[Any] | str | int | float | bool | None

MAX_BYTES = 8 * 2**20
"""Longest file that is read."""
MAX_DEPTH = 16
"""Deepest nesting; the format itself needs five levels."""
MAX_REPEATED = 10_000
"""Most values that aliases may repeat; values written out are not limited."""

_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = {_TAG + "str", _TAG + "timestamp", _TAG + "merge", _TAG + "value"}
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST_NUMBER = 40
# For some malformed directives, escapes and tags the YAML library raises plain exceptions, without a place.
_LIBRARY_FAULTS = (YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError)


class _TooLargeError(Exception):
    """Nesting or alias expansion beyond the bounds."""


def parse(text: str, report: Report) -> Value:
    """Return the document in ``text`` as plain values; faults and the line of every path go to ``report``.

    Keys are taken as the text they are written with. Returns None when there is nothing to go on with: the fault is
    then in the report, or the document is empty.
    """
    last_line = max(1, len(text.splitlines()))
    odd = _UNPRINTABLE.search(text)
    if odd is not None:
        line = min(last_line, text.count("\n", 0, odd.start()) + 1)
        report.add(Rule.YAML_SYNTAX, (), f"character U+{ord(odd[0]):04X} is not allowed in YAML", line=line)
        return None
    node = _compose(text, report, last_line)
    if node is None:
        return None
    reader = _Reader(report, last_line)
    report.lines = reader.lines
    try:
        return reader.read(node, (), reader.line_of(node))
    except _TooLargeError as error:
        report.add(Rule.TOO_LARGE, (), str(error))
        return None


def _compose(text: str, report: Report, last_line: int) -> Node | None:
    """Return the node graph of ``text``; None when it is empty or no YAML, the latter with a finding."""
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False
    try:
        node: Node | None = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = min(last_line, mark.line + 1) if mark is not None else 1
        said = " ".join(_in_words(str(part)) for part in (error.context, error.problem) if part)
        report.add(Rule.YAML_SYNTAX, (), " ".join(said.split()) or "not YAML", line=line)
    except RecursionError:
        report.add(Rule.TOO_LARGE, (), f"nested deeper than {MAX_DEPTH} levels")
    except _LIBRARY_FAULTS as error:
        report.add(Rule.YAML_SYNTAX, (), " ".join(str(error).split()) or "not YAML")
    else:
        return node
    return None


_TOKENS: Final = {
    "document start": "one mapping of keys in the whole file", "scalar": "text", "stream end": "the end of the file",
    "block end": "the end of the mapping or list", "block mapping start": "a mapping", "block sequence start": "a list",
    "flow mapping start": "{", "flow mapping end": "}", "flow sequence start": "[", "flow sequence end": "]",
}  # fmt: skip


def _in_words(said: str) -> str:
    """Return what the YAML library says, with its tokens (``<document start>``, ``('<scalar>',)``) in words."""
    return re.sub(r"\('<([a-z ]+)>',\)|'?<([a-z ]+)>'?", lambda found: _TOKENS.get(name := found[1] or found[2], name), said)


class _Reader:
    """Turns nodes into values, noting lines; one for each document."""

    def __init__(self, report: Report, last_line: int) -> None:
        self.lines: dict[Path, int] = {}
        self._report = report
        self._last_line = last_line
        self._seen: set[int] = set()
        self._repeated = 0

    def line_of(self, node: Node) -> int:
        return min(self._last_line, int(node.start_mark.line) + 1)

    def read(self, node: Node, path: Path, line: int) -> Value:
        self.lines[path] = line
        if len(path) > MAX_DEPTH:
            raise _TooLargeError(f"nested deeper than {MAX_DEPTH} levels")
        if id(node) in self._seen:
            self._repeated += 1
            if self._repeated > MAX_REPEATED:
                raise _TooLargeError(f"aliases repeat more than {MAX_REPEATED} values")
        self._seen.add(id(node))
        if isinstance(node, MappingNode):
            self._expect_tag(node, "map", path)
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            self._expect_tag(node, "seq", path)
            return [self.read(item, (*path, position), self.line_of(item)) for position, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> Value:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = self.line_of(key_node)
            if not isinstance(key_node, ScalarNode):
                self._report.add(Rule.WRONG_TYPE, path, "a key must be text, not a list or a mapping", line=line)
                continue
            key = str(key_node.value)
            if key in values:
                first = self.lines[(*path, key)]
                said = f"key {quote(key)} stands twice: first in line {first}, again in line {line}"
                self._report.add(Rule.DUPLICATE_KEY, (*path, key), said, line=line)
                continue
            values[key] = self.read(value_node, (*path, key), line)
        return values

    def _scalar(self, node: Node, path: Path) -> Value:
        tag, text = str(node.tag), str(node.value)
        if tag in _TEXT_TAGS:
            return text
        if tag == _TAG + "null":
            return None
        if tag == _TAG + "bool":
            return text.lower() in ("true", "yes", "on", "y")
        if tag == _TAG + "int":
            return _integer(text)
        if tag == _TAG + "float":
            return _float(text)
        self._refuse_tag(node, path)
        return text

    def _expect_tag(self, node: Node, kind: str, path: Path) -> None:
        if str(node.tag) != _TAG + kind:
            self._refuse_tag(node, path)

    def _refuse_tag(self, node: Node, path: Path) -> None:
        self._report.add(Rule.YAML_TAG, path, f"tag {quote(str(node.tag))} is not allowed")


def _integer(text: str) -> int | str:
    """Return a YAML whole number; kept as text where its base is in doubt (leading zero, sexagesimal) or it is very long."""
    digits = text.lstrip("+-").replace("_", "").lower()
    if len(digits) > _LONGEST_NUMBER or (len(digits) > 1 and digits.startswith("0") and digits[1] not in "xob"):
        return text
    try:
        return int(digits, 0) * (-1 if text.startswith("-") else 1)
    except ValueError:
        return text


def _float(text: str) -> float | str:
    try:
        return float(text.replace("_", ""))
    except ValueError:
        return text
