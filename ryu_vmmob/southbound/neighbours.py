"""Neighbour resolution on the wires of external networks, by periodic probes. No Ryu, no clock of its own.

It probes the next hops of every external network whose routing domain exists, and the neighbours that a packet was sent to,
for as long as they answer. A switch that is away is not probed, and its neighbours do not count as lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ryu_vmmob.flows.ports import out, unmarked
from ryu_vmmob.flows.router import router_mac
from ryu_vmmob.frames.arp_nd import arp_request, neighbour_solicitation
from ryu_vmmob.model.objects import Address
from ryu_vmmob.model.routing_domains import NeighbourHeard
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import MAC_BROADCAST
from ryu_vmmob.punt.values import Ask, PacketOut

INTERVAL: Final = 2.0
"""Seconds between two questions to a neighbour that answers."""
IMPATIENCE: Final = 1.0
"""Seconds to wait for an answer."""
QUESTIONS: Final = 3
"""Questions in a row without an answer, and the neighbour is lost."""
MOST: Final = 1024
"""Neighbours of one external network that are asked for because of a packet to them."""

_Neighbour = tuple[str, Address]
"""External network and address."""


@dataclass(slots=True)
class _Row:
    asked: float = float("-inf")
    unanswered: int = 0
    by_packet: bool = False
    """Asked for by a packet: forgotten when there is no answer, while a next hop is asked for for ever."""


class NeighbourWatch:
    """Times are seconds of a steady clock. `look` is to be called more often than `IMPATIENCE`."""

    def __init__(self) -> None:
        self._rows: dict[_Neighbour, _Row] = {}
        self._by_packet: Counter[str] = Counter()

    def ask(self, state: State, wanted: Ask, now: float) -> PacketOut | None:
        """Return the first question for a neighbour that a packet is for; None when it is asked for already, or too
        many are.
        """
        key = wanted.external, wanted.address
        own = _own_address(state, key)
        if own is None or key in self._rows or self._by_packet[wanted.external] >= MOST:
            return None
        self._add(key, by_packet=True)
        return self._question(state, key, own, now)

    def heard(self, found: NeighbourHeard) -> bool:
        """Note that a neighbour answers; return whether it was asked."""
        row = self._rows.get((found.external, found.address))
        if row is None:
            return False
        row.unanswered = 0
        return True

    def look(self, state: State, present: Callable[[str], bool], now: float) -> Iterator[PacketOut | NeighbourHeard]:
        """Yield the questions that are due, and the neighbours that are lost. ``present`` says whether a switch is there."""
        needed = _needed(state)
        for key in [key for key in self._rows if key not in needed and not self._is_open(state, key)]:
            self._forget(key)
        for key, by_packet in needed.items():
            if key not in self._rows:
                self._add(key, by_packet=by_packet)
        for key, row in list(self._rows.items()):
            if not present(state.fabric.externals[key[0]].attach.switch):
                row.unanswered, row.asked = 0, float("-inf")
            elif now - row.asked >= (IMPATIENCE if row.unanswered else INTERVAL):
                yield from self._due(state, key, row, now)

    def _due(self, state: State, key: _Neighbour, row: _Row, now: float) -> Iterator[PacketOut | NeighbourHeard]:
        own = _own_address(state, key)
        if row.unanswered >= QUESTIONS or own is None:
            if key in state.neighbours:
                yield NeighbourHeard(*key, None)
            if row.by_packet:
                self._forget(key)
                return
        if own is not None:
            yield self._question(state, key, own, now)

    def _question(self, state: State, key: _Neighbour, own: Address, now: float) -> PacketOut:
        """Who has it? The first time to a known neighbour alone: do you still have it?"""
        row = self._rows[key]
        known = state.neighbours.get(key) if not row.unanswered else None
        row.asked, row.unanswered = now, row.unanswered + 1
        external, target = state.fabric.externals[key[0]], int(key[1])
        mine = router_mac(state, external.attach.switch)
        if own.version == 4:
            frame = arp_request(mine, int(own), target, known or MAC_BROADCAST)
        else:
            frame = neighbour_solicitation(mine, int(own), target, known or 0)
        return PacketOut(external.attach.switch, unmarked(out(external.attach.port, external.vlan_id)), frame)

    def _is_open(self, state: State, key: _Neighbour) -> bool:
        """Whether a question that a packet raised still waits for its answer."""
        external = state.fabric.externals.get(key[0])
        return self._rows[key].by_packet and external is not None and external.routing_domain in state.routing_domains

    def _add(self, key: _Neighbour, *, by_packet: bool) -> None:
        self._rows[key] = _Row(by_packet=by_packet)
        self._by_packet[key[0]] += by_packet

    def _forget(self, key: _Neighbour) -> None:
        self._by_packet[key[0]] -= self._rows.pop(key).by_packet


def _needed(state: State) -> dict[_Neighbour, bool]:
    """Next hops (False), and neighbours that were asked for by a packet once and answered (True)."""
    found: dict[_Neighbour, bool] = {}
    for external in state.fabric.externals.values():
        if external.routing_domain in state.routing_domains:
            found.update(((external.name, hop), False) for hop in external.next_hops)
    for key in state.neighbours:
        if state.fabric.externals[key[0]].routing_domain in state.routing_domains:
            found.setdefault(key, True)
    return found


def _own_address(state: State, key: _Neighbour) -> Address | None:
    """Return the edge's address in the subnet of a neighbour; None where the neighbour is in no subnet of the
    external network.
    """
    addresses = state.fabric.externals[key[0]].addresses
    return next((row.ip for row in addresses if row.version == key[1].version and key[1] in row.network), None)
