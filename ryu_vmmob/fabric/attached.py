"""The links, servers and external networks at the ports of a switch, by the fabric file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ryu_vmmob.fabric.model import Fabric, PortRef


class Attached(NamedTuple):
    """What is at a port: ``kind`` is ``link``, ``server`` or ``external``."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def attached(fabric: Fabric, switch: str) -> Mapping[int, Attached]:
    """Return what is at each port of a switch that the file names, by number; empty for a switch that it does not have."""
    rows: list[tuple[str, str, PortRef]] = [("link", row.name, row.end_at(switch)) for row in fabric.links_of.get(switch, ())]
    rows += [("server", row.name, port) for row in fabric.servers_of.get(switch, ()) for port in row.attach]
    rows += [("external", row.name, row.attach) for row in fabric.externals_of.get(switch, ())]
    return {port.port: Attached(kind, name) for kind, name, port in rows}
