"""The same for QEMU without libvirt: its own events (QMP) followed at the source and at the target of a move.

For programs that start QEMU themselves; etc/qemu/move.py is one. A monitor takes one client, so QEMU needs a socket for this
alone: ``-qmp unix:FILE,server=on,wait=off``. Names of events and states are QEMU's (qapi/run-state.json, qapi/migration.json).
"""

from __future__ import annotations

import json
import logging
import socket
from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic, sleep
from typing import Any, Final, NamedTuple, Protocol, Self

from ryu_vmmob.client import ClientError, RefusedError
from ryu_vmmob.hypervisor.departure import Departure
from ryu_vmmob.hypervisor.patience import pauses

LOG: Final = logging.getLogger("vmmob.hypervisor")
SWITCH_SECONDS: Final = 0.5
"""How long QEMU is held before the switch-over at most, until the controller has acknowledged the pause."""
TELL_SECONDS: Final = 60.0
"""How long an activate or an abort is tried again."""


class QmpError(Exception):
    """QEMU cannot be asked, or refuses; the text is one sentence."""


class Event(NamedTuple):
    """An event of QEMU; ``time`` is QEMU's own, nanoseconds since the epoch."""

    name: str
    data: dict[str, Any]
    time: int


class Monitor:
    """A connection to QEMU's monitor socket ``file``, for one thread. Raises QmpError. Use it as a context manager."""

    def __init__(self, file: str, timeout: float = 10.0) -> None:
        self._file, self._timeout = file, timeout
        self._events: deque[Event] = deque()
        self._unread = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(timeout)
            self._socket.connect(file)
            if "QMP" not in (self._message(monotonic() + timeout) or {}):
                raise QmpError(f"{file} is no monitor of QEMU")
            self.execute("qmp_capabilities")
        except OSError as error:
            self._socket.close()
            raise QmpError(f"{file}: {error.strerror or error}") from error
        except BaseException:
            self._socket.close()
            raise

    def execute(self, command: str, **arguments: object) -> Any:
        """Return what QEMU answers; events that come meanwhile are kept for `events`. Names have ``_`` for ``-``. Raises
        QmpError.
        """
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        order = {"execute": command, **({"arguments": named} if named else {})}
        deadline = monotonic() + self._timeout
        try:
            self._socket.sendall(json.dumps(order).encode() + b"\n")
        except OSError as error:
            raise QmpError(f"{self._file}: {error.strerror or error}") from error
        while True:
            message = self._message(deadline)
            if message is None:
                raise QmpError(f"{self._file}: no answer to {command} in time")
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise QmpError(f"{command}: {message['error'].get('desc', 'refused')}")

    def events(self, idle: float | None = None) -> Iterator[Event | None]:
        """Events as they come; None whenever none has come for ``idle`` seconds. Ends when QEMU does."""
        while True:
            while self._events:
                yield self._events.popleft()
            try:
                message = self._message(None if idle is None else monotonic() + idle)
            except QmpError:
                return
            if message is None:
                yield None

    def close(self) -> None:
        """End it."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _message(self, deadline: float | None) -> dict[str, Any] | None:
        """Return the next message, an event kept as well; None at the deadline. Raises QmpError when QEMU is gone."""
        while b"\n" not in self._unread:
            self._socket.settimeout(None if deadline is None else max(0.001, deadline - monotonic()))
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                return None
            except OSError as error:
                raise QmpError(f"{self._file}: {error.strerror or error}") from error
            if not data:
                raise QmpError(f"{self._file}: QEMU has ended")
            self._unread += data
        line, self._unread = self._unread.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        if "event" in message:
            time = message["timestamp"]
            at = time["seconds"] * 1_000_000_000 + time["microseconds"] * 1000
            self._events.append(Event(message["event"], message.get("data", {}), at))
        return message


class Steps(Protocol):
    """What is asked of a client's ``migrations``."""

    def activate(self, id: str) -> Any:
        """Note that the VM runs at the target."""

    def abort(self, id: str, *, reason: str | None = None) -> Any:
        """Note that the move has failed."""


def prepare_to_leave(monitor: Monitor) -> None:
    """Have QEMU tell of the migration's states, and wait before the switch-over until it is let go on. Raises QmpError."""
    wanted = [{"capability": name, "state": True} for name in ("events", "pause-before-switchover")]
    monitor.execute("migrate-set-capabilities", capabilities=wanted)


def leave(monitor: Monitor, departure: Departure, steps: Steps, *, uri: str | None = None) -> bool:
    """Follow the source of a move until the VM has left (True) or the migration has failed (False, the move is aborted).

    ``departure`` has been started. ``uri``: where to, when this call begins the migration; without it another program does.
    STOP -> ``deliver`` and the frames after it; ``pre-switchover`` -> QEMU goes on when the controller knows. Raises QmpError.
    """
    if uri is not None:
        monitor.execute("migrate", uri=uri)
    stopped: int | None = None
    moving = uri is not None
    for event in monitor.events():
        if event is None:
            continue
        status = event.data.get("status") if event.name == "MIGRATION" else None
        moving = moving or status in ("setup", "active")
        if event.name == "STOP" and moving:
            stopped = event.time
            departure.paused(stopped)
        elif status == "pre-switchover":
            departure.delivered.wait(SWITCH_SECONDS)
            monitor.execute("migrate-continue", state="pre-switchover")
        elif status == "completed":
            return True
        elif status in ("failed", "cancelled") or (event.name == "RESUME" and stopped is not None):
            departure.resumed()
            _told(lambda: steps.abort(departure.id, reason="QEMU: the migration has failed, the VM runs on"))
            return False
    departure.close()
    raise QmpError("QEMU has ended before the VM had left")


def arrive(monitor: Monitor, id_: str, steps: Steps) -> bool:
    """Follow the target of a move until the VM runs (True, activated) or its process has ended before (False, aborted)."""
    for event in monitor.events():
        if event is not None and event.name == "RESUME":
            _told(lambda: steps.activate(id_))
            return True
    _told(lambda: steps.abort(id_, reason="QEMU: the process at the target ended"))
    return False


def _told(call: Callable[[], Any]) -> None:
    """Make a call of the controller, again and again while it cannot be asked; one that it refuses is logged."""
    deadline = monotonic() + TELL_SECONDS
    for seconds in pauses(0.1, 5.0):
        try:
            call()
            return
        except ClientError as error:
            if (isinstance(error, RefusedError) and not error.is_for_now) or monotonic() > deadline:
                LOG.warning("the controller says: %s", error)
                return
            LOG.warning("%s; retry in %.1f s", error, seconds)
            sleep(seconds)
