"""Tests with real virtual machines: they need root, Open vSwitch, Mininet and QEMU, and say so when they are skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mininet.conftest import MISSING as NO_LABORATORY


def _missing() -> str | None:
    if NO_LABORATORY:
        return NO_LABORATORY
    from mininet_topos.qemu import image

    return image.missing()


MISSING = _missing()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.root)
            if MISSING:
                item.add_marker(pytest.mark.skip(reason=f"no real VMs: {MISSING}"))
