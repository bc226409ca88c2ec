"""Tests with real virtual machines: they need root, Open vSwitch, Mininet and QEMU, and say so when they are skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.laboratory import MISSING_FOR_VMS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    ours = [item for item in items if here in item.path.parents]
    why = MISSING_FOR_VMS or (_no_image() if ours else None)
    for item in ours:
        item.add_marker(pytest.mark.root)
        if why:
            item.add_marker(pytest.mark.skip(reason=f"no real VMs: {why}"))


def _no_image() -> str | None:
    """Make the guest's image; why it cannot be had."""
    from mininet_topos.qemu import image

    try:
        image.ensure()
    except image.ImageError as error:
        return str(error)
    return None
