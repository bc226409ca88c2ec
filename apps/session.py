"""One connection of one switch: reconcile it, then keep it in step. The one place that talks to switches.

Each session is a green thread of its own, so a slow or deaf switch delays nobody. It sends bytes made by our own encoder and
learns the outcome from barriers, bundle replies and errors; nothing counts as done that the switch has not confirmed. It keeps
nothing that it does not wait for, and after each piece of a long piece of work lets the others work.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final

from ryu.lib import hub

from ryu_vmmob import logs
from ryu_vmmob.apps import auditing, capabilities
from ryu_vmmob.apps.turns import TURNS
from ryu_vmmob.apps.vital import vital
from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.fleet import KEEPS_COOKIES, SwitchFault
from ryu_vmmob.engine.messages import Message, additions, deletions, fault
from ryu_vmmob.engine.roles import Heard, Role
from ryu_vmmob.fabric.model import Dialect
from ryu_vmmob.flows import wire
from ryu_vmmob.flows.audit import Finding, Habits
from ryu_vmmob.flows.delta import Delta, SwitchTables
from ryu_vmmob.flows.flow import Action, Flow, Group
from ryu_vmmob.flows.owner import OwnerKind
from ryu_vmmob.flows.pipeline import COOKIE_MARK, COOKIE_MARK_MASK, Table
from ryu_vmmob.flows.ports import unmarked
from ryu_vmmob.southbound import habits, roles
from ryu_vmmob.whitebox.features import Portrait

LOG = logging.getLogger(__name__)

REPLY_TIMEOUT: Final = 30.0
"""Seconds without any sign from a switch that owes a reply; then the connection is given up, and made anew."""
COUNT_INTERVAL: Final = 10.0
"""Seconds between two looks at how many frames were refused."""
ADOPTED_LOOK: Final = 0.02
"""Seconds between two looks whether a long command has been adopted."""
MAX_PACKETS: Final = 256
"""Packets that wait to be sent to one switch."""
_PACKET_XID: Final = 1 << 31
"""The transaction id of every packet-out: what becomes of one is nobody's concern."""
_CHUNK: Final = 1 << 16
_KINDS: Final = {14: "flow", 15: "group", 29: "meter"}
"""Types of messages that are counted."""
_ROWS: Final = 512
"""Messages between two barriers where there are no bundles."""
MAX_PARTS: Final = 1024
"""Parts of one reply that may wait to be read, 64 KiB each."""
MAX_REPLY: Final = 1 << 27
"""Bytes of one reply, all its parts together: some 800,000 flows."""
_PART: Final = 1 << 12
"""What a part counts beside its bytes, so that empty ones have an end too."""
_EXPERIMENTER, _MULTIPART_REPLY, _BARRIER_REPLY = 4, 19, 21
MAX_LOGGED: Final = 10
"""Refused flows and groups of one change that are told one by one in the log."""


class Lost(Exception):
    """The connection is gone, or of no use any more."""


class Deposed(Exception):
    """The switch takes nothing from this controller any more, or perhaps not."""


