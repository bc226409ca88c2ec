"""Links and external networks that are down, derived from port states. No Ryu, no clock of its own."""

from __future__ import annotations

from collections.abc import Collection

from ryu_vmmob.fabric.model import Fabric, PortRef


class LinkWatch:
    """A link is up when both its ends are, an external network when its port is. A switch that is away is believed as it was
    seen last.

    What comes back counts only after ``delay`` seconds of being up, so that a flapping cable does no harm; what goes down
    counts at once.
    """

    def __init__(
        self, fabric: Fabric, down: frozenset[str], delay: float, externals_down: frozenset[str] = frozenset()
    ) -> None:
        self._fabric = fabric
        self._delay = delay
        self._told: set[str] = set()
        self._up: dict[PortRef, bool] = {}
        self._since: dict[PortRef, float] = {}
        self._before = down
        self._externals_before = externals_down

    def port(self, switch: str, number: int, *, up: bool, now: float) -> None:
        """Take a port's state as the switch tells it; ``now`` in seconds of a steady clock."""
        port = PortRef(switch, number)
        if up and self._up.get(port) is False:
            self._since[port] = now
        self._up[port] = up

    def ports_known(self, switch: str, numbers: Collection[int]) -> None:
        """Take the ports of a switch that connected: one not among ``numbers`` is not there, or not any more."""
        self._told.add(switch)
        ends = [link.end_at(switch) for link in self._fabric.links_of[switch]]
        ends += [external.attach for external in self._fabric.externals_of[switch]]
        for end in ends:
            if end.port not in numbers:
                self._up[end] = False

    def use(self, fabric: Fabric, down: frozenset[str]) -> None:
        """Another fabric; ``down`` are the links that count as down on it. What switches said of their ports stands."""
        self._fabric = fabric
        self._before = down
        self._told &= fabric.switches.keys()
        for switch in self._told:
            ends = [link.end_at(switch) for link in fabric.links_of[switch]]
            for end in (*ends, *(external.attach for external in fabric.externals_of[switch])):
                self._up.setdefault(end, False)
        for port in [port for port in self._up if port.switch not in fabric.switches]:
            del self._up[port]
            self._since.pop(port, None)

    def down(self, now: float) -> frozenset[str]:
        """Names of the links that are down."""
        found = set()
        for link in self._fabric.links:
            ends = [self._end(end, now, was_down=link.name in self._before) for end in (link.a, link.b)]
            if not all(ends):
                found.add(link.name)
        self._before = frozenset(found)
        return self._before

    def externals_down(self, now: float) -> frozenset[str]:
        """Names of the external networks that are down."""
        self._externals_before = frozenset(
            name
            for name, external in self._fabric.externals.items()
            if not self._end(external.attach, now, was_down=name in self._externals_before)
        )
        return self._externals_before

    def _end(self, port: PortRef, now: float, *, was_down: bool) -> bool:
        if port not in self._up:
            # Nothing heard of the switch yet: as it was stored.
            return not was_down
        if not self._up[port]:
            return False
        return now - self._since.get(port, -self._delay) >= self._delay
