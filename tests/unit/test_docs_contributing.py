"""The recipes of docs/contributing.md: each names the files to touch, and an example that is in these and in no others.

So a recipe that forgets a file fails as soon as its example is there as well, and so does a file that no longer needs it.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "contributing.md"
FOLDERS = ("ryu_vmmob", "apps", "flows", "docs", "tools", "etc")
KINDS = {".py", ".js", ".md", ".json", ".yaml", ".conf"}
GENERATED = {"docs/performance.md", "docs/conformance.md", "docs/contributing.md"}


class Recipe(NamedTuple):
    """A row: what is added, an example's regular expression, the files to touch, those that use it, and how many."""

    name: str
    example: str
    files: frozenset[str]
    users: frozenset[str]
    before: int
    now: int


@cache
def recipes() -> dict[str, Recipe]:
    """The rows of the table of files."""
    found = {}
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("| to add | files | example | used by | at 7a07c87 | now |") :].partition("\n\n")[0]
    for line in table.splitlines()[2:]:
        name, files, example, users, before, now = (cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|")))
        regex = example[1:-1].replace("\\|", "|")
        found[name] = Recipe(name, regex, _paths(files), _paths(users), int(before), int(now))
    return found


def _paths(cell: str) -> frozenset[str]:
    return frozenset(re.findall(r"`([\w./-]+)`", cell))


@cache
def sources() -> dict[str, str]:
    """Every text of the product and its documents, by its path; the two links are not followed."""
    found = {}
    for folder in FOLDERS:
        for file in (ROOT / folder).rglob("*"):
            path = file.relative_to(ROOT)
            linked = path.parts[:2] in (("ryu_vmmob", "apps"), ("ryu_vmmob", "flows"))
            if file.suffix in KINDS and not linked and str(path) not in GENERATED and "vendor" not in path.parts:
                found[str(path)] = file.read_text(encoding="utf-8")
    return found


def test_there_is_a_recipe_for_each_thing_that_is_added_often() -> None:
    assert recipes().keys() == {
        "an option of a move", "a field on a resource", "a route", "an event", "a metric", "a command of the model",
        "a command of `vmmob`", "a linter rule", "a match field", "a table",
    }  # fmt: skip


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_names_every_file_and_no_other(name: str) -> None:
    row = recipes()[name]
    having = {path for path, text in sources().items() if re.search(row.example, text)}
    assert row.files <= having
    # Other pages may speak of it as they like.
    assert row.files | row.users == {path for path in having if path in row.files or not path.startswith("docs/")}
    assert not row.files & row.users
    assert row.now == len(row.files)


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_has_a_paragraph(name: str) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"**{name[0].upper()}{name[1:]}.**" in text