class Session:
    """Brings one switch to the desired state and keeps it there until the connection ends."""

    def __init__(
        self, datapath: Any, name: str, engine: Engine, clock: Callable[[], float], audit: float,
        on_ports: Callable[[str, Mapping[int, bool]], None] = lambda name, ports: None,
    ) -> None:  # fmt: skip
        self.datapath = datapath
        self.name = name
        self.log = logs.about(LOG, switch=name)
        self.engine = engine
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
        self.held = False
        """Whether it is left as it is: see `ryu_vmmob.engine.contacts`."""
        self.commands = False
        """Whether it may be changed: it has this controller as its master, or knows no roles (`ryu_vmmob.southbound.roles`)."""
        self.doubted = False
        """Whether its role is to be asked for, because something was heard of it."""
        self._doubts = roles.doubts()
        self._asked_for_packets = False
        self._errors: dict[int, str] = {}
        self.last_refusal: tuple[int, int] | None = None
        """Type and code of the last error of the exchange under way."""
        self.meters: frozenset[int] = frozenset()
        """Ids of the meters that the switch was told of."""
        self._first = self._xid + 1
        """Transaction id with which the exchange under way began."""
        self._awaited: tuple[int, int] | None = None
        """Transaction id and type of the reply that is waited for."""
        self._overrun = False
        self._plain: tuple[int, int, Any] | None = None
        """Transaction id of a question that one message answers, the type of that, and the answer once it is there."""
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
        self._asking: set[int] = set()
        """Transaction ids of the multipart requests under way."""

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

    def reply(self, message: Any) -> None:
        """Take a reply to a barrier, a bundle or a question for the configuration or the role, or a raw multipart reply; one
        that nobody waits for is not kept.
        """
        if self._plain is not None and (message.xid, message.msg_type) == self._plain[:2]:
            self._plain = *self._plain[:2], message
            return
        is_part = message.msg_type == _MULTIPART_REPLY and message.xid in self._asking
        if is_part or self._awaited == (message.xid, message.msg_type):
            if is_part:
                if not message.more:
                    self._asking.discard(message.xid)
            elif not getattr(message, "more", False):
                self._awaited = None  # a second one is none of the next exchange's
            self._overrun = self._overrun or self._inbox.qsize() >= MAX_PARTS
            if not self._overrun:
                self._inbox.put(message)

    def asks(self, xid: int) -> bool:
        """Whether this is a multipart request of ours under way: its replies are wanted unparsed."""
        return xid in self._asking

    def expects(self, xid: int) -> bool:
        """Whether this transaction id belongs to the exchange under way, or to the last one."""
        return xid < _PACKET_XID and (xid - self._first) & 0x7FFFFFFF < (self._xid + 1 - self._first) & 0x7FFFFFFF

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
            self._outbox.put(wire.packet_out(unmarked(actions), frame, _PACKET_XID))

    def packets_out(self, actions: tuple[Action, ...], frames: Sequence[bytes]) -> bool:
        """Let the switch send frames one after another, soon: all of them, or none (False) where too many wait, or it is
        another controller's.
        """
        if not self.commands or self._outbox.qsize() >= MAX_PACKETS:
            return False
        self.engine.tally.sent[self.name, "packet"] += len(frames)
        if frames:
            self._outbox.put(b"".join(wire.packet_out(unmarked(actions), frame, _PACKET_XID) for frame in frames))
        return True

    def error(self, xid: int, text: str, number: tuple[int, int] | None = None) -> None:
        """Take the switch's refusal of the message with this transaction id. ``number``: type and code of the error, if any."""
        if number == wire.IS_SLAVE and self.engine.roles.role(self.name) is not Role.UNKNOWN:
            self.doubt()
        if xid == _PACKET_XID:
            self.log.debug("switch %s did not send a packet: %s", self.name, text)
            return
        if self.expects(xid):
            self._errors[xid] = text
            self.last_refusal = number
            if xid in self._asking:
                self._asking.discard(xid)
                self._inbox.put(("error", xid))
            elif self._awaited is not None and xid == self._awaited[0]:
                self._awaited = None
                self._inbox.put(("error", xid))

    @property
    def refused_xids(self) -> frozenset[int]:
        """Transaction ids of the exchange under way, or of the last one, that the switch refused."""
        return frozenset(self._errors)

    def refusal_of(self, xid: int) -> str:
        """Return what the switch said to one of them."""
        return self._errors[xid]

    # The green thread

    def run(self) -> None:
        """Reconcile, then follow; returns when the connection is lost."""
        if self._is_over():  # before it began: a newer connection may stand
            return
        self.engine.fleet.connected(self.name, self.wake, self._clock())
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
            if roles.stand(self):
                self._ask_for_packets()
                auditing.reconcile(self)
        except Deposed:
            self._deposed()

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
        """What the switch should have now: nothing, when it was taken out of the fabric meanwhile."""
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
        faults = [*found, *(self._apply(delta) if delta else ())]
        if self.is_plain and not self.cookies_seen:
            faults += habits.look_at_cookies(self, delta, {row.about for row in faults})
        refused = {row.about for row in faults}
        if look is not None:
            faults += look(refused)
        elif self.is_plain and not compared:
            faults += auditing.missing(self, delta, refused)
        for row in faults[:MAX_LOGGED]:
            self.log.error("switch %s refused %s of %s: %s", self.name, row.cause, str(row.owner) or "nobody", row.error)
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

    def _apply(self, delta: Delta) -> list[SwitchFault]:
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

    def _require_role(self) -> None:
        """Raise Deposed when the role is in doubt: what a slave was refused is no fault of the message."""
        if not self.commands:
            raise Deposed

    def begin(self) -> None:
        """Begin an exchange: what the switch says from now on is about its messages."""
        self._errors.clear()
        self.last_refusal = None
        self._asking.clear()
        while not self._inbox.empty():
            self._inbox.get_nowait()  # of an answer that was not read to its end
        self._first = self._xid + 1 & 0x7FFFFFFF
        self._awaited = None

    def _in_bundle(self, messages: Iterable[Message]) -> bool:
        """All of it or nothing. False: refused, or the switch has no bundles (then it is not asked again).

        What is made is sent at once, so that the switch works on it while more is made.
        """
        self._bundle += 1
        opened, committed = self.next_xid(), self.next_xid()
        self._send([wire.bundle_control(self._bundle, wire.BUNDLE_OPEN_REQUEST, opened)])
        self._send(self._bundled(messages))
        # Open vSwitch leaves out a message that it refuses while it is added, and would commit the rest.
        self._barrier()
        self._require_role()
        if opened in self._errors:
            self.log.info("switch %s has no bundles: %s", self.name, self._errors[opened])
            self._bundles = False
            return False
        if self._errors:
            self._send([wire.bundle_control(self._bundle, wire.BUNDLE_DISCARD_REQUEST, self.next_xid())])
            return False
        self._awaited = committed, _EXPERIMENTER
        self._send([wire.bundle_control(self._bundle, wire.BUNDLE_COMMIT_REQUEST, committed)])
        while True:
            got = self._receive()
            if isinstance(got, tuple):
                return False
            if got.type == wire.BUNDLE_COMMIT_REPLY:
                return True

    def one_by_one(self, rows: Iterable[Message]) -> list[SwitchFault]:
        """Messages without a bundle; what was refused. A barrier after every few: a slow switch shows that it is at work."""
        rows, found = iter(rows), list[SwitchFault]()
        while True:
            self.begin()
            messages = list(islice(rows, _ROWS))
            if not messages:
                return found
            self.tell([message.wire for message in messages])
            by_xid = {int.from_bytes(message.wire[4:8], "big"): message for message in messages}
            found.extend(fault(by_xid[xid], text) for xid, text in self._errors.items() if xid in by_xid)

    def _bundled(self, messages: Iterable[Message]) -> Iterator[bytes]:
        kinds = bytearray()
        try:
            for message in messages:
                kinds.append(message.wire[1])
                yield wire.bundle_add(self._bundle, message.wire)
        finally:
            self._count(kinds)

    def _count(self, kinds: Iterable[int]) -> None:
        for kind, number in Counter(kinds).items():
            if kind in _KINDS:
                self.engine.tally.sent[self.name, _KINDS[kind]] += number

    def tell(self, messages: list[bytes]) -> None:
        """Send messages, and wait until the switch has done them or said why not."""
        self._send(messages)
        self._count(message[1] for message in messages)
        self._barrier()
        self._require_role()

    def _barrier(self) -> None:
        xid = self.next_xid()
        self._awaited = xid, _BARRIER_REPLY
        self._send([wire.barrier(xid)])
        if isinstance(self._receive(), tuple):
            raise Lost("it refused a barrier")

    def ask_config(self) -> Any:
        """Return the configuration reply (flags, miss_send_len); None when the switch does not answer, or refuses to."""
        return self._ask_plainly(wire.get_config_request, wire.GET_CONFIG_REPLY)

    def ask_role(self, role: int, generation: int) -> Heard | None:
        """Ask for a role (ROLE_*), or with ROLE_NOCHANGE which one this controller has; None when the switch does not answer,
        or refuses to (`last_refusal`).
        """
        found = self._ask_plainly(lambda xid: wire.role_request(role, generation, xid), wire.ROLE_REPLY)
        return None if found is None else roles.heard(found)

    def foreign(self) -> int:
        """How many flows and groups with our mark the switch has that are not desired."""
        return auditing.foreign(self)

    def _ask_plainly(self, request: Callable[[int], bytes], kind: int) -> Any:
        """Ask what is answered by one message, if at all."""
        self.begin()
        xid = self.next_xid()
        self._plain = xid, kind, None
        self._send([request(xid)])
        self._barrier()  # by then it has answered, if it does
        (_, _, found), self._plain = self._plain, None
        return found

    def ask(self, request: Callable[[int], bytes], *, required: bool = True) -> Iterator[bytes]:
        """Yield the bodies of a multipart reply. A switch that refuses to answer is given up, unless not ``required``."""
        return self.ask_each([request], required=required)

    def ask_each(self, requests: Iterable[Callable[[int], bytes]], *, required: bool = True) -> Iterator[bytes]:
        """Yield the bodies of the replies to several questions that are asked at once: a switch may be read slowly.

        One that it refuses to answer gives nothing, unless the answer is ``required``.
        """
        self.begin()
        messages = list[bytes]()
        for request in requests:
            xid = self.next_xid()
            self._asking.add(xid)
            messages.append(request(xid))
        waits, left = len(messages), MAX_REPLY
        self._send(messages)
        while waits:
            got = self._receive()
            if isinstance(got, tuple):
                if required:
                    raise Lost(f"it refused to say what it has: {self._errors[got[1]]}")
                waits -= 1
                continue
            yield got.body
            left -= len(got.body) + _PART
            if left <= 0:
                raise Lost("its reply has no end")
            waits -= not got.more

    def _receive(self) -> Any:
        try:
            got = self._inbox.get(timeout=REPLY_TIMEOUT)
        except hub.QueueEmpty:
            raise Lost(f"no reply within {REPLY_TIMEOUT:g} s") from None
        if got is None or not self._alive:
            raise Lost("the connection has ended")
        if self._overrun:
            raise Lost("it answers faster than its answers can be read")
        return got

    def _send(self, parts: Iterable[bytes]) -> None:
        """Queue bytes in pieces, so that echo replies find their way in between, and other switches' work."""
        piece: list[bytes] = []
        size = 0
        for part in parts:
            if not self.commands and wire.changes(part):
                raise Deposed
            piece.append(part)
            size += len(part)
            if size >= _CHUNK:
                self._put(b"".join(piece))
                piece, size = [], 0
                hub.sleep(0)
        if piece:
            self._put(b"".join(piece))

    def _put(self, data: bytes) -> None:
        if not self._alive or not self.datapath.send(data):
            raise Lost("the connection has ended")

    def next_xid(self) -> int:
        """Return a transaction id of the exchange under way."""
        self._xid = self._xid + 1 & 0x7FFFFFFF
        return self._xid


def _about(entry: Flow | Group) -> int:
    """Return what a fault says an entry is by."""
    return entry.cookie if isinstance(entry, Flow) else entry.id
