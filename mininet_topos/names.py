"""Names of kernel devices, which may have at most 15 characters."""

from __future__ import annotations

from hashlib import blake2s

MAX_LENGTH = 15  # IFNAMSIZ less the closing zero
HASH_LENGTH = 3


def device_name(name: str, suffix: str = "") -> str:
    """``name + suffix`` if that is a legal device name, else the same with the end of ``name`` replaced by a hash of it."""
    if len(name) + len(suffix) <= MAX_LENGTH:
        return name + suffix
    room = MAX_LENGTH - len(suffix) - HASH_LENGTH
    if room < 1:
        raise ValueError(f"no room for a device name before {suffix!r}")
    return f"{name[:room]}{blake2s(name.encode()).hexdigest()[:HASH_LENGTH]}{suffix}"


def bridge_name(switch: str) -> str:
    """Return the Open vSwitch bridge of a switch or server."""
    return device_name(switch)


def port_name(switch: str, port: int) -> str:
    """Return the device at one OpenFlow port of a switch."""
    return device_name(switch, f"-p{port}")


def uplink_name(server: str, index: int) -> str:
    """Return the device with which a server, or an external network, hangs on its edge; ``index`` counts the
    members of a LAG.
    """
    return device_name(server, f"-u{index}")


def bond_name(server: str) -> str:
    """Return the bonding driver of a server with several cables."""
    return device_name(server, "-bond")


def bond_port_name(server: str, end: int) -> str:
    """Return the device between a server's bonding driver (0) and its bridge (1)."""
    return device_name(server, f"-b{end}")
