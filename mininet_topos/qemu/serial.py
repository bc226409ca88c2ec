"""A guest's serial line, on which its program takes orders (see guest.c): its counters travel with the guest's memory."""

from __future__ import annotations

import socket
import time
from abc import ABC, abstractmethod
from pathlib import Path

ANSWER_SECONDS = 60.0


class MachineError(RuntimeError):
    """The guest or its QEMU did not do what it was to do; the text has what it said."""


class Serial(ABC):
    """A Unix socket of QEMU's, opened with the first order."""

    def __init__(self) -> None:
        self._line: socket.socket | None = None
        self._unread = b""

    @abstractmethod
    def _path(self) -> Path:
        """Where the socket is."""

    def _last_words(self) -> str:
        """Return what there is to say of a guest that does not answer."""
        return ""

    def order(self, text: str, seconds: float = ANSWER_SECONDS) -> str:
        """Return an order to the guest's program (see guest.c); what came after "ok". Raises MachineError."""
        self._serial().sendall(text.encode() + b"\n")
        said = self._answer(seconds)
        word, _, rest = said.partition(" ")
        if word != "ok":
            raise MachineError(f"{text!r}: the guest said {said!r}")
        return rest

    def shell(self, command: str, seconds: float = ANSWER_SECONDS) -> str:
        """Run a command in the guest; what it printed. Raises MachineError when its exit status is not 0."""
        status, _, output = self.order(f"sh {command} 2>&1", seconds).partition(" ")
        text = bytes.fromhex(output).decode(errors="replace")
        if status != "0":
            raise MachineError(f"{command!r} in the guest: exit {status}: {text.strip()}")
        return text

    def _serial(self) -> socket.socket:
        if self._line is None:
            line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                line.connect(str(self._path()))
            except OSError as error:
                line.close()
                raise MachineError(f"the guest's serial line cannot be opened: {error}; {self._last_words()}") from error
            self._line = line
        return self._line

    def _answer(self, seconds: float) -> str:
        line = self._serial()
        deadline = time.monotonic() + seconds
        while b"\n" not in self._unread:
            line.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = line.recv(65536)
            except OSError as error:
                raise MachineError(f"no answer in {seconds:g} s: {error}") from error
            if not data:
                raise MachineError(f"the guest's serial line was closed; {self._last_words()}")
            self._unread += data
        said, self._unread = self._unread.split(b"\n", 1)
        return said.decode(errors="replace").strip("\r")

    def close(self) -> None:
        """Let go of the line; also twice."""
        line, self._line, self._unread = self._line, None, b""
        if line is not None:
            line.close()
