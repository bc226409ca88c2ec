"""Two sites that know nothing of each other, joined by cables between ports where each side takes the other for a server."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile

from ryu_vmmob.fabric.loader import load
from ryu_vmmob.fabric.model import Fabric, PortRef
from ryu_vmmob.sim.network import Journey
from ryu_vmmob.sim.packet import Packet
from tests.conformance.two_dcs import TwoDcs
from tests.support.fabric_examples import DOCUMENT

CABLES = {
    ("north", PortRef("border-n", 47)): ("south", PortRef("border-s", 47)),
    ("north", PortRef("border-n", 48)): ("south", PortRef("border-s", 48)),
}
_SECTION = re.compile(r"^## Two administrations\n(.*?)^## ", re.MULTILINE | re.DOTALL)
_MAX_PASSAGES = 16


def documented() -> list[str]:
    """The two fabric files of docs/fabric.md."""
    (section,) = _SECTION.findall(DOCUMENT.read_text(encoding="utf-8"))
    return re.findall(r"^```yaml\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def fabrics() -> dict[str, Fabric]:
    """Both by name, as the loader reads them."""
    found = {}
    for text in documented():
        with NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            fabric = load(Path(file.name))
        found[fabric.name] = fabric
    return found


@dataclass
class Passage:
    """What became of one frame on both sides: (server or external network, packet) of each copy that came out, what crossed a
    cable as (side it came from, packet), and the journey on each side in order.
    """

    arrivals: list[tuple[str, Packet]] = field(default_factory=list)
    crossings: list[tuple[str, Packet]] = field(default_factory=list)
    journeys: list[tuple[str, Journey]] = field(default_factory=list)

    @property
    def servers(self) -> list[str]:
        """Where copies came out, one entry a copy."""
        return sorted(name for name, _ in self.arrivals)

    def __str__(self) -> str:
        return "\n".join(f"{side}: {journey}" for side, journey in self.journeys)


class Administrations:
    """Both sides with their own engine and store. Names of servers differ, so a server says which side is meant."""

    def __init__(self) -> None:
        self.sides = {name: TwoDcs(fabric, 0) for name, fabric in fabrics().items()}
        self._cables = CABLES | {there: here for here, there in CABLES.items()}

    def side_of(self, server: str) -> str:
        """The side that a server belongs to; not that of the server that stands for a side."""
        return next(name for name, site in self.sides.items() if server in site.fabric.servers and server not in self.sides)

    def inject(self, packet: Packet, server: str) -> Passage:
        """A frame from a server, as it is on its wire, followed over both sides."""
        side = self.side_of(server)
        passage = Passage()
        waiting = deque([(side, self.sides[side].fabric.servers[server].attach[0], packet)])
        while waiting:
            side, port, packet = waiting.popleft()
            site = self.sides[side]
            journey = site.network.inject(packet, port)
            assert not journey.loop, str(journey)
            passage.journeys.append((side, journey))
            assert len(passage.journeys) <= _MAX_PASSAGES, f"a loop over the cable\n{passage}"
            for row in journey.deliveries:
                if (side, row.port) in self._cables:
                    passage.crossings.append((side, row.packet))
                    waiting.append((*self._cables[side, row.port], row.packet))
                else:
                    passage.arrivals.append((site.fabric.server_at[row.port].name, row.packet))
        return passage

    def hear(self, passage: Passage) -> None:
        """What switches show their controllers on the way is news for these."""
        for side, journey in passage.journeys:
            for row in journey.controller:
                self.sides[side].engine.network.frame_seen(row.switch, row.cookie)

    def waiting(self) -> list[tuple[str, str]]:
        """(side, switch) with an update on the way."""
        return [(side, name) for side, site in self.sides.items() for name in site.waiting()]

    def settle(self) -> None:
        """Every switch takes all its updates."""
        for site in self.sides.values():
            site.settle()
