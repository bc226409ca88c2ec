"""For the tests of the compatibility layer: a Ryu manager in a process of its own, and a switch that says what a test wants."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

HEADER = struct.Struct("!BBHI")
HELLO, FEATURES_REQUEST, FEATURES_REPLY, MULTIPART_REQUEST, MULTIPART_REPLY, EXPERIMENTER = 0, 5, 6, 18, 19, 4
DEADLINE_SECONDS = 60.0

# Our manager; the stock one, with what the start-up file does done by hand; and ours with the time limit as the only guard.
MANAGER = "from ryu_vmmob.manager import main; main()"
STOCK = "from ryu_vmmob.compat import install; install(); from ryu.cmd.manager import main; main()"
TIME_LIMIT_ONLY = f"from ryu_vmmob.compat import lengths; lengths.check = lambda *a, **k: None; {MANAGER}"

T = TypeVar("T")


def message(kind: int, body: bytes = b"", *, xid: int = 7, version: int = 4) -> bytes:
    """An OpenFlow message with a true header."""
    return HEADER.pack(version, kind, HEADER.size + len(body), xid) + body


def multipart(mp_type: int, entries: bytes, *, flags: int = 0, xid: int = 7) -> bytes:
    """An OpenFlow 1.3 multipart reply."""
    return message(MULTIPART_REPLY, struct.pack("!HH4x", mp_type, flags) + entries, xid=xid)


def poll(attempt: Callable[[], T | None], what: str) -> T:
    """Call ``attempt`` until it gives something, or fail the test."""
    until = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < until:
        result = attempt()
        if result is not None:
            return result
        time.sleep(0.05)
    error = f"{what}: not within {DEADLINE_SECONDS} s"
    raise AssertionError(error)


def free_port() -> int:
    """A TCP port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Switch:
    """The switch's end of one OpenFlow connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.stream = connection.makefile("rb")

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def receive(self) -> tuple[int, int, bytes] | None:
        """The next message as (type, transaction id, body), or None when the controller has closed."""
        try:
            header = self.stream.read(HEADER.size)
            if len(header) < HEADER.size:
                return None
            _, kind, length, xid = HEADER.unpack(header)
            return kind, xid, self.stream.read(length - HEADER.size)
        except ConnectionResetError:
            return None

    def wait_for(self, wanted: int) -> tuple[int, bytes] | None:
        """Skip messages until one of the wanted type; returns (transaction id, body), or None when closed."""
        while (received := self.receive()) is not None:
            kind, xid, body = received
            if kind == wanted:
                return xid, body
        return None

    def closed(self) -> bool:
        """Read until the controller closes; a time-out is an error of the test."""
        while self.receive() is not None:
            pass
        return True

    def handshake(self) -> bool:
        """Say hello; whether the controller went on to ask for the features."""
        self.send(message(HELLO))
        return self.wait_for(FEATURES_REQUEST) is not None

    def become_ready(self, dpid: int = 0x0A) -> bool:
        """The whole handshake, until Ryu counts the switch as connected."""
        self.send(message(HELLO))
        asked = self.wait_for(FEATURES_REQUEST)
        if asked is None:
            return False
        self.send(message(FEATURES_REPLY, struct.pack("!QIBBHII", dpid, 0, 254, 0, 0, 0, 0), xid=asked[0]))
        ports = self.wait_for(MULTIPART_REQUEST)
        if ports is None:
            return False
        self.send(multipart(13, b"", xid=ports[0]))
        return True


class Controller:
    """A running manager."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log_file = log

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def descriptors(self) -> int:
        """How many files it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu_seconds(self) -> float:
        """CPU time that the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def connect(self, timeout: float = DEADLINE_SECONDS) -> socket.socket:
        """A TCP connection to the OpenFlow port, as soon as it listens."""

        def attempt() -> socket.socket | None:
            assert self.process.poll() is None, self.log()
            with contextlib.suppress(ConnectionRefusedError):
                return socket.create_connection(("127.0.0.1", self.port), timeout)
            return None

        return poll(attempt, "the controller listens")

    @contextlib.contextmanager
    def switch(self) -> Iterator[Switch]:
        with self.connect() as connection:
            yield Switch(connection)


@contextlib.contextmanager
def controller(
    folder: Path, code: str, *apps: str, off: str = "", options: Sequence[str] = (), port_option: str = "--ofp-tcp-listen-port"
) -> Iterator[Controller]:
    """Run a manager with some parts left out; ends it, whatever happens."""
    port = free_port()
    log = folder / f"manager-{port}.log"
    command = [sys.executable, "-c", code, port_option, str(port), *options, *(apps or ("ryu.controller.ofp_handler",))]
    environment = {**os.environ, "RYU_VMMOB_COMPAT_OFF": off, "PYTHONPATH": os.pathsep.join(sys.path)}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        yield Controller(process, port, log)
    finally:
        process.kill()  # one that hangs hears nothing else
        process.wait()
