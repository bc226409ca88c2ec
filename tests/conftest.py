"""For all tiers: what was not run is said at the end, in words that cannot be overlooked; what is random can be repeated."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import Phase, settings

# A run is the same each time, and a failure is told at once: making it smaller takes minutes in a network of random moves. To
# look elsewhere, and for a small example, HYPOTHESIS_PROFILE=explore. No example has a deadline: machines are noisy.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None, phases=(Phase.explicit, Phase.generate))
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

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
