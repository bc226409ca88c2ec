"""The requirements R1 to R49, the tests that bear their numbers, and the page that says what came of them.

Texts stand in ``requirements.yaml``. A row with parts is proven part by part: a test then bears ``R5a``, never ``R5``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
PAGE = ROOT / "docs" / "conformance.md"
TEXTS = Path(__file__).with_name("requirements.yaml")
MARKER = "requirement"
OUT_OF_SCOPE = "OUT"
_PROSE = """\
# The requirements and their tests

Written by `make conformance` from what the tests did; do not edit. The rows are those of
draft-rekhter-nvo3-vm-mobility-issues-03, numbered line by line.

Strength: MUST and MAY as written there; DEF a definition the rest leans on; ASM a stated assumption; FACT a stated
impossibility or property; NEED a required outcome in plain words; OUT declared out of scope; gap: left open there.

Result: *passed* when every test that bears the number passed; *not run here* with the reason, where this machine could not
run some of them; *not built yet* while no test bears the number. Rows in parts have a result for each part. Tests are node
ids of pytest, with their tier (unit, property and simulator: pure Python; ovs: real switches; mininet: real switches, hosts
and traffic).
"""


class Outcome(StrEnum):
    """What became of one test."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run here"


class Proof(NamedTuple):
    """A test (without parameters where all of them bear the number) and what became of it; ``reason`` of not running it."""

    test: str
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row. ``parts``: letter to text; ``needs``: what has to be built before anything can prove the rest of the row."""

    id: str
    section: str
    strength: str
    text: str
    parts: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """What a test's marker may say: the row's number, or that of each part; nothing when the row is out of scope."""
        if self.strength == OUT_OF_SCOPE:
            return ()
        return tuple(self.id + letter for letter in self.parts) or (self.id,)


def requirements(path: Path = TEXTS) -> tuple[Requirement, ...]:
    """All rows in order."""
    return tuple(Requirement(**row) for row in YAML(typ="safe", pure=True).load(path))


def outcome(proofs: Sequence[Proof], needs: str = "") -> str:
    """The result of a row, or of one part of it."""
    if not proofs:
        return "not built yet" + (f": {needs}" if needs else "")
    if any(proof.outcome is Outcome.FAILED for proof in proofs):
        return "failed"
    idle = [proof for proof in proofs if proof.outcome is Outcome.NOT_RUN]
    if not idle:
        return "passed"
    why = f"not run here: {', '.join(sorted({proof.reason for proof in idle}))}"
    return why if len(idle) == len(proofs) else f"passed; {len(idle)} of {len(proofs)} tests {why}"


def result(row: Requirement, proofs: Mapping[str, Sequence[Proof]]) -> str:
    """The result of a row; ``proofs`` by marker."""
    if row.strength == OUT_OF_SCOPE:
        return "out of scope"
    if not row.parts:
        return outcome(proofs.get(row.id, ()), row.needs)
    return "; ".join(f"({letter}) {outcome(proofs.get(row.id + letter, ()), row.needs)}" for letter in row.parts)


def render(rows: Iterable[Requirement], proofs: Mapping[str, Sequence[Proof]]) -> str:
    """The whole page: the same text for the same results."""
    lines = ["| row | section | strength | requirement | result | tests |", "|---|---|---|---|---|---|"]
    counts: dict[str, int] = {}
    for row in rows:
        said = result(row, proofs)
        counts[_kind(said)] = counts.get(_kind(said), 0) + 1
        text = "<br>".join([row.text, *(f"({letter}) {part}" for letter, part in row.parts.items())])
        tests = "<br>".join(_tests(row, proofs))
        lines.append(f"| {row.id} | {row.section} | {row.strength} | {_cell(text)} | {_cell(said)} | {_cell(tests)} |")
    total = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    return "\n".join([_PROSE, f"{sum(counts.values())} rows: {total}.", "", *lines, ""])


def _kind(said: str) -> str:
    """What a row counts as in the summary."""
    if "failed" in said:
        return "failed"
    if said.startswith("("):
        kinds = {_kind(part.split(") ", 1)[1]) for part in re.split(r"; (?=\([a-z]\) )", said)}
        return kinds.pop() if len(kinds) == 1 else "in part"
    if said.startswith("passed;"):
        return "in part"
    return said.split(":", 1)[0]


def _tests(row: Requirement, proofs: Mapping[str, Sequence[Proof]]) -> Iterator[str]:
    for key in row.keys:
        for proof in sorted(proofs.get(key, ())):
            part = f"({key.removeprefix(row.id)}) " if row.parts else ""
            said = "" if proof.outcome is Outcome.PASSED else f", {proof.outcome}"
            yield f"{part}`{proof.test}` ({tier(proof.test)}{said})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def tier(test: str) -> str:
    """Which tier a node id belongs to."""
    folders = Path(test.split("::")[0]).parts[1:-1]
    return "simulator" if folders == ("conformance",) else folders[-1]


class Told(NamedTuple):
    """The cells of a row as the page has them."""

    section: str
    strength: str
    text: str
    result: str
    tests: str


def told(page: str) -> dict[str, Told]:
    """The rows of a page by number. Raises ValueError when one stands twice."""
    found: dict[str, Told] = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and re.fullmatch(r"R\d+", cells[0]):
            if cells[0] in found:
                raise ValueError(f"{cells[0]} stands twice")
            found[cells[0]] = Told(*cells[1:])
    return found


def claims(page: str) -> set[tuple[str, str]]:
    """Every (marker, test without parameters) that a page claims."""
    found = set()
    for id_, row in told(page).items():
        for part, test in re.findall(r"(?:\(([a-z])\) )?`([^`]+)`", row.tests):
            found.add((id_ + part, test.split("[")[0]))
    return found


def marked(directory: Path = TESTS) -> set[tuple[str, str]]:
    """Every (marker, test without parameters) that the sources have, read without running anything."""
    found = set()
    for path in sorted(directory.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                name = f"{path.relative_to(directory.parent).as_posix()}::{node.name}"
                found |= {(key, name) for decorator in node.decorator_list for key in _keys(decorator)}
    return found


def _keys(decorator: ast.expr) -> Iterator[str]:
    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == f"pytest.mark.{MARKER}":
        yield from (ast.literal_eval(argument) for argument in decorator.args)
