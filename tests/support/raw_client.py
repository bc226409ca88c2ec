"""An OpenFlow 1.3 client of a few lines: our own wire module over a socket, and nothing in between."""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from ryu_vmmob.flows import wire
from ryu_vmmob.flows.flow import Flow, Group
from ryu_vmmob.flows.pipeline import METER_RATES, meter_id

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, EXPERIMENTER, MULTIPART_REPLY, BARRIER_REPLY = 0, 1, 2, 3, 4, 19, 21
ANSWER_SECONDS = 30.0
METERED_PORTS = 65
"""Ports whose meters there are: the highest one in the fabrics of the tests is lower, and 0 stands for the whole switch."""


class Message(NamedTuple):
    """One message without its header."""

    kind: int
    xid: int
    body: bytes


class SwitchError(NamedTuple):
    """OFPT_ERROR; ``xid`` is that of the message it is about."""

    xid: int
    type: int
    code: int


class RawClient:
    """One connection to a switch's management socket. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(ANSWER_SECONDS)
        self._socket.connect(str(path))
        self._xids = itertools.count(100)
        self.send(struct.pack("!BBHI", wire.VERSION, HELLO, 8, 1))
        hello = self.receive()
        assert hello.kind == HELLO

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()

    def xid(self) -> int:
        """A transaction id not used before on this connection."""
        return next(self._xids)

    def send(self, *messages: bytes) -> None:
        self._socket.sendall(b"".join(messages))

    def receive(self) -> Message:
        """The next message that is not an echo request (those are answered)."""
        while True:
            version, kind, length, xid = struct.unpack("!BBHI", self._exactly(8))
            body = self._exactly(length - 8)
            if kind != ECHO_REQUEST:
                assert version == wire.VERSION or kind == HELLO
                return Message(kind, xid, body)
            self.send(struct.pack("!BBHI", wire.VERSION, ECHO_REPLY, length, xid) + body)

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            more = self._socket.recv(size - len(parts))
            assert more, "the switch closed the connection"
            parts += more
        return bytes(parts)

    def transact(self, *messages: bytes) -> list[Message]:
        """Send, then a barrier; everything that came before its reply."""
        barrier = self.xid()
        self.send(*messages, wire.barrier(barrier))
        found = []
        while (message := self.receive())[:2] != (BARRIER_REPLY, barrier):
            found.append(message)
        return found

    def apply(self, *messages: bytes) -> list[SwitchError]:
        """Send messages that need no reply; the errors they brought."""
        return [error for message in self.transact(*messages) for error in _errors(message)]

    def bundle(self, messages: Iterable[bytes], number: int = 1) -> list[SwitchError]:
        """All of it in one bundle, or nothing; the errors, that of a refused commit included.

        Each message keeps its own xid. A message that the switch refuses while it is added is simply not in the bundle (seen
        on Open vSwitch 3.1), and a commit would succeed without it: so this looks for errors first, and discards.
        """
        opened, committed = self.xid(), self.xid()
        found = self.transact(
            wire.bundle_control(number, wire.BUNDLE_OPEN_REQUEST, opened),
            *(wire.bundle_add(number, message) for message in messages),
        )
        assert _bundle_replies(found) == {opened: wire.BUNDLE_OPEN_REPLY}
        errors = [error for message in found for error in _errors(message)]
        if errors:
            self.transact(wire.bundle_control(number, wire.BUNDLE_DISCARD_REQUEST, committed))
            return errors
        return self.commit(number, committed)

    def commit(self, number: int, xid: int) -> list[SwitchError]:
        """Commit an open bundle; no errors means that the switch said it is done."""
        found = self.transact(wire.bundle_control(number, wire.BUNDLE_COMMIT_REQUEST, xid))
        errors = [error for message in found for error in _errors(message)]
        assert errors or _bundle_replies(found) == {xid: wire.BUNDLE_COMMIT_REPLY}, found
        return errors

    def set_meters(self) -> None:
        """The meters that flows may refer to."""
        told = (
            wire.meter_set(meter_id(meter, port), rate, (self.xid(), self.xid()))
            for port in range(METERED_PORTS)
            for meter, rate in METER_RATES.items()
        )
        self.transact(b"".join(told))

    def install(self, flows: Iterable[Flow], groups: Iterable[Group] = ()) -> list[SwitchError]:
        """Groups and flows in one bundle, after the meters that flows may refer to."""
        self.set_meters()
        ordered = [wire.group_add(group, self.xid()) for group in in_order(groups)]
        return self.bundle([*ordered, *(wire.flow_add(flow, self.xid()) for flow in flows)])

    def cookies(self) -> list[int]:
        """Cookies of every flow of ours in the switch."""
        return [cookie for body in self.flow_stats() for cookie in wire.flow_stats_cookies(body)]

    def flow_stats(self) -> list[bytes]:
        """The bodies of the replies that have every flow of ours in the switch."""
        xid = self.xid()
        self.send(wire.flow_stats_request(xid))
        return list(self._multipart(xid, wire.MULTIPART_FLOW))

    def groups(self) -> dict[int, bytes]:
        """Content of every group in the switch."""
        xid = self.xid()
        self.send(wire.group_desc_request(xid))
        bodies = self._multipart(xid, wire.MULTIPART_GROUP_DESC)
        return {number: body for part in bodies for number, body in wire.group_descriptions(part)}

    def _multipart(self, xid: int, kind: int) -> Iterator[bytes]:
        more = 1
        while more:
            message = self.receive()
            assert (message.kind, message.xid) == (MULTIPART_REPLY, xid), message
            found, more = struct.unpack_from("!HH", message.body)
            assert found == kind
            yield message.body[8:]


def _bundle_replies(messages: Iterable[Message]) -> dict[int, int]:
    """{xid: kind of bundle control message}."""
    return {m.xid: struct.unpack_from("!H", m.body, 12)[0] for m in messages if m.kind == EXPERIMENTER}


def _errors(message: Message) -> Iterator[SwitchError]:
    if message.kind == ERROR:
        yield SwitchError(message.xid, *struct.unpack_from("!HH", message.body))


def in_order(groups: Iterable[Group]) -> list[Group]:
    """Groups that others chain to stand first."""
    waiting, done = {group.id: group for group in groups}, dict[int, Group]()
    while waiting:
        ready = [group for group in waiting.values() if all(number in done for number in group.refers_to)]
        assert ready, f"groups that lead in a circle or nowhere: {sorted(waiting)}"
        for group in ready:
            done[group.id] = waiting.pop(group.id)
    return list(done.values())
