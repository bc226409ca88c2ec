"""From the packets that switches hand over to the packets that they are to send. No Ryu, no clock of its own.

What is said, `ryu_vmmob.punt` decides. Here: whose flow it was, how much a switch may ask of us, who is listened to, and what
becomes of the news.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from ryu_vmmob import logs
from ryu_vmmob.apps.neighbours import NeighbourWatch
from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.frames.parse import parse
from ryu_vmmob.limits import TokenBucket
from ryu_vmmob.model.routing import NeighbourHeard
from ryu_vmmob.punt.answer import answer
from ryu_vmmob.punt.values import Ask, Outcome, PacketOut, Punted
from ryu_vmmob.store.base import StoreError

LOG = logging.getLogger(__name__)

QUESTIONS_A_SECOND: Final = 1000
"""Packets of one switch that are looked at at all. Open vSwitch hands over fewer (`pipeline.METER_RATES`)."""
ERRORS_A_SECOND: Final = 100
"""ICMP errors that are sent on behalf of one switch (RFC 1812, 4.3.2.8; RFC 4443, 2.4 f)."""
MAX_FRAME: Final = 0xFFFF - 1024
"""Bytes of a frame that is looked at: its answer has to fit into one message."""

_ERRORS_FROM: Final = frozenset({Table.GATEWAY, Table.ROUTE})


class PacketIn(NamedTuple):
    """A packet-in: the flow's cookie, what the match said of the packet, and the frame."""

    cookie: int
    in_port: int
    metadata: int
    frame: bytes
    ttl_invalid: bool = False


class Packets:
    """``send`` hands a packet to its switch, and drops it when that is away. Times are seconds of a steady clock."""

    def __init__(self, engine: Engine, send: Callable[[PacketOut], None]) -> None:
        self._engine = engine
        self._send = send
        self._neighbours = NeighbourWatch()
        self._questions: dict[str, TokenBucket] = {}
        self._errors: dict[str, TokenBucket] = {}

    def came(self, switch: str, packet: PacketIn, now: float) -> None:
        """A switch of the fabric hands a packet over."""
        flow = self._engine.flow_met(switch, packet.cookie)
        tally = self._engine.tally
        if flow is None:
            tally.drops[switch, "stale"] += 1
            return
        tally.packets[switch, flow.table.label] += 1
        if flow.table is Table.ADMIT and flow.owner[0] == "vm":
            self._awaited(switch, packet.cookie)
        elif len(packet.frame) > MAX_FRAME:
            tally.drops[switch, "size"] += 1
        elif not self._may(self._questions, switch, QUESTIONS_A_SECOND, now):
            tally.drops[switch, "rate"] += 1
        elif flow.table is Table.REFUSE:
            self._refused(switch, packet)
        else:
            punted = Punted(
                switch, packet.in_port, packet.metadata, flow.table, flow.owner, packet.frame, packet.ttl_invalid
            )
            for outcome in answer(self._engine.state, punted):
                self._follow(punted, outcome, now)

    def _awaited(self, switch: str, cookie: int) -> None:
        try:
            self._engine.frame_seen(switch, cookie)
        except StoreError as error:
            LOG.error("a VM was seen at its target, and the store did not take it: %s", error, extra=logs.fields(switch=switch))

    def _refused(self, switch: str, packet: PacketIn) -> None:
        frame = parse(packet.frame)
        if frame is not None:
            self._engine.frame_refused(switch, packet.in_port, packet.metadata, frame)

    def _follow(self, punted: Punted, outcome: Outcome, now: float) -> None:
        match outcome:
            case PacketOut():
                if punted.table not in _ERRORS_FROM or self._may(self._errors, punted.switch, ERRORS_A_SECOND, now):
                    self._send(outcome)
                else:
                    self._engine.tally.drops[punted.switch, "error_rate"] += 1
            case NeighbourHeard():
                if self._neighbours.heard(outcome):
                    self._news(outcome)
            case Ask():
                question = self._neighbours.ask(self._engine.state, outcome, now)
                if question is not None:
                    self._send(question)

    def _may(self, buckets: dict[str, TokenBucket], switch: str, rate: int, now: float) -> bool:
        return buckets.setdefault(switch, TokenBucket(rate, rate)).take(now)

    def _news(self, found: NeighbourHeard) -> None:
        try:
            self._engine.neighbour_heard(found)
        except StoreError as error:
            # It answers again, or goes on being silent: the next time tells.
            about = logs.fields(external=found.external, address=str(found.address))
            LOG.error("news of %s on %s are not carried out: %s", found.address, found.external, error, extra=about)

    def look(self, now: float) -> None:
        """Ask the neighbours whose turn it is, and give up those that are silent. Called every half second or so."""
        for row in self._neighbours.look(self._engine.state, self._is_present, now):
            if isinstance(row, PacketOut):
                self._send(row)
            else:
                self._news(row)

    def _is_present(self, switch: str) -> bool:
        """Whether a switch is connected and has what it needs to hand us an answer."""
        return self._engine.fleet.has(switch, 0)
