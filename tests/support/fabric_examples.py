"""The examples of docs/fabric.md as complete fabric files, for the tests that run them."""

from __future__ import annotations

import copy
import io
import re
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "etc" / "example.yaml"
DOCUMENT = ROOT / "docs" / "fabric.md"

_SECTION = re.compile(r"^### `([a-z0-9-]+)`\n\n(Error|Warning): (.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)
_SNIPPET = re.compile(r"^(Bad|Good):\n\n```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PROSE = re.compile(r"^(Bad|Good): (.+)$", re.MULTILINE)


class RuleDoc(NamedTuple):
    """What the document says of a rule; ``bad`` and ``good`` are None where no text can show them."""

    rule: str
    severity: str
    text: str
    bad: str | None
    good: str | None


def documented_rules() -> list[RuleDoc]:
    """Every rule of the document, in order; a rule without a bad and a good example fails."""
    found = []
    for rule, severity, text in _SECTION.findall(DOCUMENT.read_text(encoding="utf-8")):
        snippets = dict(_SNIPPET.findall(text))
        if not snippets:
            assert set(dict(_PROSE.findall(text))) == {"Bad", "Good"}, f"{rule} has no examples"
            found.append(RuleDoc(rule, severity.lower(), text, None, None))
            continue
        assert set(snippets) == {"Bad", "Good"}, f"{rule} needs a bad and a good example"
        found.append(RuleDoc(rule, severity.lower(), text, snippets["Bad"], snippets["Good"]))
    return found


def complete(snippet: str, *, append: bool = False) -> str:
    """A snippet as a whole file: put at the end of the example, or merged into it as the document says."""
    if append:
        return EXAMPLE.read_text(encoding="utf-8") + snippet
    yaml = YAML(typ="safe", pure=True)
    change = yaml.load(snippet)
    if {"version", "switches"} <= set(change):
        return snippet
    out = io.StringIO()
    YAML(typ="safe", pure=True).dump(_merge(yaml.load(EXAMPLE), change), out)
    return out.getvalue()


def _merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(base)
    for key, value in change.items():
        if value is None:
            merged.pop(key)
        elif isinstance(value, dict):
            merged[key] = _merge(merged.get(key, {}), value)
        elif key == "links":
            merged[key] = merged[key] + value
        else:
            merged[key] = value
    return merged
