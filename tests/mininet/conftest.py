"""Tests with real switches and namespaces: they need root, Open vSwitch and Mininet, and say so when they are skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.laboratory import MISSING


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.root)
            if MISSING:
                item.add_marker(pytest.mark.skip(reason=MISSING))
