"""One connection of one switch: reconcile it, then keep it in step. The one place that talks to switches.

Each session is a green thread of its own, so a slow or deaf switch delays nobody. It sends bytes made by our own encoder and
learns the outcome from barriers, bundle replies and errors; nothing counts as done that the switch has not confirmed.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from ryu.lib import hub

from ryu_vmmob.apps.vital import vital
from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.fleet import Fault
from ryu_vmmob.engine.messages import Message, additions, deletions, fault
from ryu_vmmob.fabric.model import Dialect
from ryu_vmmob.flows import wire
from ryu_vmmob.flows.delta import Delta, SwitchTables, fill_groups
from ryu_vmmob.flows.flow import Action
from ryu_vmmob.flows.pipeline import METER_RATES, Table, group_parts

LOG = logging.getLogger(__name__)

REPLY_TIMEOUT: Final = 30.0
"""Seconds without any sign from a switch that owes a reply; then the connection is given up, and made anew."""
COUNT_INTERVAL: Final = 10.0
"""Seconds between two looks at how many frames were refused."""
MAX_PACKETS: Final = 256
"""Packets that wait to be sent to one switch."""
_PACKET_XID: Final = 1 << 31
"""The transaction id of every packet-out: what becomes of one is nobody's concern."""
_CHUNK: Final = 1 << 16


class Lost(Exception):
    """The connection is gone, or of no use any more."""


