"""Between switches and their controller: relays what both say and remembers it with its time, to be read afterwards.

So the controller is measured from outside: when a switch connected, when it confirmed the last thing, and how many messages of
each kind it was sent. What switches say is looked at as it passes, by message headers only; what the controller says is cut
into messages on demand.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final

EXPERIMENTER, FEATURES_REPLY, PACKET_IN, PORT_STATUS, PACKET_OUT = 4, 6, 10, 12, 13
FLOW_MOD, GROUP_MOD, BARRIER_REPLY = 14, 15, 21
ONF: Final = 0x4F4E4600
BUNDLE_CONTROL, BUNDLE_ADD = 2300, 2301
COMMIT_REPLY: Final = 5
_PIECE: Final = 1 << 18
SECONDS: Final = 300.0
"""How long anything may take."""


def messages_of(data: bytes) -> Iterator[bytes]:
    """Yield the whole OpenFlow messages that a stream of bytes begins with."""
    offset = 0
    while offset + 8 <= len(data):
        size = max(8, int.from_bytes(data[offset + 2 : offset + 4], "big"))
        if offset + size > len(data):
            return
        yield data[offset : offset + size]
        offset += size


def bundle_step(message: bytes) -> int | None:
    """Return what a bundle control message is (open, commit and their replies; ONF extension 230), None when it is none."""
    if message[1] != EXPERIMENTER or len(message) < 24:
        return None
    experimenter, kind, _, step = struct.unpack_from("!IIIH", message, 8)
    return step if (experimenter, kind) == (ONF, BUNDLE_CONTROL) else None


def unwrapped(message: bytes) -> bytes:
    """Return the message inside a bundle-add message; any other as it is."""
    if message[1] == EXPERIMENTER and message[8:16] == struct.pack("!II", ONF, BUNDLE_ADD):
        return message[24:]
    return message


class Line:
    """One connection of one switch. Times are seconds of `time.monotonic`."""

    def __init__(self) -> None:
        self.began: float | None = None
        """When the switch gave its first answer. Open vSwitch lets up to half a second pass between its hello and that."""
        self.told: list[tuple[float, bytes]] = []
        """What the controller sent, in pieces as they came."""
        self.confirmed: float | None = None
        """When the switch last confirmed something: a barrier or the commit of a bundle."""
        self.committed: float | None = None
        """When it last confirmed a bundle."""
        self.port_changes: list[float] = []
        """When the switch told that a port had changed."""
        self.packet_ins = 0
        self.commits = 0
        self._rest = b""

    @property
    def filling(self) -> float:
        """Seconds from the switch's first answer to its last confirmation of a bundle. Raises RuntimeError before that."""
        if self.began is None or self.committed is None:
            raise RuntimeError("the switch has confirmed no bundle")
        return self.committed - self.began

    def mark(self) -> int:
        """Return a place in what the controller has sent so far, for `messages`."""
        return len(self.told)

    def messages(self, since: int = 0) -> Iterator[bytes]:
        """Return what the controller has sent since a `mark`, one message after another, those in bundles unwrapped.

        A mark is a place between two exchanges, when nothing is cut in two.
        """
        return map(unwrapped, messages_of(b"".join(data for _, data in self.told[since:])))

    def counts(self, since: int = 0) -> Counter[int]:
        """Return how many messages of each type the controller has sent since a `mark`."""
        return Counter(message[1] for message in self.messages(since))

    def switch_said(self, data: bytes, now: float) -> None:
        """Take a piece of what the switch says."""
        data = self._rest + data
        offset = 0
        while offset + 8 <= len(data):
            size = max(8, int.from_bytes(data[offset + 2 : offset + 4], "big"))
            if offset + size > len(data):
                break
            kind = data[offset + 1]
            if kind == FEATURES_REPLY:
                self.began = now
            elif kind == BARRIER_REPLY:
                self.confirmed = now
            elif kind == PACKET_IN:
                self.packet_ins += 1
            elif kind == PORT_STATUS:
                self.port_changes.append(now)
            elif kind == EXPERIMENTER and bundle_step(data[offset : offset + size]) == COMMIT_REPLY:
                self.confirmed = self.committed = now
                self.commits += 1
            offset += size
        self._rest = data[offset:]


class Tap:
    """A port of the loopback for each switch. Use it as a context manager. ``target``: the port of the controller."""

    def __init__(self, names: Iterable[str], target: int) -> None:
        self.lines: dict[str, list[Line]] = {name: [] for name in names}
        """Every connection of each switch, the newest last."""
        self._target = target
        self._listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in self.lines}
        self._open: set[socket.socket] = set()
        for name in self.lines:
            _spawn(self._accept, name)

    def port(self, name: str) -> int:
        """Return where a switch is to connect."""
        number: int = self._listeners[name].getsockname()[1]
        return number

    def line(self, name: str, after: int = 0) -> Line:
        """Return the newest connection of a switch; waits for one when there are no more than ``after``. Raises
        RuntimeError.
        """
        wait_for(lambda: len(self.lines[name]) > after, f"{name} does not connect")
        return self.lines[name][-1]

    def __enter__(self) -> Tap:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        for each in [*self._listeners.values(), *self._open]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self, name: str) -> None:
        while True:
            try:
                switch, _ = self._listeners[name].accept()
            except OSError:
                return
            line = Line()
            try:
                controller = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                switch.close()
                continue
            self.lines[name].append(line)
            for end in (switch, controller):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open.add(end)
            _spawn(self._relay, switch, controller, line.switch_said)
            _spawn(self._relay, controller, switch, lambda data, now, line=line: line.told.append((now, data)))

    def _relay(self, source: socket.socket, target: socket.socket, note: Callable[[bytes, float], None]) -> None:
        with suppress(OSError):
            while data := source.recv(_PIECE):
                now = time.monotonic()
                target.sendall(data)
                note(data, now)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
            self._open.discard(end)


def _spawn(function: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=function, args=arguments, daemon=True).start()


def wait_for(look: Callable[[], bool], what: str, poll: float = 0.002) -> None:
    """Return when ``look`` is true. Raises RuntimeError with ``what`` when that takes too long."""
    deadline = time.monotonic() + SECONDS
    while not look():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: waited {SECONDS:g} s")
        time.sleep(poll)
