"""pytest: ``@pytest.mark.requirement("R21", ...)`` on tests, and ``--conformance FILE`` to write what came of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.conformance.matrix import MARKER, TESTS, Outcome, Proof, render, requirements


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("conformance").addoption(
        "--conformance", metavar="FILE", help="write the requirements matrix to FILE (needs all of tests/; -m requirement)"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARKER}(number, ...): rows of the requirements matrix that the test proves")
    target = config.getoption("--conformance")
    if target:
        if config.getoption("numprocesses", None):
            raise pytest.UsageError("--conformance: the tests have to run in one process")
        config.pluginmanager.register(Recorder(Path(target)), "conformance-recorder")


def keys_of(item: pytest.Item) -> set[str]:
    """The requirements that a test's markers name."""
    return {str(key) for mark in item.iter_markers(MARKER) for key in mark.args}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    named = {item.nodeid: keys for item in items if (keys := keys_of(item))}
    if named:
        check_names(named)


def check_names(named: dict[str, set[str]]) -> None:
    """Raise UsageError when a marker names what the matrix does not have."""
    known = {key for row in requirements() for key in row.keys}
    for test, keys in sorted(named.items()):
        if unknown := sorted(keys - known):
            raise pytest.UsageError(f"{test} bears {', '.join(unknown)}: no such row or part that a test could prove")


class Recorder:
    """Keeps what became of each test that bears a number, and writes the page when the run is over."""

    def __init__(self, target: Path, tests: Path = TESTS) -> None:
        self.target = target
        self.tests = tests
        self.keys: dict[str, set[str]] = {}
        self.outcomes: dict[str, tuple[Outcome, str]] = {}
        self.uncollected: list[str] = []
        self.cases: dict[str, int] = defaultdict(int)
        self.said = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """All tests, before any of them is deselected."""
        for item in items:
            self.cases[_base(item.nodeid)] += 1
            if keys := keys_of(item):
                self.keys[item.nodeid] = keys
        seen = {item.path.parent for item in items}
        self.uncollected += sorted(
            f"nothing of {folder.relative_to(self.tests.parent)}"
            for folder in {path.parent for path in self.tests.rglob("test_*.py")} - seen
        )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            self.uncollected.append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.nodeid not in self.keys:
            return
        before = self.outcomes.get(report.nodeid)
        if report.failed or hasattr(report, "wasxfail"):
            self.outcomes[report.nodeid] = (Outcome.FAILED, "")
        elif report.skipped and before is None:
            self.outcomes[report.nodeid] = (Outcome.NOT_RUN, _reason(report))
        elif report.when == "call" and before is None:
            self.outcomes[report.nodeid] = (Outcome.PASSED, "")

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or session.shouldfail or session.shouldstop:
            self.said = "not written: the run did not come to its end"
        elif self.uncollected:
            self.said = f"not written: not collected: {', '.join(self.uncollected)}"
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        else:
            self.target.write_text(render(requirements(), self.proofs()), encoding="utf-8")
            self.said = "written"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("requirements matrix")
        terminalreporter.line(f"{self.target} {self.said}")

    def proofs(self) -> dict[str, list[Proof]]:
        """By requirement, its tests; the cases of one test are one where all of them bear the number."""
        found: dict[str, list[Proof]] = {}
        for key in {key for keys in self.keys.values() for key in keys}:
            cases: dict[str, list[str]] = defaultdict(list)
            for test, keys in self.keys.items():
                if key in keys:
                    cases[_base(test)].append(test)
            found[key] = []
            for base, tests in cases.items():
                if len(tests) == self.cases[base]:
                    found[key].append(self._proof(base, tests))
                else:
                    found[key] += [self._proof(test, [test]) for test in tests]
        return found

    def _proof(self, name: str, tests: Iterable[str]) -> Proof:
        outcomes = [self.outcomes.get(test, (Outcome.NOT_RUN, "deselected")) for test in tests]
        for wanted in (Outcome.FAILED, Outcome.NOT_RUN):
            for outcome, reason in sorted(outcomes):
                if outcome is wanted:
                    return Proof(name, outcome, reason)
        return Proof(name, Outcome.PASSED)


def _base(nodeid: str) -> str:
    return nodeid.split("[")[0]


def _reason(report: pytest.TestReport) -> str:
    """Why a test was skipped, without the word that pytest puts before it."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(report.longrepr)
