"""A peer of the controller's OpenFlow port that says the right things first, and then whatever a test makes it say."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, EXPERIMENTER, FEATURES_REQUEST, FEATURES_REPLY = 0, 1, 2, 3, 4, 5, 6
PACKET_IN, PORT_STATUS, MULTIPART_REQUEST, MULTIPART_REPLY, BARRIER_REQUEST, BARRIER_REPLY = 10, 12, 18, 19, 20, 21
GET_CONFIG, CONFIG_REPLY = 7, 8
FLOW, GROUP_DESC, PORT_DESC = 1, 7, 13
NX_MATCH = 3
"""The fragment mode of an Open vSwitch that passes fragments."""
ONF, BUNDLE_CONTROL = 0x4F4E4600, 2300
SECONDS = 30.0

_HEADER = struct.Struct("!BBHI")


def message(kind: int, body: bytes = b"", xid: int = 0, version: int = 4) -> bytes:
    """An OpenFlow message with a true header."""
    return _HEADER.pack(version, kind, 8 + len(body), xid) + body


def multipart(kind: int, entries: bytes = b"", xid: int = 0, more: bool = False) -> bytes:
    """A multipart reply."""
    return message(MULTIPART_REPLY, struct.pack("!HH4x", kind, more) + entries, xid)


def port(number: int, down: bool = False) -> bytes:
    """A port's description."""
    return struct.pack("!I4x6s2x16sIIIIIIII", number, bytes(6), b"p", 0, int(down), 0, 0, 0, 0, 0, 0)


def packet_in(cookie: int, oxm: bytes, frame: bytes, reason: int = 1, table: int = 0, total: int | None = None) -> bytes:
    """A packet-in; ``oxm`` are the fields of its match."""
    match = struct.pack("!HH", 1, 4 + len(oxm)) + oxm
    match += bytes(-len(match) % 8)
    length = len(frame) if total is None else total
    head = struct.pack("!IHBBQ", 0xFFFFFFFF, length & 0xFFFF, reason, table, cookie)
    return message(PACKET_IN, head + match + bytes(2) + frame)


def oxm(field: int, value: bytes, mask: bool = False) -> bytes:
    """One match field of the basic class."""
    return struct.pack("!HBB", 0x8000, field << 1 | mask, len(value)) + value


class Peer:
    """One connection. ``read`` False: it never reads, so what the controller sends piles up at the controller's side."""

    def __init__(self, port_number: int, *, read: bool = True) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port_number), SECONDS)
        self.closed = threading.Event()
        """The controller has closed the connection."""
        self.asked: list[tuple[int, int, bytes]] = []
        """(type, transaction id, body) of what the controller has said, since `connect`."""
        self.obedient = False
        """Answer as an empty switch would that does all it is told, instead of noting it in ``asked``."""
        self._heard = threading.Condition()
        if read:
            threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _read(self) -> None:
        stream = self._socket.makefile("rb")
        with suppress(OSError, ValueError):
            while len(header := stream.read(8)) == 8:
                _, kind, length, xid = _HEADER.unpack(header)
                body = stream.read(length - 8)
                if self.obedient and (answer := honest(kind, xid, body)) is not None:
                    self.send(answer)
                    continue
                with self._heard:
                    self.asked.append((kind, xid, body))
                    self._heard.notify_all()
                if kind == ECHO_REQUEST:
                    self.send(message(ECHO_REPLY, body, xid))
        with self._heard:
            self.closed.set()
            self._heard.notify_all()

    def send(self, data: bytes) -> bool:
        """Say something; whether the controller could still be told."""
        try:
            self._socket.sendall(data)
        except OSError:
            self.closed.set()
            return False
        return True

    def wait_for(self, *kinds: int) -> tuple[int, int, bytes] | None:
        """Take what the controller said up to its first message of these types; None when it has closed instead."""

        def found() -> bool:
            return self.closed.is_set() or any(row[0] in kinds for row in self.asked)

        with self._heard:
            assert self._heard.wait_for(found, SECONDS), f"the controller did not say {kinds}, only {self.asked[-3:]}"
            while self.asked:
                row = self.asked.pop(0)
                if row[0] in kinds:
                    return row
        return None

    def connect(self, dpid: int, ports: bytes = b"") -> bool:
        """The whole handshake."""
        self.send(message(HELLO))
        asked = self.wait_for(FEATURES_REQUEST)
        if asked is None:
            return False
        self.send(message(FEATURES_REPLY, struct.pack("!QIBBHII", dpid, 0, 254, 0, 0, 0, 0), asked[1]))
        asked = self.wait_for(MULTIPART_REQUEST)
        return asked is not None and self.send(multipart(PORT_DESC, ports, asked[1]))

    def obey(self) -> None:
        """From now on, and for what was asked already."""
        with self._heard:
            self.obedient = True
            rows, self.asked = self.asked, []
        for row in rows:
            self.send(honest(*row) or b"")


def honest(kind: int, xid: int, body: bytes) -> bytes | None:
    """What an empty and obedient switch answers; None: nothing."""
    if kind == MULTIPART_REQUEST:
        return multipart(int.from_bytes(body[:2]), b"", xid)
    if kind == BARRIER_REQUEST:
        return message(BARRIER_REPLY, b"", xid)
    if kind == GET_CONFIG:
        return message(CONFIG_REPLY, struct.pack("!HH", NX_MATCH, 0xFFFF), xid)
    if kind == EXPERIMENTER and struct.unpack_from("!II", body) == (ONF, BUNDLE_CONTROL):
        bundle, asked, flags = struct.unpack_from("!IHH", body, 8)
        return message(EXPERIMENTER, struct.pack("!IIIHH", ONF, BUNDLE_CONTROL, bundle, asked + 1, flags), xid)
    return None
