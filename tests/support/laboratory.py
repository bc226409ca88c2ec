"""What this machine lacks for tests with namespaces and real switches, and for tests with real virtual machines."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _no_network() -> str | None:
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


MISSING = _no_network()
"""Why there can be no network of namespaces; None where there can."""


def _no_vms() -> str | None:
    if MISSING:
        return MISSING
    from mininet_topos.qemu import image

    return image.missing()


MISSING_FOR_VMS = _no_vms()
"""Why there can be no virtual machines in it; None where there can."""
