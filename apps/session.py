"""A session: one connection of one switch. It reconciles the switch, then keeps it in step.

Goals, and how each is met:

1. *A switch has what is desired, whatever it had before.* The session begins with a reconciliation: it reads the switch's
   entries and sends the difference (`auditing.reconcile`). It repeats this as an audit at intervals and on request.
2. *Only what a switch confirmed counts.* Each delta ends with a barrier or a bundle reply. Errors in between become faults,
   which `Fleet.confirm` gets with the revision.
3. *A slow switch delays no other.* Each session has a green thread of its own. After each piece of long work it takes a turn
   (`turn`). Packet-outs have another thread, so they wait for no bundle.
4. *Bounded memory.* The fleet composes pending deltas into one. At most `MAX_PACKETS` packets wait; more are dropped and
   counted.
5. *Two controllers never both write (invariant 14).* Nothing is sent while the role is in doubt (`commands`, `doubted`).

`Transactions` matches messages with replies and errors. The session ends with the connection: a `Lost` anywhere ends `run`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from ryu.lib import hub

from ryu_vmmob import logs
from ryu_vmmob.apps import auditing, capabilities
from ryu_vmmob.apps.transactions import PACKET_XID, Deposed, Lost, Transactions
from ryu_vmmob.apps.turns import TURNS
from ryu_vmmob.apps.vital import vital
from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.fleet import KEEPS_COOKIES, SwitchFault
from ryu_vmmob.engine.messages import additions, deletions
from ryu_vmmob.engine.roles import Role
from ryu_vmmob.fabric.model import Dialect
from ryu_vmmob.flows import wire
from ryu_vmmob.flows.audit import Finding, Habits
from ryu_vmmob.flows.delta import Delta, SwitchTables
from ryu_vmmob.flows.flow import Action, Flow, Group
from ryu_vmmob.flows.owner import OwnerKind
from ryu_vmmob.flows.pipeline import COOKIE_MARK, COOKIE_MARK_MASK, Table
from ryu_vmmob.flows.ports import unmarked
from ryu_vmmob.southbound import habits, port_counters, roles
from ryu_vmmob.store.base import StoreError
from ryu_vmmob.whitebox.features import Portrait

LOG = logging.getLogger(__name__)

COUNT_INTERVAL: Final = 10.0
"""Seconds between two looks at how many frames were refused."""
ADOPTED_LOOK: Final = 0.02
"""Seconds between two looks whether a long command has been adopted."""
MAX_PACKETS: Final = 256
"""Packets that wait to be sent to one switch."""
MAX_LOGGED: Final = 10
"""Refused flows and groups of one change that are told one by one in the log."""


class Session(Transactions):
    """Brings one switch to the desired state and keeps it there until the connection ends."""

    def __init__(
        self, datapath: Any, name: str, engine: Engine, audit: float,
        on_ports: Callable[[str, Mapping[int, bool]], None] = lambda name, ports: None,
    ) -> None:  # fmt: skip
        super().__init__(datapath, name, engine, logs.about(LOG, switch=name))
        self._audit = audit
        self.dialect = engine.state.fabric.switches[name].dialect
        self._work = hub.Event()
        self._outbox: Any = hub.Queue()
        self.held = False
        """Whether it is held: see `ryu_vmmob.engine.contacts`."""
        self.doubted = False
        """Whether its role is to be asked for, because something was heard of it."""
        self._doubts = roles.doubts()
        self._asked_for_packets = False
        self.meters: frozenset[int] = frozenset()
        """Ids of the meters that were sent to the switch."""
        self.passes_fragments: bool | None = None
        """What the switch was told to do with fragments."""
        self.habits = Habits()
        self.portrait: Portrait | None = None
        """What the switch has said of its abilities, if it was asked."""
        self.cookies_seen = False
        """Whether it was looked what cookie a flow has here after an ADD put it in another's place."""
        self.on_ports = on_ports
        """Called with what the switch says of all its ports when it is asked: number -> whether it is up."""
        self.port_news = 0
        """Port changes that it told by itself."""

    # Called by the application's event handlers

    def wake(self) -> None:
        """There is something to take."""
        self._work.set()

    def end(self) -> None:
        """End the connection."""
        self._alive = False
        self._work.set()
        self._inbox.put(None)
        self._outbox.put(None)
        self.engine.fleet.disconnected(self.name, self.wake)

    def doubt(self) -> None:
        """Something was heard that makes it doubtful whether the switch is this controller's: nothing is sent until it says."""
        if self.commands:
            self.commands, self.doubted = False, True
            self._work.set()

    def has_flow(self, cookie: int) -> bool:
        """Whether a desired flow of this switch bears the cookie."""
        return self.engine.flow_met(self.name, cookie) is not None

    def packet_out(self, actions: tuple[Action, ...], frame: bytes) -> None:
        """Let the switch send a frame, soon; dropped where too many wait already. Never blocks."""
        if not self.commands:
            self.engine.tally.drops[self.name, "role"] += 1
        elif self._outbox.qsize() >= MAX_PACKETS:
            self.engine.tally.drops[self.name, "queue"] += 1
        else:
            self.engine.tally.sent[self.name, "packet"] += 1
            self._outbox.put(wire.packet_out(unmarked(actions), frame, PACKET_XID))

    def packets_out(self, actions: tuple[Action, ...], frames: Sequence[bytes]) -> bool:
        """Let the switch send frames one after another, soon: all of them, or none (False) where too many wait, or it is
        another controller's.
        """
        if not self.commands or self._outbox.qsize() >= MAX_PACKETS:
            return False
        self.engine.tally.sent[self.name, "packet"] += len(frames)
        if frames:
            self._outbox.put(b"".join(wire.packet_out(unmarked(actions), frame, PACKET_XID) for frame in frames))
        return True

    def error(self, xid: int, text: str, number: tuple[int, int] | None = None) -> None:
        """Take the switch's refusal of the message with this transaction id. ``number``: type and code of the error, if any."""
        if number == wire.IS_SLAVE and self.engine.roles.role(self.name) is not Role.UNKNOWN:
            self.doubt()
        super().error(xid, text, number)

    # The green thread

    def run(self) -> None:
        """Reconcile, then follow; returns when the connection is lost."""
        if self._is_over():  # before it began: a newer connection may stand
            return
        self.engine.fleet.connected(self.name, self.wake, self.engine.clock())
        self.engine.roles.connected(self.name)
        hub.spawn(vital(self._send_packets))
        try:
            self._reconcile()
            now = time.monotonic()
            audit = now + self._audit if self._audit else math.inf
            count = now + COUNT_INTERVAL
            while True:
                self._work.wait(max(0.0, min(audit, count) - time.monotonic()))
                self._work.clear()
                if self._is_over():
                    return
                asked = self.engine.fleet.audit_asked(self.name)
                let_in = self.held and self.engine.contacts.is_met(self.name)
                let_in = let_in or (not self.commands and self.engine.roles.is_claimed(self.name))
                if asked or let_in or self.doubted or time.monotonic() >= audit:  # also of a switch that is kept busy
                    self._reconcile()
                    audit = time.monotonic() + self._audit if self._audit else math.inf
                if time.monotonic() >= count:
                    roles.look(self)
                    self._count_refusals()
                    if self.is_plain:
                        habits.read_ports(self)
                    count = time.monotonic() + COUNT_INTERVAL
                if self.engine.port_counters.take(self.name):
                    port_counters.read(self)
                self.turn()  # deltas that come meanwhile go with this one
                self._follow()
                if self.engine.fleet.is_leaving(self.name):
                    raise Lost("it is no longer in the fabric, and has given up what it had of ours")
        except (Lost, wire.MalformedReply) as lost:
            self.log.warning("switch %s: %s", self.name, lost)
            self.datapath.close()
        finally:
            self._outbox.put(None)
            self.engine.fleet.disconnected(self.name, self.wake)

    def _reconcile(self) -> None:
        """Compare the switch with what it should have, and put it right, if it is this controller's to change."""
        if self.doubted and not self._doubts.take(time.monotonic()):
            raise Lost("it refuses what is for its master, and says that this controller is")
        try:
            if self._stands():
                self._ask_for_packets()
                auditing.reconcile(self)
        except Deposed:
            self._deposed()

    def _stands(self) -> bool:
        """Whether the switch may be changed. Without a store for the role the connection ends; the next one asks again."""
        try:
            return roles.stand(self)
        except StoreError as error:
            raise Lost(f"the role of this controller cannot be stored: {error}") from None

    def _follow(self) -> None:
        """Bring what was decided meanwhile."""
        try:
            while (taken := self.engine.fleet.take(self.name)) is not None:
                self.bring(*taken)
                self.turn()
        except Deposed:
            self._deposed()

    def _deposed(self) -> None:
        """Whatever was on its way may be there or not: it is compared again should the switch be ours after all."""
        self.doubted = True
        self._work.set()

    def _is_over(self) -> bool:
        return not self._alive

    def turn(self) -> None:
        """Let others have theirs first. Raises Lost when the connection has ended meanwhile: another one may stand."""
        TURNS.take()
        if self._is_over():
            raise Lost("the connection has ended")

    def until_adopted(self) -> None:
        """Return when the desired tables are those of a revision. Raises Lost."""
        while self.engine.is_adopting:
            hub.sleep(ADOPTED_LOOK)
        if self._is_over():
            raise Lost("the connection has ended")

    def _send_packets(self) -> None:
        """Send packets from a green thread of their own: they wait for no bundle, and a slow switch delays no other."""
        try:
            while (packet := self._outbox.get()) is not None:
                if self.commands:
                    self._put(packet)
        except Lost:
            pass

    def _ask_for_packets(self) -> None:
        """Ask a switch that cannot match the TTL to hand over the packets that it cannot count down."""
        if self.is_plain and not self._asked_for_packets:
            self._send([wire.set_async(self.next_xid())])
            self._asked_for_packets = True

    @property
    def is_plain(self) -> bool:
        """Whether it is a switch of plain OpenFlow 1.3: of those no two are alike."""
        return self.dialect is Dialect.OPENFLOW13

    @property
    def desired(self) -> SwitchTables:
        """Return what the switch should have now: nothing, when it was taken out of the fabric meanwhile."""
        return self.engine.desired.tables.get(self.name, SwitchTables())

    def _count_refusals(self) -> None:
        """Ask how many frames were refused, by server."""
        flows = self.desired.flows
        found: dict[str, int] = {}
        if self.engine.fleet.is_unreadable(self.name, Table.REFUSE.label):
            return
        for body in self.ask(lambda xid: wire.flow_stats_request(xid, Table.REFUSE.id)):
            for cookie, packets in wire.flow_stats_counts(body).items():
                if cookie in flows and flows[cookie].owner.kind is OwnerKind.SERVER:
                    server = flows[cookie].owner.name
                    found[server] = found.get(server, 0) + packets
        self.engine.refusals.counted(found)

    def bring(
        self, revision: int, delta: Delta, *, compared: bool = False, found: Sequence[SwitchFault] = (),
        look: Callable[[Collection[int]], list[SwitchFault]] | None = None,
    ) -> None:  # fmt: skip
        """Carry out a delta, and report what the switch confirmed and refused. ``compared``: it is all that was found wrong;
        ``found`` what is wrong beside flows and groups. ``look`` is called before that with what was refused, and says what
        the switch does not have all the same; None: what it says is believed, unless it is a plain switch.
        """
        auditing.add_meters(self)
        faults = [*found, *(self.apply(delta) if delta else ())]
        if self.is_plain and not self.cookies_seen:
            faults += habits.look_at_cookies(self, delta, {row.about for row in faults})
        refused = {row.about for row in faults}
        if look is not None:
            faults += look(refused)
        elif self.is_plain and not compared:
            faults += auditing.missing(self, delta, refused)
        for row in faults[:MAX_LOGGED]:
            self.log.error(
                "switch %s refused %s of %s: %s", self.name, row.cause, str(row.owner) or "no known owner", row.error
            )
        if len(faults) > MAX_LOGGED:
            self.log.error("switch %s refused %d more", self.name, len(faults) - MAX_LOGGED)
        self.turn()
        self.engine.fleet.confirm(self.name, revision, faults, delta.named, compared=compared)
        self.engine.progress(everything=False)
        if self.is_plain:
            entries: list[Flow | Group] = [*delta.flows, *delta.groups, *delta.groups_changed]
            capabilities.look_closer(self, entries, [row for row in entries if _about(row) in refused])

    def delete_strays(self, finding: Finding) -> None:
        """Take away entries that only their place tells from desired flows. What the switch says to it, the next audit sees."""
        self.begin()
        self.tell([message for message, _ in finding.deletions(self.next_xid)])

    def wipe(self, tables: Iterable[Table], groups: Iterable[int] = ()) -> None:
        """Take everything of ours out of tables, and groups away, of which the switch does not say what they have."""
        self.begin()
        self.tell([wire.flow_delete(COOKIE_MARK, self.next_xid(), COOKIE_MARK_MASK, table.id) for table in tables])
        self.begin()
        self.tell([wire.group_delete(number, self.next_xid()) for number in groups])

    def apply(self, delta: Delta) -> list[SwitchFault]:
        """Send a delta; what was refused of it."""
        if self.engine.fleet.has_habit(self.name, KEEPS_COOKIES):
            return habits.apply_by_place(self, delta)
        if self._bundles:
            self.begin()
            removals = deletions(delta, self.next_xid, by_cookie=not self.is_plain)
            if self._in_bundle(chain(additions(delta, self.next_xid), removals)):
                return []
            # Refused as a whole: one by one, so that what is right gets in and what is not is known by name.
        found = self.one_by_one(additions(delta, self.next_xid))
        return found + self.one_by_one(deletions(delta, self.next_xid, by_cookie=not self.is_plain))

    def foreign(self) -> int:
        """Return how many flows and groups with our mark the switch has that are not desired."""
        return auditing.foreign(self)


def _about(entry: Flow | Group) -> int:
    """Return what a fault says an entry is by."""
    return entry.cookie if isinstance(entry, Flow) else entry.id
