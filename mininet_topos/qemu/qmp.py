"""QEMU's machine protocol (QMP) as the laboratory needs it: commands one by one, and events with QEMU's own time stamps."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ANSWER_SECONDS = 30.0


class QmpError(RuntimeError):
    """QEMU refused a command, said nothing in time, or is gone."""


@dataclass(frozen=True)
class Event:
    """Something that happened in QEMU. ``time``: when, in ns since the epoch, on the host's clock (microseconds' precision)."""

    name: str
    data: dict[str, Any]
    time: int


class Qmp:
    """One connection to one QEMU. Events wait in ``events`` until they are asked for."""

    def __init__(self, path: Path, seconds: float = ANSWER_SECONDS) -> None:
        self.events: list[Event] = []
        self._unread = b""
        self._socket = _connected(path, time.monotonic() + seconds)
        self._line(time.monotonic() + seconds)  # the greeting
        self.ask("qmp_capabilities")

    def fileno(self) -> int:
        """For `select`: readable when something may be said."""
        return self._socket.fileno()

    def ask(self, command: str, seconds: float = ANSWER_SECONDS, **arguments: Any) -> Any:
        """One command; what it returned. An underscore in an argument's name stands for a hyphen.

        Raises QmpError, or TimeoutError for silence.
        """
        body = {"execute": command, "arguments": {key.replace("_", "-"): value for key, value in arguments.items()}}
        try:
            self._socket.sendall(json.dumps(body).encode() + b"\n")
        except OSError as error:
            raise QmpError(f"{command}: QEMU is gone: {error}") from error
        deadline = time.monotonic() + seconds
        while True:
            said = self._line(deadline)
            if "return" in said:
                return said["return"]
            if "error" in said:
                raise QmpError(f"{command}: {said['error'].get('desc')}")
            self._keep(said)

    def until(self, wanted: Callable[[Event], bool], seconds: float) -> Event:
        """Return the first event that is wanted, those that wait already included; it is taken out.

        Raises QmpError, or TimeoutError for silence.
        """
        deadline = time.monotonic() + seconds
        while True:
            for event in self.events:
                if wanted(event):
                    self.events.remove(event)
                    return event
            self._keep(self._line(deadline))

    def until_named(self, name: str, seconds: float = ANSWER_SECONDS) -> Event:
        """Return the first event of that name. Raises QmpError, or TimeoutError for silence."""
        return self.until(lambda event: event.name == name, seconds)

    def poll(self, name: str) -> Event | None:
        """Return an event of that name if it was said already."""
        try:
            return self.until_named(name, 0.0)
        except TimeoutError:
            return None

    def close(self) -> None:
        """End the connection; QEMU runs on."""
        self._socket.close()

    def _keep(self, said: dict[str, Any]) -> None:
        if "event" in said:
            stamp = said["timestamp"]
            at = stamp["seconds"] * 1_000_000_000 + stamp["microseconds"] * 1000
            self.events.append(Event(said["event"], said.get("data", {}), at))

    def _line(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._unread:
            self._socket.settimeout(max(0.000_001, deadline - time.monotonic()))
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise TimeoutError("QEMU said nothing in time") from None
            except OSError as error:
                raise QmpError(f"QEMU is gone: {error}") from error
            if not data:
                raise QmpError("QEMU is gone")
            self._unread += data
        line, self._unread = self._unread.split(b"\n", 1)
        value: dict[str, Any] = json.loads(line)
        return value


def _connected(path: Path, deadline: float) -> socket.socket:
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
            return connection
        except OSError as error:
            connection.close()
            if time.monotonic() > deadline:
                raise QmpError(f"no QEMU at {path}: {error}") from error
            time.sleep(0.01)
