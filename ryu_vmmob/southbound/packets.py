"""Punted packets: dispatch to `punt` and to the engine, and the packet-outs that follow. No Ryu, no clock of its own.

What is said, `ryu_vmmob.punt` decides. Here: whose flow it was, how much a switch may ask of us, who is listened to, and what
becomes of the news.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from functools import partial
from typing import Final, NamedTuple

from ryu_vmmob import logs
from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.flows.packet_ins import Meaning, asking_table, meaning, meter_of
from ryu_vmmob.flows.pipeline import METER_RATES, Meter
from ryu_vmmob.frames.parse import parse
from ryu_vmmob.model.routing_domains import NeighbourHeard
from ryu_vmmob.punt.answer import answer
from ryu_vmmob.punt.values import Ask, Outcome, PacketOut, Punted
from ryu_vmmob.rate_limit import TokenBucket
from ryu_vmmob.southbound.neighbours import NeighbourWatch
from ryu_vmmob.store.base import StoreError

LOG = logging.getLogger(__name__)

QUESTIONS_A_SECOND: Final = 1000
"""The rate limit of one switch on packets that need an answer. That of one port is lower (`pipeline.METER_RATES`)."""
ERRORS_A_SECOND: Final = 100
"""The rate limit of one port on ICMP errors (RFC 1812, 4.3.2.8; RFC 4443, 2.4 f)."""
MAX_BUCKETS: Final = 4096
MAX_FRAME: Final = 0xFFFF - 1024
"""The largest frame examined, in bytes: its answer has to fit into one message."""

_Note = Callable[[Hashable, Callable[[], None]], None]
_Measured = tuple[str, int, Meter]
"""A switch, a port of it (0: all of them), and a purpose."""


class PacketIn(NamedTuple):
    """A packet-in: the flow's cookie, what the match said of the packet, and the frame."""

    cookie: int
    in_port: int
    metadata: int
    frame: bytes
    ttl_invalid: bool = False


class Packets:
    """The punted packets of all switches. Times are seconds of a monotonic clock.

    ``send`` sends a packet-out to its switch, and drops it when the switch is not connected.

    ``soon`` has something done that changes the state (`Chores.note`), ``later`` too, where no traffic waits for it.
    """

    def __init__(
        self,
        engine: Engine,
        send: Callable[[PacketOut], None],
        soon: _Note = lambda key, call: call(),
        later: _Note = lambda key, call: call(),
    ) -> None:
        self._engine = engine
        self._send = send
        self._soon, self._later = soon, later
        self._neighbours = NeighbourWatch()
        self._questions: dict[_Measured, TokenBucket] = {}
        self._errors: dict[_Measured, TokenBucket] = {}

    def came(self, switch: str, packet: PacketIn, now: float) -> None:
        """Take a packet that a switch of the fabric hands over."""
        flow = self._engine.flow_met(switch, packet.cookie)
        tally = self._engine.tally
        if flow is None:
            tally.drops[switch, "stale"] += 1
            return
        table = asking_table(flow, packet.metadata)
        if table is None:
            tally.drops[switch, "stale"] += 1
            return
        tally.packets[switch, table.label] += 1
        found = meaning(table, flow.owner)
        if found is Meaning.SEEN:
            self._soon(("awaited", switch, packet.cookie), partial(self._awaited, switch, packet.cookie))
        elif len(packet.frame) > MAX_FRAME:
            tally.drops[switch, "size"] += 1
        elif not self._is_due(switch, packet.in_port, meter_of(found, flow), now):
            tally.drops[switch, "rate"] += 1
        elif found is Meaning.REFUSED:
            self._later(("refused", switch, packet.in_port, packet.frame), partial(self._refused, switch, packet))
        else:
            punted = Punted(switch, packet.in_port, packet.metadata, table, flow.owner, packet.frame, packet.ttl_invalid)
            for outcome in answer(self._engine.state, punted):
                self._follow(punted, outcome, now)

    def _is_due(self, switch: str, port: int, purpose: Meter, now: float) -> bool:
        """Whether a packet is within the rate limits of its port and purpose, twice those of the meters. Packets that need an
        answer count towards the limit of the whole switch too.
        """
        rate = METER_RATES[purpose] * 2  # the clock here is not that of the switch
        if not self._may(self._questions, (switch, port, purpose), rate, now):
            return False
        return purpose is not Meter.ANSWERS or self._may(self._questions, (switch, 0, purpose), QUESTIONS_A_SECOND, now)

    def _awaited(self, switch: str, cookie: int) -> None:
        try:
            self._engine.network.frame_seen(switch, cookie)
        except StoreError as error:
            LOG.error("a VM was seen at its target, and the store did not take it: %s", error, extra=logs.fields(switch=switch))

    def _refused(self, switch: str, packet: PacketIn) -> None:
        frame = parse(packet.frame)
        if frame is not None:
            self._engine.network.frame_refused(switch, packet.in_port, packet.metadata, frame)

    def _follow(self, punted: Punted, outcome: Outcome, now: float) -> None:
        match outcome:
            case PacketOut():
                if punted.meaning is not Meaning.ERROR or self._may_tell(punted, now):
                    self._send(outcome)
                else:
                    self._engine.tally.drops[punted.switch, "error_rate"] += 1
            case NeighbourHeard():
                if self._neighbours.heard(outcome):
                    self._soon(("neighbour", outcome.external, outcome.address), partial(self._news, outcome))
            case Ask():
                question = self._neighbours.ask(self._engine.state, outcome, now)
                if question is not None:
                    self._send(question)

    def _may_tell(self, punted: Punted, now: float) -> bool:
        return self._may(self._errors, (punted.switch, punted.in_port, Meter.ANSWERS), ERRORS_A_SECOND, now)

    def _may(self, buckets: dict[_Measured, TokenBucket], what: _Measured, rate: int, now: float) -> bool:
        if what not in buckets and len(buckets) >= MAX_BUCKETS:
            buckets.clear()  # a switch may name any port
        return buckets.setdefault(what, TokenBucket(rate, rate)).take(now)

    def _news(self, found: NeighbourHeard) -> None:
        try:
            self._engine.network.neighbour_heard(found)
        except StoreError as error:
            # It answers again, or goes on being silent: the next time tells.
            about = logs.fields(external=found.external, address=str(found.address))
            LOG.error("neighbour %s on %s could not be stored: %s", found.address, found.external, error, extra=about)

    def look(self, now: float) -> None:
        """Probe the neighbours that are due, and report those that are silent as lost. Called about every half second."""
        for row in self._neighbours.look(self._engine.state, self._is_present, now):
            if isinstance(row, PacketOut):
                self._send(row)
            else:
                self._news(row)

    def _is_present(self, switch: str) -> bool:
        """Whether a switch is connected and has the flows that punt an answer."""
        return self._engine.fleet.has(switch, 0)