class Session:
    """Brings one switch to the desired state and keeps it there until the connection ends."""

    def __init__(self, datapath: Any, name: str, engine: Engine, clock: Callable[[], float], audit: float) -> None:
        self.datapath = datapath
        self.name = name
        self._engine = engine
        self._clock = clock
        self._audit = audit
        self.dialect = engine.state.fabric.switches[name].dialect
        self._work = hub.Event()
        self._inbox: Any = hub.Queue()
        self._outbox: Any = hub.Queue()
        self._alive = True
        self._xid = random.randrange(1 << 30)  # noqa: S311 - a starting point, no secret
        self._bundle = 0
        self._bundles = True
        self._errors: dict[int, str] = {}
        self.asking: int | None = None
        """Transaction id of the multipart request under way: its replies are wanted unparsed."""

    # Called by the application's event handlers

    def wake(self) -> None:
        """There is something to take."""
        self._work.set()

    def end(self) -> None:
        """The connection has ended."""
        self._alive = False
        self._work.set()
        self._inbox.put(None)
        self._outbox.put(None)
        self._engine.fleet.disconnected(self.name, self.wake)

    def reply(self, message: Any) -> None:
        """A barrier reply, a bundle reply or a raw multipart reply."""
        self._inbox.put(message)

    def packet_out(self, actions: tuple[Action, ...], frame: bytes) -> None:
        """Let the switch send a frame, soon; dropped where too many wait already. Never blocks."""
        if self._outbox.qsize() < MAX_PACKETS:
            self._outbox.put(wire.packet_out(actions, frame, _PACKET_XID))

    def error(self, xid: int, text: str) -> None:
        """The switch refused the message with this transaction id."""
        if xid == _PACKET_XID:
            LOG.debug("switch %s did not send a packet: %s", self.name, text)
            return
        self._errors[xid] = text
        self._inbox.put(("error", xid))

    # The green thread

    def run(self) -> None:
        """Reconcile, then follow; returns when the connection is lost."""
        self._engine.fleet.connected(self.name, self.wake, self._clock())
        hub.spawn(vital(self._send_packets))
        try:
            self._ask_for_packets()
            self._reconcile()
            now = time.monotonic()
            audit = now + self._audit if self._audit else math.inf
            count = now + COUNT_INTERVAL
            while True:
                self._work.wait(max(0.0, min(audit, count) - time.monotonic()))
                self._work.clear()
                if not self._alive:
                    return
                if time.monotonic() >= audit:  # also of a switch that is kept busy
                    self._reconcile()
                    audit = time.monotonic() + self._audit
                if time.monotonic() >= count:
                    self._count_refusals()
                    count = time.monotonic() + COUNT_INTERVAL
                while (taken := self._engine.fleet.take(self.name)) is not None:
                    revision, delta = taken
                    self._bring(revision, delta)
                if self._engine.fleet.is_leaving(self.name):
                    raise Lost("it is no longer in the fabric, and has given up what it had of ours")
        except (Lost, wire.MalformedReply) as lost:
            LOG.warning("switch %s: %s", self.name, lost)
            self.datapath.close()
        finally:
            self._outbox.put(None)
            self._engine.fleet.disconnected(self.name, self.wake)

    def _send_packets(self) -> None:
        """A green thread of its own: packets wait for no bundle, and a slow switch holds up nobody else's."""
        try:
            while (packet := self._outbox.get()) is not None:
                self._put(packet)
        except Lost:
            pass

    def _ask_for_packets(self) -> None:
        """A switch that cannot match the TTL is to hand over the packets that it cannot count down."""
        if self.dialect is Dialect.OPENFLOW13:
            self._send([wire.set_async(self._next_xid())])

    def _reconcile(self) -> None:
        """Compare what the switch has with what it should have, by cookies and group contents; send the difference.

        No match is parsed, and a switch that is right gets no flow-mod at all (invariant 9).
        """
        self._set_meters()
        cookies: set[int] = set()
        for body in self._ask(wire.flow_stats_request):
            cookies.update(wire.flow_stats_cookies(body))
        groups: dict[int, bytes] = {}
        for body in self._ask(wire.group_desc_request):
            groups.update((number, content) for number, content in wire.group_descriptions(body) if group_parts(number))
        # From here to the end of the comparison nothing yields, so no delta is lost or counted twice.
        revision = self._engine.fleet.begin_reconciliation(self.name)
        # A switch that was taken out of the fabric meanwhile is to have nothing.
        desired = self._engine.desired.tables.get(self.name, SwitchTables())
        delta = Delta(
            [flow for cookie, flow in desired.flows.items() if cookie not in cookies],
            {cookie: None for cookie in cookies if cookie not in desired.flows},
        )
        fill_groups(delta, groups, desired.groups)
        LOG.info(
            "switch %s: has %d flows and %d groups of ours; %d messages to put it right",
            self.name, len(cookies), len(groups), delta.messages,
        )  # fmt: skip
        self._bring(revision, delta)

    def _count_refusals(self) -> None:
        """Ask how many frames were refused, by server."""
        flows = self._engine.desired.tables.get(self.name, SwitchTables()).flows
        found: dict[str, int] = {}
        for body in self._ask(lambda xid: wire.flow_stats_request(xid, Table.REFUSE.id)):
            for cookie, packets in wire.flow_stats_counts(body).items():
                if cookie in flows and flows[cookie].owner[0] == "server":
                    server = flows[cookie].owner[1]
                    found[server] = found.get(server, 0) + packets
        self._engine.refusals.counted(found)

    def _set_meters(self) -> None:
        """Flows may refer to them, so they come first. What the switch says to a meter that it has already is no news."""
        if self.dialect is Dialect.OPENVSWITCH:
            self._send(
                [wire.meter_set(meter, rate, (self._next_xid(), self._next_xid())) for meter, rate in METER_RATES.items()]
            )
            self._barrier()

    def _bring(self, revision: int, delta: Delta) -> None:
        """Carry out a delta, and report what the switch confirmed and refused."""
        faults = self._apply(delta) if delta else []
        told = {*(flow.cookie for flow in delta.flows), *delta.gone, *delta.groups_gone}
        told.update(group.id for group in (*delta.groups, *delta.groups_changed))
        for row in faults:
            LOG.error("switch %s refused %s of %s: %s", self.name, row.cause, " ".join(row.owner) or "nobody", row.error)
        self._engine.fleet.confirm(self.name, revision, faults, told)
        self._engine.progress()

    def _apply(self, delta: Delta) -> list[Fault]:
        if self._bundles:
            messages = [*additions(delta, self._next_xid), *deletions(delta, self._next_xid)]
            if self._in_bundle(messages):
                return []
            # Refused as a whole: one by one, so that what is right gets in and what is not is known by name.
        found = self._one_by_one(list(additions(delta, self._next_xid)))
        return found + self._one_by_one(list(deletions(delta, self._next_xid)))

    def _in_bundle(self, messages: list[Message]) -> bool:
        """All of it or nothing. False: refused, or the switch has no bundles (then it is not asked again)."""
        self._bundle += 1
        opened, committed = self._next_xid(), self._next_xid()
        self._errors.clear()
        parts = [wire.bundle_control(self._bundle, wire.BUNDLE_OPEN_REQUEST, opened)]
        parts.extend(wire.bundle_add(self._bundle, message.wire) for message in messages)
        self._send(parts)
        # Open vSwitch leaves out a message that it refuses while it is added, and would commit the rest.
        self._barrier()
        if opened in self._errors:
            LOG.info("switch %s has no bundles: %s", self.name, self._errors[opened])
            self._bundles = False
            return False
        if self._errors:
            self._send([wire.bundle_control(self._bundle, wire.BUNDLE_DISCARD_REQUEST, self._next_xid())])
            return False
        self._send([wire.bundle_control(self._bundle, wire.BUNDLE_COMMIT_REQUEST, committed)])
        while True:
            got = self._receive()
            if got == ("error", committed):
                return False
            if not isinstance(got, tuple) and got.xid == committed and got.type == wire.BUNDLE_COMMIT_REPLY:
                return True

    def _one_by_one(self, messages: list[Message]) -> list[Fault]:
        if not messages:
            return []
        self._errors.clear()
        self._send([message.wire for message in messages])
        self._barrier()
        by_xid = {int.from_bytes(message.wire[4:8], "big"): message for message in messages}
        return [fault(by_xid[xid], text) for xid, text in self._errors.items() if xid in by_xid]

    def _barrier(self) -> None:
        xid = self._next_xid()
        self._send([wire.barrier(xid)])
        while True:
            got = self._receive()
            if not isinstance(got, tuple) and got.xid == xid:
                return

    def _ask(self, request: Callable[[int], bytes]) -> Iterable[bytes]:
        """The bodies of a multipart reply."""
        xid = self.asking = self._next_xid()
        self._send([request(xid)])
        while True:
            got = self._receive()
            if got == ("error", xid):
                raise Lost(f"it refused to say what it has: {self._errors[xid]}")
            if not isinstance(got, tuple) and got.xid == xid:
                yield got.body
                if not got.more:
                    return

    def _receive(self) -> Any:
        try:
            got = self._inbox.get(timeout=REPLY_TIMEOUT)
        except hub.QueueEmpty:
            raise Lost(f"no reply within {REPLY_TIMEOUT:g} s") from None
        if got is None or not self._alive:
            raise Lost("the connection has ended")
        return got

    def _send(self, parts: list[bytes]) -> None:
        """Queue bytes in pieces, so that echo replies find their way in between."""
        piece: list[bytes] = []
        size = 0
        for part in parts:
            piece.append(part)
            size += len(part)
            if size >= _CHUNK:
                self._put(b"".join(piece))
                piece, size = [], 0
        if piece:
            self._put(b"".join(piece))

    def _put(self, data: bytes) -> None:
        if not self._alive or not self.datapath.send(data):
            raise Lost("the connection has ended")

    def _next_xid(self) -> int:
        self._xid = self._xid + 1 & 0x7FFFFFFF
        return self._xid

