"""Prose refers to nothing that a clone lacks: no page of the workshop, and no invariant outside the list. It has no riddle."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT = Path(__file__).parents[2]
PROSE: Final = (".py", ".md", ".js", ".sh", ".yaml", ".cfg", ".toml", ".conf", ".service")
SKIPPED: Final = ("docs/changes.md", "tests/unit/test_words.py", "tests/unit/golden/", "tests/releases/")

DANGLING: Final = re.compile(
    r"\b(design|contract)(\.md)?,? (section )?§?\d|\b(design|contract)\.md\b|\bthe design sketch\b"
    r"|/work/|\b(facts|cases)/[a-z-]+\.md"
)
INVARIANT: Final = re.compile(r"\binvariants? ((?:\d+)(?:(?:, | to | and )\d+)*)", re.IGNORECASE)


RIDDLES: Final = re.compile(
    r"\b(whoever|whomever|anew|of late|told of|nobody is told|what is no|who is no|is nobody's|of nobody|farewell)\b",
    re.IGNORECASE,
)


NO_ACTOR: Final = re.compile(r"\b(nobody|somebody|everybody|anybody|someone|anyone)\b", re.IGNORECASE)
"""Pronouns that hide who acts: the switch, the client, the operator, the VM."""


def sources() -> list[Path]:
    """All texts of the project that people read."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    paths = [ROOT / name for name in listed if name.endswith(PROSE) and not name.startswith(SKIPPED)]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def found(pattern: re.Pattern[str], path: Path) -> list[str]:
    """Where a page has what it must not, with the words around. Names of functions are no prose."""
    text = re.sub(r"\s+(# )?", " ", path.read_text(encoding="utf-8"))
    return [f"{path.relative_to(ROOT)}: …{text[max(0, hit.start() - 40) : hit.end() + 30]}…" for hit in pattern.finditer(text)]


def numbered() -> list[int]:
    """The numbers of the invariants in docs/architecture.md."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = page[page.index("\n## Invariants\n") :].split("\n## ", 2)[1]
    return [int(number) for number in re.findall(r"^\| (\d+) \| \*\*", section, re.MULTILINE)]


def test_nothing_refers_to_a_page_that_a_clone_does_not_have() -> None:
    assert [line for path in sources() for line in found(DANGLING, path)] == []


@pytest.mark.parametrize(
    "line", ["as planned (design 5)", "a line of contract 3", "see design.md, section 2", "the design sketch has it"]
)
def test_such_a_reference_is_seen(line: str) -> None:
    assert DANGLING.search(line)


def test_invariants_are_numbered_without_a_gap_and_cited_by_numbers_that_exist() -> None:
    numbers = numbered()
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 10
    cited = [
        (path.relative_to(ROOT), int(number))
        for path in sources()
        for hit in INVARIANT.finditer(path.read_text(encoding="utf-8"))
        for number in re.findall(r"\d+", hit[1])
    ]
    assert len(cited) > 20, "the pattern sees them"
    assert [row for row in cited if row[1] not in numbers] == []


def test_no_riddles() -> None:
    assert [line for path in sources() for line in found(RIDDLES, path)] == []


@pytest.mark.parametrize("line", ["nobody answers", "Somebody outside", "a frame to everybody", "as anyone may"])
def test_a_pronoun_in_the_place_of_an_actor_is_seen(line: str) -> None:
    assert NO_ACTOR.search(line)


def test_the_product_names_the_actor() -> None:
    """Tests are exempt: they may call a VM that does not exist ``nobody``."""
    product = [path for path in sources() if path.relative_to(ROOT).parts[0] != "tests"]
    assert len(product) > 300, "the listing finds them"
    assert [line for path in product for line in found(NO_ACTOR, path)] == []
