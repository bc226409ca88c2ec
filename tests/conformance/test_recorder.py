"""What `--conformance` makes of a run: outcomes of every phase, cases of one test, and when it writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from tests.conformance.matrix import Outcome, Proof, told
from tests.conformance.plugin import Recorder

TEST = "tests/unit/test_x.py::test_y"
When = Literal["setup", "call", "teardown"]
Said = Literal["passed", "failed", "skipped"]


@dataclass
class Item:
    """As much of a collected test as is looked at."""

    nodeid: str
    path: Path
    keys: tuple[str, ...] = ()

    def iter_markers(self, name: str) -> Iterator[pytest.Mark]:
        assert name == "requirement"
        return iter([pytest.Mark(name, self.keys, {}, _ispytest=True)] if self.keys else [])


@dataclass
class Session:
    """As much of a run."""

    shouldfail: bool = False
    shouldstop: bool = False
    exitstatus: int = 0


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    folder = tmp_path / "tests" / "unit"
    folder.mkdir(parents=True)
    (folder / "test_x.py").touch()
    return Recorder(tmp_path / "page.md", tmp_path / "tests")


def collect(recorder: Recorder, *tests: tuple[str, str]) -> None:
    path = recorder.tests / "unit" / "test_x.py"
    items: list[Any] = [Item(TEST + case, path, tuple(keys.split())) for case, keys in tests]
    recorder.pytest_collection_modifyitems(items)


def report(recorder: Recorder, case: str, when: When, said: Said, reason: str = "") -> None:
    why = ("test_x.py", 1, f"Skipped: {reason}") if reason else None
    one = pytest.TestReport(TEST + case, ("test_x.py", 1, "test_y"), {}, said, why, when)
    recorder.pytest_runtest_logreport(one)


def finish(recorder: Recorder, status: int = 0, **session: Any) -> Any:
    run: Any = Session(**session)
    recorder.pytest_sessionfinish(run, status)
    return run


@pytest.mark.parametrize(
    ("phases", "outcome"),
    [
        ([("setup", "passed"), ("call", "passed"), ("teardown", "passed")], Outcome.PASSED),
        ([("setup", "passed"), ("call", "failed"), ("teardown", "passed")], Outcome.FAILED),
        ([("setup", "passed"), ("call", "passed"), ("teardown", "failed")], Outcome.FAILED),
        ([("setup", "failed"), ("teardown", "passed")], Outcome.FAILED),
        ([("setup", "passed"), ("call", "failed"), ("teardown", "skipped")], Outcome.FAILED),
        ([("setup", "skipped"), ("teardown", "passed")], Outcome.NOT_RUN),
        ([("setup", "passed"), ("call", "skipped"), ("teardown", "passed")], Outcome.NOT_RUN),
        ([], Outcome.NOT_RUN),
    ],
)
def test_the_outcome_of_all_phases(recorder: Recorder, phases: list[tuple[When, Said]], outcome: Outcome) -> None:
    collect(recorder, ("", "R3"))
    for when, said in phases:
        report(recorder, "", when, said, "not root" if said == "skipped" else "")
    (proof,) = recorder.proofs()["R3"]
    assert (proof.test, proof.outcome) == (TEST, outcome)
    assert proof.reason == {Outcome.NOT_RUN: "not root" if phases else "deselected"}.get(outcome, "")


def test_an_expected_failure_proves_nothing(recorder: Recorder) -> None:
    collect(recorder, ("", "R3"))
    one = pytest.TestReport(TEST, ("test_x.py", 1, "test_y"), {}, "skipped", None, "call")
    one.wasxfail = "known"
    recorder.pytest_runtest_logreport(one)
    assert recorder.proofs()["R3"][0].outcome is Outcome.FAILED


def test_cases_are_one_test_where_all_bear_the_number(recorder: Recorder) -> None:
    collect(recorder, ("[a]", "R3 R4"), ("[b]", "R3"))
    report(recorder, "[a]", "call", "passed")
    report(recorder, "[b]", "call", "failed")
    assert recorder.proofs() == {"R3": [Proof(TEST, Outcome.FAILED)], "R4": [Proof(f"{TEST}[a]", Outcome.PASSED)]}


def test_the_page_is_written_when_all_was_collected_and_the_run_ended(recorder: Recorder) -> None:
    collect(recorder, ("", "R3"))
    report(recorder, "", "call", "passed")
    finish(recorder, pytest.ExitCode.TESTS_FAILED)
    rows = told(recorder.target.read_text(encoding="utf-8"))
    assert (rows["R3"].result, rows["R4"].result, rows["R2"].result) == ("passed", "not built yet", "out of scope")


@pytest.mark.parametrize(
    ("status", "session"),
    [
        (pytest.ExitCode.INTERRUPTED, {}),
        (pytest.ExitCode.USAGE_ERROR, {}),
        (pytest.ExitCode.TESTS_FAILED, {"shouldfail": True}),
        (pytest.ExitCode.TESTS_FAILED, {"shouldstop": True}),
    ],
)
def test_a_run_that_was_broken_off_leaves_the_page_alone(recorder: Recorder, status: int, session: dict[str, bool]) -> None:
    collect(recorder, ("", "R3"))
    finish(recorder, status, **session)
    assert not recorder.target.exists()


def test_without_a_part_of_the_tests_nothing_is_written(recorder: Recorder) -> None:
    (recorder.tests / "ovs").mkdir()
    (recorder.tests / "ovs" / "test_z.py").touch()
    collect(recorder, ("", "R3"))
    assert finish(recorder).exitstatus == pytest.ExitCode.USAGE_ERROR
    assert not recorder.target.exists()
    assert "nothing of tests/ovs" in recorder.said


def test_a_file_that_could_not_be_collected_counts_as_missing(recorder: Recorder) -> None:
    collect(recorder, ("", "R3"))
    broken: Any = SimpleNamespace(passed=False, nodeid="tests/unit/test_broken.py")
    recorder.pytest_collectreport(broken)
    assert finish(recorder).exitstatus == pytest.ExitCode.USAGE_ERROR
    assert "tests/unit/test_broken.py" in recorder.said
