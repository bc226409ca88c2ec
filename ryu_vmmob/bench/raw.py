"""A controller that is none: it sends bytes that were made before, and reads what comes. What a switch can take, no more."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from ryu_vmmob.bench.tap import BARRIER_REPLY, COMMIT_REPLY, FEATURES_REPLY, SECONDS, bundle_step
from ryu_vmmob.flows import wire

HELLO, ERROR, ECHO_REQUEST, MULTIPART_REPLY = 0, 1, 2, 19
_HELLO: Final = struct.pack("!BBHI", 4, HELLO, 8, 1)
_FEATURES_REQUEST: Final = struct.pack("!BBHI", 4, 5, 8, 1)
_MORE: Final = 1


class RawController:
    """Listens for one switch at a time. Use it as a context manager."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(SECONDS)

    @property
    def port(self) -> int:
        """Return where it listens."""
        number: int = self._listener.getsockname()[1]
        return number

    def __enter__(self) -> RawController:
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.close()

    def install(self, bundle: bytes, commit: bytes) -> None:
        """Wait for a switch, and give it a bundle; return when it has confirmed it.

        ``bundle`` ends with a barrier; it is committed when that is answered. Raises RuntimeError when the switch refuses
        anything.
        """
        with _Peer(self._listener) as peer:
            peer.tell(bundle)
            peer.until(lambda message: message[1] == BARRIER_REPLY)
            peer.tell(commit)
            peer.until(lambda message: bundle_step(message) == COMMIT_REPLY)

    def read_flows(self) -> tuple[float, list[bytes]]:
        """Seconds from a switch's first answer until it has said all its flows, and what it said; nothing is looked at."""
        with _Peer(self._listener) as peer:
            peer.tell(wire.flow_stats_request(2, mask=0))
            parts: list[bytes] = []

            def last(message: bytes) -> bool:
                if message[1] != MULTIPART_REPLY:
                    return False
                parts.append(message[16:])
                return not message[11] & _MORE

            peer.until(last)
            seconds = time.monotonic() - peer.began
        return seconds, parts


class _Peer:
    """One switch, from its hello on."""

    def __init__(self, listener: socket.socket) -> None:
        self._socket, _ = listener.accept()
        self._socket.settimeout(SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self.tell(_HELLO + _FEATURES_REQUEST)
        self.until(lambda message: message[1] == FEATURES_REPLY)
        self.began = time.monotonic()

    def __enter__(self) -> _Peer:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._socket.close()

    def tell(self, data: bytes) -> None:
        """All of it."""
        self._socket.sendall(data)

    def until(self, enough: Callable[[bytes], bool]) -> None:
        """Read up to the message that is ``enough``. Raises RuntimeError when there is an error before, or nothing more."""
        offset = 0
        while True:
            while len(self._buffer) - offset >= 8:
                size = max(8, int.from_bytes(self._buffer[offset + 2 : offset + 4], "big"))
                if len(self._buffer) - offset < size:
                    break
                message = bytes(self._buffer[offset : offset + size])
                offset += size
                if message[1] == ERROR:
                    raise RuntimeError(f"the switch refuses what it is sent: {message[8:40].hex()}")
                if message[1] == ECHO_REQUEST:
                    self.tell(b"\x04\x03" + message[2:])
                if enough(message):
                    del self._buffer[:offset]
                    return
            del self._buffer[:offset]
            offset = 0
            if not (data := self._socket.recv(1 << 18)):
                raise RuntimeError("the switch has closed the connection")
            self._buffer += data
