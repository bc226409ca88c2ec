"""One fake switch: how it behaves, and its connection to the controller. It answers whatever a controller asks that wants to
know a switch, and does bundles as Open vSwitch does (ONF extension 230: a message is judged when the bundle is committed, and
then all of it stands or nothing).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, cast

from ryu_vmmob.bench.fake_behaviour import Behaviour, Echoes
from ryu_vmmob.bench.fake_statistics import Ports, entries, port_description
from ryu_vmmob.bench.fake_tables import (
    BAD_EXPERIMENTER,
    BAD_MULTIPART,
    BAD_REQUEST_TYPE,
    FLOW_MOD,
    FakeTables,
    Refused,
)

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, EXPERIMENTER, FEATURES_REQUEST, FEATURES_REPLY = 0, 1, 2, 3, 4, 5, 6
GET_CONFIG, CONFIG_REPLY, SET_CONFIG, PACKET_IN, PACKET_OUT, PORT_STATUS = 7, 8, 9, 10, 13, 12
MULTIPART_REQUEST, MULTIPART_REPLY, BARRIER_REQUEST, BARRIER_REPLY = 18, 19, 20, 21
ROLE_REQUEST, ROLE_REPLY, GET_ASYNC, ASYNC_REPLY, SET_ASYNC = 24, 25, 26, 27, 28
EQUAL, MASTER, SLAVE = 1, 2, 3
NO_GENERATION: Final = 0xFFFFFFFFFFFFFFFF
STALE: Final = Refused(11, 0)
IS_SLAVE: Final = Refused(1, 10)
_CHANGES: Final = frozenset({EXPERIMENTER, SET_CONFIG, PACKET_OUT, FLOW_MOD, 15, SET_ASYNC, 29})
"""What a slave may not do (6.3.6)."""
ONF: Final = 0x4F4E4600
MSG_FAILED: Final = (0xFFFF, 2310)
"""The experimenter error of a commit that failed: type and code (ONF extension 230)."""
_HEADER = struct.Struct("!BBHI")
TICK: Final = 0.02
_PART: Final = 60000
"""Bytes of entries in one multipart reply."""
_MAX_UNSENT: Final = 1 << 16
"""Bytes that a flood may leave unsent: beyond, the switch waits for the controller to read."""
_SEND_BUFFER: Final = 1 << 17
"""Bytes that the kernel takes as well. A flood of 2.5 MB there, as by default, has an answer wait behind 30,000 errors."""
FIRST_RETRY: Final = 0.1
LAST_RETRY: Final = 1.0


class FakeSwitch:
    """One switch. ``ports`` are its port numbers, all up. Everything in here runs in the loop of its fleet."""

    def __init__(self, address: tuple[str, int], dpid: int, ports: Iterable[int] = range(1, 49)) -> None:
        self.address = address
        self.dpid = dpid
        self.ports = tuple(ports)
        self.generation: int | None = None
        """That of its last master; it outlives connections."""
        self.dead_ports: set[int] = set()
        """Ports without a link."""
        self.tables = FakeTables()
        self.behaviour = Behaviour()
        self.fragment_mode = 0
        """OFPC_FRAG_*, as it was set last: it outlives connections."""
        self.said: Counter[int] = Counter()
        """Messages of the controller by type, those in bundles apart (under their own type)."""
        self.echoes = Echoes()
        self.connections = 0
        self.connection: Connection | None = None
        self.on_message: Callable[[bytes], None] = lambda message: None
        """Called with every message of the controller."""
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether a TCP connection stands."""
        return self.connection is not None

    def start(self) -> None:
        """Connect, and connect again whenever the connection is lost."""
        self._task = asyncio.get_running_loop().create_task(self._live())

    def stop(self) -> None:
        """Be switched off."""
        if self._task is not None:
            self._task.cancel()
        self.lose()

    def lose(self) -> None:
        """Lose the connection at once, with what is unsent; a new one is made soon."""
        if self.connection is not None:
            self.connection.lose()

    def say(self, data: bytes) -> None:
        """Send unsolicited bytes, if there is a connection."""
        if self.connection is not None:
            self.connection.write(data)

    def plug(self, port: int, *, up: bool) -> None:
        """Put a cable in or pull it out."""
        (self.dead_ports.discard if up else self.dead_ports.add)(port)
        if self.behaviour.tells_ports:
            body = bytes((2,)) + bytes(7) + port_description(self.dpid, port, up=up)  # OFPPR_MODIFY
            self.say(_HEADER.pack(4, PORT_STATUS, 8 + len(body), 0) + body)

    def depose(self, generation: int, *, tells: bool = True) -> None:
        """Another controller becomes its master; the one connected here is a slave from now on, and ``tells``: is told so."""
        self.generation = generation
        if self.connection is not None:
            self.connection.role = SLAVE
            if tells:
                body = struct.pack("!IIIB3xQ", ONF, 1911, SLAVE, 0, generation)  # OFPCRR_MASTER_REQUEST
                self.say(_HEADER.pack(4, EXPERIMENTER, 8 + len(body), 0) + body)

    def restart(self) -> None:
        """Lose power: the connection, everything in the tables, and who was its master."""
        self.tables.clear()
        self.generation = None
        self.lose()

    async def _live(self) -> None:
        retry = FIRST_RETRY
        while True:
            if self.behaviour.connects:
                connection = Connection(self)
                try:
                    await asyncio.get_running_loop().create_connection(lambda: connection, *self.address)  # noqa: B023
                except OSError:
                    retry = min(2 * retry, LAST_RETRY)
                else:
                    retry = FIRST_RETRY
                    await connection.lost.wait()
            await asyncio.sleep(retry)


