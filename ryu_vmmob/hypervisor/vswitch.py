"""The hypervisor's Open vSwitch, by its programs: tags of ports, and flows for VMs that move."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any, Final

from ryu_vmmob.hypervisor.domains import Tag

_SECONDS: Final = 10
_COOKIE: Final = 0x766D6D6F62
"""Marks flows of this service; it spells ``vmmob``."""
_PRIORITY: Final = 0x7000
_VERSIONS: Final = "--protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15"


class SwitchError(Exception):
    """Open vSwitch cannot be asked, or refuses; the text is one sentence."""


class OpenVSwitch:
    """The one of this host. ``command``: the words that run ``ovs-vsctl``; ``ofctl``: those that run ``ovs-ofctl``."""

    def __init__(self, command: Sequence[str] = ("ovs-vsctl",), ofctl: Sequence[str] = ("ovs-ofctl",)) -> None:
        self._command, self._ofctl = tuple(command), tuple(ofctl)

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

    def bridges(self) -> list[str]:
        """Return the names of all bridges. Raises SwitchError."""
        return self._run("list-br").split()

    def ports(self, bridge: str) -> list[str]:
        """Return the names of a bridge's ports, without its own. Raises SwitchError."""
        return self._run("list-ports", bridge).split()

    def place_of(self, device: str) -> tuple[str, Tag]:
        """Return the bridge that has a device as a port, and what the port does with tags. Raises SwitchError."""
        names = ("tag", "trunks", "vlan_mode")
        bridge, *values = self._run("port-to-br", device, "--", "get", "Port", device, *names).splitlines()
        tag, trunks, mode = ([] if value in ("[]", "{}") else [value.strip('"')] for value in values)
        return bridge, _tag(tag, trunks, mode)

    def is_only_learning(self, bridge: str) -> bool:
        """Whether a bridge has no flow but that of a learning switch, and those of `forward`. Raises SwitchError."""
        rows = self._flows("--no-stats", "dump-flows", bridge).splitlines()
        flows = [row for row in rows if "actions=" in row and f"cookie={_COOKIE:#x}" not in row]
        return len(flows) == 1 and flows[0].strip().endswith("priority=0 actions=NORMAL")

    def forward(self, bridge: str, device: str, mac: str, tag: Tag, cables: Iterable[str], seconds: int = 0) -> None:
        """Have frames for a MAC that come up the cable go to a port. Raises SwitchError.

        ``tag``: what the port does with tags. With that of an access port frames come up the cable only; else frames of these
        ``cables`` are meant.
        ``seconds``: how long; 0: until `delete_flows`.
        """
        common = f"cookie={_COOKIE:#x},priority={_PRIORITY},hard_timeout={seconds},dl_dst={mac}"
        if isinstance(tag, int):
            flows = [f"{common},dl_vlan={tag},actions=strip_vlan,output:{device}"]
        else:
            untagged = "" if tag == "trunk" else ",vlan_tci=0x0000/0x1000"
            flows = [f"{common},in_port={port}{untagged},actions=output:{device}" for port in cables]
        for flow in flows:
            self._flows("add-flow", bridge, flow)

    def delete_flows(self, bridge: str, mac: str | None = None) -> None:
        """Take the flows of `forward` away, all of a bridge or those for one MAC. Raises SwitchError."""
        self._flows("del-flows", bridge, f"cookie={_COOKIE:#x}/-1" + (f",dl_dst={mac}" if mac is not None else ""))

    def _run(self, *arguments: str) -> str:
        return self._ask(self._command, f"--timeout={_SECONDS}", *arguments)

    def _flows(self, *arguments: str) -> str:
        return self._ask(self._ofctl, f"--timeout={_SECONDS}", _VERSIONS, *arguments)

    @staticmethod
    def _ask(program: tuple[str, ...], *arguments: str) -> str:
        try:
            done = subprocess.run([*program, *arguments], capture_output=True, text=True, timeout=2 * _SECONDS, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SwitchError(f"{program[0]} cannot be run: {getattr(error, 'strerror', None) or error}") from error
        if done.returncode:
            raise SwitchError(f"{program[0]}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout


def open_switch(command: Sequence[str]) -> OpenVSwitch | None:
    """Return the Open vSwitch whose ``ovs-vsctl`` is run by these words, ``ovs-ofctl`` the same way. None: no words."""
    at = next((number for number, word in enumerate(command) if PurePath(word).name == "ovs-vsctl"), None)
    if at is None:
        return OpenVSwitch(command) if command else None
    return OpenVSwitch(command, [*command[:at], str(PurePath(command[at]).with_name("ovs-ofctl"))])


def _values(cell: Any) -> list[Any]:
    """Return a set in OVSDB's JSON (RFC 7047, 5.1): one value stands alone."""
    return list(cell[1]) if isinstance(cell, list) and len(cell) == 2 and cell[0] == "set" else [cell]


def _tag(tag: list[Any], trunks: list[Any], mode: list[Any]) -> Tag:
    if trunks or mode not in ([], ["access"]):
        return "trunk"
    return int(tag[0]) if tag else None
