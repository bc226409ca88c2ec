"""Ports that switches describe (OpenFlow 1.3.5, 7.3.5.7), compared with the fabric file.

Nothing of it is stored. Of a switch that is away its last report stands.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ryu_vmmob.fabric.attached import Attached, attached
from ryu_vmmob.fabric.model import Fabric

MAX_PORT = 0xFFFFFF00
"""OFPP_MAX: numbers above are no ports of the switch's own (OpenFlow 1.3.5, 7.2.1)."""


class SwitchPorts:
    """The ports of each switch that has reported them, by number, with the names that the switch gives them."""

    def __init__(self) -> None:
        self._there: dict[str, dict[int, str]] = {}

    def connected(self, switch: str, ports: Mapping[int, str]) -> None:
        """Take all ports of a switch that has connected, with their names."""
        self._there[switch] = {number: name for number, name in ports.items() if number <= MAX_PORT}

    def counted(self, switch: str, numbers: Collection[int]) -> None:
        """Take the numbers of all ports of a switch. Names that are known stand."""
        before = self._there.get(switch, {})
        self._there[switch] = {number: before.get(number, "") for number in numbers if number <= MAX_PORT}

    def changed(self, switch: str, number: int, name: str | None) -> None:
        """Take one port that the switch reports; None: it is gone. Before a switch has reported its ports nothing follows."""
        there = self._there.get(switch)
        if there is None or number > MAX_PORT:
            return
        if name is None:
            there.pop(number, None)
        else:
            there[number] = name

    def of(self, switch: str) -> Mapping[int, str] | None:
        """Return the ports of a switch by number, each with its name (empty: not known); None before it reported them."""
        return self._there.get(switch)

    def missing(self, fabric: Fabric, switch: str) -> Mapping[int, Attached]:
        """Return the ports that the fabric file names and the switch does not have, by number; none before it reported them."""
        there = self._there.get(switch)
        if there is None:
            return {}
        return {number: what for number, what in sorted(attached(fabric, switch).items()) if number not in there}
