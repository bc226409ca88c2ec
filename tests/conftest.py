"""For all tiers: what was not run is said at the end, in words that cannot be overlooked."""

from __future__ import annotations

from collections import Counter

import pytest

pytest_plugins = ["tests.conformance.plugin"]


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test was skipped, without the word that pytest puts before it."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(report.longrepr)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the skipped tests by reason, above pytest's own last lines."""
    skipped = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    if not skipped:
        return
    terminalreporter.section(f"NOT RUN ON THIS MACHINE: {sum(skipped.values())}", sep="!", red=True, bold=True)
    for reason, count in skipped.most_common():
        terminalreporter.line(f"{count:5d}  {reason}")
