"""Tags of the ports of this hypervisor's Open vSwitch, read and set with ``ovs-vsctl``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ryu_vmmob.hypervisor.domains import Tag

_SECONDS: Final = 10


class SwitchError(Exception):
    """Open vSwitch cannot be asked, or refuses; the text is one sentence."""


class OpenVSwitch:
    """The one of this host. ``command``: the words that run ``ovs-vsctl``."""

    def __init__(self, command: Sequence[str] = ("ovs-vsctl",)) -> None:
        self._command = tuple(command)

    def tags(self, devices: Iterable[str]) -> dict[str, Tag]:
        """Return what each of these ports does with tags; one that Open vSwitch does not have is left out. Raises
        SwitchError.
        """
        wanted = set(devices)
        if not wanted:
            return {}
        text = self._run("--format=json", "--columns=name,tag,trunks,vlan_mode", "list", "Port")
        found: dict[str, Tag] = {}
        for name, tag, trunks, mode in json.loads(text)["data"]:
            if name in wanted:
                found[name] = _tag(_values(tag), _values(trunks), _values(mode))
        return found

    def set_tag(self, device: str, tag: int | None) -> None:
        """Make a port an access port of this VLAN-ID, or one that adds no tag. Raises SwitchError."""
        change = ["clear", "Port", device, "trunks", "--", "clear", "Port", device, "vlan_mode", "--"]
        change += ["clear", "Port", device, "tag"] if tag is None else ["set", "Port", device, f"tag={tag}"]
        self._run(*change)

    def _run(self, *arguments: str) -> str:
        command = [*self._command, f"--timeout={_SECONDS}", *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=2 * _SECONDS, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SwitchError(f"{self._command[0]} cannot be run: {getattr(error, 'strerror', None) or error}") from error
        if done.returncode:
            raise SwitchError(f"{self._command[0]}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout


def _values(cell: Any) -> list[Any]:
    """Return a set in OVSDB's JSON (RFC 7047, 5.1): one value stands alone."""
    return list(cell[1]) if isinstance(cell, list) and len(cell) == 2 and cell[0] == "set" else [cell]


def _tag(tag: list[Any], trunks: list[Any], mode: list[Any]) -> Tag:
    if trunks or mode not in ([], ["access"]):
        return "trunk"
    return int(tag[0]) if tag else None
