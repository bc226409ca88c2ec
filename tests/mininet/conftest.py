"""Tests with real switches and namespaces: they need root, Open vSwitch and Mininet, and say so when they are skipped."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _missing() -> str | None:
    if os.geteuid() != 0:
        return "not root: network namespaces cannot be made"
    from mininet_topos.ovs import missing_programs

    if programs := missing_programs():
        return f"Open vSwitch is not installed: no {', '.join(programs)}"
    if tools := [t for t in ("mnexec", "ip", "ss", "setpriv", "ethtool", "ping") if shutil.which(t) is None]:
        return f"not installed: {', '.join(tools)}"
    if not Path("/dev/net/tun").exists():
        return "no /dev/net/tun"
    try:
        import mininet  # noqa: F401
    except ImportError:
        return "Mininet is not installed (tools/setup.sh links it into the environment)"
    return None


MISSING = _missing()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.root)
            if MISSING:
                item.add_marker(pytest.mark.skip(reason=MISSING))
