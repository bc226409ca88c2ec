"""Transactions with one switch: transaction ids, barriers, bundles and multipart replies.

The outcome of each exchange is learned from barriers, bundle replies and errors; nothing counts as done that the switch has
not confirmed. A reply outside the exchange under way is dropped, so a switch cannot fill the memory. The one place that
sends to switches.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from logging import LoggerAdapter
from typing import Any, Final

from ryu.lib import hub

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.fleet import SwitchFault
from ryu_vmmob.engine.messages import Message, fault
from ryu_vmmob.engine.roles import Heard
from ryu_vmmob.flows import wire
from ryu_vmmob.southbound import roles

REPLY_TIMEOUT: Final = 30.0
"""Seconds without any sign from a switch that owes a reply; then the session closes the connection."""
PACKET_XID: Final = 1 << 31
"""The transaction id of every packet-out. The session does not wait for what becomes of one."""
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


class Lost(Exception):
    """The connection is gone, or of no use any more."""


class Deposed(Exception):
    """The switch takes nothing from this controller any more, or perhaps not."""


class Transactions:
    """The exchanges with one switch, one at a time.

    Raises `Lost` where the connection has ended or the switch does not keep to the protocol, `Deposed` where a message that
    changes the switch is not, or not surely, this controller's to send (OpenFlow 1.3.5, 6.3.5).
    """

    def __init__(self, datapath: Any, name: str, engine: Engine, log: LoggerAdapter[Any]) -> None:
        self.datapath = datapath
        self.name = name
        self.engine = engine
        self.log = log
        self._inbox: Any = hub.Queue()
        self._alive = True
        self._xid = random.randrange(1 << 30)  # noqa: S311 - a starting point, no secret
        self._bundle = 0
        self._bundles = True
        self.commands = False
        """Whether it may be changed: it has this controller as its master, or knows no roles (`ryu_vmmob.southbound.roles`)."""
        self._errors: dict[int, str] = {}
        self.last_refusal: tuple[int, int] | None = None
        """Type and code of the last error of the exchange under way."""
        self._first = self._xid + 1
        """Transaction id with which the exchange under way began."""
        self._awaited: tuple[int, int] | None = None
        """Transaction id and type of the reply that is waited for."""
        self._overrun = False
        self._plain: tuple[int, int, Any] | None = None
        """Transaction id of a question that one message answers, the type of that, and the answer once it is there."""
        self._asking: set[int] = set()
        """Transaction ids of the multipart requests under way."""

    # Called by the application's event handlers

    def reply(self, message: Any) -> None:
        """Take a reply to a barrier, to a bundle, or to a request for the configuration or the role, or a raw multipart reply.

        Drop a reply that belongs to no exchange under way.
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
        return xid < PACKET_XID and (xid - self._first) & 0x7FFFFFFF < (self._xid + 1 - self._first) & 0x7FFFFFFF

    def error(self, xid: int, text: str, number: tuple[int, int] | None = None) -> None:
        """Take the switch's refusal of the message with this transaction id. ``number``: type and code of the error, if any."""
        if xid == PACKET_XID:
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

    # Called by the session's green thread

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

    def _ask_plainly(self, request: Callable[[int], bytes], kind: int) -> Any:
        """Ask what is answered by one message, if at all."""
        self.begin()
        xid = self.next_xid()
        self._plain = xid, kind, None
        self._send([request(xid)])
        self._barrier()  # by then it has answered, if it does
        (_, _, found), self._plain = self._plain, None
        return found

    def ask(self, request: Callable[[int], bytes], *, required: bool = True, most: int = MAX_REPLY) -> Iterator[bytes]:
        """Yield the bodies of a multipart reply. A switch that refuses to answer is given up, unless not ``required``; so
        is one that answers more than ``most`` bytes.
        """
        return self.ask_each([request], required=required, most=most)

    def ask_each(
        self, requests: Iterable[Callable[[int], bytes]], *, required: bool = True, most: int = MAX_REPLY
    ) -> Iterator[bytes]:
        """Yield the bodies of the replies to several questions that are asked at once: a switch may be read slowly.

        One that it refuses to answer gives nothing, unless the answer is ``required``.
        """
        self.begin()
        messages = list[bytes]()
        for request in requests:
            xid = self.next_xid()
            self._asking.add(xid)
            messages.append(request(xid))
        waits, left = len(messages), most
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