@dataclass(slots=True)
class _Bundle:
    messages: list[bytes] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """One connection of a switch to its controller."""

    def __init__(self, switch: FakeSwitch) -> None:
        self.lost = asyncio.Event()
        self._switch = switch
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._bundles: dict[int, _Bundle] = {}
        self._late: deque[tuple[float, bytes]] = deque()
        self._owed: dict[str, float] = {}
        self.role = EQUAL
        self._next_echo = 0.0

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        self._transport = cast(asyncio.Transport, transport)
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self._switch.connection = self
        self._switch.connections += 1
        self.write(_HEADER.pack(self._switch.behaviour.version, HELLO, 8, 1))

    def data_received(self, data: bytes) -> None:
        """Hear the controller."""
        self._buffer += data
        self._work()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the switch make another."""
        self._transport = None
        if self._switch.connection is self:
            self._switch.connection = None
            self._switch.echoes.asked = None
        self.lost.set()

    # What its owner calls

    def lose(self) -> None:
        """End at once; the other side sees a reset."""
        if self._transport is not None:
            self._transport.abort()

    def tick(self, now: float) -> None:
        """Every few hundredths of a second: what is late or comes without being asked for."""
        behaviour = self._switch.behaviour
        if not behaviour.connects:
            self.lose()
        if self._transport is None:
            return
        if behaviour.reads:
            self._transport.resume_reading()
            self._work()
        else:
            self._transport.pause_reading()
        while self._late and self._late[0][0] <= now:
            self.write(self._late.popleft()[1])
        echoes = self._switch.echoes
        echoes.look(now)
        if behaviour.echo and echoes.asked is None and now >= self._next_echo:
            echoes.asked, self._next_echo = now, now + behaviour.echo
            self.write(_HEADER.pack(4, ECHO_REQUEST, 8, 1))
        for kind, rate, make in (
            ("errors", behaviour.errors, self._error_flood),
            ("packets", behaviour.packet_ins, self._packet_in),
        ):
            self._owed[kind] = min(self._owed.get(kind, 0.0) + rate * TICK, rate)
            if (number := int(self._owed[kind])) and self._transport.get_write_buffer_size() < _MAX_UNSENT:
                self._owed[kind] -= number
                self.write(make() * number)

    # Inside

    def _work(self) -> None:
        """Handle the whole messages in the buffer, as long as it reads."""
        offset, buffer = 0, self._buffer
        while self._switch.behaviour.reads and len(buffer) - offset >= 8:
            size = max(8, int.from_bytes(buffer[offset + 2 : offset + 4], "big"))
            if len(buffer) - offset < size:
                break
            message = bytes(buffer[offset : offset + size])
            offset += size
            self._handle(message)
            if self._transport is None or self._transport.is_closing():
                break
        del buffer[:offset]

    def write(self, data: bytes) -> None:
        """Send bytes, unless it is over."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _answer(self, kind: int, xid: int, body: bytes = b"") -> None:
        behaviour = self._switch.behaviour
        if behaviour.hello_only or behaviour.answers == "nothing" or (behaviour.answers == "echo" and kind != ECHO_REPLY):
            return
        data = _HEADER.pack(4, kind, 8 + len(body), xid) + body
        if behaviour.delay or self._late:
            due = asyncio.get_running_loop().time() + behaviour.delay
            self._late.append((max(due, self._late[-1][0]) if self._late else due, data))
        else:
            self.write(data)

    def _refuse(self, message: bytes, why: Refused) -> None:
        self._answer(ERROR, int.from_bytes(message[4:8], "big"), struct.pack("!HH", why.type, why.code) + message[:64])

    def _error_flood(self) -> bytes:
        about = _HEADER.pack(4, FLOW_MOD, 64, self._switch.behaviour.error_xid) + bytes(56)
        return _HEADER.pack(4, ERROR, 12 + len(about), self._switch.behaviour.error_xid) + struct.pack("!HH", 5, 1) + about

    def _packet_in(self) -> bytes:
        how = self._switch.behaviour
        match = b"\x00\x01\x00\x0c\x80\x00\x00\x04" + how.packet_port.to_bytes(4, "big") + bytes(4)
        body = struct.pack("!IHBBQ", 0xFFFFFFFF, len(how.packet), 1, 0, how.packet_cookie) + match + bytes(2) + how.packet
        return _HEADER.pack(4, PACKET_IN, 8 + len(body), 0) + body

    def _handle(self, message: bytes) -> None:
        kind, xid = message[1], int.from_bytes(message[4:8], "big")
        switch = self._switch
        switch.said[kind] += 1
        switch.on_message(message)
        if self.role == SLAVE and kind in _CHANGES:
            self._refuse(message, IS_SLAVE)
            return
        match kind:
            case 2:
                self._answer(ECHO_REPLY, xid, message[8:])
            case 3:
                now = asyncio.get_running_loop().time()
                switch.echoes.look(now)
                switch.echoes.answered += switch.echoes.asked is not None
                switch.echoes.asked = None
            case 4:
                self._experimenter(message)
            case 5:
                tables = switch.behaviour.number_of_tables
                self._answer(FEATURES_REPLY, xid, struct.pack("!QIBB2xII", switch.dpid, 0, tables, 0, 0x4F, 0))
            case 7:
                self._answer(CONFIG_REPLY, xid, struct.pack("!HH", switch.fragment_mode, 128))
            case 9:
                switch.fragment_mode = int.from_bytes(message[8:10], "big")
            case 14 | 15 | 29:
                why = self._judge(message)
                if why is None and switch.behaviour.remembers and not self._is_lost(message):
                    why = switch.tables.apply(message)
                if why is not None:
                    self._refuse(message, why)
            case 18:
                self._multipart(message)
            case 20:
                self._answer(BARRIER_REPLY, xid)
            case 24:
                self._role_request(message)
            case 26:
                self._answer(ASYNC_REPLY, xid, struct.pack("!6I", 3, 0, 7, 7, 15, 0))
            case 0 | 1 | 13 | 28:
                pass
            case _:
                self._refuse(message, BAD_REQUEST_TYPE)

    def _role_request(self, message: bytes) -> None:
        switch = self._switch
        role, generation = struct.unpack_from("!I4xQ", message, 8)
        if not switch.behaviour.roles:
            self._refuse(message, BAD_REQUEST_TYPE)
            return
        if role in (MASTER, SLAVE):
            if switch.generation is not None and (generation - switch.generation) % (1 << 64) >= 1 << 63:
                self._refuse(message, STALE)
                return
            switch.generation = generation
        self.role = role or self.role
        known = NO_GENERATION if switch.generation is None else switch.generation
        self._answer(ROLE_REPLY, int.from_bytes(message[4:8], "big"), struct.pack("!I4xQ", self.role, known))

    def _judge(self, message: bytes) -> Refused | None:
        refuses = self._switch.behaviour.refuses
        return None if refuses is None else refuses(message)

    def _is_lost(self, message: bytes) -> bool:
        loses = self._switch.behaviour.loses
        return loses is not None and loses(message)

    def _experimenter(self, message: bytes) -> None:
        switch, behaviour = self._switch, self._switch.behaviour
        if not behaviour.bundles or len(message) < 24 or int.from_bytes(message[8:12], "big") != ONF:
            self._refuse(message, BAD_EXPERIMENTER)
            return
        kind, number, control, flags = struct.unpack_from("!IIHH", message, 12)
        if kind == 2301:
            bundle = self._bundles.setdefault(number, _Bundle())
            if behaviour.remembers or behaviour.refuses is not None:
                bundle.messages.append(message[24:])
            switch.said[message[25]] += 1
            if behaviour.lose_at == len(bundle.messages):
                self._lose_once()
            return
        if control == 4:
            if behaviour.lose_at == "before commit":
                self._lose_once()
                return
            if not self._commit(self._bundles.pop(number, _Bundle()), message):
                return
            if behaviour.lose_at == "after commit":
                self._lose_once()
                return
        elif control == 0:
            self._bundles[number] = _Bundle()
        elif control == 6:
            self._bundles.pop(number, None)
        reply = struct.pack("!IIIHH", ONF, 2300, number, control + 1, flags)
        self._answer(EXPERIMENTER, int.from_bytes(message[4:8], "big"), reply)

    def _lose_once(self) -> None:
        self._switch.behaviour.lose_at = None
        self.lose()

    def _commit(self, bundle: _Bundle, message: bytes) -> bool:
        if not self._switch.behaviour.remembers and self._switch.behaviour.refuses is None:
            return True
        before = self._switch.tables
        after = before.copy() if len(bundle.messages) > 1 else before
        for inner in bundle.messages:
            why = self._judge(inner) or (None if self._is_lost(inner) else after.apply(inner))
            if why is not None:
                self._refuse(inner, why)
                xid = int.from_bytes(message[4:8], "big")
                self._answer(ERROR, xid, struct.pack("!HHI", *MSG_FAILED, ONF) + message[:64])
                return False
        if after is not before:
            before.become(after)
        return True

    def _multipart(self, message: bytes) -> None:
        kind, xid = int.from_bytes(message[8:10], "big"), int.from_bytes(message[4:8], "big")
        switch = self._switch
        ports = Ports(switch.dpid, switch.ports, switch.dead_ports)
        rows = entries(switch.tables, switch.behaviour, ports, kind, message)
        if rows is None:
            self._refuse(message, BAD_MULTIPART)
            return
        if self._switch.behaviour.wraps_statistics:
            body = struct.pack("!HH4x", kind, 0) + b"".join(rows)
            self.write(_HEADER.pack(4, MULTIPART_REPLY, (8 + len(body)) & 0xFFFF, xid) + body)
            return
        part: list[bytes] = []
        size = 0
        for entry in rows:
            if size + len(entry) > _PART:
                self._answer(MULTIPART_REPLY, xid, struct.pack("!HH4x", kind, 1) + b"".join(part))
                part, size = [], 0
            part.append(entry)
            size += len(entry)
        self._answer(MULTIPART_REPLY, xid, struct.pack("!HH4x", kind, 0) + b"".join(part))
