"""Findings: messages of the linter about one place in a fabric file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ryu_vmmob.fabric.rules import Rule, Severity

Path = tuple[str | int, ...]
"""Where a value stands: keys and list positions from the top of the file."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LONGEST_QUOTE = 60


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, or one doubt, at one place.

    ``line`` counts from 1; ``path`` is like ``servers.srv-b1.attach[1]`` and empty for the file as a whole; ``rule``
    is the stable label of a :class:`~ryu_vmmob.fabric.rules.Rule`.
    """

    file: str
    line: int
    path: str
    rule: str
    severity: Severity
    message: str

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}: {self.severity.value}: {place}{self.message} [{self.rule}]"

    @property
    def is_error(self) -> bool:
        """Whether this finding keeps the file from being loaded."""
        return self.severity is Severity.ERROR


class FabricError(ValueError):
    """A fabric file that cannot be used; ``findings`` holds every finding, warnings included, in file order."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


def quote(value: object) -> str:
    """Return a value of the file for use in a message: one line, ASCII, of bounded length."""
    text = json.dumps(value if isinstance(value, str | int | float | bool | None) else str(value))
    return text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 4] + '..."'


def show(path: Path) -> str:
    """Return a path as text: ``links[2].a``; keys that are no names are quoted."""
    shown = ""
    for step in path:
        if isinstance(step, int):
            shown += f"[{step}]"
        else:
            key = step if NAME.fullmatch(step) else quote(step)
            shown += f".{key}" if shown else key
    return shown


def _one_line(message: str) -> str:
    """Return a message that holds names and YAML text as they are, made printable ASCII."""
    return "".join(sign if " " <= sign <= "~" else f"\\u{ord(sign):04x}" for sign in message)


class Report:
    """Collects the findings of one file and knows the line of every path."""

    def __init__(self, file: str, lines: Mapping[Path, int] | None = None) -> None:
        self.file = file
        self.lines: Mapping[Path, int] = lines if lines is not None else {}
        self._found: list[Finding] = []

    def existing(self, path: Path) -> Path:
        """Return the longest beginning of ``path`` that stands in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return path

    def line(self, path: Path) -> int:
        """Return the line of ``path``, or of what would hold it."""
        return self.lines.get(self.existing(path), 1)

    def show(self, path: Path) -> str:
        """``path``, or what would hold it, as text."""
        return show(self.existing(path))

    def add(self, rule: Rule, path: Path, message: str, *, line: int | None = None) -> None:
        """Note a finding at ``path``, or at its nearest ancestor that stands in the file."""
        place = self.existing(path)
        at = line if line is not None else self.line(place)
        self._found.append(Finding(self.file, at, show(place), rule.label, rule.severity, _one_line(message)))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings in file order, each once."""
        unique = dict.fromkeys(self._found)
        return tuple(sorted(unique, key=lambda finding: (finding.line, finding.path, finding.rule)))

    @property
    def has_errors(self) -> bool:
        """Whether any finding so far is an error."""
        return any(finding.is_error for finding in self._found)
