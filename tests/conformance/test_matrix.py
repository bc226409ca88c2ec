"""The matrix itself: all 49 rows, no marker and no claim without its other half, and results that say what was so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.matrix import (
    PAGE,
    Outcome,
    Proof,
    Requirement,
    claims,
    marked,
    outcome,
    render,
    requirements,
    result,
    told,
)
from tests.conformance.plugin import check_names

PASSED = Proof("tests/unit/test_x.py::test_y", Outcome.PASSED)
FAILED = Proof("tests/ovs/test_x.py::test_y", Outcome.FAILED)
SKIPPED = Proof("tests/mininet/test_x.py::test_y", Outcome.NOT_RUN, "not root")
PLAIN = Requirement("R3", "2.1", "DEF", "a | b", needs="wings")
PARTED = Requirement("R5", "2.1", "DEF", "both", {"a": "one", "b": "other"})
OUT = Requirement("R2", "2", "OUT", "storage")


def test_all_49_rows_are_there() -> None:
    rows = requirements()
    assert [row.id for row in rows] == [f"R{number}" for number in range(1, 50)]
    assert {row.strength for row in rows} == {"DEF", "OUT", "ASM", "NEED", "FACT", "MUST", "MAY", "MUST-like", "gap"}
    assert [row.id for row in rows if not row.keys] == ["R2", "R44"]
    assert all(row.text and "\n" not in row.text and row.section for row in rows)


def test_markers_name_rows_that_there_are() -> None:
    found = marked()
    assert len({test for _, test in found}) > 30
    check_names({test: {key for key, other in found if other == test} for _, test in found})


@pytest.mark.parametrize("key", ["R0", "R50", "r1", "R2", "R5", "R1a", "R5c"])
def test_a_marker_that_names_no_row_or_part_is_refused(key: str) -> None:
    with pytest.raises(pytest.UsageError, match=f"bears {key}: no such row"):
        check_names({"test_x": {"R1", key}})
    check_names({"test_x": {"R1", "R5b", "R49a"}})


def test_the_page_has_the_rows_and_claims_no_test_that_is_not_there() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = told(page)
    assert list(rows) == [row.id for row in requirements()]
    for row in requirements():
        there = rows[row.id]
        assert (there.section, there.strength) == (row.section, row.strength)
        assert there.text.replace("\\|", "|").split("<br>")[0] == row.text
        assert bool(there.tests) == any(str(outcome) in there.result for outcome in Outcome), row.id
    assert claims(page) - marked() == set()
    assert len(claims(page)) > 50


@pytest.mark.parametrize(
    ("proofs", "said"),
    [
        ([], "not built yet: wings"),
        ([PASSED], "passed"),
        ([PASSED, FAILED, SKIPPED], "failed"),
        ([SKIPPED, SKIPPED], "not run here: not root"),
        ([PASSED, SKIPPED], "passed; 1 of 2 tests not run here: not root"),
    ],
)
def test_results(proofs: list[Proof], said: str) -> None:
    assert result(PLAIN, {"R3": proofs}) == outcome(proofs, "wings") == said
    assert result(OUT, {}) == "out of scope"
    assert result(PARTED, {"R5a": proofs}) == f"(a) {outcome(proofs)}; (b) not built yet"


def test_a_page_reads_back_as_it_was_written() -> None:
    proofs = {"R3": [SKIPPED, PASSED], "R5a": [FAILED], "R5b": [PASSED]}
    page = render([OUT, PLAIN, PARTED], proofs)
    assert page == render([OUT, PLAIN, PARTED], {key: rows[::-1] for key, rows in proofs.items()})
    assert "3 rows: 1 failed, 1 in part, 1 out of scope." in page
    assert list(told(page)) == ["R2", "R3", "R5"]
    assert claims(page) == {("R3", PASSED.test), ("R3", SKIPPED.test), ("R5a", FAILED.test), ("R5b", PASSED.test)}
    assert f"`{SKIPPED.test}` (mininet, not run here)" in page


def test_markers_are_read_from_the_sources(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "unit"
    folder.mkdir(parents=True)
    text = '@pytest.mark.requirement("R1", "R5a")\ndef test_y(): ...\n\n\ndef test_z(): ...\n'
    (folder / "test_x.py").write_text(text)
    assert marked(tmp_path / "tests") == {("R1", PASSED.test), ("R5a", PASSED.test)}
