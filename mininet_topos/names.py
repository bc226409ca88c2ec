"""Names of kernel devices: at most 15 characters, unique, and recognisable as ours by their prefix."""

from __future__ import annotations

from hashlib import blake2s

MAX_LENGTH = 15  # IFNAMSIZ less the closing zero


def device_name(prefix: str, name: str, suffix: str = "") -> str:
    """``prefix + name + suffix`` if that is a legal device name, else the same with the middle of ``name`` hashed."""
    full = f"{prefix}{name}{suffix}"
    if len(full) <= MAX_LENGTH:
        return full
    room = MAX_LENGTH - len(prefix) - len(suffix) - 3
    if room < 1:
        raise ValueError(f"no room for a device name between {prefix!r} and {suffix!r}")
    return f"{prefix}{name[:room]}{blake2s(name.encode(), digest_size=2).hexdigest()[:3]}{suffix}"


def bridge_name(prefix: str, switch: str) -> str:
    """The Open vSwitch bridge of a switch or server."""
    return device_name(prefix, switch)


def port_name(prefix: str, switch: str, port: int) -> str:
    """The device at one OpenFlow port of a switch."""
    return device_name(prefix, switch, f"-p{port}")


def uplink_name(prefix: str, server: str, index: int) -> str:
    """The device with which a server, or an external network, hangs on its edge; ``index`` counts the members of a LAG."""
    return device_name(prefix, server, f"-u{index}")
