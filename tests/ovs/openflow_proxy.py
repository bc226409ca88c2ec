"""Between a switch and its controller: counts what the controller says, and answers for the switch where it is told to.

That is how a switch without an extension, or one that refuses a certain message, is had from one that has everything.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType

ERROR, EXPERIMENTER, FLOW_MOD, BARRIER_REQUEST = 1, 4, 14, 20
BAD_REQUEST, BAD_EXPERIMENTER = 1, 3
FLOW_MOD_FAILED, TABLE_FULL = 5, 1
ONF = 0x4F4E4600

Message = bytes
Answer = Callable[[Message], "Message | None"]
"""What the switch is made to say to a message of the controller, which it then never sees; None: it gets it."""


def error(message: Message, kind: int, code: int) -> Message:
    """OFPT_ERROR about ``message``."""
    about = message[:64]
    return struct.pack("!BBHIHH", 4, ERROR, 12 + len(about), int.from_bytes(message[4:8], "big"), kind, code) + about


def no_experimenters(message: Message) -> Message | None:
    """A switch that knows no extension of the ONF, bundles among them."""
    if message[1] == EXPERIMENTER and int.from_bytes(message[8:12], "big") == ONF:
        return error(message, BAD_REQUEST, BAD_EXPERIMENTER)
    return None


class Proxy:
    """One port of the loopback for each switch; ``said`` has every message of the controller, by switch, in order."""

    def __init__(self, names: list[str], target: int, answer: Answer = lambda message: None) -> None:
        self.said: dict[str, list[Message]] = {name: [] for name in names}
        self.answer = answer
        self._target = target
        self._listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
        self._open: set[socket.socket] = set()
        for name in names:
            self._run(self._accept, name)

    @property
    def ports(self) -> Mapping[str, int]:
        """Where each switch is to connect."""
        return {name: listener.getsockname()[1] for name, listener in self._listeners.items()}

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        for each in [*self._listeners.values(), *self._open]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    @staticmethod
    def _run(function: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def _accept(self, name: str) -> None:
        while True:
            try:
                switch, _ = self._listeners[name].accept()
            except OSError:
                return
            try:
                controller = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                switch.close()
                continue
            self._open |= {switch, controller}
            lock = threading.Lock()
            self._run(self._pump, switch, controller, lambda message: None, lock)
            self._run(self._pump, controller, switch, lambda message, name=name: self._hear(name, message), lock)

    def _hear(self, name: str, message: Message) -> Message | None:
        self.said[name].append(message)
        return self.answer(message)

    def _pump(self, source: socket.socket, sink: socket.socket, answer: Answer, lock: threading.Lock) -> None:
        """Message by message. An answer goes back at once, perhaps before the switch's own to what came before."""
        try:
            with source.makefile("rb") as stream:
                while len(header := stream.read(8)) == 8:
                    message = header + stream.read(int.from_bytes(header[2:4], "big") - 8)
                    reply = answer(message)
                    with lock:  # both pumps write to the controller's side
                        if reply is None:
                            sink.sendall(message)
                        else:
                            source.sendall(reply)
        except OSError:
            pass
        finally:
            for each in (source, sink):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
                self._open.discard(each)
